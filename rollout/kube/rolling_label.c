/* The label that tells the pods of two controllers apart whose selectors would be the same: given to the old controller
 * and its pods in the order that leaves no pod without a controller.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define VALUE_MAX 64 /* a label's value */

struct label {
    const char *key;
    char value[VALUE_MAX];
    char selector[KUBE_SELECTOR_MAX]; /* as it was before */
    bool is_selected;                 /* the selector has it already */
};

static cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static cJSON *labels_of_template(const cJSON *object)
{
    return member(member(member(member(object, "spec"), "template"), "metadata"), "labels");
}

static enum err set_label(cJSON *labels, const struct label *label)
{
    cJSON_DeleteItemFromObjectCaseSensitive(labels, label->key);
    return cJSON_AddStringToObject(labels, label->key, label->value) ? OK : ERR_MEMORY;
}

/* First: who comes next, and the label in the template, so that pods made from now on have it. */
static enum err mark(struct rolling *r, struct rolling_object *object, void *arg, struct why *why)
{
    struct label *label = arg;
    char hash[KUBE_HASH_MAX];
    cJSON *selector = member(member(object->json, "spec"), "selector");
    cJSON *labels = labels_of_template(object->json);
    label->is_selected = member(selector, label->key) != NULL;
    if (kube_annotate(object->json, KUBE_NEXT, r->new.name) != OK)
        return why_set(why, ERR_MEMORY, "out of memory");
    if (label->is_selected)
        return OK;
    memcpy(label->selector, object->w.selector, sizeof label->selector);
    const char *value = cJSON_GetStringValue(member(labels, label->key));
    if (value && strlen(value) < VALUE_MAX) { /* of a run that was stopped here, or the person's */
        memcpy(label->value, value, strlen(value) + 1);
        return OK;
    }
    if (!labels || kube_hash(member(member(object->json, "spec"), "template"), hash) != OK)
        return why_set(why, ERR_MEMORY, "out of memory");
    (void)snprintf(label->value, sizeof label->value, "%s-orig", hash);
    return set_label(labels, label) == OK ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

/* Last: the selector, once every pod has the label. */
static enum err select_it(struct rolling *r, struct rolling_object *object, void *arg,
                          struct why *why)
{
    (void)r;
    cJSON *spec = member(object->json, "spec"), *selector = member(spec, "selector");
    if (!cJSON_IsObject(selector))
        return why_set(why, ERR_INVALID, "replicationcontrollers \"%s\" has no selector",
                       object->w.name);
    return set_label(selector, arg) == OK ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

static enum err list_pods(struct rolling *r, const struct label *label, cJSON **list,
                          struct why *why)
{
    char path[KUBE_PATH_MAX], query[KUBE_QUERY_MAX];
    kube_path(path, KUBE_POD, kube_namespace(r->kube), NULL, NULL);
    kube_query(query, path, label->selector);
    return rolling_get(r, query, list, why);
}

/* A pod of old (or of nobody) without the label. */
static bool lacks_it(const struct rolling *r, const struct label *label, const cJSON *object,
                     struct kube_pod *pod)
{
    const char *value = kube_label(object, label->key);
    if (kube_pod_read(object, pod, NULL) != OK || pod->is_terminating)
        return false;
    if (pod->owner[0] && strcmp(pod->owner, r->old.uid) != 0)
        return false;
    return !value || strcmp(value, label->value) != 0;
}

static const char *version_of(const cJSON *pod)
{
    const char *version = cJSON_GetStringValue(member(member(pod, "metadata"), "resourceVersion"));
    return version ? version : "";
}

/* OK also where it is to be looked at again. */
static enum err change_pod(struct rolling *r, enum kube_verb verb, const char *name,
                           const cJSON *body, struct why *why)
{
    char path[KUBE_PATH_MAX];
    kube_path(path, KUBE_POD, kube_namespace(r->kube), name, NULL);
    enum err e = body ? rolling_ask(r, verb, path, body, NULL, NULL, why)
                      : why_set(why, ERR_MEMORY, "out of memory");
    if (!e)
        rolling_progress(r);
    return e == ERR_CONFLICT || e == ERR_IO || e == ERR_NOT_FOUND ? rolling_pause(r, 20, why) : e;
}

static enum err label_pod(struct rolling *r, const struct label *label, const cJSON *pod,
                          const char *name, struct why *why)
{
    cJSON *body = cJSON_CreateObject(), *metadata = cJSON_AddObjectToObject(body, "metadata");
    (void)cJSON_AddStringToObject(metadata, "resourceVersion", version_of(pod));
    bool is_good = set_label(cJSON_AddObjectToObject(metadata, "labels"), label) == OK;
    enum err e = change_pod(r, KUBE_PATCH, name, is_good ? body : NULL, why);
    cJSON_Delete(body);
    return e;
}

static enum err delete_pod(struct rolling *r, const cJSON *pod, const char *name, struct why *why)
{
    cJSON *body = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(body, "kind", "DeleteOptions");
    (void)cJSON_AddStringToObject(body, "apiVersion", "v1");
    cJSON *conditions = cJSON_AddObjectToObject(body, "preconditions");
    bool is_good = cJSON_AddStringToObject(conditions, "resourceVersion", version_of(pod)) != NULL;
    enum err e = change_pod(r, KUBE_DELETE, name, is_good ? body : NULL, why);
    cJSON_Delete(body);
    return e;
}

/* Labels (or deletes) every pod that lacks it, until a look finds none. */
static enum err treat_pods(struct rolling *r, const struct label *label, bool is_deleting,
                           struct why *why)
{
    for (;;) {
        cJSON *list;
        const cJSON *one;
        struct kube_pod pod;
        int n = 0;
        enum err e = list_pods(r, label, &list, why);
        if (e)
            return e;
        cJSON_ArrayForEach(one, member(list, "items"))
        {
            if (e || !lacks_it(r, label, one, &pod))
                continue;
            n++;
            e = is_deleting ? delete_pod(r, one, pod.name, why)
                            : label_pod(r, label, one, pod.name, why);
        }
        cJSON_Delete(list);
        if (e || n == 0)
            return e;
    }
}

/* Until the controller manager has seen the template: from then on it makes no pod without the label. */
static enum err wait_observed(struct rolling *r, struct why *why)
{
    for (;;) {
        struct rolling_object object;
        enum err e = rolling_read(r, &r->old, &object, why);
        if (e)
            return e;
        bool is_observed = object.w.is_observed;
        rolling_object_fini(&object);
        if (is_observed)
            return OK;
        e = rolling_pause(r, r->o->poll_ms, why);
        if (e)
            return e;
    }
}

enum err rolling_label_old(struct rolling *r, struct why *why)
{
    struct label label = {.key = r->o->label_key};
    rolling_progress(r);
    enum err e = rolling_change(r, &r->old, mark, &label, why);
    if (e || label.is_selected)
        return e;
    e = wait_observed(r, why);
    if (!e)
        e = treat_pods(r, &label, false, why);
    if (!e)
        e = rolling_change(r, &r->old, select_it, &label, why);
    return e ? e : treat_pods(r, &label, true, why); /* made in between from the old template */
}
