/* When a tick writes the record: what was counted at once, mere time every ten seconds.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout/inside.h"
#include "rollout/journal.h"
#include "rollout_fixture.h"

#define IDLE_WRITE_S 10

/* Comparing at the first step, which lasts. */
static int start(void **state)
{
    struct why why;
    (void)before_each(state);
    plan_default(&plan);
    plan.hold_ms = 100000;
    come_up("v2");
    if (rollout_command(rollout, ROLLOUT_START, "tester", &why) != OK)
        return -1;
    pass(5);
    return rollout->record.machine.state == MACHINE_ANALYZING ? 0 : -1;
}

/* Writes of so many seconds: each adds one to the sequence number. */
static unsigned writes(int seconds)
{
    uint64_t before = rollout->record.seq;
    pass(seconds);
    return (unsigned)(rollout->record.seq - before);
}

static void what_is_counted_is_written_each_tick(void **state)
{
    (void)state;
    assert_int_equal(writes(20), 20);
}

static void mere_time_is_written_now_and_then(void **state)
{
    (void)state;
    world.rate = 0;
    pass(1); /* fractions of requests may still be owed */
    assert_in_range(writes(5 * IDLE_WRITE_S), 4, 5);
    world.rate = 1000;
    assert_int_equal(writes(3), 3);
}

/* A crash between two such writes costs a run nothing: the time that nobody watched is made up for. */
static void a_crash_between_them_loses_no_time(void **state)
{
    (void)state;
    world.rate = 0;
    pass(2 * IDLE_WRITE_S + IDLE_WRITE_S / 2);
    int64_t stage_ms = rollout->record.machine.stage_ms;
    struct rollout *crashed = rollout;
    journal_close(crashed->journal); /* nothing is written any more, and the lock is free */
    crashed->journal = NULL;
    come_up("v2");
    pass(1);
    assert_int_equal(rollout->record.machine.state, MACHINE_ANALYZING);
    assert_in_range(rollout->record.machine.stage_ms, stage_ms, stage_ms + 2000);
    rollout_close(crashed);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, start, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(what_is_counted_is_written_each_tick),
        EACH(mere_time_is_written_now_and_then),
        EACH(a_crash_between_them_loses_no_time),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
