/* How slow stable is of late: the p99 of its durations, older ones fading out over ten minutes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/slowness.h"

#include <stdlib.h>
#include <string.h>

/* Each look keeps 59/60 of the older counts: after 60 looks, ten minutes, a third is left. */
#define FADE_NUMERATOR   59u
#define FADE_DENOMINATOR 60u

void slowness_fini(struct slowness *s)
{
    free(s->before);
    free(s->faded);
    *s = (struct slowness){NULL, NULL, 0};
}

uint64_t slowness_look(struct slowness *s, const struct variant_metrics *stable, int64_t now_ms)
{
    struct hist_sum now;
    if (now_ms < s->next_ms)
        return UINT64_MAX;
    s->next_ms = now_ms + SLOWNESS_STEP_MS;
    if (!s->before)
        s->before = calloc(1, sizeof *s->before);
    if (!s->faded)
        s->faded = calloc(1, sizeof *s->faded);
    if (!s->before || !s->faded)
        return 0;
    memset(&now, 0, sizeof now);
    metrics_durations(stable, ROLE_STABLE, &now);
    for (unsigned i = 0; i < HIST_CELLS; i++) {
        /* another version may have become stable: its counters are smaller */
        uint64_t fresh = now.cells[i] >= s->before->cells[i] ? now.cells[i] - s->before->cells[i] : 0;
        s->faded->cells[i] = s->faded->cells[i] * FADE_NUMERATOR / FADE_DENOMINATOR + fresh;
    }
    *s->before = now;
    return hist_count(s->faded) < SLOWNESS_REQUESTS_MIN ? 0 : hist_quantile_us(s->faded, 0.99);
}
