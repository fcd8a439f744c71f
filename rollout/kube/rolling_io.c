/* Reads and writes the controllers of a rolling update: every write is conditional, nothing is done twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"
#include "rollout/kube/clock.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <time.h>

#define CONFLICT_WAIT_MS 20u /* the controller manager writes its status right behind a change */

void rolling_object_fini(struct rolling_object *object)
{
    cJSON_Delete(object->json);
    object->json = NULL;
}

void rolling_say(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

int64_t rolling_now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void rolling_progress(struct rolling *r)
{
    r->deadline_us = rolling_now_us() + (int64_t)r->o->timeout_ms * 1000;
}

enum err rolling_pause(struct rolling *r, uint32_t ms, struct why *why)
{
    if (r->wait(r->wait_arg, ms))
        return why_set(why, ERR_CLOSED, "interrupted");
    if (rolling_now_us() > r->deadline_us)
        return why_set(why, ERR_TIMEOUT, "timed out waiting for any update progress to be made");
    return OK;
}

/* Nobody answers: says so once, and waits. The reason of a timeout names both. */
static enum err wait_for_server(struct rolling *r, struct why *why)
{
    struct why reason = *why;
    if (!r->is_away)
        fprintf(stderr, "serin: %s; trying again\n", reason.text);
    r->is_away = true;
    enum err e = rolling_pause(r, r->o->poll_ms, why);
    if (e == ERR_TIMEOUT)
        (void)why_set(why, e, "timed out waiting for any update progress to be made (%.400s)",
                      reason.text);
    return e;
}

enum err rolling_get(struct rolling *r, const char *path, struct cJSON **json, struct why *why)
{
    for (;;) {
        enum err e = rolling_pause(r, 0, why);
        if (e == ERR_CLOSED)
            return e;
        *json = NULL;
        e = rolling_ask(r, KUBE_GET, path, NULL, json, NULL, why);
        if (!e && !*json)
            e = why_set(why, ERR_IO, "GET %s: the answer is no JSON", path);
        if (!e)
            r->is_away = false;
        if (e) {
            cJSON_Delete(*json);
            *json = NULL;
        }
        if (e == ERR_IO)
            e = wait_for_server(r, why);
        else
            return e;
        if (e)
            return e;
    }
}

static void path_of(const struct rolling *r, char path[KUBE_PATH_MAX], const char *name,
                    const char *sub)
{
    kube_path(path, KUBE_RC, kube_namespace(r->kube), name, sub);
}

static enum err take_object(const struct rolling_side *side, struct rolling_object *object,
                            struct why *why)
{
    enum err e = kube_workload_read(object->json, &object->w, why);
    if (!e && side->uid[0] && strcmp(side->uid, object->w.uid) != 0)
        e = why_set(why, ERR_NOT_FOUND,
                    "replicationcontrollers \"%s\" was deleted by somebody, and another one of "
                    "that name was made",
                    side->name);
    if (!e)
        object->record = rolling_record_read(object->json);
    return e;
}

enum err rolling_read(struct rolling *r, const struct rolling_side *side,
                      struct rolling_object *object, struct why *why)
{
    char path[KUBE_PATH_MAX];
    *object = (struct rolling_object){.json = NULL};
    path_of(r, path, side->name, NULL);
    enum err e = rolling_get(r, path, &object->json, why);
    if (e == ERR_NOT_FOUND)
        (void)why_set(why, e, "replicationcontrollers \"%s\" %s", side->name,
                      side->uid[0] ? "was deleted by somebody" : "not found");
    if (!e)
        e = take_object(side, object, why);
    if (e)
        rolling_object_fini(object);
    return e;
}

/* What a failed write means for who may try it again: OK = look again. */
static enum err after_write(struct rolling *r, enum err e, bool is_unknown, struct why *why)
{
    if (e == ERR_CONFLICT)
        return rolling_pause(r, CONFLICT_WAIT_MS, why);
    if (e == ERR_IO || is_unknown)
        return wait_for_server(r, why);
    return e;
}

enum err rolling_change(struct rolling *r, struct rolling_side *side, rolling_change_fn *change,
                        void *arg, struct why *why)
{
    char path[KUBE_PATH_MAX];
    path_of(r, path, side->name, NULL);
    for (;;) {
        struct rolling_object object;
        bool is_unknown = false;
        enum err e = rolling_read(r, side, &object, why);
        if (e)
            return e;
        memcpy(side->uid, object.w.uid, sizeof side->uid);
        cJSON *before = cJSON_Duplicate(object.json, true);
        e = before ? change(r, &object, arg, why) : why_set(why, ERR_MEMORY, "out of memory");
        bool is_there = !e && cJSON_Compare(before, object.json, true);
        if (!e && !is_there)
            e = rolling_ask(r, KUBE_PUT, path, object.json, NULL, &is_unknown, why);
        else if (e)
            is_there = true; /* the change itself has refused */
        cJSON_Delete(before);
        rolling_object_fini(&object);
        if (is_there || (!e && !is_unknown))
            return e;
        e = after_write(r, e, is_unknown, why);
        if (e)
            return e;
    }
}

enum err rolling_scale(struct rolling *r, const struct kube_workload *seen, int replicas,
                       struct why *why)
{
    char path[KUBE_PATH_MAX];
    bool is_unknown = false;
    cJSON *body = cJSON_CreateObject();
    path_of(r, path, seen->name, "scale");
    (void)cJSON_AddStringToObject(body, "kind", "Scale");
    (void)cJSON_AddStringToObject(body, "apiVersion", "autoscaling/v1");
    cJSON *metadata = cJSON_AddObjectToObject(body, "metadata");
    (void)cJSON_AddStringToObject(metadata, "name", seen->name);
    (void)cJSON_AddStringToObject(metadata, "namespace", kube_namespace(r->kube));
    (void)cJSON_AddStringToObject(metadata, "uid", seen->uid);
    bool is_good =
        cJSON_AddStringToObject(metadata, "resourceVersion", seen->version) &&
        cJSON_AddNumberToObject(cJSON_AddObjectToObject(body, "spec"), "replicas", replicas);
    enum err e = is_good ? rolling_ask(r, KUBE_PUT, path, body, NULL, &is_unknown, why)
                         : why_set(why, ERR_MEMORY, "out of memory");
    cJSON_Delete(body);
    if (!e && !is_unknown) { /* what is told of an interruption is so */
        *(strcmp(seen->name, r->from->name) == 0 ? &r->last_from : &r->last_to) = replicas;
        rolling_progress(r);
        return OK;
    }
    e = after_write(r, e, is_unknown, why);
    return e ? e : ERR_CONFLICT;
}

/* Whether the controller that is there is the one that this run has posted. */
static enum err is_ours(struct rolling *r, struct rolling_side *side, bool *is_there,
                        struct why *why)
{
    struct rolling_object object;
    enum err e = rolling_read(r, side, &object, why);
    *is_there = !e;
    if (e)
        return e == ERR_NOT_FOUND ? OK : e;
    if (strcmp(object.record.id, r->id) != 0)
        e = why_set(why, ERR_CONFLICT,
                    "replicationcontrollers \"%s\" already exists: somebody "
                    "else has just made it",
                    side->name);
    memcpy(side->uid, object.w.uid, sizeof side->uid);
    rolling_object_fini(&object);
    return e;
}

enum err rolling_create(struct rolling *r, const struct cJSON *manifest, struct rolling_side *side,
                        struct why *why)
{
    char path[KUBE_PATH_MAX];
    path_of(r, path, NULL, NULL);
    side->uid[0] = '\0';
    for (;;) {
        bool is_unknown = false, is_there = false;
        enum err e = rolling_ask(r, KUBE_POST, path, manifest, NULL, &is_unknown, why);
        if (e && e != ERR_CONFLICT && e != ERR_IO && !is_unknown)
            return e;
        struct why reason = *why;
        enum err found = is_ours(r, side, &is_there, why);
        if (found || is_there)
            return found;
        if (!e) /* made, and gone again */
            return why_set(why, ERR_NOT_FOUND,
                           "replicationcontrollers \"%s\" was deleted by somebody", side->name);
        *why = reason;
        e = after_write(r, e, is_unknown, why);
        if (e)
            return e;
    }
}

static cJSON *delete_options(const struct kube_workload *w, bool is_orphaning)
{
    cJSON *body = cJSON_CreateObject();
    (void)cJSON_AddStringToObject(body, "kind", "DeleteOptions");
    (void)cJSON_AddStringToObject(body, "apiVersion", "v1");
    (void)cJSON_AddStringToObject(body, "propagationPolicy",
                                  is_orphaning ? "Orphan" : "Background");
    cJSON *conditions = cJSON_AddObjectToObject(body, "preconditions");
    (void)cJSON_AddStringToObject(conditions, "uid", w->uid);
    if (!cJSON_AddStringToObject(conditions, "resourceVersion", w->version)) {
        cJSON_Delete(body);
        return NULL;
    }
    return body;
}

/* One look, and a try where it is due. ERR_CONFLICT: it has replicas; ERR_NOT_FOUND: it is gone. */
static enum err delete_once(struct rolling *r, struct rolling_side *side, bool is_orphaning,
                            struct why *why)
{
    char path[KUBE_PATH_MAX];
    struct rolling_object object;
    bool is_unknown = false;
    enum err e = rolling_read(r, side, &object, why);
    if (e)
        return e;
    memcpy(side->uid, object.w.uid, sizeof side->uid);
    if (object.w.is_deleting) {
        rolling_object_fini(&object);
        return rolling_pause(r, r->o->poll_ms, why);
    }
    if (!is_orphaning && object.w.replicas > 0)
        e = why_set(why, ERR_CONFLICT,
                    "replicationcontrollers \"%s\" has %d replicas again, so it is not deleted: "
                    "somebody has scaled it; give the same command again",
                    side->name, object.w.replicas);
    cJSON *body = e ? NULL : delete_options(&object.w, is_orphaning);
    rolling_object_fini(&object);
    if (e)
        return e;
    path_of(r, path, side->name, NULL);
    e = body ? rolling_ask(r, KUBE_DELETE, path, body, NULL, &is_unknown, why)
             : why_set(why, ERR_MEMORY, "out of memory");
    cJSON_Delete(body);
    return e || is_unknown ? after_write(r, e, is_unknown, why) : OK;
}

enum err rolling_delete(struct rolling *r, struct rolling_side *side, bool is_orphaning,
                        struct why *why)
{
    enum err e;
    do
        e = delete_once(r, side, is_orphaning, why);
    while (!e);
    return e == ERR_NOT_FOUND ? OK : e;
}
