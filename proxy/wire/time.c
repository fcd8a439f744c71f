/* The machine's clocks, read at the edge and handed inwards as values.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/time.h"

#include <time.h>

static int64_t read_clock_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t time_monotonic_us(void)
{
    return read_clock_us(CLOCK_MONOTONIC);
}

int64_t time_wall_ms(void)
{
    return read_clock_us(CLOCK_REALTIME) / 1000;
}

static int64_t monotonic_of(void *arg)
{
    (void)arg;
    return time_monotonic_us();
}

static int64_t wall_of(void *arg)
{
    (void)arg;
    return time_wall_ms();
}

const struct clock time_clock = {monotonic_of, wall_of, NULL};
