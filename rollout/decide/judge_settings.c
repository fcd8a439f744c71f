/* The judge's constants, what a plan makes of them, and the ranges that the arithmetic needs.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_settings.h"
#include "base/check.h"

#include <float.h>
#include <math.h>

/* Shares of the evidence; they sum to 1. Half a weight costs 0.7 nats: less than one failure. */
#define WEIGHT_ERRORS        0.45
#define WEIGHT_CLIENT_ERRORS 0.10
#define WEIGHT_CEILING       0.05
#define WEIGHT_LATENCY       0.40

#define WEIGHT_FULL_BP 10000u

/* Fewer canary requests than this in a stage are no data: they neither widen nor revert. */
#define NO_DATA_REQUESTS 5

/* Guard the logarithms against settings that no one can mean. */
#define RATIO_MAX   1e6
#define SECONDS_MAX 1e9
#define MARGIN_MAX  100.0

static const struct judge_settings defaults = {
    .on_low_evidence = LOW_EVIDENCE_ADVANCE,
    .alpha = 0.01,
    .beta = 0.05,
    .harm_budget = 0.001,
    .hold_evidence = 10,
    .cap = 2,
    .brake_s = 30,
    .epoch_s = 10,
    .mass0 = 0.5,
    .errors = {true, WEIGHT_ERRORS, 0.10, 0.0002},
    .client_errors = {true, WEIGHT_CLIENT_ERRORS, 0.25, 0.005},
    .ceiling = {true, WEIGHT_CEILING, 0.01},
    .latency = {.enabled = true,
                .n = 3,
                .weight = {0.10, 0.10, 0.20},
                .quantile = {0.5, 0.9, 0.99},
                .prior_requests = 50,
                .half_life_s = 300,
                .warmup_s = 120},
    .incident = {.fast_s = 10, .slow_s = 600, .ratio = 3, .prior_requests = 20},
    .ratio_grid = {8, {1.25, 1.6, 2.2, 3.5, 6, 12, 40, 200}},
    .odds_grid = {7, {1.1, 1.25, 1.5, 2, 3, 6, 20}},
    .ceiling_grid = {8, {0.5, 1, 2, 4, 8, 16, 32, 64}},
    .safe_grid = {7, {0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 0.95}},
};

void judge_settings_default(struct judge_settings *settings)
{
    static const uint32_t weights_bp[] = {100, 500, 1000, 2500, 5000, WEIGHT_FULL_BP};
    *settings = defaults;
    settings->n_stages = ARRAY_LEN(weights_bp);
    for (size_t i = 0; i < ARRAY_LEN(weights_bp); i++)
        settings->stages[i] = (struct judge_stage){weights_bp[i], 60, 600, 50};
}

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

static void stages_of(struct judge_settings *settings, const struct plan *plan)
{
    size_t bake = plan_judged_steps(plan);
    for (size_t i = 0; i <= bake; i++) {
        int64_t hold_ms = plan_stage_hold_ms(plan, i);
        int64_t max_ms = plan->max_hold_ms > hold_ms ? plan->max_hold_ms : hold_ms;
        settings->stages[i] =
            (struct judge_stage){.weight_bp = plan_stage_weight_bp(plan, i),
                                 .hold_s = seconds(hold_ms),
                                 .max_hold_s = seconds(max_ms),
                                 .min_requests = (uint64_t)plan_stage_min_requests(plan, i)};
    }
    settings->stages[bake + 1] = (struct judge_stage){.weight_bp = WEIGHT_FULL_BP};
    settings->n_stages = bake + 2;
}

/* One to three quantiles share the weight of latency; three as their proof was tuned. */
static void latency_of(struct judge_latency *latency, const struct plan *plan)
{
    latency->enabled = plan->latency_judged;
    latency->n = plan->n_quantiles < JUDGE_LATENCY_MAX ? plan->n_quantiles : JUDGE_LATENCY_MAX;
    latency->warmup_s = seconds(plan->latency_warmup_ms);
    for (size_t i = 0; i < latency->n; i++) {
        latency->quantile[i] = plan->quantiles[i];
        if (latency->n != JUDGE_LATENCY_MAX)
            latency->weight[i] = WEIGHT_LATENCY / (double)latency->n;
    }
}

enum err judge_settings_from_plan(struct judge_settings *settings, const struct plan *plan,
                                  struct why *why)
{
    *settings = defaults;
    stages_of(settings, plan);
    settings->on_low_evidence = plan->on_low_evidence;
    settings->no_data_requests = NO_DATA_REQUESTS;
    settings->alpha = plan->false_abort;
    settings->harm_budget = plan->harm_budget;
    settings->errors.margin = plan->errors.margin;
    settings->errors.margin_absolute = plan->errors.margin_absolute;
    settings->client_errors.margin = plan->client_errors.margin;
    settings->client_errors.margin_absolute = plan->client_errors.margin_absolute;
    settings->client_errors.enabled = plan->client_errors_judged;
    settings->ceiling.enabled = plan->errors_ceiling > 0;
    if (settings->ceiling
            .enabled) /* without one, the usual one still tells an incident of stable */
        settings->ceiling.ceiling = plan->errors_ceiling;
    latency_of(&settings->latency, plan);
    return judge_settings_check(settings, why);
}

double judge_settings_excess(const struct judge_settings *settings, unsigned stage)
{
    CHECK(stage + 1 < settings->n_stages);
    double next = (double)settings->stages[stage + 1].weight_bp / WEIGHT_FULL_BP;
    /* Below twice the margin of the errors check neither proof could grow. */
    return fmin(1, fmax(settings->harm_budget / next, 2 * settings->errors.margin_absolute));
}

/* A number of the settings and where it may lie; a NaN lies nowhere. */
struct range {
    const char *name;
    double value;
    double least, most;
};

static enum err check_ranges(const struct range *ranges, size_t n, struct why *why)
{
    for (size_t i = 0; i < n; i++) {
        const struct range *r = &ranges[i];
        if (!(r->value >= r->least && r->value <= r->most))
            return why_set(why, ERR_INVALID, "%s: %g is not between %g and %g", r->name, r->value,
                           r->least, r->most);
    }
    return OK;
}

static enum err check_grid(const char *name, const struct evidence_grid *grid, double least,
                           double most, struct why *why)
{
    if (grid->n < 1 || grid->n > EVIDENCE_GRID_MAX)
        return why_set(why, ERR_INVALID, "%s: %zu points are not between 1 and %d", name, grid->n,
                       EVIDENCE_GRID_MAX);
    for (size_t i = 0; i < grid->n; i++)
        if (!(grid->at[i] > least && grid->at[i] < most))
            return why_set(why, ERR_INVALID, "%s[%zu]: %g is not inside (%g, %g)", name, i,
                           grid->at[i], least, most);
    return OK;
}

static enum err check_stages(const struct judge_settings *settings, struct why *why)
{
    if (settings->n_stages < 1 || settings->n_stages > JUDGE_STAGES_MAX)
        return why_set(why, ERR_INVALID, "stages: %zu are not between 1 and %d", settings->n_stages,
                       JUDGE_STAGES_MAX);
    for (size_t i = 0; i < settings->n_stages; i++) {
        const struct judge_stage *stage = &settings->stages[i];
        const struct range ranges[] = {
            {"stage weight (basis points)", stage->weight_bp, i ? 1 : 0, WEIGHT_FULL_BP},
            {"hold (s)", stage->hold_s, 0, SECONDS_MAX},
            {"max_hold (s)", stage->max_hold_s, 0, SECONDS_MAX},
        };
        enum err e = check_ranges(ranges, ARRAY_LEN(ranges), why);
        if (e)
            return e;
    }
    return OK;
}

static enum err check_latency(const struct judge_latency *latency, struct why *why)
{
    if (latency->n > JUDGE_LATENCY_MAX)
        return why_set(why, ERR_INVALID, "latency quantiles: %zu are more than %d", latency->n,
                       JUDGE_LATENCY_MAX);
    for (size_t i = 0; i < latency->n; i++) {
        const struct range ranges[] = {
            {"latency weight", latency->weight[i], 1e-6, 1},
            {"latency quantile", latency->quantile[i], DBL_MIN, 1 - DBL_EPSILON / 2},
        };
        enum err e = check_ranges(ranges, ARRAY_LEN(ranges), why);
        if (e)
            return e;
    }
    return OK;
}

static enum err check_weights(const struct judge_settings *settings, struct why *why)
{
    double sum =
        settings->errors.weight + settings->client_errors.weight + settings->ceiling.weight;
    for (size_t i = 0; i < settings->latency.n; i++)
        sum += settings->latency.weight[i];
    /* A sum above 1 would spend more than alpha. */
    if (sum > 1 + 1e-9)
        return why_set(why, ERR_INVALID, "weights of the checks: their sum %g is above 1", sum);
    return OK;
}

static enum err check_numbers(const struct judge_settings *settings, struct why *why)
{
    const struct range ranges[] = {
        {"false_abort", settings->alpha, DBL_MIN, 0.5},
        {"beta", settings->beta, DBL_MIN, 0.5},
        {"harm_budget", settings->harm_budget, DBL_MIN, 1},
        {"hold_evidence", settings->hold_evidence, 1, 1e9},
        {"cap", settings->cap, 1e-3, 1e3},
        {"brake", settings->brake_s, 0, SECONDS_MAX},
        {"epoch", settings->epoch_s, 1e-3, SECONDS_MAX},
        {"mass0", settings->mass0, 1e-9, 1},
        {"checks.errors.weight", settings->errors.weight, 1e-6, 1},
        {"checks.errors.margin", settings->errors.margin, 0, MARGIN_MAX},
        {"checks.errors.margin_absolute", settings->errors.margin_absolute, 0, 1},
        {"checks.client_errors.weight", settings->client_errors.weight, 1e-6, 1},
        {"checks.client_errors.margin", settings->client_errors.margin, 0, MARGIN_MAX},
        {"checks.client_errors.margin_absolute", settings->client_errors.margin_absolute, 0, 1},
        {"checks.errors.ceiling weight", settings->ceiling.weight, 1e-6, 1},
        {"checks.errors.ceiling", settings->ceiling.ceiling, DBL_MIN, 1},
        {"checks.latency.warmup", settings->latency.warmup_s, 0, SECONDS_MAX},
        {"latency prior", settings->latency.prior_requests, 1e-3, 1e9},
        {"latency half-life", settings->latency.half_life_s, 1e-3, SECONDS_MAX},
        {"incident fast", settings->incident.fast_s, 1e-3, SECONDS_MAX},
        {"incident slow", settings->incident.slow_s, 1e-3, SECONDS_MAX},
        {"incident ratio", settings->incident.ratio, 1, 1e9},
        {"incident prior", settings->incident.prior_requests, 1e-3, 1e9},
    };
    return check_ranges(ranges, ARRAY_LEN(ranges), why);
}

enum err judge_settings_check(const struct judge_settings *settings, struct why *why)
{
    enum err e = check_stages(settings, why);
    if (!e)
        e = check_numbers(settings, why);
    if (!e)
        e = check_latency(&settings->latency, why);
    if (!e)
        e = check_weights(settings, why);
    if (!e)
        e = check_grid("grid of ratios", &settings->ratio_grid, 1, RATIO_MAX, why);
    if (!e)
        e = check_grid("grid of odds", &settings->odds_grid, 1, RATIO_MAX, why);
    if (!e)
        e = check_grid("grid of ceiling bets", &settings->ceiling_grid, 0, RATIO_MAX, why);
    if (!e)
        e = check_grid("grid of bets on safety", &settings->safe_grid, 0, 1, why);
    return e;
}
