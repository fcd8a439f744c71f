/* Sparklines: a row of small bars, one a value (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_SPARK_H
#define SERIN_ROLLOUT_CLI_SPARK_H

#include "rollout/cli/style.h"
#include "rollout/cli/text.h"

/* Adds n values as one column each, top being the highest bar. NaN is a blank, 0 the lowest bar; a
 * value above 0 is at least one step higher, so that a single failure is told from none. In ASCII
 * where the terminal shows nothing else. O(n). */
void spark_add(struct text *t, const struct style *s, const double *values, size_t n, double top);

#endif
