/* The numbers that one screen of status shows: the sentence and the table count from the same
 * moment, and stand still when it is over. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout_world.h"

static struct world world;
static struct rollout *rollout;
static struct plan plan;
static char dir[64];

static int before_each(void **state)
{
    (void)state;
    world_init(&world);
    world_make_dir(dir);
    plan_default(&plan);
    plan.n_steps = 3;
    plan.steps[0].weight_bp = 1000;
    plan.steps[1].weight_bp = 5000;
    plan.steps[2].weight_bp = 10000;
    plan.hold_ms = 20000;
    plan.harm_budget = 0.01;
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = "v2"},
                                  .plan = &plan};
    struct rollout_ports ports = world_ports(&world);
    struct why why = {""};
    rollout = rollout_open(&setup, &ports, &why);
    if (!rollout)
        fail_msg("%s", why.text);
    world_boot(&world, rollout);
    return rollout_command(rollout, ROLLOUT_START, "tester", &why) == OK ? 0 : -1;
}

static int after_each(void **state)
{
    (void)state;
    rollout_close(rollout);
    world_remove_dir(dir);
    return 0;
}

static void pass(int seconds)
{
    world_pass(&world, rollout, seconds);
}

static void pass_until(const char *state)
{
    for (int i = 0; i < 200; i++) {
        cJSON *json = rollout_status(rollout);
        bool is_there = strcmp(cJSON_GetObjectItem(json, "state")->valuestring, state) == 0;
        cJSON_Delete(json);
        if (is_there)
            return;
        pass(1);
    }
    fail_msg("never %s", state);
}

static double number(const cJSON *json, const char *version, const char *name)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, cJSON_GetObjectItem(json, "versions"))
    {
        if (strcmp(cJSON_GetObjectItem(item, "name")->valuestring, version) == 0)
            return cJSON_GetObjectItem(item, name)->valuedouble;
    }
    fail_msg("no version %s", version);
    return 0;
}

/* The judge's sentence says the table's numbers. */
static void check_one_screen(void)
{
    char said[128];
    cJSON *json = rollout_status(rollout);
    const char *why = cJSON_GetObjectItem(json, "why")->valuestring;
    (void)snprintf(said, sizeof said, "canary failed %.0f of %.0f requests",
                   number(json, "v2", "failed"), number(json, "v2", "requests"));
    if (!strstr(why, said))
        fail_msg("\"%s\" is not in \"%s\"", said, why);
    (void)snprintf(said, sizeof said, "stable %.0f of %.0f", number(json, "v1", "failed"),
                   number(json, "v1", "requests"));
    if (!strstr(why, said))
        fail_msg("\"%s\" is not in \"%s\"", said, why);
    cJSON_Delete(json);
}

static void test_one_screen_at_the_first_step(void **state)
{
    (void)state;
    pass(10);
    world_version(&world, "v2")->error_rate = 0.3;
    pass_until("ABORTED");
    check_one_screen();
    pass(30);
    check_one_screen();
}

static void test_one_screen_at_a_later_step(void **state)
{
    (void)state;
    while (world.weight_bp < 5000)
        pass(1);
    pass(10);
    world_version(&world, "v2")->error_rate = 0.1;
    pass_until("ABORTED");
    check_one_screen();
    pass(30);
    check_one_screen();
}

/* What was counted at 50 % says nothing of the weight that the brake put in force. */
static void test_observed_weight_under_the_brake(void **state)
{
    (void)state;
    while (world.weight_bp < 5000)
        pass(1);
    pass(10);
    world_version(&world, "v2")->error_rate = 0.6;
    pass(1);
    world_version(&world, "v2")->error_rate = 0;
    pass(5);
    cJSON *json = rollout_status(rollout), *weight = cJSON_GetObjectItem(json, "weight");
    assert_string_equal(cJSON_GetObjectItem(json, "cause")->valuestring, "brake");
    assert_true(fabs(cJSON_GetObjectItem(weight, "intended")->valuedouble - 10) < 1e-9);
    assert_true(fabs(cJSON_GetObjectItem(weight, "observed")->valuedouble - 10) < 0.1);
    cJSON_Delete(json);
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(test_one_screen_at_the_first_step),
        EACH(test_one_screen_at_a_later_step),
        EACH(test_observed_weight_under_the_brake),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
