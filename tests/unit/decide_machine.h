/* A plan and machines at rest for the tests of the machine.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_DECIDE_MACHINE_H
#define SERIN_TESTS_DECIDE_MACHINE_H

#include "rollout/decide/machine.h"

__attribute__((unused)) static struct plan plan_for_tests(void)
{
    struct plan p;
    plan_default(&p);
    p.n_steps = 3;
    p.steps[0].weight_bp = 500;
    p.steps[1].weight_bp = 5000;
    p.steps[2].weight_bp = 10000;
    p.hold_ms = 10000;
    p.max_hold_ms = 100000;
    p.bake_ms = 20000;
    p.progress_deadline_ms = 60000;
    p.max_pause_ms = 80000;
    return p;
}

__attribute__((unused)) static const struct machine_input calm = {
    .confirmed = true, .stable_available = 1, .canary_available = 1, .verdict = JUDGE_CONTINUE};

/* A machine at rest in a state, at a step whose weight is in force. */
__attribute__((unused)) static struct machine machine_in(enum machine_state state, unsigned step,
                                                         uint32_t weight_bp)
{
    return (struct machine){.state = state,
                            .left = state,
                            .step = step,
                            .stage = (int)step,
                            .weight_bp = weight_bp,
                            .confirmed_bp = weight_bp,
                            .stage_ms = 50000,
                            .steady_ms = 50000,
                            .counts.canary.requests = 1000};
}

#endif
