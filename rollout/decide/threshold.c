/* Quantile of a histogram as a cell.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/threshold.h"

#include <math.h>

/* 0.99 * 4700 may come out a hair above 4653: that must not ask for one more. */
#define ROUNDING_SLACK 1e-12

size_t threshold_cell(const uint64_t *cells, size_t n, double q, uint64_t *above)
{
    uint64_t total = 0, below = 0;
    for (size_t i = 0; i < n; i++)
        total += cells[i];
    double wanted = ceil(q * (double)total * (1 - ROUNDING_SLACK));
    size_t cell = 0;
    for (; cell < n; cell++) {
        below += cells[cell];
        if ((double)below >= wanted)
            break;
    }
    if (above)
        *above = total - below;
    return cell < n ? cell : n - 1;
}
