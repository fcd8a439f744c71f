/* The last ten minutes of a histogram that only grows: slices of two minutes, the oldest dropped whole.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_RECENT_H
#define SERIN_METRICS_RECENT_H

#include "metrics/hist.h"

#define RECENT_SLICES   5u
#define RECENT_SLICE_MS 120000

/* 25 KB: allocated by the owner, and begun with recent_start. */
struct recent {
    struct hist_sum before; /* the histogram at the last look */
    uint32_t slices[RECENT_SLICES][HIST_CELLS];
    unsigned slice;         /* the one that grows */
    int64_t slice_until_ms; /* monotonic */
};

/* Nothing is known yet; what now holds is older than the window. Pure. */
void recent_start(struct recent *r, const struct hist_sum *now, int64_t now_ms);

/* Takes in what came since the last look. Pure. O(HIST_CELLS). */
void recent_look(struct recent *r, const struct hist_sum *now, int64_t now_ms);

/* The durations of the last eight to ten minutes. Pure. */
void recent_sum(const struct recent *r, struct hist_sum *sum);

#endif
