/* The machine's clocks, read at the edge and handed inwards as values.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/time.h"

#include <stdio.h>
#include <string.h>
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

void time_text_imf(int64_t wall_s, char text[TIME_IMF_SIZE])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t second = (time_t)wall_s;
    struct tm tm = {0};
    (void)gmtime_r(&second, &tm);
    char whole[96]; /* room for any numbers, so that the compiler need not know theirs */
    (void)snprintf(whole, sizeof whole, "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + 3 * tm.tm_wday, tm.tm_mday,
                   months + 3 * tm.tm_mon, tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    memcpy(text, whole, TIME_IMF_SIZE - 1);
    text[TIME_IMF_SIZE - 1] = '\0';
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
