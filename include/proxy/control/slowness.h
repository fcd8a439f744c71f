/* How slow stable was in the last ten minutes: what latency is normal, for the judge's thresholds, and to tell a client
 * that gave up on a hanging canary from one that just left.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_SLOWNESS_H
#define SERIN_PROXY_CONTROL_SLOWNESS_H

#include "metrics/recent.h"
#include "metrics/totals.h"
#include <stdbool.h>

#define SLOWNESS_STEP_MS      10000 /* how often a look is taken */
#define SLOWNESS_REQUESTS_MIN 100   /* fewer say nothing about a p99 */

struct slowness {
    struct recent *recent; /* allocated with the first look; NULL where memory is short */
    const struct variant_metrics *of;
    int64_t next_ms;
    bool is_empty; /* nothing came in these ten minutes, as of the last look */
};

void slowness_fini(struct slowness *s);

/* Takes a look where one is due: true then. Another version than before begins anew. now_ms: monotonic. */
bool slowness_look(struct slowness *s, const struct variant_metrics *stable, int64_t now_ms);

/* The p99 in microseconds, 0 where too little is known. */
uint64_t slowness_p99_us(const struct slowness *s);

/* The durations; all 0 where nothing is known. */
void slowness_sum(const struct slowness *s, struct hist_sum *sum);

#endif
