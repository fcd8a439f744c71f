/* Numbers for people: counts, shares, times; short and steady in width (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_NUMBERS_H
#define SERIN_ROLLOUT_CLI_NUMBERS_H

#define NUMBER_TEXT_MAX 40

struct number_text {
    char at[NUMBER_TEXT_MAX];
};

/* Every function gives "-" for NaN and, but for number_points, for what is below 0. Pure. */

/* 12,345 */
struct number_text number_count(double n);

/* 5% 0.5% 4.97% 100%: at most two decimals, none that are 0. */
struct number_text number_percent(double percent);

/* 0.02% 12.3%: always decimals, for columns; below 0.01 % "<0.01%", and 0 "0%". ratio: 0 to 1. */
struct number_text number_rate(double ratio);

/* 0.42 ms, 3.1 ms, 120 ms, 1.20 s */
struct number_text number_latency(double ms);

/* 42s, 3m 12s, 1h 05m, 2d 03h */
struct number_text number_duration(double seconds);

/* 1.3, 20, 1,234: an odds figure. */
struct number_text number_odds(double odds);

/* +0.53, -0.05, +12.3: a difference in points, always with its sign; 0 where it would round to it. */
struct number_text number_points(double points);

#endif
