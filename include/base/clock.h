/* Time as a value: whoever needs it gets a clock, so that tests hold the hands.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_CLOCK_H
#define SERIN_BASE_CLOCK_H

#include <stdint.h>

struct clock {
    int64_t (*monotonic_us)(void *arg); /* microseconds since an arbitrary start; never goes back */
    int64_t (*wall_ms)(void *arg);      /* milliseconds since 1970 UTC; may jump */
    void *arg;
};

static inline int64_t clock_monotonic_us(const struct clock *c)
{
    return c->monotonic_us(c->arg);
}

static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ms(c->arg);
}

#endif
