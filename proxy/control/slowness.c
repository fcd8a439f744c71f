/* How slow stable was in the last ten minutes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/slowness.h"

#include <stdlib.h>
#include <string.h>

void slowness_fini(struct slowness *s)
{
    free(s->recent);
    *s = (struct slowness){NULL, NULL, 0, false};
}

bool slowness_look(struct slowness *s, const struct variant_metrics *stable, int64_t now_ms)
{
    struct hist_sum now;
    if (now_ms < s->next_ms && s->of == stable)
        return false;
    s->next_ms = now_ms + SLOWNESS_STEP_MS;
    if (!s->recent)
        s->recent = malloc(sizeof *s->recent);
    if (!s->recent)
        return false;
    memset(&now, 0, sizeof now);
    metrics_durations(stable, ROLE_STABLE, &now);
    if (s->of == stable)
        recent_look(s->recent, &now, now_ms);
    else
        recent_start(s->recent, &now, now_ms);
    s->of = stable;
    recent_sum(s->recent, &now);
    s->is_empty = hist_count(&now) == 0;
    return true;
}

uint64_t slowness_p99_us(const struct slowness *s)
{
    struct hist_sum sum;
    slowness_sum(s, &sum);
    return hist_count(&sum) < SLOWNESS_REQUESTS_MIN ? 0 : hist_quantile_us(&sum, 0.99);
}

void slowness_sum(const struct slowness *s, struct hist_sum *sum)
{
    if (s->of && !s->is_empty)
        recent_sum(s->recent, sum);
    else
        memset(sum, 0, sizeof *sum);
}
