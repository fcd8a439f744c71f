/* The latency threshold of a quantile, from a histogram's cells.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_THRESHOLD_H
#define SERIN_ROLLOUT_DECIDE_THRESHOLD_H

#include <stddef.h>
#include <stdint.h>

/* The first cell with at least ceil(q * total) counts at or below it; its upper bound is the
 * threshold. above: how many lie beyond it; NULL is allowed. An empty histogram gives 0. q in
 * (0, 1], n >= 1. Pure. O(n). */
size_t threshold_cell(const uint64_t *cells, size_t n, double q, uint64_t *above);

#endif
