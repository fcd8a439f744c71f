/* How long a rollout has been held, and since when its canary has failed: over flapping reasons and
 * restarts. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout/inside.h"
#include "rollout_fixture.h"

/* Running at the only step, which lasts. */
static int start(void **state)
{
    struct why why;
    (void)before_each(state);
    plan_default(&plan);
    plan.n_steps = 2;
    plan.steps[0].weight_bp = 1000;
    plan.steps[1].weight_bp = 10000;
    plan.hold_ms = 100000;
    plan.min_requests = 1000000000; /* nothing widens */
    plan.max_hold_ms = 100000;
    come_up("v2");
    return rollout_command(rollout, ROLLOUT_START, "tester", &why) == OK ? 0 : -1;
}

/* Seconds until the alert while the breaker is open for one half of a period and closed for the
 * other; at most. */
static int seconds_to_alert(int half, int at_most)
{
    int seconds = 0;
    for (; seconds < at_most && !rollout->hold_alerted; seconds++) {
        bool open = seconds / half % 2 == 0;
        world.breaker = open ? ROLLOUT_BREAKER_OPEN : ROLLOUT_BREAKER_CLOSED;
        pass(1);
    }
    return seconds;
}

static void test_flapping_is_told(void **state)
{
    (void)state;
    pass(10);
    int seconds = seconds_to_alert(4, 600);
    assert_in_range(seconds, 101, 250);
}

static void test_one_long_hold_is_told_once(void **state)
{
    (void)state;
    pass(10);
    assert_in_range(seconds_to_alert(1000, 600), 100, 102);
    unsigned told = world_event_count(&world, "RolloutHeld");
    pass(200);
    assert_int_equal(world_event_count(&world, "RolloutHeld"), told);
}

/* What is calm for long enough begins anew. */
static void test_calm_in_between_is_no_hold(void **state)
{
    (void)state;
    pass(10);
    assert_int_equal(seconds_to_alert(60, 200), 200);
}

static void test_first_failure_outlives_a_restart(void **state)
{
    (void)state;
    struct rollout_metrics m;
    pass(10);
    world_version(&world, "v2")->error_rate = 0.01;
    pass(1);
    world_version(&world, "v2")->error_rate = 0;
    pass(59);
    rollout_close(rollout);
    come_up("v2");
    pass(5);
    world_version(&world, "v2")->error_rate = 0.9;
    pass(20);
    rollout_metrics(rollout, &m);
    assert_int_equal(m.phase, ROLLOUT_PHASE_DEGRADED);
    assert_in_range((int)m.reverted_seconds, 60, 90);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, start, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_flapping_is_told),
        EACH(test_one_long_hold_is_told_once),
        EACH(test_calm_in_between_is_no_hold),
        EACH(test_first_failure_outlives_a_restart),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
