/* What a rollout does, as Events on its objects: `kubectl describe` shows them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet_inside.h"

#include "base/check.h"
#include "base/log.h"
#include <cjson/cJSON.h>
#include <string.h>
#include <time.h>

static const char *type_of(const char *name)
{
    static const char *const warnings[] = {"RolloutAborted", "AnalysisFailed", "RolloutHeld",
                                           "PromotionFailed", "WeightVerifyError"};
    for (size_t i = 0; i < ARRAY_LEN(warnings); i++)
        if (strcmp(name, warnings[i]) == 0)
            return "Warning";
    return "Normal";
}

static bool add_object(cJSON *event, const struct fleet_version *v, const char *name_space)
{
    cJSON *object = cJSON_AddObjectToObject(event, "involvedObject");
    return object &&
           cJSON_AddStringToObject(object, "apiVersion", kube_kind_version(v->ref.kind)) &&
           cJSON_AddStringToObject(object, "kind", kube_kind_name(v->ref.kind)) &&
           cJSON_AddStringToObject(object, "namespace", name_space) &&
           cJSON_AddStringToObject(object, "name", v->ref.name) &&
           cJSON_AddStringToObject(object, "uid", v->state.uid);
}

static bool add_times(cJSON *event, const struct timespec *now)
{
    char text[32];
    struct tm utc;
    (void)gmtime_r(&now->tv_sec, &utc);
    (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return cJSON_AddStringToObject(event, "firstTimestamp", text) &&
           cJSON_AddStringToObject(event, "lastTimestamp", text) &&
           cJSON_AddNumberToObject(event, "count", 1);
}

static cJSON *event_of(const struct fleet *f, const struct fleet_version *v, const char *name,
                       const char *why)
{
    char text[KUBE_NAME_MAX];
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(text, sizeof text, "%.200s.%llx", v->ref.name,
                   (unsigned long long)now.tv_sec * 1000000000ull +
                       (unsigned long long)now.tv_nsec);
    const char *name_space = kube_namespace(f->kube);
    cJSON *event = cJSON_CreateObject();
    cJSON *metadata = cJSON_AddObjectToObject(event, "metadata");
    cJSON *source = cJSON_AddObjectToObject(event, "source");
    if (metadata && source && cJSON_AddStringToObject(event, "apiVersion", "v1") &&
        cJSON_AddStringToObject(event, "kind", "Event") &&
        cJSON_AddStringToObject(metadata, "name", text) &&
        cJSON_AddStringToObject(metadata, "namespace", name_space) &&
        cJSON_AddStringToObject(source, "component", "serin") &&
        cJSON_AddStringToObject(event, "type", type_of(name)) &&
        cJSON_AddStringToObject(event, "reason", name) &&
        cJSON_AddStringToObject(event, "message", why) && add_object(event, v, name_space) &&
        add_times(event, &now))
        return event;
    cJSON_Delete(event);
    return NULL;
}

static void on_posted(void *arg, const struct kube_answer *a)
{
    struct fleet_event_call *e = arg;
    bool was_failing = e->fleet->events_fail;
    e->call = NULL;
    e->fleet->events_fail = a->status / 100 != 2;
    if (e->fleet->events_fail && !was_failing) /* nothing else suffers, so once is enough */
        log_warn("event_not_posted", "route=%s why=\"%s\"", e->fleet->setup.route, a->error);
}

void fleet_event(struct fleet *f, const char *name, const char *why)
{
    char path[KUBE_PATH_MAX];
    const struct fleet_version *canary = fleet_find(f, f->canary);
    const struct fleet_version *v = canary && canary->exists ? canary : fleet_find(f, f->stable);
    size_t i = 0;
    while (i < FLEET_EVENTS_MAX && f->events[i].call)
        i++;
    if (!v || !v->exists || i == FLEET_EVENTS_MAX || !fleet_leads(f))
        return;
    cJSON *event = event_of(f, v, name, why);
    if (!event)
        return;
    kube_path(path, KUBE_EVENT, kube_namespace(f->kube), NULL, NULL);
    f->events[i].fleet = f;
    struct kube_ask ask = {
        .verb = KUBE_POST, .path = path, .body = event, .done = on_posted, .arg = &f->events[i]};
    f->events[i].call = kube_start(f->kube, &ask);
    cJSON_Delete(event);
}
