/* What a workload can be made from, checked before anything starts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet.h"

#include "rollout/kube/manifest.h"
#include <cjson/cJSON.h>
#include <string.h>

static enum err check(const char *path, const cJSON *object, const struct kube_ref *ref,
                      struct why *why)
{
    struct kube_workload w;
    struct why reason;
    const cJSON *version = cJSON_GetObjectItemCaseSensitive(object, "apiVersion");
    const cJSON *kind = cJSON_GetObjectItemCaseSensitive(object, "kind");
    const char *wanted = kube_kind_name(ref->kind);
    if (!cJSON_IsString(kind) || strcmp(kind->valuestring, wanted) != 0)
        return why_set(why, ERR_INVALID, "%s: kind is %s (expected %s)", path,
                       cJSON_IsString(kind) ? kind->valuestring : "missing", wanted);
    if (!cJSON_IsString(version) || strcmp(version->valuestring, kube_kind_version(ref->kind)) != 0)
        return why_set(why, ERR_INVALID, "%s: apiVersion is %s (expected %s)", path,
                       cJSON_IsString(version) ? version->valuestring : "missing",
                       kube_kind_version(ref->kind));
    if (kube_workload_read(object, &w, &reason) != OK)
        return why_set(why, ERR_INVALID, "%s: %.400s", path, reason.text);
    if (strcmp(w.name, ref->name) != 0)
        return why_set(why, ERR_INVALID, "%s: metadata.name is %s (expected %s)", path, w.name,
                       ref->name);
    return OK;
}

cJSON *fleet_manifest(const char *path, const char *workload, struct why *why)
{
    struct kube_ref ref;
    enum err e = kube_ref_parse(workload, &ref, why);
    cJSON *all = e == OK ? manifest_read(path, why) : NULL;
    if (!all)
        return NULL;
    cJSON *object = NULL;
    if (cJSON_GetArraySize(all) != 1)
        e = why_set(why, ERR_INVALID, "%s: %d objects (expected one)", path,
                    cJSON_GetArraySize(all));
    else
        e = check(path, cJSON_GetArrayItem(all, 0), &ref, why);
    if (e == OK)
        object = cJSON_DetachItemFromArray(all, 0);
    cJSON_Delete(all);
    return object;
}
