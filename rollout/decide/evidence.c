/* The increments of the four tests and the mixture that adds them up.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/evidence.h"

#include <math.h>

/* Keeps log1p(-a * delta) away from its pole, so that one block cannot sink the process for good.
 */
#define BET_DELTA_MAX 0.5
/* Same for the ceiling, where the user's ceiling times the grid's bets could pass 1. */
#define BET_CEILING_MAX 0.95

double evidence_ratio_bet(double r, struct evidence_margin margin, double k)
{
    /* The same number as expm1(ln r + log1p(k rho) - log1p(k rho r)), but without its cancellation:
     * at k = 1e15 that form has lost every digit and a * k * rho may pass 1. */
    double a = (r - 1) / (1 + k * margin.rho * r);
    if (margin.delta > 0 && a * margin.delta > BET_DELTA_MAX)
        a = BET_DELTA_MAX / margin.delta;
    return a;
}

double evidence_ratio(double r, struct evidence_margin margin, const struct evidence_block *block)
{
    double k = block->canary / block->stable;
    double a = evidence_ratio_bet(r, margin, k);
    double unmarked = block->canary - block->canary_marked;
    return block->canary_marked * log1p(a * (1 - margin.delta)) +
           unmarked * log1p(-a * margin.delta) + block->stable_marked * log1p(-a * k * margin.rho);
}

double evidence_pair(double psi, double theta, const struct evidence_block *block)
{
    double scale = 1 + (psi - 1) * theta;
    double canary = psi * theta / scale;
    double canary_fast = (1 - theta) / scale;
    double total = block->canary + block->stable;
    double pooled = (block->canary * canary + block->stable * theta) / total;
    double pooled_fast = (block->canary * canary_fast + block->stable * (1 - theta)) / total;
    /* Ratios to the pooled rate as 1 + a difference: on the larger side they are next to 1. */
    double canary_off = block->stable * (canary - theta) / total;
    double stable_off = -block->canary * (canary - theta) / total;
    return block->canary_marked * log1p(canary_off / pooled) +
           (block->canary - block->canary_marked) * log1p(-canary_off / pooled_fast) +
           block->stable_marked * log1p(stable_off / pooled) +
           (block->stable - block->stable_marked) * log1p(-stable_off / pooled_fast);
}

double evidence_ceiling(double a, double ceiling, const struct evidence_block *block)
{
    if (a * ceiling > BET_CEILING_MAX)
        a = BET_CEILING_MAX / ceiling;
    return block->canary_marked * log1p(a * (1 - ceiling)) +
           (block->canary - block->canary_marked) * log1p(-a * ceiling);
}

double evidence_safe(double b, struct evidence_margin harm, const struct evidence_block *block)
{
    double k = block->canary / block->stable;
    return block->canary_marked * log1p(-b * (1 - harm.delta)) +
           (block->canary - block->canary_marked) * log1p(b * harm.delta) +
           block->stable_marked * log1p(b * harm.rho * k);
}

double evidence_log_sum(const double *x, size_t n)
{
    double top = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        if (x[i] > top)
            top = x[i];
    if (isinf(top))
        return top;
    for (size_t i = 0; i < n; i++)
        sum += exp(x[i] - top);
    return top + log(sum);
}

static double log_add(double x, double y)
{
    return evidence_log_sum((double[]){x, y}, 2);
}

void evidence_start(struct evidence *e, double mass0)
{
    for (size_t i = 0; i < EVIDENCE_GRID_MAX; i++)
        e->log_r[i] = -INFINITY;
    e->remaining = 1;
    e->pending = mass0;
}

void evidence_pend(struct evidence *e, double mass)
{
    e->pending += mass;
}

void evidence_fold(struct evidence *e, const double *increments, size_t n, double cap)
{
    double log_pending = log(e->pending);
    for (size_t i = 0; i < n; i++)
        e->log_r[i] = log_add(e->log_r[i], log_pending) + fmin(cap, increments[i]);
    /* The masses sum to less than 1; only rounding could bring the rest below 0. */
    e->remaining = fmax(0, e->remaining - e->pending);
    e->pending = 0;
}

double evidence_log(const struct evidence *e, size_t n)
{
    return log_add(evidence_log_sum(e->log_r, n) - log((double)n), log(e->remaining));
}
