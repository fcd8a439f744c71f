/* What a rollout knows beyond its record goes over to the next process: no request between the two is lost to the judge.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/carry.h"
#include "rollout/inside.h"
#include "rollout_fixture.h"

/* The next process: the record from the disk, counters that go on, and what is carried. */
static void hand_over(bool carries)
{
    struct rollout_setup setup = setup_of("v2");
    struct rollout_ports ports = world_ports(&world);
    struct why why = {""};
    cJSON *json = rollout_carry(rollout);
    assert_non_null(json);
    rollout_close(rollout);
    rollout = rollout_open(&setup, &ports, &why);
    if (!rollout)
        fail_msg("%s", why.text);
    if (carries)
        assert_int_equal(rollout_take_carried(rollout, json, &why), OK);
    cJSON_Delete(json);
}

static uint64_t judged(void)
{
    const struct judge_seen *counts = &rollout->record.machine.counts;
    return counts->stable.requests + counts->canary.requests;
}

static uint64_t served(void)
{
    return world_version(&world, "v1")->totals[ROLE_STABLE].requests +
           world_version(&world, "v2")->totals[ROLE_CANARY].requests;
}

static void begin_run(void)
{
    plan.hold_ms = 60000;
    come_up("v2");
    pass(3);
    verb(ROLLOUT_START);
    pass(3);
}

static void test_no_request_is_lost(void **state)
{
    (void)state;
    begin_run();
    uint64_t before = served() - judged();
    for (unsigned i = 0; i < 5; i++) {
        world_second(&world); /* served between the last tick and the close */
        hand_over(true);
        world_second(&world); /* and before the first one */
        pass(1);
    }
    assert_true(judged() > 8000);
    assert_int_equal(served() - judged(), before);
}

/* As after a restart: what nobody read is nobody's. That is what the test above would miss. */
static void test_without_it_some_are(void **state)
{
    (void)state;
    begin_run();
    uint64_t before = served() - judged();
    world_second(&world);
    hand_over(false);
    pass(2);
    assert_true(served() - judged() > before);
}

static void test_the_run_goes_on(void **state)
{
    (void)state;
    begin_run();
    struct machine was = rollout->record.machine;
    char id[RECORD_ID_MAX];
    memcpy(id, rollout->record.run.id, sizeof id);
    hand_over(true);
    pass(2);
    const struct machine *m = &rollout->record.machine;
    assert_string_equal(rollout->record.run.id, id);
    assert_int_equal(m->state, was.state);
    assert_int_equal(m->step, was.step);
    assert_int_equal(m->weight_bp, was.weight_bp);
    assert_true(m->stage_ms >= was.stage_ms && m->stage_ms < was.stage_ms + 5000);
    assert_true(rollout->record.judge.in_rollout.canary.requests > 0);
}

/* What is normal for stable. */
static void test_the_minutes_before_go_on(void **state)
{
    (void)state;
    world_version(&world, "v1")->error_rate = 0.01;
    come_up("v2");
    pass(300);
    struct judge_baseline before = source_baseline(&rollout->source);
    assert_true(before.requests > 200000 && before.failed > 2000);
    hand_over(true);
    struct judge_baseline after = source_baseline(&rollout->source);
    assert_memory_equal(&after, &before, sizeof after);
    pass(20);
    assert_true(source_baseline(&rollout->source).requests >= before.requests + 10000);
}

/* More samples than there is room for in a ring that has gone round. */
static void test_a_full_ring(void **state)
{
    (void)state;
    come_up("v2");
    pass(700);
    struct judge_baseline before = source_baseline(&rollout->source);
    hand_over(true);
    struct judge_baseline after = source_baseline(&rollout->source);
    assert_memory_equal(&after, &before, sizeof after);
    pass(100);
    assert_in_range(source_baseline(&rollout->source).requests, before.requests - 20000,
                    before.requests + 20000);
}

/* Each of these in place of a member. */
static void test_what_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static const char *const bad[] = {"null", "7",     "-1",    "\"x\"",  "[]",
                                      "{}",   "[[1]]", "1e300", "[1,2,3]"};
    begin_run();
    cJSON *good = rollout_carry(rollout);
    struct source before = rollout->source;
    unsigned refused = 0;
    for (int member = 0; member < cJSON_GetArraySize(good); member++)
        for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
            struct why why;
            cJSON *json = cJSON_Duplicate(good, true);
            const char *name = cJSON_GetArrayItem(json, member)->string;
            cJSON_ReplaceItemInObjectCaseSensitive(json, name, cJSON_Parse(bad[i]));
            if (rollout_take_carried(rollout, json, &why) != OK) {
                refused++;
                assert_memory_equal(&rollout->source, &before, sizeof before);
            }
            before = rollout->source;
            cJSON_Delete(json);
        }
    assert_true(refused > 50);
    cJSON_Delete(good);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_no_request_is_lost), TEST(test_without_it_some_are),
        TEST(test_the_run_goes_on),    TEST(test_the_minutes_before_go_on),
        TEST(test_a_full_ring),        TEST(test_what_is_wrong_changes_nothing),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
