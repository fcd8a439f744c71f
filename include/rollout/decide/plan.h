/* The plan of a rollout: steps, times, thresholds. What the file's `rollout:` says, checked; frozen when it starts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_PLAN_H
#define SERIN_ROLLOUT_DECIDE_PLAN_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_STEPS_MAX       64
#define PLAN_QUANTILES_MAX   3
#define PLAN_ABORT_STEPS_MAX 16
#define PLAN_ABORT_STEP_MS   10000 /* at each weight on the way back */

struct plan_step {
    uint32_t weight_bp;   /* basis points, 1 to 10000 (0 only first, with a mirror) */
    int64_t hold_ms;      /* shortest time at this step; < 0: the plan's */
    int64_t min_requests; /* fewest canary requests before it widens on evidence; < 0: the plan's */
    bool pause;           /* wait for a person's promote when it has passed */
};

enum plan_low_evidence {
    LOW_EVIDENCE_ADVANCE,
    LOW_EVIDENCE_HOLD,
    LOW_EVIDENCE_PAUSE,
    LOW_EVIDENCE_ABORT
};
/* What becomes of a workload that another has replaced. */
enum plan_cleanup { CLEANUP_PRESERVE /* with 0 replicas: `undo` finds it */, CLEANUP_DELETE };
enum plan_on_failure { ON_FAILURE_ABORT, ON_FAILURE_PAUSE };
enum plan_on_new_version { ON_NEW_VERSION_RESTART, ON_NEW_VERSION_REFUSE };

/* How the replicas of two workloads follow the weight. */
enum plan_replicas {
    PLAN_REPLICAS_NONE,         /* whoever scales them, it is not serin */
    PLAN_REPLICAS_MATCH_WEIGHT, /* canary pods are the weight's share of all */
    PLAN_REPLICAS_CAPACITY,     /* stable stays whole until the promotion; canary pods carry their
                                   share with headroom */
    PLAN_REPLICAS_COUPLED,      /* the weight is the canary's share of the pods */
    PLAN_REPLICAS_MODES,
};

#define PLAN_REPLICAS_MAX 10000u /* of a count of pods */
#define PLAN_HEADROOM_MAX 10.0

/* A count of replicas, or a share of those wanted. */
struct plan_amount {
    bool is_share;
    uint32_t value; /* basis points, at most 10000, where is_share */
};

/* One comparison of canary and stable: null hypothesis p_canary <= (1 + margin) * p_stable + margin_absolute. */
struct plan_check {
    double margin;          /* relative, 0.10 = 10 % */
    double margin_absolute; /* absolute probability, 0.0002 = 0.02 % */
};

struct plan {
    bool start_auto;
    struct plan_step
        steps[PLAN_STEPS_MAX]; /* rising; a last 100 % is the destination, not judged */
    size_t n_steps;
    int64_t hold_ms, max_hold_ms;
    int64_t min_requests;
    enum plan_low_evidence on_low_evidence;
    int64_t bake_ms;
    uint32_t bake_weight_bp;
    int64_t progress_deadline_ms, max_pause_ms;
    enum plan_on_failure on_failure;
    double abort_steps[PLAN_ABORT_STEPS_MAX]; /* shares, falling, the last one 0; n 0 = at once */
    size_t n_abort_steps;
    enum plan_on_new_version on_new_version;
    double false_abort; /* alpha */
    double harm_budget; /* h */
    struct plan_check errors;
    double errors_ceiling; /* 0 = none */
    bool client_errors_judged;
    struct plan_check client_errors;
    bool latency_judged;
    double latency_margin;
    double quantiles[PLAN_QUANTILES_MAX];
    size_t n_quantiles;
    int64_t latency_warmup_ms;
    enum plan_replicas replicas_mode; /* of no effect where the versions are no workloads */
    enum plan_cleanup cleanup;
    struct plan_amount surge, unavailable; /* most beyond the wanted number, most below it */
    double
        headroom; /* capacity: canary pods = ceil(replicas * weight * headroom); 1.2 = a fifth more */
};

/* Fills every default of the configuration's `rollout:`. Pure. */
void plan_default(struct plan *p);

/* Checks what a plan must hold by itself (steps rise, shares in range, hold <= max_hold ...). ERR_INVALID with the
 * field, the value and the expectation in why, the field written as in the file ("steps[2].weight"). Pure. */
enum err plan_check(const struct plan *p, struct why *why) MUST_USE;

/* Steps below 100 %: those that are judged. The bake is the stage after them, so it also is the bake's index. Pure. */
size_t plan_judged_steps(const struct plan *p);

/* Weight of a stage: a judged step's, or bake_weight_bp for the stage after them. Pure. */
uint32_t plan_stage_weight_bp(const struct plan *p, size_t stage);

/* The first step has weight 0: the canary is judged by copies of stable's requests before a user sees it. Pure. */
bool plan_begins_with_mirror(const struct plan *p);

/* Weight of the first stage that has users. Pure. */
uint32_t plan_least_weight_bp(const struct plan *p);

/* Shortest time of a stage: the step's own hold, or the plan's; the bake's for the stage after the steps. Pure. */
int64_t plan_stage_hold_ms(const struct plan *p, size_t stage);

/* Fewest canary requests before a stage may widen on evidence. Pure. */
int64_t plan_stage_min_requests(const struct plan *p, size_t stage);

/* Mode coupled: every weight becomes a share of n pods (n >= 1) that pods can be, the nearest to what was asked for;
 * steps that come out alike are one, with the later one's hold and pause. Pure. */
void plan_couple(struct plan *p, int n);

/* The last step whose weight is not above weight_bp; 0 where all are. Pure. */
size_t plan_step_below(const struct plan *p, uint32_t weight_bp);

/* The way back of an abort that has the time: the largest abort step below weight_bp, 0 where there is none. Pure. */
uint32_t plan_abort_weight_bp(const struct plan *p, uint32_t weight_bp);

/* Whether weight_bp is one of the abort steps. Pure. */
bool plan_is_abort_step(const struct plan *p, uint32_t weight_bp);

/* Doubles every hold of the steps, for the retry of a version in quarantine. Pure. */
void plan_double_holds(struct plan *p);

#endif
