/* Who did what: the sentences of status and history name the verb and the person.
 * SPDX-License-Identifier: Apache-2.0 */
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
    return 0;
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

static void verb(enum rollout_verb v, const char *who)
{
    struct why why = {""};
    if (rollout_command(rollout, v, who, &why) != OK)
        fail_msg("%s: %s", rollout_verb_name(v), why.text);
    pass(3);
}

static void check_status(const char *says)
{
    cJSON *json = rollout_status(rollout);
    const char *why = cJSON_GetObjectItem(json, "why")->valuestring;
    if (!strstr(why, says))
        fail_msg("\"%s\" is not in \"%s\"", says, why);
    cJSON_Delete(json);
}

static void check_text(const cJSON *json, const char *name, const char *want)
{
    assert_string_equal(cJSON_GetObjectItem(json, name)->valuestring, want);
}

/* The newest run: its verb, its reason, and that of one of its steps. */
static void check_history(const char *verb, const char *why, int step, const char *step_why)
{
    cJSON *list = rollout_history(rollout), *run = cJSON_GetArrayItem(list, 0);
    check_text(run, "verb", verb);
    check_text(run, "why", why);
    check_text(cJSON_GetArrayItem(cJSON_GetObjectItem(run, "steps"), step), "why", step_why);
    cJSON_Delete(list);
}

static void test_who_did_what(void **state)
{
    (void)state;
    verb(ROLLOUT_START, "ann");
    verb(ROLLOUT_PROMOTE, "bob");
    verb(ROLLOUT_PAUSE, "cy");
    check_status("paused at 50% by cy");
    check_history("start", "promoted by bob", 0, "promoted by bob");
    verb(ROLLOUT_ABORT, "dan");
    check_status("aborted by dan");
    check_history("start", "aborted by dan", 1, "aborted by dan");
    verb(ROLLOUT_RETRY, NULL);
    verb(ROLLOUT_PROMOTE_FULL, "eve");
    pass(10); /* ticks of nobody finish what a person asked for */
    check_history("retry", "promoted by eve", 1, "promoted by eve");
    verb(ROLLOUT_UNDO, "fay");
    verb(ROLLOUT_ABORT, NULL);
    check_history("undo", "aborted by a person", 0, "undone by fay");
    verb(ROLLOUT_RETRY, "gus");
    check_history("undo", "undone by gus", 0, "undone by gus");
}

/* Between a verb and the next tick. */
static void test_what_it_waits_for(void **state)
{
    (void)state;
    struct why why;
    pass(1);
    assert_int_equal(rollout_command(rollout, ROLLOUT_START, "ann", &why), OK);
    check_status("begins at the next tick");
    world_version(&world, "v2")->available = 0;
    check_status("waits for an available endpoint of v2");
    pass(3);
    check_status("waits for an available endpoint of v2");
    world_version(&world, "v2")->available = 1;
    check_status("begins at the next tick");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_did_what, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_what_it_waits_for, before_each, after_each),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
