/* A frozen plan as it stands in the record.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_PLAN_JSON_H
#define SERIN_ROLLOUT_DECIDE_PLAN_JSON_H

#include "rollout/decide/plan.h"

struct cJSON;

/* Adds the plan to the object into. ERR_MEMORY. */
enum err plan_to_json(const struct plan *p, struct cJSON *into) MUST_USE;

/* Reads it back; a plan that plan_check refuses is refused. ERR_INVALID names the member. */
enum err plan_from_json(struct plan *p, const struct cJSON *from, struct why *why) MUST_USE;

#endif
