/* The rolling update of kubectl's manner: one replication controller takes another's place, step by step, and every
 * step is kept in the objects, so that whoever comes next can go on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_ROLLING_UPDATE_H
#define SERIN_ROLLOUT_KUBE_ROLLING_UPDATE_H

#include "base/err.h"
#include "rollout/kube/scale_plan.h"

#include <stdbool.h>
#include <stdint.h>

struct cJSON;
struct kube;

/* What becomes of the old controller. */
enum rolling_cleanup {
    ROLLING_BY_FORM, /* rename for `OLD --image=I`, delete otherwise */
    ROLLING_DELETE,
    ROLLING_PRESERVE,
    ROLLING_RENAME, /* the new controller takes its name */
};

/* What is asked. Strings are borrowed; NULL = not given. */
struct rolling_options {
    const char *old, *new;
    const struct cJSON *manifest; /* the new controller as the file has it */
    const char *file;             /* its name, for reasons */
    const char *image, *container, *pull_policy, *label_key;
    uint32_t update_period_ms, poll_ms;
    uint32_t timeout_ms; /* longest time without progress */
    struct scale_amount max_surge, max_unavailable;
    enum rolling_cleanup cleanup;
    bool is_dry, is_rollback, is_classic;
    bool supersedes; /* another template under the same name: back first, then forward with it */
};

/* How it ended. */
enum rolling_end {
    ROLLING_DONE,
    ROLLING_FAILED,
    ROLLING_REVERTED,    /* the new pods did not become ready; everything is as before */
    ROLLING_STALLED,     /* no progress, and nothing could be reverted */
    ROLLING_INTERRUPTED, /* by *stop */
};

/* Asked between calls and in every wait: whether to stop; waits at most ms, less where it is to stop. */
typedef bool rolling_wait_fn(void *arg, uint32_t ms);

/* Runs it; blocks. Lines go to standard output, reasons to standard error. Every write is conditional on the version
 * of the object that was read; a write whose outcome is unknown is looked up, never done twice. */
enum rolling_end rolling_update(struct kube *k, const struct rolling_options *o,
                                rolling_wait_fn *wait, void *arg);

/* The name, and the hash of the template, of a manifest of a controller. ERR_INVALID with a reason that begins with
 * the file's name: not exactly one object, not a ReplicationController. Pure. */
enum err rolling_manifest_check(const struct cJSON *objects, const char *file,
                                const struct cJSON **manifest, struct why *why) MUST_USE;

#endif
