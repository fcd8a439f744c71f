/* What people and the file ask of the machine: begin, pause, resume, promote, abort.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/moves.h"

#include "base/check.h"

void machine_begin(struct machine *m, const struct plan *p, bool direct, bool scaled)
{
    bool again = machine_has_failed(m);
    CHECK(again || m->state == MACHINE_STABLE || m->state == MACHINE_ABORTED);
    struct machine fresh = {.state = m->state,
                            .left = m->left,
                            .stage = -1,
                            .direct = direct,
                            .scaled = scaled,
                            .gradual = p->n_abort_steps > 0,
                            .first_bad_ms = -1};
    *m = fresh;
    moves_goto(m, again ? MACHINE_SCALING : MACHINE_PENDING, MACHINE_CAUSE_NONE);
    if (direct)
        m->step = (unsigned)plan_judged_steps(p);
}

void machine_settle(struct machine *m, enum machine_cause cause)
{
    moves_goto(m, MACHINE_STABLE, cause);
    m->weight_bp = 0;
    m->then_stable = false;
}

enum err machine_abort(struct machine *m, enum machine_cause cause, bool then_stable,
                       struct why *why)
{
    switch (m->state) {
    case MACHINE_STABLE:
        return why_set(why, ERR_CONFLICT, "abort: no rollout is running");
    case MACHINE_FINALIZING:
    case MACHINE_COMPLETED:
        return why_set(why, ERR_CONFLICT, "abort: the canary is being made stable: use undo");
    case MACHINE_ABORTING:
    case MACHINE_RESTORING:
    case MACHINE_ABORTED:
        m->then_stable = m->then_stable || then_stable;
        if (cause == MACHINE_CAUSE_OPERATOR && !m->scaled)
            m->weight_bp = 0; /* asked again: no more steps */
        return OK;
    case MACHINE_FAILED_PROMOTION:
        moves_goto(m, MACHINE_RESTORING, cause);
        break;
    default:
        if (m->state == MACHINE_PENDING && then_stable) {
            machine_settle(m, cause);
            return OK;
        }
        moves_goto(m, MACHINE_ABORTING, machine_has_failed(m) ? m->cause : cause);
        break;
    }
    m->then_stable = then_stable;
    return OK;
}

static enum err refuse_when_ended(const struct machine *m, const char *verb, struct why *why)
{
    const char *name = machine_state_name(m->state);
    switch (m->state) {
    case MACHINE_STABLE:
        return why_set(why, ERR_CONFLICT, "%s: no rollout is running", verb);
    case MACHINE_FINALIZING:
    case MACHINE_COMPLETED:
        return why_set(why, ERR_CONFLICT, "%s: the canary is being made stable (%s)", verb, name);
    case MACHINE_ABORTING:
    case MACHINE_RESTORING:
    case MACHINE_ABORTED:
        return why_set(why, ERR_CONFLICT, "%s: the rollout is aborted (%s): use retry", verb, name);
    default:
        return OK;
    }
}

static enum err command_pause(struct machine *m, struct why *why)
{
    if (m->state == MACHINE_FAILED_PROMOTION)
        return why_set(why, ERR_CONFLICT,
                       "pause: the promotion failed and moves nothing by itself: abort or promote");
    if (m->state != MACHINE_PAUSED)
        moves_goto(m, MACHINE_PAUSED, MACHINE_CAUSE_OPERATOR);
    return OK;
}

static enum err command_resume(struct machine *m, const struct plan *p, struct why *why)
{
    if (m->state != MACHINE_PAUSED)
        return why_set(why, ERR_CONFLICT, "resume: not paused (%s)", machine_state_name(m->state));
    if (machine_has_failed(m))
        return why_set(why, ERR_CONFLICT, "resume: the canary failed its checks: retry or abort");
    if (m->cause == MACHINE_CAUSE_STEP_PAUSE)
        return why_set(why, ERR_CONFLICT, "resume: step %u waits for promote (or abort)",
                       m->step + 1);
    if (m->cause == MACHINE_CAUSE_LOW_EVIDENCE)
        m->stage_ms = 0; /* looks for evidence for another max_hold */
    moves_return(m, p, MACHINE_CAUSE_OPERATOR);
    return OK;
}

/* What even a person cannot override. */
static enum err refuse_promote(const struct machine *m, const char *verb, struct why *why)
{
    if (machine_has_failed(m))
        return why_set(why, ERR_CONFLICT, "%s: the canary failed its checks: retry or abort", verb);
    if (m->state == MACHINE_HOLDING && m->cause == MACHINE_CAUSE_BREAKER)
        return why_set(why, ERR_CONFLICT, "%s: the canary's breaker is open", verb);
    if (m->state == MACHINE_HOLDING && m->cause == MACHINE_CAUSE_BRAKE)
        return why_set(why, ERR_CONFLICT,
                       "%s: the brake is on after sudden failures: it lets go by itself, or abort",
                       verb);
    return refuse_when_ended(m, verb, why);
}

/* Gate, time or check: a person may know better. */
static bool is_held_from_outside(const struct machine *m)
{
    return m->state == MACHINE_HOLDING &&
           (m->cause == MACHINE_CAUSE_GATE || m->cause == MACHINE_CAUSE_WINDOW ||
            m->cause == MACHINE_CAUSE_CHECK || m->cause == MACHINE_CAUSE_SAMPLE_RATIO);
}

static enum err command_promote(struct machine *m, const struct plan *p, struct why *why)
{
    enum err e = refuse_promote(m, "promote", why);
    if (e != OK)
        return e;
    bool waives = is_held_from_outside(m);
    m->waived = m->waived || waives;
    switch (machine_underlying(m)) {
    case MACHINE_ANALYZING:
        moves_next_step(m, p, MACHINE_CAUSE_OPERATOR);
        return OK;
    case MACHINE_BAKING:
        m->full = true;
        if (m->state != MACHINE_BAKING)
            moves_return(m, p, MACHINE_CAUSE_OPERATOR);
        return OK;
    case MACHINE_FAILED_PROMOTION:
        m->full = true; /* or the next tick would wait for stable again */
        moves_promote(m, p, MACHINE_CAUSE_OPERATOR);
        return OK;
    default:
        if (waives) {
            moves_return(m, p, MACHINE_CAUSE_OPERATOR);
            return OK;
        }
        return why_set(why, ERR_CONFLICT, "promote: the weight of step %u is not in force yet (%s)",
                       m->step + 1, machine_state_name(m->state));
    }
}

static enum err command_promote_full(struct machine *m, const struct plan *p, struct why *why)
{
    enum err e = refuse_promote(m, "promote --full", why);
    if (e != OK)
        return e;
    m->full = true;
    if (machine_underlying(m) == MACHINE_ANALYZING || m->state == MACHINE_FAILED_PROMOTION)
        moves_promote(m, p, MACHINE_CAUSE_OPERATOR);
    else if (m->state == MACHINE_PAUSED || m->state == MACHINE_HOLDING)
        moves_return(m, p, MACHINE_CAUSE_OPERATOR);
    return OK;
}

enum err machine_command(struct machine *m, const struct plan *p, enum rollout_verb verb,
                         struct why *why)
{
    enum err e = OK;
    switch (verb) {
    case ROLLOUT_PAUSE:
        e = refuse_when_ended(m, "pause", why);
        return e == OK ? command_pause(m, why) : e;
    case ROLLOUT_RESUME:
        e = refuse_when_ended(m, "resume", why);
        return e == OK ? command_resume(m, p, why) : e;
    case ROLLOUT_PROMOTE:
        return command_promote(m, p, why);
    case ROLLOUT_PROMOTE_FULL:
        return command_promote_full(m, p, why);
    case ROLLOUT_ABORT:
        return machine_abort(m, MACHINE_CAUSE_OPERATOR, false, why);
    default:
        return why_set(why, ERR_UNSUPPORTED, "%s: not a verb of the machine",
                       rollout_verb_name(verb));
    }
}
