/* The counts of a run over resets and restarts, and stable's last ten minutes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout/source.h"
#include "rollout_world.h"

static struct world world;
static struct record record;
static struct rollout_ports ports;
static struct source source;

static int before_each(void **state)
{
    (void)state;
    world_init(&world);
    ports = world_ports(&world);
    memset(&record, 0, sizeof record);
    memset(&source, 0, sizeof source);
    strcpy(record.pair.stable.name, "v1");
    strcpy(record.pair.canary.name, "v2");
    return 0;
}

static struct judged_totals *totals(const char *name, enum metric_role role)
{
    return &world_version(&world, name)->totals[role];
}

static void test_differences(void **state)
{
    (void)state;
    struct judge_seen counts = {.stable = {0}};
    *totals("v1", ROLE_STABLE) =
        (struct judged_totals){.requests = 1000, .failed = 10, .client_errors = 5};
    *totals("v2", ROLE_CANARY) =
        (struct judged_totals){.requests = 100, .failed = 1, .client_errors = 2};
    *totals("v2", ROLE_STABLE) = (struct judged_totals){
        .requests = 7, .failed = 7, .client_errors = 7}; /* another role: not asked for */
    source_read(&source, &ports, &record, &counts);
    assert_int_equal(counts.stable.requests, 0); /* before: nobody's */
    *totals("v1", ROLE_STABLE) =
        (struct judged_totals){.requests = 1500, .failed = 12, .client_errors = 5};
    *totals("v2", ROLE_CANARY) =
        (struct judged_totals){.requests = 160, .failed = 2, .client_errors = 4};
    source_read(&source, &ports, &record, &counts);
    source_read(&source, &ports, &record, &counts);
    assert_int_equal(counts.stable.requests, 500);
    assert_int_equal(counts.stable.failed, 2);
    assert_int_equal(counts.stable.client_errors, 0);
    assert_int_equal(counts.canary.requests, 60);
    assert_int_equal(counts.canary.failed, 1);
    assert_int_equal(counts.canary.client_errors, 2);
}

static void test_reset(void **state)
{
    (void)state;
    struct judge_seen counts = {.canary = {.requests = 500, .failed = 50, .client_errors = 5}};
    *totals("v2", ROLE_CANARY) =
        (struct judged_totals){.requests = 100, .failed = 90, .client_errors = 80};
    source_base(&source, &ports, &record);
    *totals("v2", ROLE_CANARY) =
        (struct judged_totals){.requests = 30, .failed = 3, .client_errors = 1};
    source_read(&source, &ports, &record, &counts);
    assert_int_equal(counts.canary.requests, 530);
    assert_int_equal(counts.canary.failed, 53);
    assert_int_equal(counts.canary.client_errors, 6);
}

static void test_another_pair(void **state)
{
    (void)state;
    struct judge_seen counts = {.stable = {0}};
    source_base(&source, &ports, &record);
    *totals("v3", ROLE_CANARY) =
        (struct judged_totals){.requests = 100, .failed = 100, .client_errors = 0};
    strcpy(record.pair.canary.name, "v3");
    source_read(&source, &ports, &record, &counts);
    assert_int_equal(counts.canary.requests, 0);
    record.pair.canary.name[0] = '\0';
    source_read(&source, &ports, &record, &counts);
    assert_int_equal(counts.canary.requests, 0);
}

static void test_baseline(void **state)
{
    (void)state;
    struct judge_baseline b = source_baseline(&source);
    assert_true(b.requests == 0 && b.failed == 0);
    world_version(&world, "v1")->error_rate = 0.5; /* long ago, and forgotten */
    (void)snprintf(world.stable, sizeof world.stable, "v1");
    world.rate = 10;
    for (int i = 0; i < 2000; i++) {
        if (i == 1000)
            world_version(&world, "v1")->error_rate = 0.1;
        world_second(&world);
        source_note_baseline(&source, &ports, &record);
    }
    b = source_baseline(&source);
    assert_in_range(b.requests, 5800, 6000); /* ten minutes of ten a second, but for one sample */
    assert_in_range(b.failed, 570, 610);
    strcpy(record.pair.stable.name, "v3"); /* another version's past says nothing */
    source_note_baseline(&source, &ports, &record);
    b = source_baseline(&source);
    assert_int_equal(b.requests, 0);
}

static void test_young_baseline(void **state)
{
    (void)state;
    (void)snprintf(world.stable, sizeof world.stable, "v1");
    world.rate = 10;
    for (int i = 0; i < 100; i++) {
        world_second(&world);
        source_note_baseline(&source, &ports, &record);
    }
    assert_in_range(source_baseline(&source).requests, 800, 1000);
}

#define EACH(test) cmocka_unit_test_setup(test, before_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_differences), EACH(test_reset),          EACH(test_another_pair),
        EACH(test_baseline),    EACH(test_young_baseline),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
