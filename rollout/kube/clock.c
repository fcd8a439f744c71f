/* The two clocks of the Kubernetes side.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/clock.h"

#include <time.h>

static int64_t ms_of(clockid_t id)
{
    struct timespec t;
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t kube_monotonic_ms(void)
{
    return ms_of(CLOCK_MONOTONIC);
}

int64_t kube_wall_ms(void)
{
    return ms_of(CLOCK_REALTIME);
}
