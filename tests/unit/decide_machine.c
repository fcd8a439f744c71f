/* The machine, one row a move: what each state does with a tick.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "decide_machine.h"

/* One step of the machine from a state at rest. */
struct row {
    const char *what;
    enum machine_state from, left;
    enum machine_cause cause; /* before */
    unsigned step;
    uint32_t weight_bp;
    struct machine_input in;
    void (*change)(struct machine *m, struct plan *p);
    enum machine_state to; /* == from: nothing moves */
    enum machine_cause to_cause;
    uint32_t to_weight_bp;
    unsigned to_step;
};

#define CALM       .confirmed = true, .stable_available = 1, .canary_available = 1
#define CALM_AT(n) CALM, .verdict_stage = n

static void to_pause_step(struct machine *m, struct plan *p)
{
    p->steps[m->step].pause = true;
}

static void to_young(struct machine *m, struct plan *p)
{
    m->steady_ms = p->hold_ms - 1;
}

static void to_few(struct machine *m, struct plan *p)
{
    (void)p;
    m->counts.canary.requests = 49;
}

static void to_none(struct machine *m, struct plan *p)
{
    (void)p;
    m->counts.canary.requests = 4;
}

static void to_low_hold(struct machine *m, struct plan *p)
{
    (void)m;
    p->on_low_evidence = LOW_EVIDENCE_HOLD;
}

static void to_low_pause(struct machine *m, struct plan *p)
{
    (void)m;
    p->on_low_evidence = LOW_EVIDENCE_PAUSE;
}

static void to_low_abort(struct machine *m, struct plan *p)
{
    (void)m;
    p->on_low_evidence = LOW_EVIDENCE_ABORT;
}

static void to_none_low_abort(struct machine *m, struct plan *p)
{
    to_none(m, p);
    to_low_abort(m, p);
}

static void to_on_failure_pause(struct machine *m, struct plan *p)
{
    (void)m;
    p->on_failure = ON_FAILURE_PAUSE;
}

static void to_full(struct machine *m, struct plan *p)
{
    (void)p;
    m->full = true;
}

static void to_direct(struct machine *m, struct plan *p)
{
    (void)p;
    m->direct = true;
}

static void to_then_stable(struct machine *m, struct plan *p)
{
    (void)p;
    m->then_stable = true;
}

static void to_late(struct machine *m, struct plan *p)
{
    m->progress_ms = p->progress_deadline_ms;
    m->state_ms = p->progress_deadline_ms;
}

static void to_long_pause(struct machine *m, struct plan *p)
{
    m->state_ms = p->max_pause_ms;
}

static void to_next_step(struct machine *m, struct plan *p)
{
    (void)p;
    m->step++; /* on the way to it: the judge's stage is the one before */
}

/* clang-format off */
static const struct row rows[] = {
    /* nothing to do */
    {"stable rests", MACHINE_STABLE, MACHINE_STABLE, 0, 0, 0, {CALM_AT(-1)}, NULL, MACHINE_STABLE,
     0, 0, 0},
    {"aborted rests", MACHINE_ABORTED, MACHINE_ABORTED, MACHINE_CAUSE_FAILED, 0, 0, {CALM_AT(0)},
     NULL, MACHINE_ABORTED, MACHINE_CAUSE_FAILED, 0, 0},
    {"no proof yet", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500, {CALM_AT(0)}, NULL,
     MACHINE_ANALYZING, 0, 500, 0},
    /* forward */
    {"pending goes", MACHINE_PENDING, MACHINE_PENDING, 0, 0, 0, {CALM_AT(-1)}, NULL,
     MACHINE_SCALING, 0, 0, 0},
    {"an endpoint is there", MACHINE_SCALING, MACHINE_SCALING, 0, 0, 0, {CALM_AT(-1)}, NULL,
     MACHINE_SHIFTING, 0, 500, 0},
    {"no endpoint yet", MACHINE_SCALING, MACHINE_SCALING, 0, 0, 0,
     {.confirmed = true, .stable_available = 1, .verdict_stage = -1}, NULL, MACHINE_SCALING, 0, 0,
     0},
    {"confirmed", MACHINE_SHIFTING, MACHINE_SHIFTING, 0, 0, 500, {CALM_AT(0)}, NULL,
     MACHINE_ANALYZING, 0, 500, 0},
    {"not confirmed", MACHINE_SHIFTING, MACHINE_SHIFTING, 0, 0, 500,
     {.stable_available = 1, .canary_available = 1}, NULL, MACHINE_SHIFTING, 0, 500, 0},
    {"passes", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500, {CALM, .verdict = JUDGE_PROMOTE},
     NULL, MACHINE_SCALING, MACHINE_CAUSE_VERDICT, 500, 1},
    {"the last step passes", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_PROMOTE}, NULL, MACHINE_PROMOTING, MACHINE_CAUSE_VERDICT, 5000,
     2},
    {"to the bake's weight", MACHINE_PROMOTING, MACHINE_PROMOTING, MACHINE_CAUSE_VERDICT, 2, 5000,
     {CALM_AT(1)}, NULL, MACHINE_PROMOTING, MACHINE_CAUSE_VERDICT, 9900, 2},
    {"at the bake's weight", MACHINE_PROMOTING, MACHINE_PROMOTING, MACHINE_CAUSE_VERDICT, 2, 9900,
     {CALM_AT(2)}, NULL, MACHINE_BAKING, MACHINE_CAUSE_VERDICT, 9900, 2},
    {"the bake passes", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_PROMOTE}, NULL, MACHINE_FINALIZING, MACHINE_CAUSE_VERDICT, 10000,
     2},
    {"100 % everywhere", MACHINE_FINALIZING, MACHINE_FINALIZING, MACHINE_CAUSE_VERDICT, 2, 10000,
     {CALM_AT(2)}, NULL, MACHINE_COMPLETED, MACHINE_CAUSE_VERDICT, 10000, 2},
    {"done", MACHINE_COMPLETED, MACHINE_COMPLETED, MACHINE_CAUSE_VERDICT, 2, 10000, {CALM_AT(2)},
     NULL, MACHINE_STABLE, MACHINE_CAUSE_VERDICT, 0, 2},
    /* not yet */
    {"younger than hold", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_PROMOTE}, to_young, MACHINE_ANALYZING, 0, 500, 0},
    {"under min_requests", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_PROMOTE}, to_few, MACHINE_ANALYZING, 0, 500, 0},
    {"not on every worker", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {.stable_available = 1, .canary_available = 1, .verdict = JUDGE_PROMOTE}, NULL,
     MACHINE_ANALYZING, 0, 500, 0},
    {"a verdict on the step before", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000,
     {CALM_AT(0), .verdict = JUDGE_PROMOTE}, NULL, MACHINE_ANALYZING, 0, 5000, 1},
    {"low evidence on the step before", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000,
     {CALM_AT(0), .verdict = JUDGE_HOLD, .low_evidence = true}, to_low_hold, MACHINE_ANALYZING, 0,
     5000, 1},
    {"young bake", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_PROMOTE}, to_young, MACHINE_BAKING, 0, 9900, 2},
    /* a person decides */
    {"pause step", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_PROMOTE}, to_pause_step, MACHINE_PAUSED, MACHINE_CAUSE_STEP_PAUSE, 500,
     0},
    {"paused stays", MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_OPERATOR, 0, 500,
     {CALM, .verdict = JUDGE_PROMOTE}, NULL, MACHINE_PAUSED, MACHINE_CAUSE_OPERATOR, 500, 0},
    {"nobody came", MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_OPERATOR, 0, 500, {CALM_AT(0)},
     to_long_pause, MACHINE_ABORTING, MACHINE_CAUSE_MAX_PAUSE, 0, 0},
    /* low evidence */
    {"advance", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_PROMOTE, .low_evidence = true}, NULL, MACHINE_SCALING,
     MACHINE_CAUSE_LOW_EVIDENCE, 500, 1},
    {"hold", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_HOLD, .low_evidence = true}, to_low_hold, MACHINE_HOLDING,
     MACHINE_CAUSE_LOW_EVIDENCE, 500, 0},
    {"pause", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_HOLD, .low_evidence = true}, to_low_pause, MACHINE_PAUSED,
     MACHINE_CAUSE_LOW_EVIDENCE, 500, 0},
    {"abort", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_HOLD, .low_evidence = true}, to_low_abort, MACHINE_ABORTING,
     MACHINE_CAUSE_LOW_EVIDENCE, 0, 0},
    {"no data is not low evidence", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_HOLD, .low_evidence = true}, to_none_low_abort, MACHINE_HOLDING,
     MACHINE_CAUSE_NO_DATA, 500, 0},
    {"no data never widens", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_PROMOTE, .low_evidence = true}, to_none, MACHINE_HOLDING,
     MACHINE_CAUSE_NO_DATA, 500, 0},
    {"no data never bakes", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_PROMOTE}, to_none, MACHINE_HOLDING, MACHINE_CAUSE_NO_DATA, 9900,
     2},
    /* hold */
    {"suspicious", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500, {CALM, .verdict = JUDGE_HOLD},
     NULL, MACHINE_HOLDING, MACHINE_CAUSE_SUSPICIOUS, 500, 0},
    {"incident", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .verdict = JUDGE_HOLD, .incident = true}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_INCIDENT,
     500, 0},
    {"an incident does not run into max_hold", MACHINE_HOLDING, MACHINE_ANALYZING,
     MACHINE_CAUSE_INCIDENT, 0, 500,
     {CALM, .verdict = JUDGE_HOLD, .incident = true, .low_evidence = true}, to_low_abort,
     MACHINE_HOLDING, MACHINE_CAUSE_INCIDENT, 500, 0},
    {"suspicious before the next weight", MACHINE_SCALING, MACHINE_SCALING, 0, 0, 500,
     {CALM, .verdict = JUDGE_HOLD}, to_next_step, MACHINE_HOLDING, MACHINE_CAUSE_SUSPICIOUS, 500,
     1},
    {"cleared", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_SUSPICIOUS, 0, 500, {CALM_AT(0)},
     NULL, MACHINE_ANALYZING, 0, 500, 0},
    {"another reason", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_SUSPICIOUS, 0, 500,
     {.confirmed = true, .stable_available = 1}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_NO_ENDPOINT,
     500, 0},
    {"no endpoint", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {.confirmed = true, .stable_available = 1}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_NO_ENDPOINT,
     500, 0},
    {"no endpoint while shifting", MACHINE_SHIFTING, MACHINE_SHIFTING, 0, 0, 500,
     {.confirmed = true, .stable_available = 1}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_NO_ENDPOINT,
     500, 0},
    {"unwritable", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500,
     {CALM, .unwritable = true, .verdict = JUDGE_PROMOTE}, NULL, MACHINE_HOLDING,
     MACHINE_CAUSE_UNWRITABLE, 500, 0},
    {"unwritable before the start", MACHINE_PENDING, MACHINE_PENDING, 0, 0, 0,
     {CALM, .unwritable = true}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_UNWRITABLE, 0, 0},
    {"written again", MACHINE_HOLDING, MACHINE_PENDING, MACHINE_CAUSE_UNWRITABLE, 0, 0, {CALM},
     NULL, MACHINE_PENDING, 0, 0, 0},
    /* brake and breaker */
    {"brake", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000, {CALM_AT(1), .verdict = JUDGE_BRAKE},
     NULL, MACHINE_HOLDING, MACHINE_CAUSE_BRAKE, 500, 1},
    {"brake in the bake", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_BRAKE}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_BRAKE, 500, 2},
    {"brake while paused", MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_OPERATOR, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_BRAKE}, NULL, MACHINE_PAUSED, MACHINE_CAUSE_OPERATOR, 500, 1},
    {"brake gives up a step not confirmed", MACHINE_SHIFTING, MACHINE_SHIFTING, 0, 0, 5000,
     {CALM_AT(0), .verdict = JUDGE_BRAKE}, to_next_step, MACHINE_HOLDING, MACHINE_CAUSE_BRAKE, 500,
     0},
    {"brake over", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_BRAKE, 1, 500, {CALM_AT(1)},
     NULL, MACHINE_SCALING, 0, 500, 1},
    {"brake over in the bake", MACHINE_HOLDING, MACHINE_BAKING, MACHINE_CAUSE_BRAKE, 2, 500,
     {CALM_AT(2)}, NULL, MACHINE_PROMOTING, 0, 500, 2},
    {"suspicious after the brake", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_BRAKE, 1, 500,
     {CALM_AT(1), .verdict = JUDGE_HOLD}, NULL, MACHINE_HOLDING, MACHINE_CAUSE_SUSPICIOUS, 500, 1},
    {"breaker", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000, {CALM_AT(1), .breaker_open = true},
     NULL, MACHINE_HOLDING, MACHINE_CAUSE_BREAKER, 500, 1},
    {"breaker before any weight", MACHINE_SCALING, MACHINE_SCALING, 0, 0, 0,
     {CALM_AT(0), .breaker_open = true}, NULL, MACHINE_SHIFTING, 0, 500, 0},
    {"first failed trial", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_BREAKER, 1, 500,
     {CALM_AT(1), .breaker_open = true, .failed_trickles = 1}, NULL, MACHINE_HOLDING,
     MACHINE_CAUSE_BREAKER, 500, 1},
    {"second failed trial", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_BREAKER, 1, 500,
     {CALM_AT(1), .breaker_open = true, .failed_trickles = 2}, NULL, MACHINE_ABORTING,
     MACHINE_CAUSE_CRITICAL, 0, 1},
    {"second failed trial in an incident", MACHINE_HOLDING, MACHINE_ANALYZING,
     MACHINE_CAUSE_BREAKER, 1, 500,
     {CALM_AT(1), .breaker_open = true, .failed_trickles = 2, .incident = true}, NULL,
     MACHINE_HOLDING, MACHINE_CAUSE_BREAKER, 500, 1},
    {"second failed trial without stable", MACHINE_HOLDING, MACHINE_ANALYZING,
     MACHINE_CAUSE_BREAKER, 1, 500,
     {.confirmed = true, .canary_available = 1, .verdict_stage = 1, .breaker_open = true,
      .failed_trickles = 2},
     NULL, MACHINE_HOLDING, MACHINE_CAUSE_BREAKER, 500, 1},
    /* revert, in every state that gives the canary users */
    {"revert", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_REVERT}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 1},
    {"revert while shifting", MACHINE_SHIFTING, MACHINE_SHIFTING, 0, 0, 500,
     {CALM_AT(0), .verdict = JUDGE_REVERT}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 0},
    {"revert while scaling", MACHINE_SCALING, MACHINE_SCALING, 0, 0, 500,
     {CALM_AT(0), .verdict = JUDGE_REVERT}, to_next_step, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0,
     1},
    {"revert while paused", MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_OPERATOR, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_REVERT}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 1},
    {"revert while holding", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_INCIDENT, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_REVERT}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 1},
    {"revert while promoting", MACHINE_PROMOTING, MACHINE_PROMOTING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_REVERT}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 2},
    {"revert while baking", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_REVERT}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 2},
    {"revert with a full disk", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_REVERT, .unwritable = true}, NULL, MACHINE_ABORTING,
     MACHINE_CAUSE_FAILED, 0, 1},
    {"revert stands over --full", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_REVERT}, to_full, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 2},
    {"revert of a failed promotion", MACHINE_FAILED_PROMOTION, MACHINE_FAILED_PROMOTION, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_REVERT}, NULL, MACHINE_RESTORING, MACHINE_CAUSE_FAILED, 0, 2},
    {"revert, on_failure: pause", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 1, 5000,
     {CALM_AT(1), .verdict = JUDGE_REVERT}, to_on_failure_pause, MACHINE_PAUSED,
     MACHINE_CAUSE_FAILED, 0, 1},
    {"revert while paused, on_failure: pause", MACHINE_PAUSED, MACHINE_ANALYZING,
     MACHINE_CAUSE_OPERATOR, 1, 5000, {CALM_AT(1), .verdict = JUDGE_REVERT}, to_on_failure_pause,
     MACHINE_PAUSED, MACHINE_CAUSE_FAILED, 0, 1},
    {"too late at 100 %", MACHINE_FINALIZING, MACHINE_FINALIZING, 0, 2, 10000,
     {.stable_available = 1, .canary_available = 1, .verdict = JUDGE_REVERT}, NULL,
     MACHINE_FINALIZING, 0, 10000, 2},
    /* deadlines */
    {"no endpoint in time", MACHINE_SCALING, MACHINE_SCALING, 0, 0, 0,
     {.confirmed = true, .stable_available = 1}, to_late, MACHINE_ABORTING, MACHINE_CAUSE_DEADLINE,
     0, 0},
    {"not confirmed in time", MACHINE_SHIFTING, MACHINE_SHIFTING, 0, 0, 500,
     {.stable_available = 1, .canary_available = 1}, to_late, MACHINE_ABORTING,
     MACHINE_CAUSE_DEADLINE, 0, 0},
    {"not back in time", MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_NO_ENDPOINT, 0, 500,
     {.confirmed = true, .stable_available = 1}, to_late, MACHINE_ABORTING, MACHINE_CAUSE_DEADLINE,
     0, 0},
    /* the end */
    {"weight 0 everywhere", MACHINE_ABORTING, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 0,
     {CALM_AT(0)}, NULL, MACHINE_RESTORING, MACHINE_CAUSE_FAILED, 0, 0},
    {"weight 0 not everywhere", MACHINE_ABORTING, MACHINE_ABORTING, MACHINE_CAUSE_FAILED, 0, 0,
     {.stable_available = 1, .canary_available = 1}, NULL, MACHINE_ABORTING, MACHINE_CAUSE_FAILED,
     0, 0},
    {"restored", MACHINE_RESTORING, MACHINE_RESTORING, MACHINE_CAUSE_FAILED, 0, 0, {CALM_AT(0)},
     NULL, MACHINE_ABORTED, MACHINE_CAUSE_FAILED, 0, 0},
    {"stable is not back", MACHINE_RESTORING, MACHINE_RESTORING, MACHINE_CAUSE_FAILED, 0, 0,
     {.confirmed = true}, NULL, MACHINE_RESTORING, MACHINE_CAUSE_FAILED, 0, 0},
    {"stable is not back in time", MACHINE_RESTORING, MACHINE_RESTORING, MACHINE_CAUSE_FAILED, 0, 0,
     {.confirmed = true}, to_late, MACHINE_ABORTED, MACHINE_CAUSE_FAILED, 0, 0},
    {"stable is not back, but another pair is", MACHINE_RESTORING, MACHINE_RESTORING,
     MACHINE_CAUSE_NEW_VERSION, 0, 0, {.confirmed = true}, to_then_stable, MACHINE_ABORTED,
     MACHINE_CAUSE_NEW_VERSION, 0, 0},
    {"another pair, not confirmed", MACHINE_RESTORING, MACHINE_RESTORING, MACHINE_CAUSE_NEW_VERSION,
     0, 0, {.stable_available = 0}, to_then_stable, MACHINE_RESTORING, MACHINE_CAUSE_NEW_VERSION, 0,
     0},
    {"dropped by the file", MACHINE_ABORTED, MACHINE_ABORTED, MACHINE_CAUSE_DROPPED, 0, 0,
     {CALM_AT(0)}, to_then_stable, MACHINE_STABLE, MACHINE_CAUSE_DROPPED, 0, 0},
    /* promotion */
    {"stable lost", MACHINE_PROMOTING, MACHINE_PROMOTING, 0, 2, 9900,
     {.canary_available = 1, .verdict_stage = 2}, NULL, MACHINE_FAILED_PROMOTION,
     MACHINE_CAUSE_STABLE_LOST, 9900, 2},
    {"stable back", MACHINE_FAILED_PROMOTION, MACHINE_FAILED_PROMOTION, MACHINE_CAUSE_STABLE_LOST,
     2, 9900, {CALM_AT(2)}, NULL, MACHINE_PROMOTING, 0, 9900, 2},
    {"stable not back", MACHINE_FAILED_PROMOTION, MACHINE_FAILED_PROMOTION,
     MACHINE_CAUSE_STABLE_LOST, 2, 9900, {.confirmed = true, .canary_available = 1}, NULL,
     MACHINE_FAILED_PROMOTION, MACHINE_CAUSE_STABLE_LOST, 9900, 2},
    {"stable lost, and a person promoted", MACHINE_PROMOTING, MACHINE_PROMOTING, 0, 2, 9900,
     {.confirmed = true, .canary_available = 1, .verdict_stage = 2}, to_full, MACHINE_BAKING, 0,
     9900, 2},
    {"stable lost in an undo", MACHINE_PROMOTING, MACHINE_PROMOTING, 0, 2, 9900,
     {.confirmed = true, .canary_available = 1, .verdict_stage = 2}, to_direct, MACHINE_BAKING, 0,
     9900, 2},
    {"an undo that failed goes on", MACHINE_FAILED_PROMOTION, MACHINE_FAILED_PROMOTION,
     MACHINE_CAUSE_STABLE_LOST, 2, 9900, {.canary_available = 1}, to_direct, MACHINE_PROMOTING, 0,
     9900, 2},
    /* overrides */
    {"--full skips the steps", MACHINE_ANALYZING, MACHINE_ANALYZING, 0, 0, 500, {CALM}, to_full,
     MACHINE_PROMOTING, MACHINE_CAUSE_OPERATOR, 500, 2},
    {"--full skips the bake", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_HOLD, .incident = true}, to_full, MACHINE_FINALIZING,
     MACHINE_CAUSE_OPERATOR, 10000, 2},
    {"--full does not skip the brake", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_BRAKE}, to_full, MACHINE_HOLDING, MACHINE_CAUSE_BRAKE, 500, 2},
    {"an undo asks no proof", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_HOLD, .incident = true}, to_direct, MACHINE_FINALIZING,
     MACHINE_CAUSE_OPERATOR, 10000, 2},
    {"an undo still suspects", MACHINE_BAKING, MACHINE_BAKING, 0, 2, 9900,
     {CALM_AT(2), .verdict = JUDGE_HOLD}, to_direct, MACHINE_HOLDING, MACHINE_CAUSE_SUSPICIOUS,
     9900, 2},
};

/* clang-format on */

static void test_ticks(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct row *row = &rows[i];
        struct plan p = plan_for_tests();
        struct machine m = machine_in(row->from, row->step, row->weight_bp);
        struct machine_move move;
        struct why why;
        m.left = row->left;
        m.cause = row->cause;
        if (row->change)
            row->change(&m, &p);
        struct machine before = m;
        bool moved = machine_step(&m, &p, &row->in, &move);
        if (m.state != row->to || m.cause != row->to_cause || m.weight_bp != row->to_weight_bp ||
            m.step != row->to_step)
            fail_msg("%s: %s %s weight %u step %u, want %s %s %u %u", row->what,
                     machine_state_name(m.state), machine_cause_name(m.cause), m.weight_bp, m.step,
                     machine_state_name(row->to), machine_cause_name(row->to_cause),
                     row->to_weight_bp, row->to_step);
        bool changed =
            m.state != before.state || m.cause != before.cause || m.weight_bp != before.weight_bp;
        if (moved != changed || move.from != before.state || move.to != m.state ||
            move.weight_from_bp != before.weight_bp || move.weight_to_bp != m.weight_bp)
            fail_msg("%s: the move does not say what changed", row->what);
        if (machine_check(&m, &p, &why) != OK)
            fail_msg("%s: %s", row->what, why.text);
    }
}

/* Confirming begins the counts; the judge's stage changes only with the step. */
static void test_confirming(void **state)
{
    (void)state;
    struct plan p = plan_for_tests();
    struct machine_move move;
    struct machine m = machine_in(MACHINE_SHIFTING, 0, 5000);
    m.step = 1;
    m.progress_ms = 7;
    assert_true(machine_step(&m, &p, &calm, &move));
    assert_int_equal(m.stage, 1);
    assert_int_equal(m.stage_ms, 0);
    assert_int_equal(m.steady_ms, 0);
    assert_int_equal(m.progress_ms, 0);
    assert_int_equal(machine_stage_requests(&m), 0);
    assert_int_equal(machine_steady_requests(&m), 0);
    assert_int_equal(m.confirmed_bp, 5000);

    m = machine_in(MACHINE_SHIFTING, 1, 5000); /* the same step again, after a brake */
    assert_true(machine_step(&m, &p, &calm, &move));
    assert_int_equal(m.stage_ms, 50000);
    assert_int_equal(m.steady_ms, 0);
    assert_int_equal(machine_stage_requests(&m), 1000);
    assert_int_equal(machine_steady_requests(&m), 0);
}

static void test_clocks(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        enum machine_state state;
        struct machine_input in;
        int64_t stage_ms, steady_ms, progress_ms;
    } clocks[] = {
        {"analyzing", MACHINE_ANALYZING, {CALM}, 51000, 51000, 0},
        {"holding", MACHINE_HOLDING, {CALM}, 51000, 51000, 5000},
        {"paused", MACHINE_PAUSED, {CALM}, 50000, 50000, 5000},
        {"breaker open", MACHINE_HOLDING, {CALM, .breaker_open = true}, 50000, 51000, 5000},
        {"scaling", MACHINE_SCALING, {CALM}, 51000, 51000, 6000},
        {"shifting", MACHINE_SHIFTING, {CALM}, 51000, 51000, 6000},
        {"holding without an endpoint", MACHINE_HOLDING, {.confirmed = true}, 51000, 51000, 6000},
        {"paused without an endpoint", MACHINE_PAUSED, {.confirmed = true}, 50000, 50000, 5000},
    };
    for (size_t i = 0; i < ARRAY_LEN(clocks); i++) {
        struct machine m = machine_in(clocks[i].state, 1, 5000);
        m.progress_ms = 5000;
        machine_advance(&m, &clocks[i].in, 1000);
        if (m.stage_ms != clocks[i].stage_ms || m.steady_ms != clocks[i].steady_ms ||
            m.progress_ms != clocks[i].progress_ms || m.state_ms != 1000 || m.elapsed_ms != 1000)
            fail_msg("%s: stage %lld steady %lld progress %lld", clocks[i].what,
                     (long long)m.stage_ms, (long long)m.steady_ms, (long long)m.progress_ms);
    }
    struct machine idle = machine_in(MACHINE_STABLE, 0, 0);
    machine_advance(&idle, &calm, 1000);
    assert_int_equal(idle.elapsed_ms, 0);
}

static void test_resume_after_a_restart(void **state)
{
    (void)state;
    struct machine m = machine_in(MACHINE_ANALYZING, 1, 5000);
    machine_resume(&m, 3600000);
    assert_int_equal(m.elapsed_ms, 3600000);
    assert_int_equal(m.stage_ms, 60000); /* ten seconds of it: nobody watched the rest */
    assert_int_equal(m.steady_ms, 50000);
    m = machine_in(MACHINE_PAUSED, 1, 5000);
    machine_resume(&m, 3600000);
    assert_int_equal(m.state_ms, 3600000);
    assert_int_equal(m.stage_ms, 50000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ticks),
        cmocka_unit_test(test_confirming),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_resume_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
