/* The table of moves, the one mover, and what must hold between a machine's fields.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/moves.h"

#include "base/check.h"
#include "rollout/decide/judge_counts.h"

#define FULL_BP   10000u
#define TO(state) (1u << MACHINE_##state)

/* Rows: from; bits: to. HOLDING and PAUSED may also go back to the state that they stand in for. FAILED_PROMOTION
 * before a promotion is for a stable whose workload is gone. */
static const uint32_t allowed[MACHINE_STATE_COUNT] = {
    [MACHINE_STABLE] = TO(PENDING),
    [MACHINE_PENDING] = TO(SCALING) | TO(HOLDING) | TO(PAUSED) | TO(ABORTING) | TO(STABLE),
    [MACHINE_SCALING] =
        TO(SHIFTING) | TO(HOLDING) | TO(PAUSED) | TO(ABORTING) | TO(FAILED_PROMOTION),
    [MACHINE_SHIFTING] =
        TO(ANALYZING) | TO(HOLDING) | TO(PAUSED) | TO(ABORTING) | TO(FAILED_PROMOTION),
    [MACHINE_ANALYZING] = TO(SCALING) | TO(HOLDING) | TO(PAUSED) | TO(PROMOTING) | TO(ABORTING) |
                          TO(FAILED_PROMOTION),
    [MACHINE_HOLDING] =
        TO(SCALING) | TO(PROMOTING) | TO(PAUSED) | TO(ABORTING) | TO(FAILED_PROMOTION),
    [MACHINE_PAUSED] = TO(SCALING) | TO(PROMOTING) | TO(ABORTING) | TO(FAILED_PROMOTION),
    [MACHINE_PROMOTING] =
        TO(BAKING) | TO(HOLDING) | TO(PAUSED) | TO(FAILED_PROMOTION) | TO(ABORTING),
    [MACHINE_BAKING] =
        TO(FINALIZING) | TO(HOLDING) | TO(PAUSED) | TO(ABORTING) | TO(FAILED_PROMOTION),
    [MACHINE_FINALIZING] = TO(COMPLETED),
    [MACHINE_COMPLETED] = TO(STABLE),
    [MACHINE_ABORTING] = TO(RESTORING),
    [MACHINE_RESTORING] = TO(ABORTED),
    [MACHINE_ABORTED] = TO(PENDING) | TO(STABLE),
    [MACHINE_FAILED_PROMOTION] = TO(PROMOTING) | TO(RESTORING),
};

/* What HOLDING may stand in for: the states that may hold. PAUSED in HOLDING stands in for the
 * same. */
static const uint32_t may_be_left =
    TO(PENDING) | TO(SCALING) | TO(SHIFTING) | TO(ANALYZING) | TO(PROMOTING) | TO(BAKING);

const char *machine_state_name(enum machine_state state)
{
    static const char *const names[MACHINE_STATE_COUNT] = {
        "STABLE",    "PENDING",  "SCALING",   "SHIFTING", "ANALYZING",
        "HOLDING",   "PAUSED",   "PROMOTING", "BAKING",   "FINALIZING",
        "COMPLETED", "ABORTING", "RESTORING", "ABORTED",  "FAILED_PROMOTION"};
    CHECK((unsigned)state < MACHINE_STATE_COUNT);
    return names[state];
}

const char *machine_cause_name(enum machine_cause cause)
{
    static const char *const names[MACHINE_CAUSE_COUNT] = {
        "none",    "verdict",    "low_evidence", "no_data",    "suspicious",  "incident",
        "brake",   "breaker",    "no_endpoint",  "unwritable", "step_pause",  "operator",
        "failed",  "critical",   "deadline",     "max_pause",  "stable_lost", "new_version",
        "dropped", "check",      "check_failed", "gate",       "window",      "sample_ratio",
        "cluster", "canary_lost"};
    CHECK((unsigned)cause < MACHINE_CAUSE_COUNT);
    return names[cause];
}

static bool stands_in(enum machine_state state)
{
    return state == MACHINE_HOLDING || state == MACHINE_PAUSED;
}

bool machine_may_move(enum machine_state from, enum machine_state left, enum machine_state to)
{
    CHECK((unsigned)from < MACHINE_STATE_COUNT && (unsigned)to < MACHINE_STATE_COUNT);
    return (allowed[from] >> to & 1u) || (stands_in(from) && to == left);
}

bool machine_is_running(const struct machine *m)
{
    return m->state != MACHINE_STABLE && m->state != MACHINE_COMPLETED &&
           m->state != MACHINE_ABORTED;
}

enum machine_state machine_underlying(const struct machine *m)
{
    return stands_in(m->state) ? m->left : m->state;
}

bool machine_cause_is_failure(enum machine_cause cause)
{
    return cause == MACHINE_CAUSE_FAILED || cause == MACHINE_CAUSE_CRITICAL ||
           cause == MACHINE_CAUSE_CHECK_FAILED;
}

bool machine_has_failed(const struct machine *m)
{
    return m->state == MACHINE_PAUSED && machine_cause_is_failure(m->cause);
}

bool machine_is_mirroring(const struct machine *m, const struct plan *p)
{
    if (!plan_begins_with_mirror(p) || m->weight_bp > 0 || machine_has_failed(m))
        return false;
    switch (machine_underlying(m)) {
    case MACHINE_SHIFTING:
    case MACHINE_ANALYZING:
        return true;
    case MACHINE_SCALING:
    case MACHINE_PROMOTING:
        return m->stage == 0;
    default:
        return false;
    }
}

enum rollout_phase machine_phase(const struct machine *m)
{
    switch (m->state) {
    case MACHINE_STABLE:
    case MACHINE_COMPLETED:
        return ROLLOUT_PHASE_HEALTHY;
    case MACHINE_PAUSED:
        return ROLLOUT_PHASE_PAUSED;
    case MACHINE_ABORTING:
    case MACHINE_RESTORING:
    case MACHINE_ABORTED:
    case MACHINE_FAILED_PROMOTION:
        return ROLLOUT_PHASE_DEGRADED;
    default:
        return ROLLOUT_PHASE_PROGRESSING;
    }
}

enum rollout_result machine_result(const struct machine *m)
{
    if (machine_cause_is_failure(m->cause))
        return ROLLOUT_RESULT_REVERTED;
    switch (m->cause) {
    case MACHINE_CAUSE_NEW_VERSION:
    case MACHINE_CAUSE_DROPPED:
        return ROLLOUT_RESULT_SUPERSEDED;
    default:
        return m->state == MACHINE_STABLE || m->state == MACHINE_COMPLETED
                   ? ROLLOUT_RESULT_COMPLETED
                   : ROLLOUT_RESULT_ABORTED;
    }
}

uint64_t machine_stage_requests(const struct machine *m)
{
    return m->counts.canary.requests - m->at_stage.canary.requests;
}

uint64_t machine_steady_requests(const struct machine *m)
{
    return m->counts.canary.requests - m->at_steady.canary.requests;
}

void machine_init(struct machine *m)
{
    *m = (struct machine){
        .state = MACHINE_STABLE, .left = MACHINE_STABLE, .stage = -1, .first_bad_ms = -1};
}

/* An abort that has the time goes back by the plan's abort_steps; and where replicas follow the weight, stable may be too
 * small for everyone, so that it brings those first. A canary that is bad, or gone, keeps nobody. */
static bool keeps_weight(const struct machine *m)
{
    return (m->scaled || m->gradual) &&
           (m->cause == MACHINE_CAUSE_OPERATOR || m->cause == MACHINE_CAUSE_MAX_PAUSE ||
            m->cause == MACHINE_CAUSE_NEW_VERSION || m->cause == MACHINE_CAUSE_DROPPED ||
            m->cause == MACHINE_CAUSE_LOW_EVIDENCE);
}

void moves_goto(struct machine *m, enum machine_state to, enum machine_cause cause)
{
    CHECK(machine_may_move(m->state, m->left, to));
    m->left = stands_in(to) ? machine_underlying(m) : to;
    m->state = to;
    m->cause = cause;
    m->state_ms = 0;
    if (to == MACHINE_RESTORING || (to == MACHINE_ABORTING && !keeps_weight(m)))
        m->weight_bp = 0;
}

void moves_promote(struct machine *m, const struct plan *p, enum machine_cause cause)
{
    m->step = (unsigned)plan_judged_steps(p);
    moves_goto(m, MACHINE_PROMOTING, cause);
    m->progress_ms = 0;
}

void moves_next_step(struct machine *m, const struct plan *p, enum machine_cause cause)
{
    if (m->step + 1 >= plan_judged_steps(p)) {
        moves_promote(m, p, cause);
        return;
    }
    m->step++;
    moves_goto(m, MACHINE_SCALING, cause);
}

void moves_return(struct machine *m, const struct plan *p, enum machine_cause cause)
{
    bool lowered = m->weight_bp < plan_stage_weight_bp(p, m->step);
    if (lowered && (m->left == MACHINE_PROMOTING || m->left == MACHINE_BAKING))
        moves_promote(m, p, cause);
    else if (lowered && (m->left == MACHINE_SHIFTING || m->left == MACHINE_ANALYZING))
        moves_goto(m, MACHINE_SCALING, cause);
    else
        moves_goto(m, m->left, cause);
}

/* The most that the split may say in a state. */
static uint32_t weight_bound_bp(const struct machine *m, const struct plan *p)
{
    bool is_alone = m->state == MACHINE_FAILED_PROMOTION || m->full;
    if (m->scaled && is_alone && machine_underlying(m) >= MACHINE_PROMOTING &&
        machine_is_running(m))
        return FULL_BP; /* stable's workload may be gone */
    switch (machine_underlying(m)) {
    case MACHINE_SCALING:
    case MACHINE_SHIFTING:
    case MACHINE_ANALYZING:
    case MACHINE_PROMOTING:
    case MACHINE_BAKING:
    case MACHINE_FAILED_PROMOTION:
        return machine_has_failed(m) ? 0 : plan_stage_weight_bp(p, m->step);
    case MACHINE_ABORTING:
        return m->scaled || m->gradual ? plan_stage_weight_bp(p, m->step) : 0;
    case MACHINE_FINALIZING:
    case MACHINE_COMPLETED:
        return FULL_BP;
    default:
        return 0;
    }
}

static bool is_ordered(const struct judge_seen *early, const struct judge_seen *late)
{
    return counts_is_ordered(&early->stable, &late->stable) &&
           counts_is_ordered(&early->canary, &late->canary);
}

enum err machine_check(const struct machine *m, const struct plan *p, struct why *why)
{
    int stages = (int)plan_judged_steps(p) + 1;
    if (stands_in(m->state) ? !(may_be_left >> m->left & 1u) : m->left != m->state)
        return why_set(why, ERR_INVALID, "left: %s does not stand in for %s",
                       machine_state_name(m->state), machine_state_name(m->left));
    if (m->step >= (unsigned)stages)
        return why_set(why, ERR_INVALID, "step: %u is beyond the plan's %d stages", m->step,
                       stages);
    if (m->stage < -1 || m->stage >= stages)
        return why_set(why, ERR_INVALID, "stage: %d is beyond the plan's %d stages", m->stage,
                       stages);
    enum machine_state where = machine_underlying(m);
    if ((where == MACHINE_ANALYZING || where == MACHINE_BAKING) && m->stage != (int)m->step)
        return why_set(why, ERR_INVALID, "stage: %d, but %s compares at step %u", m->stage,
                       machine_state_name(where), m->step);
    if (m->weight_bp > weight_bound_bp(m, p))
        return why_set(why, ERR_INVALID, "weight_bp: %u is above %u, the most in %s", m->weight_bp,
                       weight_bound_bp(m, p), machine_state_name(m->state));
    if (!is_ordered(&m->at_stage, &m->counts) || !is_ordered(&m->at_steady, &m->counts))
        return why_set(why, ERR_INVALID, "counts: lower than when the stage began");
    return OK;
}
