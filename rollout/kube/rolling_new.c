/* The new controller of a rolling update: taken from a file, or from the old one with another image; and what must
 * be so before anything is written.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/slice.h"
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <string.h>

static cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static const char *text_of(const cJSON *object, const char *name)
{
    const char *text = cJSON_GetStringValue(member(object, name));
    return text ? text : "";
}

static cJSON *template_of(const cJSON *object)
{
    return member(member(object, "spec"), "template");
}

/* What a controller selects: without a selector its template's labels. */
static const cJSON *selector_of(const cJSON *object)
{
    const cJSON *selector = member(member(object, "spec"), "selector");
    if (cJSON_IsObject(selector) && selector->child)
        return selector;
    return member(member(template_of(object), "metadata"), "labels");
}

enum err rolling_manifest_check(const struct cJSON *objects, const char *file,
                                const struct cJSON **manifest, struct why *why)
{
    struct kube_workload w;
    struct why reason = {""};
    const cJSON *object = objects->child;
    int n = cJSON_GetArraySize(objects);
    if (n == 0)
        return why_set(why, ERR_INVALID, "please make sure %s exists and is not empty", file);
    const char *version = text_of(object, "apiVersion"), *kind = text_of(object, "kind");
    if (n > 1 || strcmp(kind, "List") == 0)
        return why_set(why, ERR_INVALID, "%s specifies multiple items", file);
    if (strcmp(kind, kube_kind_name(KUBE_RC)) != 0 ||
        strcmp(version, kube_kind_version(KUBE_RC)) != 0)
        return why_set(why, ERR_INVALID, "%s contains a %s%s, Kind=%s not a ReplicationController",
                       file, strchr(version, '/') ? "" : "/", version, kind);
    const cJSON *replicas = member(member(object, "spec"), "replicas");
    if (cJSON_IsNumber(replicas) && replicas->valuedouble < 0)
        return why_set(why, ERR_INVALID,
                       "Invalid controller spec for %s; required: > 0 replicas, actual: %.0f",
                       text_of(member(object, "metadata"), "name"), replicas->valuedouble);
    if (kube_workload_read(object, &w, &reason) != OK)
        return why_set(why, ERR_INVALID, "%s does not specify a valid ReplicationController: %s",
                       file, reason.text);
    *manifest = object;
    return OK;
}

struct cJSON *rolling_bare_copy(const struct cJSON *object)
{
    static const char *const server_fields[] = {"uid",
                                                "resourceVersion",
                                                "generation",
                                                "creationTimestamp",
                                                "selfLink",
                                                "managedFields",
                                                "ownerReferences",
                                                "finalizers",
                                                "generateName",
                                                "deletionTimestamp",
                                                "deletionGracePeriodSeconds"};
    cJSON *copy = cJSON_Duplicate(object, true);
    cJSON *metadata = member(copy, "metadata"), *spec = member(copy, "spec");
    for (size_t i = 0; i < ARRAY_LEN(server_fields); i++)
        cJSON_DeleteItemFromObjectCaseSensitive(metadata, server_fields[i]);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "status");
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "replicas");
    bool is_good = copy && rolling_annotations_clear(copy) == OK &&
                   kube_annotate(copy, KUBE_ROLLOUT, NULL) == OK &&
                   cJSON_AddNumberToObject(spec, "replicas", 0);
    if (!is_good) {
        cJSON_Delete(copy);
        return NULL;
    }
    return copy;
}

/* A key in both with another value: no pod can belong to both. */
static bool are_distinct(const cJSON *selector, const cJSON *other)
{
    const cJSON *label;
    cJSON_ArrayForEach(label, selector)
    {
        const cJSON *of_other = member(other, label->string);
        if (cJSON_IsString(of_other) && cJSON_IsString(label) &&
            strcmp(of_other->valuestring, label->valuestring) != 0)
            return true;
    }
    return false;
}

static enum err check_beside(const struct rolling *r, const struct rolling_object *old,
                             const char *subject, struct why *why)
{
    if (strcmp(r->new.name, r->old.name) == 0)
        return why_set(why, ERR_INVALID,
                       "%s cannot have the same name as the existing ReplicationController %s",
                       subject, r->old.name);
    if (!are_distinct(selector_of(old->json), selector_of(r->manifest)))
        return why_set(why, ERR_INVALID,
                       "%s must specify a matching key with non-equal value in Selector for %s",
                       subject, r->old.name);
    return OK;
}

static enum err take_name(struct rolling *r, const char *name, struct why *why)
{
    if (!kube_is_name(name))
        return why_set(why, ERR_INVALID, "\"%s\" is no name of a controller", name);
    memcpy(r->new.name, name, strlen(name) + 1);
    return OK;
}

enum err rolling_hash_of_file(struct rolling *r)
{
    return kube_hash(template_of(r->o->manifest), r->hash);
}

enum err rolling_new_from_file(struct rolling *r, const struct rolling_object *old, struct why *why)
{
    const cJSON *manifest = r->o->manifest, *metadata = member(manifest, "metadata");
    const char *name_space = text_of(metadata, "namespace"), *file = r->o->file;
    const cJSON *replicas = member(member(manifest, "spec"), "replicas");
    enum err e = take_name(r, text_of(metadata, "name"), why);
    if (!e && name_space[0] && strcmp(name_space, kube_namespace(r->kube)) != 0)
        e = why_set(why, ERR_INVALID, "%s is for namespace \"%s\", not \"%s\"", file, name_space,
                    kube_namespace(r->kube));
    if (!e && r->o->new &&strcmp(r->o->new, r->new.name) != 0)
        e = why_set(why, ERR_INVALID, "%s is named %s, not %s", file, r->new.name, r->o->new);
    if (e)
        return e;
    r->manifest = rolling_bare_copy(manifest);
    if (!r->manifest || rolling_hash_of_file(r) != OK)
        return why_set(why, ERR_MEMORY, "out of memory");
    r->desired = cJSON_IsNumber(replicas) ? (int)replicas->valuedouble : 0;
    if (r->desired == 0) /* left out: as many as there are */
        r->desired = old->w.replicas;
    return check_beside(r, old, file, why);
}

/* The container that gets the image. NULL with the reason. */
static cJSON *container_of(const struct rolling *r, const cJSON *object, struct why *why)
{
    const char *name = r->o->container;
    cJSON *all = member(member(template_of(object), "spec"), "containers"), *one;
    if (cJSON_GetArraySize(all) == 0) {
        (void)why_set(why, ERR_INVALID, "pod has no containers!");
        return NULL;
    }
    if (!name && cJSON_GetArraySize(all) > 1) {
        (void)why_set(why, ERR_INVALID,
                      "must specify container to update when updating a multi-container pod");
        return NULL;
    }
    cJSON_ArrayForEach(one, all)
    {
        if (!name || strcmp(text_of(one, "name"), name) == 0)
            return one;
    }
    (void)why_set(why, ERR_INVALID, "container %s not found in pod", name);
    return NULL;
}

static bool set_text(cJSON *object, const char *name, const char *text)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    return cJSON_AddStringToObject(object, name, text) != NULL;
}

/* The member as an object, made where it is not one. */
static cJSON *object_in(cJSON *object, const char *name)
{
    cJSON *inner = member(object, name);
    if (cJSON_IsObject(inner))
        return inner;
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    return cJSON_AddObjectToObject(object, name);
}

/* The hash of the new template without the label that is made of it; another one where old has this already. */
static enum err hash_of_new(struct rolling *r, const char *of_old)
{
    const char *key = r->o->label_key;
    cJSON *bare = cJSON_Duplicate(template_of(r->manifest), true);
    cJSON_DeleteItemFromObjectCaseSensitive(member(member(bare, "metadata"), "labels"), key);
    enum err e = bare ? kube_hash(bare, r->hash) : ERR_MEMORY;
    if (!e && strcmp(r->hash, of_old) == 0 && cJSON_AddTrueToObject(bare, "again"))
        e = kube_hash(bare, r->hash);
    cJSON_Delete(bare);
    return e;
}

/* Sets the image, the label and the name in r->manifest, a bare copy of old. */
static enum err edit_copy(struct rolling *r, const struct rolling_object *old, struct why *why)
{
    const char *key = r->o->label_key;
    cJSON *container = container_of(r, r->manifest, why), *spec = member(r->manifest, "spec");
    if (!container)
        return ERR_INVALID;
    if (strcmp(text_of(container, "image"), r->o->image) == 0 && !r->o->pull_policy)
        return why_set(why, ERR_INVALID,
                       "--image-pull-policy (Always|Never|IfNotPresent) must be provided when "
                       "--image is the same as existing container image");
    bool is_good =
        set_text(container, "image", r->o->image) &&
        (!r->o->pull_policy || set_text(container, "imagePullPolicy", r->o->pull_policy)) &&
        hash_of_new(r, text_of(selector_of(old->json), key)) == OK;
    cJSON *labels = object_in(object_in(template_of(r->manifest), "metadata"), "labels");
    is_good = is_good && set_text(object_in(spec, "selector"), key, r->hash) &&
              set_text(labels, key, r->hash);
    return is_good ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

enum err rolling_new_from_image(struct rolling *r, const struct rolling_object *old,
                                struct why *why)
{
    char name[KUBE_NAME_MAX + KUBE_HASH_MAX];
    r->desired = old->w.replicas;
    r->manifest = rolling_bare_copy(old->json);
    if (!r->manifest)
        return why_set(why, ERR_MEMORY, "out of memory");
    cJSON *annotations = member(member(r->manifest, "metadata"), "annotations");
    cJSON_DeleteItemFromObjectCaseSensitive(annotations,
                                            "kubectl.kubernetes.io/last-applied-configuration");
    enum err e = edit_copy(r, old, why);
    if (e)
        return e;
    (void)snprintf(name, sizeof name, "%s-%s", r->old.name, r->hash);
    e = r->new.name[0] ? OK : take_name(r, name, why);
    if (!e && strcmp(r->new.name, r->old.name) == 0)
        e = why_set(why, ERR_INVALID,
                    "%s cannot have the same name as the existing ReplicationController %s",
                    r->new.name, r->old.name);
    if (!e && !set_text(member(r->manifest, "metadata"), "name", r->new.name))
        e = why_set(why, ERR_MEMORY, "out of memory");
    return e;
}

enum err rolling_check_image(const struct rolling *r, const struct rolling_object *new,
                             struct why *why)
{
    cJSON *container = container_of(r, new->json, why);
    if (!container)
        return ERR_INVALID;
    const char *image = text_of(container, "image");
    if (strcmp(image, r->o->image) == 0)
        return OK;
    return why_set(why, ERR_CONFLICT,
                   "Found existing in-progress update to image (%s).\n"
                   "Either continue in-progress update with --image=%s or rollback with --rollback",
                   image, image);
}

static bool is_scaling(const cJSON *autoscaler, const char *name)
{
    const cJSON *target = member(member(autoscaler, "spec"), "scaleTargetRef");
    return strcmp(text_of(target, "kind"), kube_kind_name(KUBE_RC)) == 0 &&
           strcmp(text_of(target, "name"), name) == 0;
}

enum err rolling_check_autoscalers(struct rolling *r, struct why *why)
{
    char path[KUBE_PATH_MAX];
    cJSON *list;
    const cJSON *one;
    kube_path(path, KUBE_HPA, kube_namespace(r->kube), NULL, NULL);
    enum err e = rolling_get(r, path, &list, why);
    if (e == ERR_NOT_FOUND)
        return OK; /* the server knows no autoscalers of this version */
    if (e == ERR_DENIED) {
        fprintf(stderr, "serin: warning: whether an autoscaler scales them is not known: %s\n",
                why->text);
        return OK;
    }
    if (e)
        return e;
    cJSON_ArrayForEach(one, member(list, "items"))
    {
        const char *name = is_scaling(one, r->old.name)   ? r->old.name
                           : is_scaling(one, r->new.name) ? r->new.name
                                                          : NULL;
        if (name && !e)
            e = why_set(why, ERR_CONFLICT,
                        "horizontalpodautoscalers \"%s\" scales %s and would work against the "
                        "update: delete it first, and make one for the new controller afterwards",
                        text_of(member(one, "metadata"), "name"), name);
    }
    cJSON_Delete(list);
    return e;
}
