/* When a name is asked for again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/pace.h"

/* A share of most, evenly spread. */
static uint32_t share_of(uint32_t most, uint32_t random)
{
    return (uint32_t)((uint64_t)most * random >> 32);
}

uint32_t pace_after_answer_ms(uint32_t ttl_s, uint32_t random)
{
    uint64_t ms = (uint64_t)ttl_s * 1000;
    uint32_t bounded = ms < PACE_TTL_MIN_MS   ? PACE_TTL_MIN_MS
                       : ms > PACE_TTL_MAX_MS ? PACE_TTL_MAX_MS
                                              : (uint32_t)ms;
    return bounded + share_of(bounded / 8, random);
}

uint32_t pace_after_failure_ms(unsigned n, bool is_unknown, uint32_t random)
{
    uint32_t most = is_unknown ? PACE_RETRY_UNKNOWN_MS : PACE_RETRY_MAX_MS, ms = PACE_RETRY_MIN_MS;
    for (unsigned i = 1; i < n && ms < most; i++)
        ms *= 2;
    if (ms > most)
        ms = most;
    return ms / 2 + share_of(ms - ms / 2, random);
}
