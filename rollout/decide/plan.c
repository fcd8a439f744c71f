/* The plan of a rollout: its defaults, what makes one valid, and the questions that the machine
 * asks of it. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/plan.h"

#include "base/check.h"
#include <math.h>

#define FULL_BP   10000u
#define MINUTE_MS 60000
#define HOUR_MS   (60 * (int64_t)MINUTE_MS)
#define TIME_MAX_MS                                                                                \
    (365 * 24 * HOUR_MS) /* keeps sums of times far from overflow; nobody waits longer */
#define REQUESTS_MAX ((int64_t)1 << 53) /* exact in JSON */

void plan_default(struct plan *p)
{
    static const uint32_t weights_bp[] = {100, 500, 1000, 2500, 5000, FULL_BP};
    static const double quantiles[] = {0.50, 0.90, 0.99};
    *p = (struct plan){
        .hold_ms = MINUTE_MS,
        .max_hold_ms = 10 * MINUTE_MS,
        .min_requests = 50,
        .on_low_evidence = LOW_EVIDENCE_ADVANCE,
        .bake_ms = 5 * MINUTE_MS,
        .bake_weight_bp = 9900,
        .progress_deadline_ms = 10 * MINUTE_MS,
        .max_pause_ms = 24 * HOUR_MS,
        .on_failure = ON_FAILURE_ABORT,
        .on_new_version = ON_NEW_VERSION_RESTART,
        .false_abort = 0.01,
        .harm_budget = 0.001,
        .errors = {.margin = 0.10, .margin_absolute = 0.0002},
        .errors_ceiling = 0.01,
        .client_errors_judged = true,
        .client_errors = {.margin = 0.25, .margin_absolute = 0.005},
        .latency_judged = true,
        .latency_margin = 0.05,
        .n_quantiles = ARRAY_LEN(quantiles),
        .latency_warmup_ms = 2 * MINUTE_MS,
        .replicas_mode = PLAN_REPLICAS_MATCH_WEIGHT,
        .surge = {.value = 1},
        .headroom = 1.2,
        .n_steps = ARRAY_LEN(weights_bp),
    };
    for (size_t i = 0; i < ARRAY_LEN(weights_bp); i++)
        p->steps[i] =
            (struct plan_step){.weight_bp = weights_bp[i], .hold_ms = -1, .min_requests = -1};
    for (size_t i = 0; i < ARRAY_LEN(quantiles); i++)
        p->quantiles[i] = quantiles[i];
}

static enum err check_time(const char *field, int64_t value_ms, int64_t least_ms, struct why *why)
{
    if (value_ms < least_ms)
        return why_set(why, ERR_INVALID, "%s: %lld ms is too short (at least %lld ms)", field,
                       (long long)value_ms, (long long)least_ms);
    if (value_ms > TIME_MAX_MS)
        return why_set(why, ERR_INVALID, "%s: longer than 365 days", field);
    return OK;
}

static enum err check_requests(const char *field, int64_t value, struct why *why)
{
    if (value < 0 || value > REQUESTS_MAX)
        return why_set(why, ERR_INVALID, "%s: %lld is out of range (0 to 2^53)", field,
                       (long long)value);
    return OK;
}

/* least is excluded where open, most never. NaN fails. */
static enum err check_share(const char *field, double value, double most, bool open,
                            struct why *why)
{
    if ((open ? value > 0 : value >= 0) && value <= most)
        return OK;
    return why_set(why, ERR_INVALID, "%s: %g%% is out of range (%s 0%% up to %g%%)", field,
                   value * 100, open ? "above" : "from", most * 100);
}

static enum err check_step(const struct plan *p, size_t i, struct why *why)
{
    const struct plan_step *s = &p->steps[i];
    char field[64];
    (void)snprintf(field, sizeof field, "steps[%zu].weight", i);
    if (s->weight_bp == 0 && i > 0)
        return why_set(why, ERR_INVALID, "%s: 0%% is allowed only as the first, with a mirror",
                       field);
    if (s->weight_bp > FULL_BP)
        return why_set(why, ERR_INVALID, "%s: %g%% is above 100%%", field, s->weight_bp / 100.0);
    if (i > 0 && s->weight_bp <= p->steps[i - 1].weight_bp)
        return why_set(why, ERR_INVALID, "%s: %g%% does not rise above the step before it (%g%%)",
                       field, s->weight_bp / 100.0, p->steps[i - 1].weight_bp / 100.0);
    (void)snprintf(field, sizeof field, "steps[%zu].hold", i);
    if (s->hold_ms >= 0 && check_time(field, s->hold_ms, 0, why) != OK)
        return ERR_INVALID;
    (void)snprintf(field, sizeof field, "steps[%zu].min_requests", i);
    if (s->min_requests >= 0 && check_requests(field, s->min_requests, why) != OK)
        return ERR_INVALID;
    return OK;
}

static enum err check_steps(const struct plan *p, struct why *why)
{
    if (p->n_steps == 0)
        return why_set(why, ERR_INVALID, "steps: empty (at least one weight, such as 10%%)");
    if (p->n_steps > PLAN_STEPS_MAX)
        return why_set(why, ERR_INVALID, "steps: %zu are too many (at most %d)", p->n_steps,
                       PLAN_STEPS_MAX);
    for (size_t i = 0; i < p->n_steps; i++)
        if (check_step(p, i, why) != OK)
            return ERR_INVALID;
    if (p->bake_weight_bp == 0 || p->bake_weight_bp >= FULL_BP)
        return why_set(why, ERR_INVALID,
                       "bake_weight: %g%% is out of range (above 0%%, below 100%%, so that stable "
                       "is left to compare with)",
                       p->bake_weight_bp / 100.0);
    size_t n = plan_judged_steps(p);
    if (n > 0 && p->bake_weight_bp < p->steps[n - 1].weight_bp)
        return why_set(why, ERR_INVALID, "bake_weight: %g%% is below the last step (%g%%)",
                       p->bake_weight_bp / 100.0, p->steps[n - 1].weight_bp / 100.0);
    return OK;
}

static enum err check_abort_steps(const struct plan *p, struct why *why)
{
    size_t n = p->n_abort_steps;
    if (n > PLAN_ABORT_STEPS_MAX)
        return why_set(why, ERR_INVALID, "abort_steps: %zu are too many (at most %d)", n,
                       PLAN_ABORT_STEPS_MAX);
    for (size_t i = 0; i < n; i++) {
        double before = i ? p->abort_steps[i - 1] : 1;
        if (!(p->abort_steps[i] >= 0 && p->abort_steps[i] < before))
            return why_set(why, ERR_INVALID, "abort_steps[%zu]: %g%% does not fall below %g%%", i,
                           p->abort_steps[i] * 100, before * 100);
    }
    if (n > 0 && p->abort_steps[n - 1] > 0)
        return why_set(why, ERR_INVALID, "abort_steps[%zu]: %g%% is the last one (expected 0%%)",
                       n - 1, p->abort_steps[n - 1] * 100);
    if (n > 0 && p->replicas_mode == PLAN_REPLICAS_COUPLED)
        return why_set(why, ERR_INVALID,
                       "abort_steps: not with replicas.mode coupled, where pods are the weight");
    return OK;
}

static enum err check_times(const struct plan *p, struct why *why)
{
    if (check_time("hold", p->hold_ms, 0, why) != OK ||
        check_time("max_hold", p->max_hold_ms, 1, why) != OK ||
        check_time("bake", p->bake_ms, 0, why) != OK ||
        check_time("progress_deadline", p->progress_deadline_ms, 1000, why) != OK ||
        check_time("max_pause", p->max_pause_ms, 1000, why) != OK ||
        check_time("checks.latency.warmup", p->latency_warmup_ms, 0, why) != OK)
        return ERR_INVALID;
    if (p->max_hold_ms < p->hold_ms)
        return why_set(why, ERR_INVALID, "max_hold: %lld ms is shorter than hold (%lld ms)",
                       (long long)p->max_hold_ms, (long long)p->hold_ms);
    return check_requests("min_requests", p->min_requests, why);
}

static enum err check_quantiles(const struct plan *p, struct why *why)
{
    if (p->n_quantiles == 0 || p->n_quantiles > PLAN_QUANTILES_MAX)
        return why_set(why, ERR_INVALID, "checks.latency.quantiles: %zu given (one to %d)",
                       p->n_quantiles, PLAN_QUANTILES_MAX);
    for (size_t i = 0; i < p->n_quantiles; i++) {
        double q = p->quantiles[i];
        if (!(q > 0 && q < 1) || (i > 0 && !(q > p->quantiles[i - 1])))
            return why_set(why, ERR_INVALID,
                           "checks.latency.quantiles[%zu]: %g%% (above 0%%, below 100%%, rising)",
                           i, q * 100);
    }
    return OK;
}

static enum err check_checks(const struct plan *p, struct why *why)
{
    if (check_share("false_abort", p->false_abort, 0.5, true, why) != OK ||
        check_share("harm_budget", p->harm_budget, 1, true, why) != OK ||
        check_share("checks.errors.margin", p->errors.margin, 100, false, why) != OK ||
        check_share("checks.errors.margin_absolute", p->errors.margin_absolute, 1, false, why) !=
            OK ||
        check_share("checks.errors.ceiling", p->errors_ceiling, 1, false, why) != OK ||
        check_share("checks.client_errors.margin", p->client_errors.margin, 100, false, why) !=
            OK ||
        check_share("checks.client_errors.margin_absolute", p->client_errors.margin_absolute, 1,
                    false, why) != OK ||
        check_share("checks.latency.margin", p->latency_margin, 100, false, why) != OK)
        return ERR_INVALID;
    return check_quantiles(p, why);
}

static enum err check_amount(const char *field, struct plan_amount a, struct why *why)
{
    if (a.is_share && a.value > FULL_BP)
        return why_set(why, ERR_INVALID, "%s: %g%% is above 100%%", field, a.value / 100.0);
    if (!a.is_share && a.value > PLAN_REPLICAS_MAX)
        return why_set(why, ERR_INVALID, "%s: %u is above %u", field, a.value, PLAN_REPLICAS_MAX);
    return OK;
}

static enum err check_replicas(const struct plan *p, struct why *why)
{
    if ((unsigned)p->replicas_mode >= PLAN_REPLICAS_MODES)
        return why_set(why, ERR_INVALID, "replicas.mode: %d is none", (int)p->replicas_mode);
    if (check_amount("replicas.max_surge", p->surge, why) != OK ||
        check_amount("replicas.max_unavailable", p->unavailable, why) != OK)
        return ERR_INVALID;
    if (p->replicas_mode != PLAN_REPLICAS_NONE && p->surge.value == 0 && p->unavailable.value == 0)
        return why_set(why, ERR_INVALID,
                       "replicas.max_surge: 0 beside max_unavailable 0 (one of them above 0, or no "
                       "pod may be moved)");
    if (!(p->headroom >= 1 && p->headroom <= PLAN_HEADROOM_MAX))
        return why_set(why, ERR_INVALID,
                       "replicas.headroom: %g%% is out of range (from 100%% up to %g%%)",
                       p->headroom * 100, PLAN_HEADROOM_MAX * 100);
    return OK;
}

enum err plan_check(const struct plan *p, struct why *why)
{
    if (check_steps(p, why) != OK || check_abort_steps(p, why) != OK || check_times(p, why) != OK ||
        check_checks(p, why) != OK || check_replicas(p, why) != OK)
        return ERR_INVALID;
    return OK;
}

size_t plan_judged_steps(const struct plan *p)
{
    size_t n = p->n_steps;
    return n > 0 && p->steps[n - 1].weight_bp >= FULL_BP ? n - 1 : n;
}

uint32_t plan_stage_weight_bp(const struct plan *p, size_t stage)
{
    size_t n = plan_judged_steps(p);
    CHECK(stage <= n);
    return stage < n ? p->steps[stage].weight_bp : p->bake_weight_bp;
}

bool plan_begins_with_mirror(const struct plan *p)
{
    return plan_judged_steps(p) > 0 && p->steps[0].weight_bp == 0;
}

uint32_t plan_least_weight_bp(const struct plan *p)
{
    return plan_stage_weight_bp(p, plan_begins_with_mirror(p));
}

int64_t plan_stage_hold_ms(const struct plan *p, size_t stage)
{
    size_t n = plan_judged_steps(p);
    CHECK(stage <= n);
    if (stage == n)
        return p->bake_ms;
    return p->steps[stage].hold_ms >= 0 ? p->steps[stage].hold_ms : p->hold_ms;
}

int64_t plan_stage_min_requests(const struct plan *p, size_t stage)
{
    size_t n = plan_judged_steps(p);
    CHECK(stage <= n);
    return stage < n && p->steps[stage].min_requests >= 0 ? p->steps[stage].min_requests
                                                          : p->min_requests;
}

static int64_t twice(int64_t time_ms)
{
    return time_ms > TIME_MAX_MS / 2 ? TIME_MAX_MS : 2 * time_ms;
}

/* Pods of n that come nearest to a weight, at least one of each version. */
static uint32_t coupled_bp(uint32_t weight_bp, uint32_t n)
{
    uint32_t pods = (weight_bp * n + FULL_BP / 2) / FULL_BP;
    pods = pods < 1 ? 1 : pods > n - 1 ? n - 1 : pods;
    return (pods * FULL_BP + n / 2) / n;
}

void plan_couple(struct plan *p, int n)
{
    uint32_t pods = (uint32_t)n, with_surge = p->surge.value > 0 ? pods + 1 : pods;
    size_t kept = 0, judged = plan_judged_steps(p);
    if (judged == 0)
        return;
    p->bake_weight_bp = with_surge < 2 ? p->bake_weight_bp : coupled_bp(FULL_BP, with_surge);
    for (size_t i = 0; i < judged; i++) {
        struct plan_step step = p->steps[i];
        if (step.weight_bp > 0) /* a step without users stays one, whatever pods it has */
            step.weight_bp = pods < 2 ? p->bake_weight_bp : coupled_bp(step.weight_bp, pods);
        if (step.weight_bp >= p->bake_weight_bp && kept > 0)
            break; /* the bake is that step */
        if (kept > 0 && p->steps[kept - 1].weight_bp == step.weight_bp)
            kept--;
        p->steps[kept++] = step;
    }
    p->n_steps = kept;
}

size_t plan_step_below(const struct plan *p, uint32_t weight_bp)
{
    size_t step = 0;
    for (size_t i = 0; i < plan_judged_steps(p); i++)
        if (p->steps[i].weight_bp <= weight_bp)
            step = i;
    return step;
}

static uint32_t abort_step_bp(const struct plan *p, size_t i)
{
    return (uint32_t)lround(p->abort_steps[i] * FULL_BP);
}

uint32_t plan_abort_weight_bp(const struct plan *p, uint32_t weight_bp)
{
    for (size_t i = 0; i < p->n_abort_steps; i++)
        if (abort_step_bp(p, i) < weight_bp)
            return abort_step_bp(p, i);
    return 0;
}

bool plan_is_abort_step(const struct plan *p, uint32_t weight_bp)
{
    for (size_t i = 0; i < p->n_abort_steps; i++)
        if (abort_step_bp(p, i) == weight_bp)
            return true;
    return false;
}

void plan_double_holds(struct plan *p)
{
    p->hold_ms = twice(p->hold_ms);
    if (p->max_hold_ms < p->hold_ms)
        p->max_hold_ms = p->hold_ms;
    for (size_t i = 0; i < p->n_steps; i++)
        if (p->steps[i].hold_ms > 0)
            p->steps[i].hold_ms = twice(p->steps[i].hold_ms);
}
