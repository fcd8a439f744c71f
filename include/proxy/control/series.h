/* A route over the last day, for the charts of the admin port's page: a point a second for ten minutes, one each ten
 * seconds for an hour, one each two minutes for a day. In memory alone, and only ever shown: no rollout reads it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_SERIES_H
#define SERIN_PROXY_CONTROL_SERIES_H

#include "base/err.h"
#include "metrics/totals.h"
#include <stdbool.h>
#include <stdint.h>

struct cJSON;
struct series;

/* A point as JSON, with its NUL: thirteen numbers. */
#define SERIES_POINT_MAX 256

/* What one version has had so far, cumulative. */
struct series_side {
    const struct variant_metrics
        *of; /* another one than at the last call begins anew; NULL = no version */
    uint64_t requests, failed;
    struct hist_sum durations;
};

struct series_now {
    int64_t now_ms;  /* monotonic */
    int64_t wall_ms; /* since 1970 */
    uint32_t weight_bp;
    double evidence; /* likelihood ratio, N to 1, that the canary is worse; NaN = none */
    double limit;    /* at which it is taken back; NaN likewise */
    struct series_side sides[ROLE_COUNT];
};

/* About 135 KiB. NULL when memory is short. */
struct series *series_new(void);
void series_free(struct series *s); /* NULL is allowed */

/* Takes a look, about once a second; the first one only begins. A point stands for what was counted since the look of 10
 * to 20 seconds ago, those of the coarser rows for what was counted since the point before. O(HIST_CELLS). */
void series_take(struct series *s, const struct series_now *now);

/* The newest point, as one of series_json; false: there is none yet. */
bool series_newest(const struct series *s, char text[SERIES_POINT_MAX]);

/* Adds "columns", the names of a point's numbers, and "points", the oldest first: coarse ones where there are no finer
 * ones. s NULL: no points. False when memory is short. O(points). */
bool series_json(const struct series *s, struct cJSON *json) MUST_USE;

#endif
