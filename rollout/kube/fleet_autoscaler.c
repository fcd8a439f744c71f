/* Whether something else moves the replicas of a workload: two hands on one wheel.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet_inside.h"
#include "rollout/kube/clock.h"

#include <cjson/cJSON.h>
#include <string.h>

/* While a rollout waits to begin; and while it runs, when somebody may make one. */
#define ASK_EVERY_MS 5000
#define ASK_AGAIN_MS 30000
/* What was answered before says nothing of what came since. */
#define FRESH_MS 15000

static const char *text_of(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

static bool moves(const cJSON *autoscaler, const struct fleet_version *v)
{
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(autoscaler, "spec");
    const cJSON *target = cJSON_GetObjectItemCaseSensitive(spec, "scaleTargetRef");
    return v && strcmp(text_of(target, "kind"), kube_kind_name(v->ref.kind)) == 0 &&
           strcmp(text_of(target, "name"), v->ref.name) == 0;
}

static void note(struct fleet *f, const cJSON *list)
{
    const cJSON *item;
    f->autoscaler[0] = '\0';
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(list, "items"))
    {
        const struct fleet_version *stable = fleet_find(f, f->stable),
                                   *canary = fleet_find(f, f->canary);
        const struct fleet_version *v = moves(item, stable)   ? stable
                                        : moves(item, canary) ? canary
                                                              : NULL;
        if (!v)
            continue;
        (void)snprintf(f->autoscaler, sizeof f->autoscaler,
                       "horizontalpodautoscaler %.80s moves %.80s and would fight the rollout: "
                       "delete it, or let it "
                       "move something else",
                       text_of(cJSON_GetObjectItemCaseSensitive(item, "metadata"), "name"),
                       v->workload);
        return;
    }
}

/* A cluster without that API has no autoscalers. */
static void on_answer(void *arg, const struct kube_answer *a)
{
    struct fleet *f = arg;
    f->autoscalers_call = NULL;
    f->autoscalers_ms = kube_monotonic_ms();
    if (a->status == 200)
        note(f, a->json);
    else if (a->status == 404)
        f->autoscaler[0] = '\0';
    else if (f->want.begins) /* later, what was known before stands */
        (void)snprintf(f->autoscaler, sizeof f->autoscaler, "cannot ask for autoscalers: %.180s",
                       a->error);
    f->autoscalers_known = true;
}

bool fleet_knows_autoscalers(const struct fleet *f)
{
    return f->autoscalers_known && kube_monotonic_ms() - f->autoscalers_ms < FRESH_MS;
}

void fleet_ask_autoscalers(struct fleet *f)
{
    char path[KUBE_PATH_MAX];
    int64_t every_ms = f->want.begins ? ASK_EVERY_MS : ASK_AGAIN_MS;
    bool is_fresh = f->autoscalers_known && kube_monotonic_ms() - f->autoscalers_ms < every_ms;
    if (f->autoscalers_call || is_fresh)
        return;
    kube_path(path, KUBE_HPA, kube_namespace(f->kube), NULL, NULL);
    struct kube_ask ask = {.verb = KUBE_GET, .path = path, .done = on_answer, .arg = f};
    f->autoscalers_call = kube_start(f->kube, &ask);
}
