/* Bars made of characters: the steps of a rollout, and a value against its limit (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_BAR_H
#define SERIN_ROLLOUT_CLI_BAR_H

#include "rollout/cli/style.h"
#include "rollout/cli/text.h"

/* One bar of columns, filled to fraction (clamped to 0 to 1; NaN is 0). */
void bar_add(struct text *t, const struct style *s, double fraction, size_t columns,
             enum colour colour);

struct bar_steps {
    unsigned done, steps;  /* done: whole steps behind us */
    double fraction;       /* of the step that runs; NaN = none runs */
    enum colour colour;    /* of what is done */
    const double *weights; /* percent of each step, for the line below; NULL = not known */
};

/* One segment a step within columns, and a line of weights below where they fit; each line indented
 * and ended. */
void bar_add_steps(struct text *t, const struct style *s, const struct bar_steps *b,
                   size_t columns);

/* How far odds are on their way from 1 to a limit, as a fraction: odds multiply, so the scale is
 * logarithmic. Pure. */
double bar_odds_fraction(double odds, double limit);

#endif
