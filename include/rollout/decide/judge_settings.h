/* What the judge is told before a rollout: stages, error bounds, checks and their constants.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_SETTINGS_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_SETTINGS_H

#include "base/err.h"
#include "rollout/decide/evidence.h"
#include "rollout/decide/plan.h"

/* Every step of a plan, the bake, and 100 %. */
#define JUDGE_STAGES_MAX  (PLAN_STEPS_MAX + 2)
#define JUDGE_LATENCY_MAX PLAN_QUANTILES_MAX

/* One weight at which both versions are compared; the last stage of the list is the destination and
 * is never judged. */
struct judge_stage {
    uint32_t weight_bp;    /* basis points */
    double hold_s;         /* shortest time before it may be left for the next */
    double max_hold_s;     /* after it (and hold_s) the low-evidence rule answers */
    uint64_t min_requests; /* canary requests before it may be left on evidence */
};

/* A comparison of two failure probabilities: null hypothesis
 * p_canary <= (1 + margin) * p_stable + margin_absolute. */
struct judge_compare {
    bool enabled;  /* false: its evidence stays 1 : 1 and its weight stays in the mean */
    double weight; /* share of the evidence; the shares of all checks sum to 1 */
    double margin, margin_absolute;
};

struct judge_ceiling {
    bool enabled;
    double weight;
    double ceiling; /* probability, 0.01 = 1 %; it also bounds what counts as an incident */
};

struct judge_latency {
    bool enabled;
    size_t n; /* quantiles */
    double weight[JUDGE_LATENCY_MAX];
    double quantile[JUDGE_LATENCY_MAX];
    double prior_requests; /* weight of the nominal quantile in the predicted share of slow ones */
    double half_life_s;    /* of what the prediction remembers */
    double warmup_s;       /* until then latency may hold but not revert */
};

/* When the stable version itself is failing: its rate over fast_s against its rate over slow_s. */
struct judge_incident {
    double fast_s, slow_s; /* half-lives */
    double ratio;
    double prior_requests;
};

struct judge_settings {
    struct judge_stage stages[JUDGE_STAGES_MAX];
    size_t n_stages;                        /* 1 to JUDGE_STAGES_MAX */
    enum plan_low_evidence on_low_evidence; /* everything but advance is answered with hold */
    uint64_t no_data_requests; /* fewer canary requests than this in a stage never widen; 0 = off */

    double alpha;         /* P(ever revert | no worse), whole rollout */
    double beta;          /* P(promote on evidence | worse than the stage's margin), per stage */
    double harm_budget;   /* excess failures as a share of all traffic */
    double hold_evidence; /* evidence, N to 1, above which nothing is widened */
    double cap;           /* nats that one block may add */
    double brake_s;
    double epoch_s; /* distance of the start times in the mixture */
    double mass0;   /* prior mass of trouble from the start; the rest is spread over the epochs */

    struct judge_compare errors, client_errors;
    struct judge_ceiling ceiling;
    struct judge_latency latency;
    struct judge_incident incident;

    struct evidence_grid ratio_grid;   /* r: times worse than the margin allows */
    struct evidence_grid odds_grid;    /* psi: odds of being slow */
    struct evidence_grid ceiling_grid; /* a: bets against the ceiling */
    struct evidence_grid safe_grid;    /* b: bets against harm, each in (0, 1) */
};

/* The constants of the rule with every check enabled and the stages 1, 5, 10, 25, 50, 100 %. Pure.
 */
void judge_settings_default(struct judge_settings *settings);

/* The settings of a plan: its steps below 100 % in their order (same index), then the bake, then
 * 100 %. So the last judged stage, judge_settings_bake(), is the bake. Enables the checks that the
 * plan does not switch off. Fewer than 5 canary requests in a stage never widen. ERR_INVALID with
 * the field of the plan in why when a number is out of range. Pure. */
enum err judge_settings_from_plan(struct judge_settings *settings, const struct plan *plan,
                                  struct why *why) MUST_USE;

/* The stage before the destination. Pure. */
static inline unsigned judge_settings_bake(const struct judge_settings *settings)
{
    return settings->n_stages < 2 ? 0 : (unsigned)settings->n_stages - 2;
}

/* The stage of the lowest weight that has users: the brake goes there. The one before it, of weight 0, is judged by copies
 * of stable's requests. Pure. */
static inline unsigned judge_settings_least(const struct judge_settings *settings)
{
    return settings->n_stages > 1 && settings->stages[0].weight_bp == 0;
}

/* What an excess failure rate must stay under so that a stage may be left for the next one: the
 * budget as a share of the next weight, at most 1. stage + 1 must be below n_stages. Pure. */
double judge_settings_excess(const struct judge_settings *settings, unsigned stage);

/* What the arithmetic needs so that no logarithm leaves its domain: every number finite and in its
 * range. ERR_INVALID names the field. Pure. */
enum err judge_settings_check(const struct judge_settings *settings, struct why *why) MUST_USE;

#endif
