/* The new controller takes the old one's name, and its pods never notice. A controller cannot be renamed: one of the old
 * name is made that selects nothing yet ("parked"), the new one is deleted without its pods, and the parked one is let
 * loose on them. At every moment one of the two is there and says what is left to do; the recorded kubectl had a
 * moment with neither, or with twice the pods.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <string.h>

#define PARK_KEY   "serin.io/parked" /* a label that no pod has */
#define PARK_VALUE "true"

static cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static cJSON *selector_of(const cJSON *object)
{
    return member(member(object, "spec"), "selector");
}

static cJSON *labels_of(const cJSON *object)
{
    return member(member(member(member(object, "spec"), "template"), "metadata"), "labels");
}

static cJSON *parked_copy(const struct rolling *r, const struct rolling_object *new)
{
    struct rolling_record record = {
        .phase = ROLLING_RENAMING, .original = r->original, .replicas = new->w.replicas};
    memcpy(record.id, r->id, sizeof record.id);
    rolling_source(record.source, &r->new);
    cJSON *copy = rolling_bare_copy(new->json), *metadata = member(copy, "metadata");
    cJSON_DeleteItemFromObjectCaseSensitive(metadata, "name");
    bool is_good = copy && cJSON_AddStringToObject(metadata, "name", r->old.name) &&
                   cJSON_AddStringToObject(selector_of(copy), PARK_KEY, PARK_VALUE) &&
                   cJSON_AddStringToObject(labels_of(copy), PARK_KEY, PARK_VALUE) &&
                   rolling_record_write(copy, &record) == OK;
    if (is_good)
        return copy;
    cJSON_Delete(copy);
    return NULL;
}

static enum err let_loose(struct rolling *r, struct rolling_object *object, void *arg,
                          struct why *why)
{
    const int *replicas = arg;
    struct rolling_record record = {
        .phase = ROLLING_FINISHED, .original = r->original, .replicas = -1};
    memcpy(record.id, r->id, sizeof record.id);
    rolling_source(record.source, &r->new);
    if (object->record.phase == ROLLING_FINISHED)
        return OK;
    cJSON *spec = member(object->json, "spec");
    cJSON_DeleteItemFromObjectCaseSensitive(selector_of(object->json), PARK_KEY);
    cJSON_DeleteItemFromObjectCaseSensitive(labels_of(object->json), PARK_KEY);
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "replicas");
    bool is_good = cJSON_AddNumberToObject(spec, "replicas", *replicas) &&
                   rolling_record_write(object->json, &record) == OK;
    return is_good ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

static enum err wait_for_pods(struct rolling *r, struct why *why)
{
    for (;;) {
        struct rolling_object object;
        enum err e = rolling_read(r, &r->old, &object, why);
        if (e)
            return e;
        bool is_there = object.w.is_observed && object.w.seen == object.w.replicas;
        rolling_object_fini(&object);
        if (is_there)
            return OK;
        e = rolling_pause(r, r->o->poll_ms, why);
        if (e)
            return e;
    }
}

static enum err take_pods(struct rolling *r, int replicas, struct why *why)
{
    rolling_progress(r);
    enum err e = rolling_delete(r, &r->new, true, why);
    if (!e)
        e = rolling_change(r, &r->old, let_loose, &replicas, why);
    return e ? e : wait_for_pods(r, why);
}

enum err rolling_rename(struct rolling *r, struct why *why)
{
    struct rolling_object new;
    rolling_progress(r);
    rolling_say("Renaming %s to %s", r->new.name, r->old.name);
    enum err e = rolling_read(r, &r->new, &new, why);
    if (e)
        return e;
    memcpy(r->new.uid, new.w.uid, sizeof r->new.uid);
    int replicas = new.w.replicas;
    cJSON *parked = parked_copy(r, &new);
    rolling_object_fini(&new);
    e = parked ? rolling_create(r, parked, &r->old, why)
               : why_set(why, ERR_MEMORY, "out of memory");
    cJSON_Delete(parked);
    return e ? e : take_pods(r, replicas, why);
}

enum err rolling_rename_resume(struct rolling *r, const struct rolling_object *parked,
                               struct why *why)
{
    const char *source = parked->record.source;
    size_t len = strcspn(source, ":");
    if (len >= sizeof r->new.name || source[len] != ':' ||
        strlen(source + len + 1) >= sizeof r->new.uid)
        return why_set(why, ERR_INVALID, "the record of %s names no controller", r->old.name);
    memcpy(r->new.name, source, len);
    r->new.name[len] = '\0';
    memcpy(r->new.uid, source + len + 1, strlen(source + len + 1) + 1);
    memcpy(r->old.uid, parked->w.uid, sizeof r->old.uid);
    rolling_say("Renaming %s to %s", r->new.name, r->old.name);
    return take_pods(r, parked->record.replicas < 0 ? 0 : parked->record.replicas, why);
}
