/* What a pod says of itself: whose it is, and whether it is ready and since when.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/objects.h"
#include "rollout/kube/time.h"

#include <cjson/cJSON.h>
#include <string.h>

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* 0: not a time. */
static int64_t time_ms(const char *text)
{
    int64_t ms = 0;
    return text && kube_time_parse(text, &ms) ? ms : 0;
}

static void copy(char *out, size_t room, const cJSON *text)
{
    const char *from = cJSON_GetStringValue(text);
    if (from && strlen(from) < room)
        memcpy(out, from, strlen(from) + 1);
}

static void take_owner(const cJSON *metadata, struct kube_pod *p)
{
    const cJSON *owner;
    cJSON_ArrayForEach(owner, member(metadata, "ownerReferences"))
    {
        if (cJSON_IsTrue(member(owner, "controller")))
            copy(p->owner, sizeof p->owner, member(owner, "uid"));
    }
}

static void take_readiness(const cJSON *status, struct kube_pod *p)
{
    const cJSON *condition;
    cJSON_ArrayForEach(condition, member(status, "conditions"))
    {
        const char *type = cJSON_GetStringValue(member(condition, "type"));
        const char *value = cJSON_GetStringValue(member(condition, "status"));
        if (!type || !value || strcmp(type, "Ready") != 0)
            continue;
        p->is_ready = strcmp(value, "True") == 0 && !p->is_terminating;
        p->ready_ms = p->is_ready
                          ? time_ms(cJSON_GetStringValue(member(condition, "lastTransitionTime")))
                          : 0;
    }
}

enum err kube_pod_read(const struct cJSON *object, struct kube_pod *p, struct why *why)
{
    const cJSON *metadata = member(object, "metadata"), *status = member(object, "status");
    *p = (struct kube_pod){.name = ""};
    copy(p->name, sizeof p->name, member(metadata, "name"));
    if (!p->name[0])
        return why_set(why, ERR_INVALID, "pods: metadata.name is missing or wrong");
    const cJSON *deletion = member(metadata, "deletionTimestamp");
    p->is_terminating = deletion && !cJSON_IsNull(deletion);
    take_owner(metadata, p);
    copy(p->address, sizeof p->address, member(status, "podIP"));
    const char *phase = cJSON_GetStringValue(member(status, "phase"));
    p->is_finished = phase && (strcmp(phase, "Succeeded") == 0 || strcmp(phase, "Failed") == 0);
    take_readiness(status, p);
    return OK;
}

bool kube_pod_is_available(const struct kube_pod *p, int min_ready_s, int64_t now_ms)
{
    if (!p->is_ready)
        return false;
    return min_ready_s <= 0 || (p->ready_ms && p->ready_ms + (int64_t)min_ready_s * 1000 < now_ms);
}
