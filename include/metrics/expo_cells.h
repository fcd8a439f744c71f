/* The families that shards count, read for one page.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_EXPO_CELLS_H
#define SERIN_METRICS_EXPO_CELLS_H

#include "metrics/expo.h"

/* Writes the samples of a METRIC_FROM_CELLS family, summed over all workers. Which ones:
 * metrics/expo.h. Control thread. */
void expo_cells(struct expo *e, const struct metrics *m, enum metric_id id);

#endif
