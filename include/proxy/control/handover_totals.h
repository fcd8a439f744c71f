/* Counts by route, version, role and kind: what processes of before have counted, or what was told of one's own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HANDOVER_TOTALS_H
#define SERIN_PROXY_CONTROL_HANDOVER_TOTALS_H

#include "base/index.h"
#include "proxy/control/handover_message.h"

#define HANDOVER_TOTALS_MAX 16384u /* as many versions as the metrics know: guards the memory */

struct handover_totals {
    struct list entries;
    struct index names; /* to find them by route and version: the operator's words */
};

void handover_totals_init(struct handover_totals *t);
void handover_totals_fini(struct handover_totals *t);

/* The entry of a version, made where there is none: its counts are 0. NULL when memory is short or there are too many. O(1). */
struct handover_counts *handover_totals_of(struct handover_totals *t, const char *route,
                                           const char *version, enum metric_role role,
                                           bool is_mirror);

/* NULL where nothing was counted. O(1). */
const struct handover_counts *handover_totals_find(const struct handover_totals *t,
                                                   const char *route, const char *version,
                                                   enum metric_role role, bool is_mirror);

/* Calls fn for each. */
typedef void handover_counts_fn(void *arg, const char *route, const struct handover_counts *c);
void handover_totals_each(const struct handover_totals *t, handover_counts_fn *fn, void *arg);

/* Adds d to *sum, count by count. Pure. */
void handover_counts_add(struct handover_counts *sum, const struct handover_counts *d);

/* later - earlier. Pure. */
void handover_counts_subtract(struct handover_counts *later, const struct handover_counts *earlier);

/* Pure. */
bool handover_counts_is_zero(const struct handover_counts *c);

#endif
