/* Sparklines: a row of small bars, one a value (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/spark.h"

#include <math.h>

#define LEVELS 8 /* U+2581 to U+2588; the lowest one is 0 */

static size_t level_of(double value, double top)
{
    if (!(value > 0) || !(top > 0))
        return 0;
    return (size_t)fmax(1, round(fmin(value / top, 1) * (LEVELS - 1)));
}

void spark_add(struct text *t, const struct style *s, const double *values, size_t n, double top)
{
    static const char *const bars[LEVELS][2] = {{"_", "▁"}, {".", "▂"}, {":", "▃"}, {"-", "▄"},
                                                {"=", "▅"}, {"+", "▆"}, {"*", "▇"}, {"#", "█"}};
    for (size_t i = 0; i < n; i++)
        text_add(t, "%s", values[i] >= 0 ? bars[level_of(values[i], top)][s->is_utf8] : " ");
}
