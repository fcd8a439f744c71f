/* For commands, which have nothing else to do: one question to the API server, waited for.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_WAIT_H
#define SERIN_ROLLOUT_KUBE_WAIT_H

#include "rollout/kube/client.h"

struct kube_wish {
    enum kube_verb verb;
    const char *path;         /* as in kube_ask */
    const struct cJSON *body; /* NULL = none */
    uint32_t timeout_ms;      /* 0 = KUBE_TIMEOUT_MS */
    bool (*is_to_stop)(
        void *
            arg); /* asked ten times a second during a read; a write's outcome matters. NULL = never */
    void *arg;
};

struct kube_outcome {
    struct cJSON *json; /* the caller's; NULL = there was none */
    bool is_unknown;    /* as in kube_answer */
};

/* Runs the loop until there is an answer. OK on 2xx; ERR_NOT_FOUND 404; ERR_CONFLICT 409; ERR_INVALID 400 and 422;
 * ERR_DENIED 401 and 403; ERR_CLOSED: it was to stop; ERR_MEMORY; ERR_IO otherwise. */
enum err kube_wait(struct kube *k, const struct kube_wish *wish, struct kube_outcome *outcome,
                   struct why *why) MUST_USE;

#endif
