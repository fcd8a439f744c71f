/* A command that prints something short, run without waiting for it: bounded in time and output.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_COMMAND_H
#define SERIN_ROLLOUT_KUBE_COMMAND_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct kube_command;

/* Guards memory against a command that prints without an end. */
#define KUBE_COMMAND_OUTPUT_MAX (256u << 10)

struct kube_command_setup {
    const char *const
        *argv;              /* NULL behind the last; a name without a slash is looked for in PATH */
    const char *const *env; /* "NAME=value", in front of the own environment */
    bool is_interactive;    /* it gets standard input */
    uint32_t timeout_ms;
    /* In a later turn, exactly once: what it printed, or why not (error is not ""). Borrowed until
     * it returns; may not cancel. */
    void (*done)(void *arg, const char *output, const char *error);
    void *arg;
};

/* Starts it; its standard error is this process's. NULL with the reason. Copies nothing of argv and
 * env beyond its return. The owner frees it, within done at the earliest, by kube_command_free. */
struct kube_command *kube_command_start(struct event_base *base,
                                        const struct kube_command_setup *setup,
                                        struct why *why) MUST_USE;

/* Kills it where it still runs. NULL is allowed. */
void kube_command_free(struct kube_command *c);

#endif
