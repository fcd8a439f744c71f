/* The machine's clocks, read at the edge and handed inwards as values.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_TIME_H
#define SERIN_PROXY_WIRE_TIME_H

#include "base/clock.h"

/* Monotonic microseconds (CLOCK_MONOTONIC). Any thread; no system call where the vDSO serves it. */
int64_t time_monotonic_us(void);

/* Wall time in milliseconds since 1970 UTC; may jump. */
int64_t time_wall_ms(void);

/* A second since 1970 UTC as HTTP writes it: 29 characters and a NUL (RFC 9110 section 5.6.7). */
#define TIME_IMF_SIZE 30
void time_text_imf(int64_t wall_s, char text[TIME_IMF_SIZE]);

/* The two clocks above as a struct clock. */
extern const struct clock time_clock;

#endif
