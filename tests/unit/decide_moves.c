/* The table of moves against the rulings, and what a machine may not be.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "decide_machine.h"

#define BIT(state) (1u << MACHINE_##state)

/* What is left of a stable whose workload is gone, in any state that has sent somebody to the canary. */
#define LOST BIT(FAILED_PROMOTION)

/* The rulings' table again, written down independently of the source. */
static const struct {
    enum machine_state from;
    uint32_t to;
} ruled[] = {
    {MACHINE_STABLE, BIT(PENDING)},
    {MACHINE_PENDING, BIT(SCALING) | BIT(HOLDING) | BIT(PAUSED) | BIT(ABORTING) | BIT(STABLE)},
    {MACHINE_SCALING, BIT(SHIFTING) | BIT(HOLDING) | BIT(PAUSED) | BIT(ABORTING) | LOST},
    {MACHINE_SHIFTING, BIT(ANALYZING) | BIT(HOLDING) | BIT(PAUSED) | BIT(ABORTING) | LOST},
    {MACHINE_ANALYZING,
     BIT(SCALING) | BIT(HOLDING) | BIT(PAUSED) | BIT(PROMOTING) | BIT(ABORTING) | LOST},
    {MACHINE_HOLDING, BIT(SCALING) | BIT(PROMOTING) | BIT(PAUSED) | BIT(ABORTING) | LOST},
    {MACHINE_PAUSED, BIT(SCALING) | BIT(PROMOTING) | BIT(ABORTING) | LOST},
    {MACHINE_PROMOTING,
     BIT(BAKING) | BIT(HOLDING) | BIT(PAUSED) | BIT(FAILED_PROMOTION) | BIT(ABORTING)},
    {MACHINE_BAKING, BIT(FINALIZING) | BIT(HOLDING) | BIT(PAUSED) | BIT(ABORTING) | LOST},
    {MACHINE_FINALIZING, BIT(COMPLETED)},
    {MACHINE_COMPLETED, BIT(STABLE)},
    {MACHINE_ABORTING, BIT(RESTORING)},
    {MACHINE_RESTORING, BIT(ABORTED)},
    {MACHINE_ABORTED, BIT(PENDING) | BIT(STABLE)},
    {MACHINE_FAILED_PROMOTION, BIT(PROMOTING) | BIT(RESTORING)},
};

static void test_moves_are_those_of_the_rulings(void **state)
{
    (void)state;
    assert_int_equal(ARRAY_LEN(ruled), MACHINE_STATE_COUNT);
    for (size_t i = 0; i < ARRAY_LEN(ruled); i++)
        for (unsigned to = 0; to < MACHINE_STATE_COUNT; to++)
            for (unsigned left = 0; left < MACHINE_STATE_COUNT; left++) {
                bool stands_in =
                    ruled[i].from == MACHINE_HOLDING || ruled[i].from == MACHINE_PAUSED;
                bool want = (ruled[i].to >> to & 1u) || (stands_in && left == to);
                if (machine_may_move(ruled[i].from, left, to) != want)
                    fail_msg("%s (%s) -> %s", machine_state_name(ruled[i].from),
                             machine_state_name(left), machine_state_name(to));
            }
}

static void test_check_refuses(void **state)
{
    (void)state;
    struct plan p = plan_for_tests();
    struct why why;
    struct machine good = machine_in(MACHINE_ANALYZING, 1, 5000), m = good;
    assert_int_equal(machine_check(&m, &p, &why), OK);
    m.weight_bp = 5001;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = good, m.step = 3;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = good, m.stage = 3;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = good, m.stage = 0;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = good, m.left = MACHINE_SCALING;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = good, m.at_stage.canary.requests = 1001;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = machine_in(MACHINE_PAUSED, 1, 0), m.left = MACHINE_STABLE;
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = machine_in(MACHINE_ABORTED, 1, 1);
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
    m = machine_in(MACHINE_PAUSED, 1, 500), m.left = MACHINE_ANALYZING;
    m.cause = MACHINE_CAUSE_FAILED; /* proven bad: nobody */
    assert_int_equal(machine_check(&m, &p, &why), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moves_are_those_of_the_rulings),
        cmocka_unit_test(test_check_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
