/* How slow stable is of late: the p99 of its durations, older ones fading out over ten minutes.
 * Tells a client that gave up on a hanging canary from one that just left.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_SLOWNESS_H
#define SERIN_PROXY_CONTROL_SLOWNESS_H

#include "metrics/totals.h"

#define SLOWNESS_STEP_MS      10000 /* how often a look is taken */
#define SLOWNESS_REQUESTS_MIN 100   /* fewer say nothing about a p99 */

struct slowness {
    struct hist_sum *before, *faded; /* allocated with the first look */
    int64_t next_ms;
};

void slowness_fini(struct slowness *s);

/* Takes a look where one is due. Returns the p99 in microseconds, 0 where too little is known, or UINT64_MAX where
 * none was due. now_ms: monotonic. */
uint64_t slowness_look(struct slowness *s, const struct variant_metrics *stable, int64_t now_ms);

#endif
