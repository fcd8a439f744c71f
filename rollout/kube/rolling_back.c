/* The way back that a person asks for: old grows to its size before the update, new goes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <string.h>

const char *rolling_name_of(const struct cJSON *object)
{
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(metadata, "name"));
    return name && kube_is_name(name) ? name : "";
}

/* Whether a controller takes, or has taken, old's place. */
static bool follows(const struct rolling *r, const cJSON *object)
{
    struct rolling_record record = rolling_record_read(object);
    const char *source = kube_annotation(object, KUBE_SOURCE_ID);
    if (record.phase == ROLLING_FINISHED && record.takes_name &&
        kube_source_is(record.source, r->old.name))
        return true;
    return source && kube_source_is(source, r->old.name);
}

enum err rolling_find_successor(struct rolling *r, struct rolling_object *object, struct why *why)
{
    char path[KUBE_PATH_MAX];
    cJSON *list;
    const cJSON *one;
    kube_path(path, KUBE_RC, kube_namespace(r->kube), NULL, NULL);
    enum err e = rolling_get(r, path, &list, why);
    if (e)
        return e;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(list, "items"))
    {
        const char *name = rolling_name_of(one);
        if (!r->new.name[0] && name[0] && follows(r, one))
            memcpy(r->new.name, name, strlen(name) + 1);
    }
    cJSON_Delete(list);
    if (!r->new.name[0])
        return why_set(why, ERR_NOT_FOUND,
                       "couldn't find a replication controller with source id == %s/%s",
                       kube_namespace(r->kube), r->old.name);
    e = rolling_read(r, &r->new, object, why);
    if (!e)
        memcpy(r->new.uid, object->w.uid, sizeof r->new.uid);
    return e;
}

/* By its argument, its file, old's annotation, or its own. */
static enum err name_new(struct rolling *r, const struct rolling_object *old,
                         struct rolling_object *new, struct why *why)
{
    const char *name = r->o->new        ? r->o->new
                       : r->o->manifest ? rolling_name_of(r->o->manifest)
                       : old->w.next[0] ? old->w.next
                                        : "";
    memcpy(r->new.name, name, strlen(name) + 1);
    if (!name[0])
        return rolling_find_successor(r, new, why);
    enum err e = rolling_read(r, &r->new, new, why);
    if (e == ERR_NOT_FOUND)
        (void)why_set(why, e, "Could not find %s to rollback.", name);
    if (!e)
        memcpy(r->new.uid, new->w.uid, sizeof r->new.uid);
    return e;
}

/* Old took the place of new before: the last run came as far as that. */
static bool has_come_back(const struct rolling *r, const struct rolling_object *old)
{
    return old->record.phase == ROLLING_FINISHED && kube_source_is(old->record.source, r->new.name);
}

/* Whether the two belong to one update; what size old had. */
static enum err check_pair(struct rolling *r, const struct rolling_object *old,
                           const struct rolling_object *new, struct why *why)
{
    char shown[256], source[ROLLING_SOURCE_MAX];
    bool is_pair =
        rolling_source_is(new->w.source_id, &r->old) ||
        rolling_source_is(old->w.source_id, &r->new) ||
        (new->record.phase == ROLLING_FINISHED &&rolling_source_is(new->record.source, &r->old));
    r->original = new->record.original >= 0 ? new->record.original : old->w.original;
    if (r->original < 0 && is_pair)
        r->original = new->w.desired;
    if (r->original < 0)
        return why_set(why, ERR_CONFLICT, "couldn't find original replica count of \"%s\"",
                       r->old.name);
    if (is_pair)
        return rolling_check_hands(new, why);
    rolling_source(source, &r->old);
    rolling_annotations_show(new->json, shown, sizeof shown);
    return why_set(why, ERR_CONFLICT,
                   "Missing/unexpected annotations for controller %s, expected %s : %s",
                   r->new.name, source, shown);
}

static enum err go_back(struct rolling *r, const struct rolling_object *old,
                        const struct rolling_object *new, struct why *why)
{
    r->from = &r->new;
    r->to = &r->old;
    if (old->record.phase == ROLLING_FINISHED && rolling_source_is(old->record.source, &r->new)) {
        r->original = old->record.original;
        return r->o->is_dry ? OK : rolling_finish(r, why);
    }
    enum err e = check_pair(r, old, new, why);
    if (!e)
        e = rolling_check_autoscalers(r, why);
    if (e)
        return e;
    if (r->o->is_dry) {
        rolling_say("Rolling from:\n%s\nTo:\n%s", r->new.name, r->old.name);
        return OK;
    }
    e = rolling_turn(r, ROLLING_BACK, why);
    if (!e)
        e = rolling_go(r, why);
    return e ? e : rolling_finish(r, why);
}

enum err rolling_back(struct rolling *r, struct why *why)
{
    struct rolling_object old, new = {.json = NULL};
    rolling_progress(r);
    if (r->cleanup == ROLLING_RENAME)
        r->cleanup = ROLLING_DELETE;
    enum err e = rolling_read(r, &r->old, &old, why);
    if (e)
        return e;
    memcpy(r->old.uid, old.w.uid, sizeof r->old.uid);
    r->from = &r->new;
    r->to = &r->old;
    e = name_new(r, &old, &new, why);
    if (!e)
        e = go_back(r, &old, &new, why);
    else if (e == ERR_NOT_FOUND && has_come_back(r, &old)) {
        rolling_say_done(r);
        e = OK;
    }
    rolling_object_fini(&old);
    rolling_object_fini(&new);
    return e;
}
