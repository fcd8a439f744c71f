/* Status compares the two error rates: in points and in times, null where there is nothing to compare, no bound where there
 * is none.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout_world.h"

static struct world world;
static struct rollout *rollout;
static char dir[64];

static int before_each(void **state)
{
    struct plan plan;
    struct why why = {""};
    (void)state;
    world_init(&world);
    world_make_dir(dir);
    plan_default(&plan);
    plan.hold_ms = 600000;
    plan.steps[0].weight_bp = 1000;
    plan.n_steps = 1;
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = dir,
                                  .stable = {"v1", NULL},
                                  .canary = {"v2", NULL},
                                  .plan = &plan};
    struct rollout_ports ports = world_ports(&world);
    rollout = rollout_open(&setup, &ports, &why);
    if (!rollout)
        fail_msg("%s", why.text);
    world_boot(&world, rollout);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    rollout_close(rollout);
    world_remove_dir(dir);
    return 0;
}

static cJSON *status_after(int seconds)
{
    for (int i = 0; i < seconds; i++) {
        world_second(&world);
        rollout_tick(rollout);
    }
    cJSON *json = rollout_status(rollout);
    assert_non_null(json);
    return json;
}

static void start(double stable_rate, double canary_rate)
{
    struct why why = {""};
    world_version(&world, "v1")->error_rate = stable_rate;
    world_version(&world, "v2")->error_rate = canary_rate;
    assert_int_equal(rollout_command(rollout, ROLLOUT_START, NULL, &why), OK);
}

/* NaN where the bound is null. */
static double bound(const cJSON *json, const char *name, int side)
{
    const cJSON *item = cJSON_GetArrayItem(cJSON_GetObjectItem(json, name), side);
    assert_non_null(item);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static void test_at_rest_there_is_nothing_to_compare(void **state)
{
    (void)state;
    cJSON *json = status_after(2);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "difference")));
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "ratio")));
    cJSON_Delete(json);
}

static void test_as_good_as_stable(void **state)
{
    (void)state;
    start(0.01, 0.01);
    cJSON *json = status_after(30);
    assert_true(bound(json, "difference", 0) < 0 && bound(json, "difference", 1) > 0);
    assert_true(bound(json, "difference", 1) < 5); /* points */
    assert_true(bound(json, "ratio", 0) < 1 && bound(json, "ratio", 1) > 1);
    cJSON_Delete(json);
}

static void test_stable_without_a_failure_gives_no_upper_bound(void **state)
{
    (void)state;
    start(0, 0.02);
    cJSON *json = status_after(10);
    assert_true(bound(json, "difference", 1) > 2);
    assert_true(bound(json, "ratio", 0) > 0 && isnan(bound(json, "ratio", 1)));
    cJSON_Delete(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_at_rest_there_is_nothing_to_compare, before_each,
                                        after_each),
        cmocka_unit_test_setup_teardown(test_as_good_as_stable, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_stable_without_a_failure_gives_no_upper_bound,
                                        before_each, after_each),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
