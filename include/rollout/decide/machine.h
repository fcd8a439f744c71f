/* The states of a rollout and the one mover between them: state, verdict and time in, next state
 * and weight out. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_MACHINE_H
#define SERIN_ROLLOUT_DECIDE_MACHINE_H

#include "base/err.h"
#include "rollout/decide/judge.h"
#include "rollout/decide/plan.h"
#include "rollout/decide/words.h"

/* Fewer canary requests than this since the weight was confirmed are no data: nothing widens,
 * whatever the plan says. */
#define MACHINE_NO_DATA_REQUESTS 5u

enum machine_state {
    MACHINE_STABLE,   /* one version serves */
    MACHINE_PENDING,  /* accepted */
    MACHINE_SCALING,  /* the step's canary must be able to serve; the weight is still the one before
                       */
    MACHINE_SHIFTING, /* weight written, every worker confirms */
    MACHINE_ANALYZING,        /* the judge decides */
    MACHINE_HOLDING,          /* something forbids to widen */
    MACHINE_PAUSED,           /* a person decides */
    MACHINE_PROMOTING,        /* to the bake's weight */
    MACHINE_BAKING,           /* the last comparison */
    MACHINE_FINALIZING,       /* 100 % */
    MACHINE_COMPLETED,        /* transient: the canary becomes stable */
    MACHINE_ABORTING,         /* weight 0, every worker confirms */
    MACHINE_RESTORING,        /* stable must be able to serve */
    MACHINE_ABORTED,          /* stable serves, the canary is in quarantine */
    MACHINE_FAILED_PROMOTION, /* stable was lost while the canary was promoted */
    MACHINE_STATE_COUNT
};

/* Why the machine is where it is. */
enum machine_cause {
    MACHINE_CAUSE_NONE,
    MACHINE_CAUSE_VERDICT,      /* evidence that it is safe to widen */
    MACHINE_CAUSE_LOW_EVIDENCE, /* max_hold passed without it */
    MACHINE_CAUSE_NO_DATA,
    MACHINE_CAUSE_SUSPICIOUS,
    MACHINE_CAUSE_INCIDENT, /* stable is failing itself */
    MACHINE_CAUSE_BRAKE,
    MACHINE_CAUSE_BREAKER,
    MACHINE_CAUSE_NO_ENDPOINT, /* the canary has none available */
    MACHINE_CAUSE_UNWRITABLE,  /* the state cannot be stored */
    MACHINE_CAUSE_STEP_PAUSE,  /* the plan asks for a person here */
    MACHINE_CAUSE_OPERATOR,
    MACHINE_CAUSE_FAILED,   /* the judge's REVERT */
    MACHINE_CAUSE_CRITICAL, /* a second failed trickle */
    MACHINE_CAUSE_DEADLINE, /* progress_deadline */
    MACHINE_CAUSE_MAX_PAUSE,
    MACHINE_CAUSE_STABLE_LOST,  /* no endpoint of stable is available */
    MACHINE_CAUSE_NEW_VERSION,  /* the file names another pair */
    MACHINE_CAUSE_DROPPED,      /* the file names no canary any more */
    MACHINE_CAUSE_CHECK,        /* a check by others does not pass */
    MACHINE_CAUSE_CHECK_FAILED, /* it failed so often in a row that the plan aborts */
    MACHINE_CAUSE_GATE,         /* a gate is closed, or has not answered yet */
    MACHINE_CAUSE_WINDOW,       /* outside the times at which the plan may widen */
    MACHINE_CAUSE_SAMPLE_RATIO, /* the observed share is not the intended one: something is broken */
    MACHINE_CAUSE_CLUSTER, /* the cluster cannot be moved now: its API is away, an autoscaler ... */
    MACHINE_CAUSE_CANARY_LOST, /* the canary's workload is gone, or another one stands in its place */
    MACHINE_CAUSE_COUNT
};

/* Plain data: copy it, store it, compare it. Times are milliseconds that passed, never moments. */
struct machine {
    enum machine_state state;
    enum machine_state
        left; /* HOLDING, PAUSED: where it goes back to; otherwise the state itself */
    enum machine_cause cause;
    unsigned step; /* index into the plan's stages; the bake's is plan_judged_steps() */
    int stage;     /* the judge's: the step whose weight was confirmed last; -1 before the first */
    uint32_t weight_bp;    /* wanted: what the split says */
    uint32_t confirmed_bp; /* the last that every worker had */
    bool direct;           /* undo: straight to the bake, and no proof is asked there */
    bool full; /* promote --full, promote without stable: only REVERT, brake, breaker stop it */
    bool then_stable; /* after the abort: STABLE, not ABORTED */
    bool
        waived; /* a person promoted past gate, window or check: they stop nothing up to the next weight */
    bool gradual;             /* the plan has abort_steps */
    bool scaled;              /* replicas move with the weight: steps wait for them */
    int64_t elapsed_ms;       /* since the rollout began */
    int64_t stage_ms;         /* at this stage; stands still while paused or the breaker is open */
    int64_t steady_ms;        /* since the weight was confirmed; stands still while paused */
    int64_t state_ms;         /* in this state */
    int64_t held_ms;          /* in HOLDING, since it widened or was calm for a while */
    int64_t first_bad_ms;     /* elapsed_ms at the first failed canary request; -1 = none */
    int64_t progress_ms;      /* waiting for endpoints and workers */
    struct judge_seen counts; /* cumulative since the rollout began */
    struct judge_seen at_stage;  /* counts when the stage began; 0 at the first */
    struct judge_seen at_steady; /* counts when the weight was confirmed */
};

/* What a tick gathered. */
struct machine_input {
    bool confirmed;  /* every worker has the weight */
    bool unwritable; /* the last attempt to store the state failed */
    unsigned stable_available, canary_available;
    bool breaker_open; /* or trickling */
    /* Of a cluster; all false where there is none. */
    bool canary_short; /* the canary has not yet the replicas that the weight to come needs */
    bool stable_short; /* stable has not the replicas to serve everyone */
    bool unsettled;    /* replicas are not yet as the end of the rollout wants them */
    bool cluster_away; /* nothing can be moved there now */
    bool canary_lost;  /* its workload is gone, or not the one that the rollout began with */
    bool stable_lost;  /* stable's workload is gone */
    unsigned failed_trickles;
    enum judge_verdict verdict;
    int verdict_stage; /* the stage that it was given for */
    bool low_evidence, no_data, incident;
    bool share_is_off;          /* the canary's share of the requests is not the weight */
    bool check_failed;          /* a check by others asks for the abort */
    enum machine_cause outside; /* what others or the clock have against going on; NONE = nothing */
};

/* What one step of the machine changed: to be stored first, then acted on. */
struct machine_move {
    enum machine_state from, to;
    enum machine_cause cause;
    uint32_t weight_from_bp, weight_to_bp;
};

/* "STABLE" ... Never NULL. Pure. */
const char *machine_state_name(enum machine_state state);

/* "no_data" ... Never NULL. Pure. */
const char *machine_cause_name(enum machine_cause cause);

/* Whether the table of moves has this one; left counts only from HOLDING and PAUSED. Pure. */
bool machine_may_move(enum machine_state from, enum machine_state left, enum machine_state to);

/* The canary was proven bad: by the judge, its breaker, or a check by others. Pure. */
bool machine_cause_is_failure(enum machine_cause cause);

/* A rollout is under way, or ends. False in STABLE, COMPLETED, ABORTED. Pure. */
bool machine_is_running(const struct machine *m);

/* The state that HOLDING and PAUSED stand in for, otherwise the state. Pure. */
enum machine_state machine_underlying(const struct machine *m);

/* Paused because the canary was proven bad (on_failure: pause): weight 0, waiting for retry or
 * abort. Pure. */
bool machine_has_failed(const struct machine *m);

enum rollout_phase machine_phase(const struct machine *m);

/* How the rollout that the machine just ended came out. Pure. */
enum rollout_result machine_result(const struct machine *m);

/* At the plan's first step of weight 0, or on its way from there: the canary gets copies of stable's requests and nobody
 * else, and is judged by them. Pure. */
bool machine_is_mirroring(const struct machine *m, const struct plan *p);

/* Canary requests at this stage, and since the weight was confirmed. Pure. */
uint64_t machine_stage_requests(const struct machine *m);
uint64_t machine_steady_requests(const struct machine *m);

/* STABLE, weight 0, nothing counted. */
void machine_init(struct machine *m);

/* Lets dt_ms pass. Once a tick, before machine_step. Pure. */
void machine_advance(struct machine *m, const struct machine_input *in, int64_t dt_ms);

/* Lets the time pass for which nobody ticked (a restart): pauses count it whole, a step at most 10
 * s of it. Pure. */
void machine_resume(struct machine *m, int64_t gap_ms);

/* Makes at most one move. True when something is to be stored and acted on (state, cause or weight
 * changed): call again after that, with confirmed as it is then; it comes to rest within
 * MACHINE_MOVES_MAX moves. Pure. */
bool machine_step(struct machine *m, const struct plan *p, const struct machine_input *in,
                  struct machine_move *move);
#define MACHINE_MOVES_MAX 8

/* Begins a rollout: from STABLE or ABORTED to PENDING, after a failure that paused to SCALING.
 * direct: an undo. scaled: replicas move with the weight. CHECKs that the state allows it. Pure. */
void machine_begin(struct machine *m, const struct plan *p, bool direct, bool scaled);

/* PENDING or ABORTED to STABLE: the file has no canary for this any more. CHECKs the state. Pure.
 */
void machine_settle(struct machine *m, enum machine_cause cause);

/* Ends the rollout. then_stable: no quarantine, STABLE at the end. OK also where it ends already.
 * ERR_CONFLICT where no rollout runs or it is past the point (FINALIZING: "use undo"). Pure. */
enum err machine_abort(struct machine *m, enum machine_cause cause, bool then_stable,
                       struct why *why) MUST_USE;

/* pause, resume, promote, promote_full, abort. ERR_CONFLICT with what is possible instead; then *m
 * is untouched. Pure. */
enum err machine_command(struct machine *m, const struct plan *p, enum rollout_verb verb,
                         struct why *why) MUST_USE;

/* What must hold between the fields under a plan (weights within their state's bounds ...).
 * ERR_INVALID names the field. Pure. */
enum err machine_check(const struct machine *m, const struct plan *p, struct why *why) MUST_USE;

#endif
