/* What a tick does to a rollout: the reasons to stop first, then what the state itself waits for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/moves.h"

#include "base/check.h"

#define FULL_BP 10000u

/* What a restart takes: more of a step's time than this cannot pass while nobody watches. */
#define RESUME_STEP_GAP_MS 10000

/* A second failed trickle is proof enough: the canary had a pause to recover. */
#define CRITICAL_TRICKLES 2u

/* A reason to hold that comes back sooner was never quite gone. */
#define HELD_CALM_MS 30000

static bool is_in(enum machine_state state, enum machine_state a, enum machine_state b)
{
    return state == a || state == b;
}

void machine_advance(struct machine *m, const struct machine_input *in, int64_t dt_ms)
{
    CHECK(dt_ms >= 0);
    m->state_ms += dt_ms;
    if (!machine_is_running(m))
        return;
    m->elapsed_ms += dt_ms;
    if (m->stage >= 0 && m->state != MACHINE_PAUSED) {
        m->stage_ms += in->breaker_open ? 0 : dt_ms;
        m->steady_ms += dt_ms;
    }
    if (m->state == MACHINE_HOLDING)
        m->held_ms += dt_ms;
    else if (is_in(m->state, MACHINE_ANALYZING, MACHINE_BAKING) && m->state_ms >= HELD_CALM_MS)
        m->held_ms = 0;
    bool waits = m->state == MACHINE_SCALING || m->state == MACHINE_SHIFTING ||
                 m->state == MACHINE_PROMOTING ||
                 (m->state == MACHINE_HOLDING && in->canary_available == 0 &&
                  (m->weight_bp > 0 || m->cause == MACHINE_CAUSE_NO_ENDPOINT));
    if (waits)
        m->progress_ms += dt_ms;
    else if (is_in(m->state, MACHINE_ANALYZING, MACHINE_BAKING))
        m->progress_ms = 0;
}

void machine_resume(struct machine *m, int64_t gap_ms)
{
    CHECK(gap_ms >= 0);
    if (!machine_is_running(m))
        return;
    m->elapsed_ms += gap_ms;
    int64_t step_gap_ms = gap_ms < RESUME_STEP_GAP_MS ? gap_ms : RESUME_STEP_GAP_MS;
    if (m->state == MACHINE_PAUSED) {
        m->state_ms += gap_ms;
    } else {
        m->state_ms += step_gap_ms;
        m->held_ms += m->state == MACHINE_HOLDING ? step_gap_ms : 0;
        if (m->stage >= 0)
            m->stage_ms += step_gap_ms;
    }
}

/* Weight 0 at once: for good, or until a person answers. */
static void fail(struct machine *m, const struct plan *p, enum machine_cause cause)
{
    if (m->state == MACHINE_FAILED_PROMOTION) {
        moves_goto(m, MACHINE_RESTORING, cause);
        return;
    }
    if (p->on_failure == ON_FAILURE_ABORT) {
        moves_goto(m, MACHINE_ABORTING, cause);
        return;
    }
    if (m->state == MACHINE_PAUSED) {
        m->cause = cause;
        m->state_ms = 0;
    } else {
        moves_goto(m, MACHINE_PAUSED, cause);
    }
    m->weight_bp = 0;
}

/* Down to the first step's weight that has users; a step that was not confirmed yet is given up for the one before
 * it. */
static void lower(struct machine *m, const struct plan *p)
{
    uint32_t least_bp = plan_least_weight_bp(p);
    if (m->weight_bp > least_bp)
        m->weight_bp = least_bp;
    if (m->stage < 0 || (unsigned)m->stage >= m->step)
        return;
    m->step = (unsigned)m->stage;
    if (m->state == MACHINE_HOLDING || m->state == MACHINE_PAUSED)
        m->left = MACHINE_SCALING;
}

/* The two reasons to lower the weight without giving up. */
static enum machine_cause lower_cause(const struct machine *m, const struct machine_input *in)
{
    if (m->weight_bp == 0)
        return MACHINE_CAUSE_NONE;
    if (in->breaker_open)
        return MACHINE_CAUSE_BREAKER;
    return in->verdict == JUDGE_BRAKE ? MACHINE_CAUSE_BRAKE : MACHINE_CAUSE_NONE;
}

static bool is_no_data(const struct machine *m, const struct plan *p,
                       const struct machine_input *in)
{
    if (machine_steady_requests(m) >= MACHINE_NO_DATA_REQUESTS)
        return false;
    return in->no_data || in->low_evidence ||
           m->steady_ms >= plan_stage_hold_ms(p, (size_t)m->stage);
}

/* What the judge, or the want of requests, has against widening. */
static enum machine_cause judged_cause(const struct machine *m, const struct plan *p,
                                       const struct machine_input *in)
{
    enum machine_state where = machine_underlying(m);
    bool compares = is_in(where, MACHINE_ANALYZING, MACHINE_BAKING);
    bool raises = is_in(where, MACHINE_SCALING, MACHINE_SHIFTING) && m->stage >= 0;
    if (m->full || !(compares || raises))
        return MACHINE_CAUSE_NONE;
    if (in->verdict == JUDGE_HOLD && in->incident)
        return m->direct ? MACHINE_CAUSE_NONE : MACHINE_CAUSE_INCIDENT;
    if (in->verdict == JUDGE_HOLD && !in->low_evidence && !in->no_data)
        return MACHINE_CAUSE_SUSPICIOUS;
    if (!compares || m->direct)
        return MACHINE_CAUSE_NONE;
    if (is_no_data(m, p, in))
        return MACHINE_CAUSE_NO_DATA;
    if (in->low_evidence && p->on_low_evidence == LOW_EVIDENCE_HOLD)
        return MACHINE_CAUSE_LOW_EVIDENCE;
    return MACHINE_CAUSE_NONE;
}

/* Why it may not go on now, the strongest reason first; NONE where it may. */
static enum machine_cause hold_cause(const struct machine *m, const struct plan *p,
                                     const struct machine_input *in)
{
    enum machine_state where = machine_underlying(m);
    enum machine_cause cause = lower_cause(m, in);
    if (cause != MACHINE_CAUSE_NONE)
        return cause;
    if (in->unwritable)
        return MACHINE_CAUSE_UNWRITABLE;
    if (in->cluster_away)
        return MACHINE_CAUSE_CLUSTER;
    bool serves = where == MACHINE_SHIFTING || where == MACHINE_ANALYZING ||
                  where == MACHINE_PROMOTING || where == MACHINE_BAKING;
    if (serves && in->canary_available == 0)
        return MACHINE_CAUSE_NO_ENDPOINT;
    cause = judged_cause(m, p, in);
    if (cause != MACHINE_CAUSE_NONE || m->full || m->direct || m->waived)
        return cause;
    bool compares = is_in(where, MACHINE_ANALYZING, MACHINE_BAKING);
    return compares && in->share_is_off ? MACHINE_CAUSE_SAMPLE_RATIO : in->outside;
}

static bool is_past_deadline(const struct machine *m, const struct plan *p)
{
    bool waits = m->state == MACHINE_SCALING || m->state == MACHINE_SHIFTING ||
                 m->state == MACHINE_PROMOTING || m->state == MACHINE_HOLDING;
    return waits && m->progress_ms >= p->progress_deadline_ms;
}

/* Whether a lost stable keeps the promotion waiting: not where a person took it over, nor where an
 * undo leads away from the very version that was lost. */
static bool needs_stable(const struct machine *m)
{
    return !m->direct && !m->full;
}

/* Nothing is left to go back to. True: done for this step. */
static bool stay_on_canary(struct machine *m, const struct machine_input *in)
{
    if (m->state == MACHINE_PENDING || machine_underlying(m) == MACHINE_PENDING ||
        in->canary_available == 0 || !needs_stable(m))
        return false;
    if (m->state == MACHINE_FAILED_PROMOTION && m->weight_bp == FULL_BP)
        return true;
    if (m->state != MACHINE_FAILED_PROMOTION)
        moves_goto(m, MACHINE_FAILED_PROMOTION, MACHINE_CAUSE_STABLE_LOST);
    m->weight_bp = FULL_BP;
    return true;
}

/* What ends or stops a rollout from outside its own state. True: done for this step. */
static bool stop(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    if (machine_has_failed(m)) {
        if (m->state_ms >= p->max_pause_ms)
            moves_goto(m, MACHINE_ABORTING, m->cause);
        return true;
    }
    if (!machine_is_running(m) || m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING ||
        m->state == MACHINE_FINALIZING)
        return false;
    if (in->canary_lost) {
        moves_goto(m, MACHINE_ABORTING, MACHINE_CAUSE_CANARY_LOST);
        return true;
    }
    if (in->stable_lost && stay_on_canary(m, in))
        return true;
    bool meets_requests = m->weight_bp > 0 || machine_is_mirroring(m, p);
    if (in->verdict == JUDGE_REVERT && meets_requests) {
        fail(m, p, MACHINE_CAUSE_FAILED);
        return true;
    }
    if (in->failed_trickles >= CRITICAL_TRICKLES && in->breaker_open && m->weight_bp > 0 &&
        !in->incident && in->stable_available > 0) {
        fail(m, p, MACHINE_CAUSE_CRITICAL);
        return true;
    }
    if (in->check_failed && meets_requests) {
        fail(m, p, MACHINE_CAUSE_CHECK_FAILED);
        return true;
    }
    if (m->state == MACHINE_PAUSED && m->state_ms >= p->max_pause_ms) {
        moves_goto(m, MACHINE_ABORTING, MACHINE_CAUSE_MAX_PAUSE);
        return true;
    }
    if (is_past_deadline(m, p)) {
        moves_goto(m, MACHINE_ABORTING, MACHINE_CAUSE_DEADLINE);
        return true;
    }
    return false;
}

/* HOLDING is entered, kept for another reason, or left. True: done for this step. */
static bool hold(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    bool may_hold =
        m->state == MACHINE_HOLDING || machine_may_move(m->state, m->left, MACHINE_HOLDING);
    if (m->state == MACHINE_PAUSED && lower_cause(m, in) != MACHINE_CAUSE_NONE)
        lower(m, p);
    if (!may_hold)
        return false;
    enum machine_cause cause = hold_cause(m, p, in);
    if (cause == MACHINE_CAUSE_NONE) {
        if (m->state != MACHINE_HOLDING)
            return false;
        moves_return(m, p, MACHINE_CAUSE_NONE);
        return true;
    }
    if (m->state != MACHINE_HOLDING)
        moves_goto(m, MACHINE_HOLDING, cause);
    m->cause = cause;
    if (cause == MACHINE_CAUSE_BRAKE || cause == MACHINE_CAUSE_BREAKER)
        lower(m, p);
    return true;
}

/* Every worker has the weight: its time, and what is counted at it, begin. */
static void confirm(struct machine *m)
{
    m->confirmed_bp = m->weight_bp;
    m->waived = false;
    m->steady_ms = 0;
    m->progress_ms = 0;
    m->at_steady = m->counts;
    if (m->stage == (int)m->step)
        return;
    bool first = m->stage < 0; /* from the run's first request, as the judge counts it */
    m->stage = (int)m->step;
    m->stage_ms = 0;
    m->held_ms = 0;
    if (!first)
        m->at_stage = m->counts;
}

/* Whether the stage's comparison is over, and how: NONE = not yet. */
static enum machine_cause passed(const struct machine *m, const struct plan *p,
                                 const struct machine_input *in)
{
    size_t stage = (size_t)m->stage;
    bool nothing_to_compare = m->direct && in->stable_available == 0;
    if (m->full || nothing_to_compare)
        return MACHINE_CAUSE_OPERATOR;
    if (!in->confirmed || m->steady_ms < plan_stage_hold_ms(p, stage))
        return MACHINE_CAUSE_NONE;
    if (m->direct)
        return MACHINE_CAUSE_OPERATOR;
    if (in->low_evidence)
        return MACHINE_CAUSE_LOW_EVIDENCE;
    bool enough = machine_stage_requests(m) >= (uint64_t)plan_stage_min_requests(p, stage) &&
                  machine_steady_requests(m) >= MACHINE_NO_DATA_REQUESTS;
    return in->verdict == JUDGE_PROMOTE && enough ? MACHINE_CAUSE_VERDICT : MACHINE_CAUSE_NONE;
}

/* Low evidence goes on only where the plan says so. True: it does not. */
static bool stop_low_evidence(struct machine *m, const struct plan *p, enum machine_cause cause)
{
    if (cause != MACHINE_CAUSE_LOW_EVIDENCE || p->on_low_evidence == LOW_EVIDENCE_ADVANCE)
        return false;
    if (p->on_low_evidence == LOW_EVIDENCE_PAUSE)
        moves_goto(m, MACHINE_PAUSED, cause);
    else if (p->on_low_evidence == LOW_EVIDENCE_ABORT)
        moves_goto(m, MACHINE_ABORTING, cause);
    return true;
}

static void analyze(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    bool at_bake = m->step == plan_judged_steps(p);
    enum machine_cause cause = m->direct && at_bake ? MACHINE_CAUSE_OPERATOR : passed(m, p, in);
    if (cause == MACHINE_CAUSE_NONE || stop_low_evidence(m, p, cause))
        return;
    if (m->full || at_bake)
        moves_promote(m, p, cause);
    else if (p->steps[m->step].pause)
        moves_goto(m, MACHINE_PAUSED, MACHINE_CAUSE_STEP_PAUSE);
    else
        moves_next_step(m, p, cause);
}

static void bake(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    enum machine_cause cause = passed(m, p, in);
    if (cause == MACHINE_CAUSE_NONE || stop_low_evidence(m, p, cause))
        return;
    moves_goto(m, MACHINE_FINALIZING, cause);
    m->weight_bp = FULL_BP;
}

static void scale(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    if (in->canary_available == 0 || in->canary_short)
        return;
    moves_goto(m, MACHINE_SHIFTING, m->cause);
    m->weight_bp = plan_stage_weight_bp(p, m->step);
}

static void promote(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    if ((in->stable_available == 0 || in->stable_lost) && needs_stable(m)) {
        moves_goto(m, MACHINE_FAILED_PROMOTION, MACHINE_CAUSE_STABLE_LOST);
    } else if (m->weight_bp < p->bake_weight_bp) {
        if (!in->canary_short)
            m->weight_bp = p->bake_weight_bp;
    } else if (in->confirmed) {
        moves_goto(m, MACHINE_BAKING, m->cause);
        confirm(m);
    }
}

/* To the next of the plan's abort_steps, each of which lasts a while; to 0 where there are none. */
static void step_back(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    bool rests = plan_is_abort_step(p, m->weight_bp) && m->stage >= 0 &&
                 (!in->confirmed || m->steady_ms < PLAN_ABORT_STEP_MS);
    if (in->confirmed)
        m->confirmed_bp = m->weight_bp;
    if (rests)
        return;
    m->weight_bp = m->stage >= 0 ? plan_abort_weight_bp(p, m->weight_bp) : 0;
    m->steady_ms = 0;
}

/* Everyone goes back: at once, or, where the abort has the time, step by step, and once stable has the replicas for them.
 * Proof against the canary, or the deadline, ends the wait. */
static void leave(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    bool is_bad = in->verdict == JUDGE_REVERT || in->breaker_open || in->check_failed ||
                  in->canary_lost || in->canary_available == 0;
    bool is_late = m->state_ms >= p->progress_deadline_ms;
    if (m->weight_bp > 0 && (is_bad || is_late)) {
        m->weight_bp = 0;
    } else if (m->weight_bp > 0) {
        if (!in->stable_short)
            step_back(m, p, in);
    } else if (in->confirmed) {
        m->confirmed_bp = 0;
        moves_goto(m, MACHINE_RESTORING, m->cause);
    }
}

static void restore(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    if (in->unsettled)
        return; /* the cluster follows when it can; nobody waits for it */
    bool leaves_the_pair = m->then_stable && in->confirmed; /* nobody waits for its stable */
    if (leaves_the_pair || in->stable_available > 0 || m->state_ms >= p->progress_deadline_ms)
        moves_goto(m, MACHINE_ABORTED, m->cause);
}

/* What the state itself waits for. */
static void live(struct machine *m, const struct plan *p, const struct machine_input *in)
{
    switch (m->state) {
    case MACHINE_PENDING:
        if (!in->canary_short)
            moves_goto(m, MACHINE_SCALING, m->cause);
        break;
    case MACHINE_SCALING:
        scale(m, p, in);
        break;
    case MACHINE_SHIFTING:
        if (in->confirmed) {
            moves_goto(m, MACHINE_ANALYZING, m->cause);
            confirm(m);
        }
        break;
    case MACHINE_ANALYZING:
        analyze(m, p, in);
        break;
    case MACHINE_PROMOTING:
        promote(m, p, in);
        break;
    case MACHINE_BAKING:
        bake(m, p, in);
        break;
    case MACHINE_FINALIZING:
        if (in->confirmed && !in->unsettled)
            moves_goto(m, MACHINE_COMPLETED, m->cause);
        break;
    case MACHINE_COMPLETED:
        moves_goto(m, MACHINE_STABLE, m->cause);
        m->weight_bp = 0;
        break;
    case MACHINE_ABORTING:
        leave(m, p, in);
        break;
    case MACHINE_RESTORING:
        restore(m, p, in);
        break;
    case MACHINE_ABORTED:
        if (m->then_stable)
            machine_settle(m, m->cause);
        break;
    case MACHINE_FAILED_PROMOTION:
        if ((in->stable_available > 0 && !in->stable_lost) || !needs_stable(m))
            moves_promote(m, p, MACHINE_CAUSE_NONE);
        break;
    case MACHINE_STABLE:
    case MACHINE_HOLDING:
    case MACHINE_PAUSED:
    case MACHINE_STATE_COUNT:
        break;
    }
}

/* A verdict on another stage says nothing for or against widening from this one; alarms stay. */
static struct machine_input judged_here(const struct machine *m, const struct machine_input *in)
{
    struct machine_input here = *in;
    if (in->verdict_stage == m->stage)
        return here;
    if (in->verdict == JUDGE_PROMOTE || in->low_evidence || in->no_data)
        here.verdict = JUDGE_CONTINUE;
    here.low_evidence = here.no_data = false;
    return here;
}

bool machine_step(struct machine *m, const struct plan *p, const struct machine_input *in,
                  struct machine_move *move)
{
    struct machine before = *m;
    struct machine_input here = judged_here(m, in);
    if (!stop(m, p, &here) && !hold(m, p, &here))
        live(m, p, &here);
    *move = (struct machine_move){.from = before.state,
                                  .to = m->state,
                                  .cause = m->cause,
                                  .weight_from_bp = before.weight_bp,
                                  .weight_to_bp = m->weight_bp};
    return m->state != before.state || m->cause != before.cause || m->weight_bp != before.weight_bp;
}
