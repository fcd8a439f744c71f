/* The configurations that a recorded rollout is judged again under: a plan's, and single keys.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_REPLAY_CONFIG_H
#define SERIN_ROLLOUT_DECIDE_REPLAY_CONFIG_H

#include "rollout/decide/replay.h"

/* The recorded configuration, to be changed. The caller frees it; NULL: memory. After
 * replay_read_start. */
struct cJSON *replay_config_recorded(const struct replay *r);

/* The thresholds of a plan at the recorded weights: a step of the plan with the same weight gives a
 * stage its hold and min_requests, otherwise the plan's own; the last judged stage is the bake.
 * *same_steps: the plan has the recorded weights. The caller frees it; NULL with the reason: the
 * plan is out of range, memory. */
struct cJSON *replay_config_of_plan(const struct replay *r, const struct plan *plan,
                                    bool *same_steps, struct why *why);

/* Sets one key, "fail.rho=1.5" or "min_stage_s=[30,60]"; a value that is no JSON is a word.
 * ERR_INVALID: it is not KEY=VALUE; whether there is such a key, replay_begin says. */
enum err replay_config_set(struct cJSON *config, const char *assignment, struct why *why) MUST_USE;

#endif
