/* Confidence sequences of a rate by inverting a beta mixture; difference and ratio from two of
 * them. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/interval.h"

#include <math.h>

/* Halvings of [0, 1] until neighbours in double precision meet, also next to 0. */
#define BISECTIONS 120

/* ln of the mixture's likelihood ratio against p. Monotone on each side of x/n; +inf at 0 and 1
 * where the counts exclude them. */
static double log_ratio(double x, double n, double p)
{
    int sign; /* lgamma() would leave it in a global */
    double beta = lgamma_r(x + 0.5, &sign) + lgamma_r(n - x + 0.5, &sign) - lgamma_r(n + 1, &sign) -
                  2 * lgamma_r(0.5, &sign);
    double marked = x > 0 ? x * log(p) : 0;
    double unmarked = n > x ? (n - x) * log1p(-p) : 0;
    return beta - marked - unmarked;
}

/* The edge between inside (kept) and outside (excluded). */
static double bisect(double x, double n, double inside, double outside, double limit)
{
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = inside + (outside - inside) / 2;
        if (middle == inside || middle == outside)
            break;
        if (log_ratio(x, n, middle) < limit)
            inside = middle;
        else
            outside = middle;
    }
    return inside;
}

struct interval interval_rate(double x, double n, double alpha)
{
    struct interval all = {0, 1};
    if (n < 1)
        return all;
    double limit = -log(alpha);
    if (x > 0)
        all.low = bisect(x, n, x / n, 0, limit);
    if (x < n)
        all.high = bisect(x, n, x / n, 1, limit);
    return all;
}

struct interval interval_difference(struct interval canary, struct interval stable)
{
    return (struct interval){canary.low - stable.high, canary.high - stable.low};
}

static double quotient(double over, double under)
{
    if (under > 0)
        return over / under;
    return over > 0 ? INFINITY : 0;
}

struct interval interval_ratio(struct interval canary, struct interval stable)
{
    return (struct interval){quotient(canary.low, stable.high), quotient(canary.high, stable.low)};
}
