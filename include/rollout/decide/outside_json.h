/* What a plan asks of others, as it stands frozen in the record.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_OUTSIDE_JSON_H
#define SERIN_ROLLOUT_DECIDE_OUTSIDE_JSON_H

#include "base/err.h"
#include "rollout/decide/outside.h"

struct cJSON;

/* The object; the caller frees it. outside may be NULL: nothing is asked. NULL when memory is short. */
struct cJSON *outside_to_json(const struct outside *outside);

/* Arrays for one outside, so that reading allocates nothing. */
struct outside_room {
    struct outside_check checks[OUTSIDE_CHECKS_MAX];
    struct outside_gate gates[OUTSIDE_GATES_MAX];
    struct outside_window windows[OUTSIDE_WINDOWS_MAX];
};

/* Reads it back. Strings are borrowed from the object, arrays from room. ERR_INVALID names what is
 * missing, of the wrong type or out of range. Pure. */
enum err outside_from_json(struct outside *outside, struct outside_room *room,
                           const struct cJSON *from, struct why *why) MUST_USE;

#endif
