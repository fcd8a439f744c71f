/* What can be notified of, and in which form: the words of notifications[].events and .format.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_KINDS_H
#define SERIN_ROLLOUT_NOTIFY_KINDS_H

#include <stdbool.h>
#include <stdint.h>

enum notify_format { NOTIFY_GENERIC, NOTIFY_SLACK, NOTIFY_ALERTMANAGER };

/* A set of them is a sum. */
enum notify_kind {
    NOTIFY_STARTED = 1,
    NOTIFY_STEP = 2,
    NOTIFY_JUDGED = 4,
    NOTIFY_WEIGHT = 8,
    NOTIFY_HELD = 16,
    NOTIFY_PAUSED = 32,
    NOTIFY_RESUMED = 64,
    NOTIFY_FAILED = 128,
    NOTIFY_ABORTED = 256,
    NOTIFY_RESTORED = 512,
    NOTIFY_COMPLETED = 1024,
    NOTIFY_RESET = 2048,
    NOTIFY_WARNING = 4096,
    NOTIFY_LEADER = 8192,
};

/* The kind of an event by its name ("StepStarted"); one that is not known is a warning. Pure. O(names). */
enum notify_kind notify_kind_of(const char *event);

/* Whether an event of the kind says where a rollout is, so that a later one makes it old. Pure. */
bool notify_kind_is_state(enum notify_kind kind);

/* As the configuration has it: "aborted". Pure. */
const char *notify_kind_name(enum notify_kind kind);

#endif
