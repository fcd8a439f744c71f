/* The machine's clocks, read at the edge and handed inwards as values.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_TIME_H
#define SERIN_PROXY_WIRE_TIME_H

#include "base/clock.h"

/* Monotonic microseconds (CLOCK_MONOTONIC). Any thread; no system call where the vDSO serves it. */
int64_t time_monotonic_us(void);

/* The same in milliseconds. */
static inline int64_t time_monotonic_ms(void)
{
    return time_monotonic_us() / 1000;
}

/* Wall time in milliseconds since 1970 UTC; may jump. */
int64_t time_wall_ms(void);

/* The two above as a struct clock. */
extern const struct clock time_clock;

#endif
