/* One question of a rolling update to the API server: bounded by the update's own timeout, and a signal ends a read at
 * once. A write is waited for: its outcome matters.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/rolling.h"
#include "rollout/kube/wait.h"

#include <cjson/cJSON.h>

static bool is_to_stop(void *arg)
{
    struct rolling *r = arg;
    return r->wait(r->wait_arg, 0);
}

enum err rolling_ask(struct rolling *r, enum kube_verb verb, const char *path,
                     const struct cJSON *body, struct cJSON **json, bool *is_unknown,
                     struct why *why)
{
    struct kube_outcome outcome;
    uint32_t timeout_ms = r->o->timeout_ms < KUBE_TIMEOUT_MS ? r->o->timeout_ms : KUBE_TIMEOUT_MS;
    struct kube_wish wish = {verb, path, body, timeout_ms, is_to_stop, r};
    enum err e = kube_wait(r->kube, &wish, &outcome, why);
    if (is_unknown)
        *is_unknown = outcome.is_unknown;
    if (json && !e)
        *json = outcome.json;
    else
        cJSON_Delete(outcome.json);
    return e;
}
