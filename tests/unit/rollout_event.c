/* What a rollout tells people: which events, once each, with what they say.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "rollout/event.h"
#include "rollout_world.h"

#define TOLD_MAX 64

static struct world world;
static struct rollout *rollout;
static struct plan plan;
static char dir[64];
static struct rollout_event told[TOLD_MAX];
static unsigned n_told;

static void take(void *host, const struct rollout_event *event)
{
    assert_ptr_equal(host, &world);
    assert_true(n_told < TOLD_MAX);
    told[n_told++] = *event;
}

static void come_up(const char *canary)
{
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = canary},
                                  .plan = &plan};
    struct rollout_ports ports = world_ports(&world);
    struct why why = {""};
    ports.tell = take;
    rollout = rollout_open(&setup, &ports, &why);
    if (!rollout)
        fail_msg("%s", why.text);
    world_boot(&world, rollout);
}

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
    n_told = 0;
    come_up("v2");
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    rollout_close(rollout);
    world_remove_dir(dir);
    return 0;
}

static void verb(enum rollout_verb v, int seconds)
{
    struct why why = {""};
    if (rollout_command(rollout, v, "ann", &why) != OK)
        fail_msg("%s: %s", rollout_verb_name(v), why.text);
    world_pass(&world, rollout, seconds);
}

static const struct rollout_event *find(const char *name, unsigned count)
{
    const struct rollout_event *found = NULL;
    unsigned n = 0;
    for (unsigned i = 0; i < n_told; i++)
        if (strcmp(told[i].name, name) == 0 && n++ == 0)
            found = &told[i];
    if (n != count)
        fail_msg("%s was told %u times, not %u", name, n, count);
    return found;
}

static void what_an_event_says(void **state)
{
    (void)state;
    verb(ROLLOUT_START, 5);
    const struct rollout_event *e = find("StepStarted", 1);
    assert_string_equal(e->route, "my-web");
    assert_string_equal(e->stable, "v1");
    assert_string_equal(e->canary, "v2");
    assert_string_equal(e->canary_before, "");
    assert_int_equal(strncmp(e->rollout_id, "my-web-", 7), 0);
    assert_int_equal(e->step, 1);
    assert_int_equal(e->steps, 3);
    assert_int_equal(e->step_bp, 1000);
    e = find("WeightChanged", 1);
    assert_int_equal(e->weight_from_bp, 0);
    assert_int_equal(e->weight_bp, 1000);
    verb(ROLLOUT_ABORT, 5);
    e = find("RolloutAborted", 1);
    assert_string_equal(e->why, "aborted by ann");
    assert_int_equal(e->weight_from_bp, 1000);
    assert_int_equal(e->weight_bp, 0);
    assert_false(e->is_failure);
    (void)find("StableRestored", 1);
    assert_true(e->of_canary.requests > 0 && e->of_stable.requests > e->of_canary.requests);
}

/* A pause and its end, each once; ticks tell nothing, and nor does a restart. */
static void each_once(void **state)
{
    (void)state;
    verb(ROLLOUT_START, 5);
    verb(ROLLOUT_PAUSE, 5);
    (void)find("RolloutPaused", 1);
    unsigned before = n_told;
    rollout_close(rollout);
    come_up("v2");
    world_pass(&world, rollout, 5);
    assert_int_equal(n_told, before);
    verb(ROLLOUT_RESUME, 1);
    (void)find("RolloutResumed", 1);
    (void)find("RolloutStarted", 1);
    (void)find("tick", 0);
}

/* Whoever was told of the canary before learns that this is over. */
static void the_canary_before(void **state)
{
    (void)state;
    verb(ROLLOUT_START, 5);
    verb(ROLLOUT_ABORT, 5);
    rollout_close(rollout);
    come_up("v3");
    world_pass(&world, rollout, 2);
    n_told = 0;
    verb(ROLLOUT_START, 2);
    const struct rollout_event *e = find("RolloutStarted", 1);
    assert_string_equal(e->canary, "v3");
    assert_string_equal(e->canary_before, "v2");
}

static void a_reset_is_told(void **state)
{
    (void)state;
    verb(ROLLOUT_START, 5);
    verb(ROLLOUT_ABORT, 5);
    verb(ROLLOUT_RESET, 1);
    const struct rollout_event *e = find("RolloutReset", 1);
    assert_non_null(strstr(e->why, "asked for by ann"));
    assert_string_equal(e->canary, "v2");
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, before_each, after_each)
    static const struct CMUnitTest tests[] = {CASE(what_an_event_says), CASE(each_once),
                                              CASE(the_canary_before), CASE(a_reset_is_told)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
