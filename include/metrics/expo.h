/* Totals and gauges as Prometheus text 0.0.4 or OpenMetrics 1.0.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_EXPO_H
#define SERIN_METRICS_EXPO_H

#include "metrics/catalog.h"
#include "metrics/totals.h"

enum expo_format { EXPO_PROMETHEUS, EXPO_OPENMETRICS };

/* Growing text; the caller frees text. failed: memory was short, the text is not whole. */
struct expo {
    enum expo_format format;
    char *text;
    size_t len, room;
    bool failed;
};

/* Writes one sample of the family that is being written: label values in the order of the catalog's labels. */
void expo_sample(struct expo *e, enum metric_id id, const char *const *labels, double value);

/* The host writes the samples of a gauge or counter that it alone knows (endpoints, rollouts, reloads ...): called
 * once per family that has no cells of its own, in catalog order, after its HELP and TYPE. */
typedef void expo_host_fn(void *host, struct expo *e, enum metric_id id);

/* The whole page. Families without a sample are left out. host_fn may be NULL. Control thread. */
void expo_write(struct expo *e, const struct metrics *m, expo_host_fn *host_fn, void *host);

#endif
