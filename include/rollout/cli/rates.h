/* How often both versions of a route failed over the last ten minutes, for sparklines.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_RATES_H
#define SERIN_ROLLOUT_CLI_RATES_H

#include <stddef.h>

struct cJSON;

#define RATES_STEP_S 5 /* seconds that one value stands for */
#define RATES_MAX    120u

enum rates_side { RATES_STABLE, RATES_CANARY, RATES_SIDES };

/* Ratios, 0 to 1, the newest last; NaN: no requests. All NaN: nothing is known. */
struct rates {
    double at[RATES_SIDES][RATES_MAX];
};

/* Nothing is known. Pure. */
void rates_init(struct rates *r);

/* Reads what GET /api/v1/routes/{route}/series answers; json may be anything. Pure. O(points). */
void rates_read(struct rates *r, const struct cJSON *json);

/* The newest value of a side that is no NaN, among the last n; NaN: there is none. Pure. */
double rates_newest(const struct rates *r, enum rates_side side, size_t n);

/* The largest value among the last n of both sides; 0: there is none. Pure. */
double rates_largest(const struct rates *r, size_t n);

#endif
