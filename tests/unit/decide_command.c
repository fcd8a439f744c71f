/* Verbs of people and of the file, in every state.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "decide_machine.h"

/* Verbs in every state: C = conflict, otherwise the state after it. */
struct verb_row {
    enum machine_state state, left;
    enum machine_cause cause;
    int pause, resume, promote, full, abort;
};

#define C (-1)

/* clang-format off */
static const struct verb_row verbs[] = {
    {MACHINE_STABLE, MACHINE_STABLE, 0, C, C, C, C, C},
    {MACHINE_PENDING, MACHINE_PENDING, 0, MACHINE_PAUSED, C, C, MACHINE_PENDING, MACHINE_ABORTING},
    {MACHINE_SCALING, MACHINE_SCALING, 0, MACHINE_PAUSED, C, C, MACHINE_SCALING, MACHINE_ABORTING},
    {MACHINE_SHIFTING, MACHINE_SHIFTING, 0, MACHINE_PAUSED, C, C, MACHINE_SHIFTING,
     MACHINE_ABORTING},
    {MACHINE_ANALYZING, MACHINE_ANALYZING, 0, MACHINE_PAUSED, C, MACHINE_SCALING, MACHINE_PROMOTING,
     MACHINE_ABORTING},
    {MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_NO_DATA, MACHINE_PAUSED, C, MACHINE_SCALING,
     MACHINE_PROMOTING, MACHINE_ABORTING},
    {MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_BREAKER, MACHINE_PAUSED, C, C, C,
     MACHINE_ABORTING},
    {MACHINE_HOLDING, MACHINE_ANALYZING, MACHINE_CAUSE_BRAKE, MACHINE_PAUSED, C, C, C,
     MACHINE_ABORTING},
    {MACHINE_HOLDING, MACHINE_SCALING, MACHINE_CAUSE_UNWRITABLE, MACHINE_PAUSED, C, C,
     MACHINE_SCALING, MACHINE_ABORTING},
    {MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_OPERATOR, MACHINE_PAUSED, MACHINE_ANALYZING,
     MACHINE_SCALING, MACHINE_PROMOTING, MACHINE_ABORTING},
    {MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_STEP_PAUSE, MACHINE_PAUSED, C,
     MACHINE_SCALING, MACHINE_PROMOTING, MACHINE_ABORTING},
    {MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_LOW_EVIDENCE, MACHINE_PAUSED,
     MACHINE_ANALYZING, MACHINE_SCALING, MACHINE_PROMOTING, MACHINE_ABORTING},
    {MACHINE_PAUSED, MACHINE_ANALYZING, MACHINE_CAUSE_FAILED, MACHINE_PAUSED, C, C, C,
     MACHINE_ABORTING},
    {MACHINE_PAUSED, MACHINE_PENDING, MACHINE_CAUSE_OPERATOR, MACHINE_PAUSED, MACHINE_PENDING, C,
     MACHINE_PENDING, MACHINE_ABORTING},
    {MACHINE_PROMOTING, MACHINE_PROMOTING, 0, MACHINE_PAUSED, C, C, MACHINE_PROMOTING,
     MACHINE_ABORTING},
    {MACHINE_BAKING, MACHINE_BAKING, 0, MACHINE_PAUSED, C, MACHINE_BAKING, MACHINE_BAKING,
     MACHINE_ABORTING},
    {MACHINE_FINALIZING, MACHINE_FINALIZING, 0, C, C, C, C, C},
    {MACHINE_COMPLETED, MACHINE_COMPLETED, 0, C, C, C, C, C},
    {MACHINE_ABORTING, MACHINE_ABORTING, 0, C, C, C, C, MACHINE_ABORTING},
    {MACHINE_RESTORING, MACHINE_RESTORING, 0, C, C, C, C, MACHINE_RESTORING},
    {MACHINE_ABORTED, MACHINE_ABORTED, 0, C, C, C, C, MACHINE_ABORTED},
    {MACHINE_FAILED_PROMOTION, MACHINE_FAILED_PROMOTION, 0, C, C, MACHINE_PROMOTING,
     MACHINE_PROMOTING, MACHINE_RESTORING},
};

/* clang-format on */

static uint32_t weight_in(enum machine_state state, enum machine_state left,
                          enum machine_cause cause)
{
    enum machine_state where = state == MACHINE_HOLDING || state == MACHINE_PAUSED ? left : state;
    if (cause == MACHINE_CAUSE_FAILED || where == MACHINE_STABLE || where == MACHINE_PENDING ||
        where == MACHINE_ABORTING || where == MACHINE_RESTORING || where == MACHINE_ABORTED)
        return 0;
    return where == MACHINE_FINALIZING || where == MACHINE_COMPLETED ? 10000 : 500;
}

static void check_verb(const struct verb_row *row, enum rollout_verb verb, int want)
{
    struct plan p = plan_for_tests();
    bool bakes = row->left == MACHINE_PROMOTING || row->left == MACHINE_BAKING ||
                 row->left == MACHINE_FAILED_PROMOTION;
    struct machine m = machine_in(row->state, bakes ? 2 : 0,
                                  bakes ? 9900 : weight_in(row->state, row->left, row->cause));
    struct why why = {""};
    m.left = row->left;
    m.cause = row->cause;
    struct machine before = m;
    enum err e = machine_command(&m, &p, verb, &why);
    int got = e == OK ? (int)m.state : C;
    if (got != want)
        fail_msg("%s in %s (%s): %s, want %s", rollout_verb_name(verb),
                 machine_state_name(row->state), machine_cause_name(row->cause),
                 got == C ? why.text : machine_state_name(m.state),
                 want == C ? "conflict" : machine_state_name((enum machine_state)want));
    if (e != OK) {
        assert_int_equal(e, ERR_CONFLICT);
        assert_memory_equal(&m, &before, sizeof m);
        assert_true(why.text[0] != '\0');
    } else {
        assert_int_equal(machine_check(&m, &p, &why), OK);
    }
}

static void test_verbs(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        check_verb(&verbs[i], ROLLOUT_PAUSE, verbs[i].pause);
        check_verb(&verbs[i], ROLLOUT_RESUME, verbs[i].resume);
        check_verb(&verbs[i], ROLLOUT_PROMOTE, verbs[i].promote);
        check_verb(&verbs[i], ROLLOUT_PROMOTE_FULL, verbs[i].full);
        check_verb(&verbs[i], ROLLOUT_ABORT, verbs[i].abort);
    }
}

/* An abort takes the weight away at once, wherever it is legal. */
static void test_abort_is_weight_zero(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        struct plan p = plan_for_tests();
        struct machine m = machine_in(verbs[i].state, 1, 5000);
        m.left = verbs[i].left;
        m.cause = verbs[i].cause;
        if (verbs[i].abort == C)
            continue;
        if (machine_command(&m, &p, ROLLOUT_ABORT, NULL) != OK)
            fail_msg("abort in %s", machine_state_name(verbs[i].state));
        if (m.state == MACHINE_ABORTING && verbs[i].state != MACHINE_ABORTING)
            assert_int_equal(m.weight_bp, 0);
    }
}

static void test_resume_of_low_evidence_looks_again(void **state)
{
    (void)state;
    struct plan p = plan_for_tests();
    struct machine m = machine_in(MACHINE_PAUSED, 0, 500);
    m.left = MACHINE_ANALYZING;
    m.cause = MACHINE_CAUSE_LOW_EVIDENCE;
    assert_int_equal(machine_command(&m, &p, ROLLOUT_RESUME, NULL), OK);
    assert_int_equal(m.stage_ms, 0);
}

static void test_begin(void **state)
{
    (void)state;
    struct plan p = plan_for_tests();
    struct machine m;
    machine_init(&m);
    machine_begin(&m, &p, false, false);
    assert_int_equal(m.state, MACHINE_PENDING);
    assert_int_equal(m.step, 0);
    assert_int_equal(m.stage, -1);

    m = machine_in(MACHINE_ABORTED, 1, 0);
    m.full = m.then_stable = true;
    machine_begin(&m, &p, true, false);
    assert_int_equal(m.state, MACHINE_PENDING);
    assert_int_equal(m.step, 2); /* the bake */
    assert_true(m.direct);
    assert_false(m.full || m.then_stable);
    assert_int_equal(m.counts.canary.requests, 0);

    m = machine_in(MACHINE_PAUSED, 1, 0);
    m.left = MACHINE_ANALYZING;
    m.cause = MACHINE_CAUSE_FAILED;
    machine_begin(&m, &p, false, false);
    assert_int_equal(m.state, MACHINE_SCALING);
    assert_int_equal(m.step, 0);
}

/* An undo gets to the bake without a step of its own. */
static void test_undo_path(void **state)
{
    (void)state;
    static const enum machine_state path[] = {MACHINE_SCALING, MACHINE_SHIFTING, MACHINE_ANALYZING,
                                              MACHINE_PROMOTING, MACHINE_BAKING};
    struct plan p = plan_for_tests();
    struct machine m;
    struct machine_move move;
    machine_init(&m);
    machine_begin(&m, &p, true, false);
    for (size_t i = 0; i < ARRAY_LEN(path); i++) {
        assert_true(machine_step(&m, &p, &calm, &move));
        assert_int_equal(m.state, path[i]);
    }
    assert_false(machine_step(&m, &p, &calm, &move));
    machine_advance(&m, &calm, p.bake_ms);
    assert_true(machine_step(&m, &p, &calm, &move));
    assert_int_equal(m.state, MACHINE_FINALIZING);
}

static void test_abort_for_good(void **state)
{
    (void)state;
    struct plan p = plan_for_tests();
    struct machine_move move;
    struct machine m = machine_in(MACHINE_PENDING, 0, 0);
    assert_int_equal(machine_abort(&m, MACHINE_CAUSE_DROPPED, true, NULL), OK);
    assert_int_equal(m.state, MACHINE_STABLE);

    m = machine_in(MACHINE_ANALYZING, 1, 5000);
    assert_int_equal(machine_abort(&m, MACHINE_CAUSE_NEW_VERSION, true, NULL), OK);
    while (machine_step(&m, &p, &calm, &move))
        continue;
    assert_int_equal(m.state, MACHINE_STABLE);
    assert_int_equal(m.cause, MACHINE_CAUSE_NEW_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_verbs),
        cmocka_unit_test(test_abort_is_weight_zero),
        cmocka_unit_test(test_resume_of_low_evidence_looks_again),
        cmocka_unit_test(test_begin),
        cmocka_unit_test(test_undo_path),
        cmocka_unit_test(test_abort_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
