/* One rollout in a world of its own, between tests that each begin anew.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_ROLLOUT_FIXTURE_H
#define SERIN_TESTS_ROLLOUT_FIXTURE_H

#include "rollout_world.h"

static struct world world;
static struct rollout *rollout;
static struct plan plan;
static char dir[64];

static inline struct rollout_setup setup_of(const char *canary)
{
    return (struct rollout_setup){.route = "my-web",
                                  .state_dir = dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = canary},
                                  .plan = &plan};
}

static inline void come_up(const char *canary)
{
    struct rollout_setup setup = setup_of(canary);
    struct rollout_ports ports = world_ports(&world);
    struct why why = {""};
    rollout = rollout_open(&setup, &ports, &why);
    if (!rollout)
        fail_msg("%s", why.text);
    world_boot(&world, rollout);
}

static inline int before_each(void **state)
{
    (void)state;
    world_init(&world);
    world_make_dir(dir);
    plan_default(&plan);
    plan.n_steps = 2;
    plan.steps[0].weight_bp = 1000;
    plan.steps[1].weight_bp = 10000;
    plan.hold_ms = 5000;
    plan.bake_ms = 5000;
    plan.harm_budget = 0.01;
    rollout = NULL;
    return 0;
}

static inline int after_each(void **state)
{
    (void)state;
    rollout_close(rollout);
    world_remove_dir(dir);
    return 0;
}

static inline void pass(int seconds)
{
    world_pass(&world, rollout, seconds);
}

static inline void verb(enum rollout_verb v)
{
    struct why why = {""};
    if (rollout_command(rollout, v, "ann \"x\"\n", &why) != OK)
        fail_msg("%s: %s", rollout_verb_name(v), why.text);
}

#endif
