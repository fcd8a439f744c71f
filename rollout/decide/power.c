/* Expected growth of the evidence, and when it meets the limit.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/power.h"
#include "base/check.h"

#include <math.h>

#define TICK_S 1.0

/* How far from the mean the canary's marks are looked at, in standard deviations, and in how many
 * places at most: beyond them the sum takes every n-th, so that any traffic costs the same. */
#define MARKS_SIGMA  10
#define MARKS_PLACES 4096

/* Requests beyond this are never: it guards the search. Nobody needs more digits than its halvings
 * give. */
#define BLOCKS_MAX 1e15
#define HALVINGS   20

#define WEIGHT_FULL_BP 10000.0

/* One block as it is on average: it closes at the first tick with a canary request. */
struct block {
    double canary, stable; /* requests */
    double seconds;
};

static struct block block_of(const struct judge_settings *settings,
                             const struct power_traffic *traffic, unsigned stage)
{
    CHECK(stage < settings->n_stages && traffic->requests_s > 0);
    double share = settings->stages[stage].weight_bp / WEIGHT_FULL_BP;
    CHECK(share > 0 && share < 1);
    double a_tick = traffic->requests_s * TICK_S;
    double ticks = -1 / expm1(-a_tick * share); /* of which one has a canary request: Poisson */
    return (struct block){a_tick * share * ticks, a_tick * (1 - share) * ticks, ticks * TICK_S};
}

/* ln of the binomial probability of x marks among n. 0 < p < 1. */
static double log_binomial(double n, double p, double x)
{
    int sign; /* lgamma() would leave it in a global */
    return lgamma_r(n + 1, &sign) - lgamma_r(x + 1, &sign) - lgamma_r(n - x + 1, &sign) +
           x * log(p) + (n - x) * log1p(-p);
}

/* Mean of min(cap, base + each * marks) over the marks of a block. */
static double mean_capped(const struct block *block, double rate, double base, double each,
                          double cap)
{
    double n = fmax(1, round(block->canary));
    double p = fmin(1, block->canary * rate / n);
    if (p <= 0 || p >= 1)
        return fmin(cap, base + each * n * fmax(p, 0));
    double reach = MARKS_SIGMA * (sqrt(n * p * (1 - p)) + 1);
    double first = fmax(0, floor(n * p - reach)), last = fmin(n, ceil(n * p + reach));
    double step = fmax(1, ceil((last - first) / MARKS_PLACES));
    double sum = 0, mass = 0;
    for (double x = first; x <= last; x += step) {
        double chance = exp(log_binomial(n, p, x));
        sum += chance * fmin(cap, base + each * x);
        mass += chance;
    }
    return mass > 0 ? sum / mass : fmin(cap, base + each * n * p);
}

/* The value of an increment is linear in the canary's marks; its two ends give base and slope. */
static double mean_increment(const struct block *block, double rate, const double ends[2],
                             double cap)
{
    return mean_capped(block, rate, ends[0], (ends[1] - ends[0]) / block->canary, cap);
}

static struct evidence_block marked(const struct block *block, double canary_rate,
                                    double stable_rate)
{
    return (struct evidence_block){block->canary, block->canary * canary_rate, block->stable,
                                   block->stable * stable_rate};
}

/* ln of the mixture after a number of blocks. gain: by alternative; start: NULL = 0 each. */
static double mixture(const double *start, const double *gain, size_t n, double blocks)
{
    double log_e[EVIDENCE_GRID_MAX];
    for (size_t i = 0; i < n; i++)
        log_e[i] = (start ? start[i] : 0) + blocks * gain[i];
    return evidence_log_sum(log_e, n) - log((double)n);
}

/* The first number of blocks at which the mixture is at least needed. It is convex and begins
 * below, so that there is one such place, or none where nothing grows. */
static double passage(const double *start, const double *gain, size_t n, double needed)
{
    double low = 0, high = 1;
    if (mixture(start, gain, n, 0) >= needed)
        return 0;
    while (mixture(start, gain, n, high) < needed) {
        high *= 2;
        if (high > BLOCKS_MAX)
            return INFINITY;
    }
    for (int i = 0; i < HALVINGS; i++) {
        double middle = low + (high - low) / 2;
        if (mixture(start, gain, n, middle) < needed)
            low = middle;
        else
            high = middle;
    }
    return high;
}

/* What one check alone must have for the mean of all to revert. */
static double needed_of(const struct judge_settings *settings, double weight)
{
    return -log(settings->alpha) - log(weight) - log(settings->mass0);
}

static struct power_answer answer(const struct block *block, double blocks)
{
    return (struct power_answer){blocks * block->canary, blocks * block->seconds};
}

struct power_answer power_errors(const struct judge_settings *settings,
                                 const struct power_traffic *traffic, unsigned stage, double times)
{
    struct block block = block_of(settings, traffic, stage);
    struct evidence_margin margin = {1 + settings->errors.margin, settings->errors.margin_absolute};
    double rate = fmin(1, times * traffic->error_rate);
    double gain[EVIDENCE_GRID_MAX];
    for (size_t i = 0; i < settings->ratio_grid.n; i++) {
        struct evidence_block none = marked(&block, 0, traffic->error_rate);
        struct evidence_block all = marked(&block, 1, traffic->error_rate);
        double r = settings->ratio_grid.at[i];
        double ends[2] = {evidence_ratio(r, margin, &none), evidence_ratio(r, margin, &all)};
        gain[i] = mean_increment(&block, rate, ends, settings->cap);
    }
    return answer(&block, passage(NULL, gain, settings->ratio_grid.n,
                                  needed_of(settings, settings->errors.weight)));
}

struct power_answer power_latency(const struct judge_settings *settings,
                                  const struct power_traffic *traffic, unsigned stage,
                                  size_t quantile, const struct power_slow *slow)
{
    CHECK(quantile < settings->latency.n);
    struct block block = block_of(settings, traffic, stage);
    double theta = fmin(fmax(slow->stable, 1e-4), 1 - 1e-4); /* as the judge predicts it */
    double gain[EVIDENCE_GRID_MAX];
    for (size_t i = 0; i < settings->odds_grid.n; i++) {
        struct evidence_block none = marked(&block, 0, slow->stable);
        struct evidence_block all = marked(&block, 1, slow->stable);
        double psi = settings->odds_grid.at[i];
        double ends[2] = {evidence_pair(psi, theta, &none), evidence_pair(psi, theta, &all)};
        gain[i] = mean_increment(&block, fmin(1, slow->canary), ends, settings->cap);
    }
    return answer(&block, passage(NULL, gain, settings->odds_grid.n,
                                  needed_of(settings, settings->latency.weight[quantile])));
}

double power_widen(const struct judge_settings *settings, unsigned stage,
                   const struct power_stage *now)
{
    CHECK(now->per_stable > 0);
    struct evidence_margin harm = {1 + settings->errors.margin,
                                   judge_settings_excess(settings, stage)};
    /* One canary request and its share of stable's: the increment is linear in every count. */
    double stable = 1 / now->per_stable;
    struct evidence_block block = {1, now->canary_rate, stable, stable * now->stable_rate};
    double gain[EVIDENCE_GRID_MAX];
    for (size_t i = 0; i < settings->safe_grid.n; i++)
        gain[i] = evidence_safe(settings->safe_grid.at[i], harm, &block);
    return passage(now->log_safe, gain, settings->safe_grid.n, -log(settings->beta));
}

double power_share_above(const uint64_t *cells, const double *tops, size_t n, double x)
{
    double total = 0, above = 0;
    for (size_t i = 0; i < n; i++) {
        double count = (double)cells[i], bottom = i ? tops[i - 1] : 0;
        total += count;
        if (x <= bottom)
            above += count;
        else if (x < tops[i])
            above += count * (tops[i] - x) / (tops[i] - bottom);
    }
    return total > 0 ? above / total : 0;
}
