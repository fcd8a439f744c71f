/* The writes of a fleet, one at a time: the record first, then the step of the plan. Each says the version of the
 * object that it was decided on. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet_inside.h"
#include "rollout/kube/clock.h"

#include "base/check.h"
#include "base/log.h"
#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

/* Evidence alone may be this old on the objects: the next leader judges some seconds again. */
#define RECORD_EVERY_MS 30000

/* The other proxies have a weight this long after an object bears it. */
#define FOLLOW_MS 2000

/* After a write that failed; doubles up to the second. A conflict is no failure: the object is read again at once, and
 * later where that does not end. */
#define AGAIN_MS       500
#define AGAIN_MOST_MS  30000
#define CONFLICT_MS    50
#define CONFLICTS_MOST 6u /* doublings; a person is told after so many */

/* The same step again so soon: somebody undoes what is done, and is not to be fought a hundred times a second. */
#define SAME_STEP_MS 2000

static void turn_after(struct fleet *f, int64_t ms)
{
    struct timeval wait = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    (void)event_add(f->turn, &wait);
}

/* Nothing is written until then. */
static void wait_for(struct fleet *f, int64_t ms)
{
    f->next_write_ms = kube_monotonic_ms() + ms;
    turn_after(f, ms);
}

static void note_error(struct fleet *f, const char *why)
{
    struct log_quoted quoted;
    if (strcmp(f->error, why) != 0)
        log_warn("cluster_write_failed", "route=%s why=%s", f->setup.route,
                 log_quote(&quoted, slice_str(why)));
    (void)snprintf(f->error, sizeof f->error, "%s", why);
}

static void fail(struct fleet *f, const char *why)
{
    unsigned shift = f->failures < 6 ? f->failures : 6;
    int64_t ms = (int64_t)AGAIN_MS << shift;
    f->failures++;
    note_error(f, why);
    wait_for(f, ms < AGAIN_MOST_MS ? ms : AGAIN_MOST_MS);
}

static void succeed(struct fleet *f)
{
    if (f->failures > 0)
        log_info("cluster_write_works", "route=%s", f->setup.route);
    f->failures = f->conflicts = 0;
    f->error[0] = '\0';
    f->next_write_ms = 0;
    wait_for(f, 0);
}

/* A conflict, or an outcome that was looked up: soon again. */
static void wait_a_little(struct fleet *f)
{
    unsigned shift = f->conflicts < CONFLICTS_MOST ? f->conflicts : CONFLICTS_MOST;
    wait_for(f, (int64_t)CONFLICT_MS << shift);
    f->conflicts++;
}

/* The object as it is now, after a write that nobody knows the outcome of, or that came too late. */
static void on_read(void *arg, const struct kube_answer *a)
{
    struct fleet *f = arg;
    f->write.call = NULL;
    if (a->status / 100 == 2 && a->json) {
        kube_watch_note(f->write.version->object, a->json);
        wait_a_little(f);
    } else if (a->status == 404) {
        wait_a_little(f); /* the watch tells it, too */
    } else {
        fail(f, a->error);
    }
}

static bool begin_call(struct fleet *f, enum kube_verb verb, const cJSON *body,
                       void (*done)(void *, const struct kube_answer *))
{
    char path[KUBE_PATH_MAX];
    const struct fleet_version *v = f->write.version;
    kube_path(path, v->ref.kind, kube_namespace(f->kube), verb == KUBE_POST ? NULL : v->ref.name,
              NULL);
    struct kube_ask ask = {.verb = verb, .path = path, .body = body, .done = done, .arg = f};
    f->write.call = kube_start(f->kube, &ask);
    if (!f->write.call)
        fail(f, "out of memory");
    return f->write.call != NULL;
}

static void note_stored(struct fleet *f)
{
    struct fleet_write *w = &f->write;
    f->stored_ms = kube_monotonic_ms();
    if (w->is_move)
        f->moved_ms = f->stored_ms;
    w->version->stored = w->stamp;
    f->setup.on_stored(f->setup.arg);
}

static void on_written(void *arg, const struct kube_answer *a)
{
    struct fleet *f = arg;
    struct fleet_write *w = &f->write;
    w->call = NULL;
    bool is_done = a->status / 100 == 2;
    bool deletes = w->step.action == FLEET_DELETE_STABLE || w->step.action == FLEET_DELETE_CANARY;
    if (is_done && deletes)
        w->version->exists = false; /* before the watch tells */
    else if (is_done && a->json)
        kube_watch_note(w->version->object, a->json);
    if (is_done && w->stamp.epoch)
        note_stored(f);
    if (is_done) {
        f->last = (struct fleet_last){w->version, w->step, kube_monotonic_ms()};
        succeed(f);
    } else if (a->is_unknown || a->status == 409) {
        if (f->conflicts >= CONFLICTS_MOST)
            note_error(f, a->error);
        (void)begin_call(f, KUBE_GET, NULL, on_read);
    } else {
        fail(f, a->error);
    }
}

static cJSON *annotations_of(cJSON *object)
{
    cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    cJSON *annotations = cJSON_GetObjectItemCaseSensitive(metadata, "annotations");
    if (cJSON_IsObject(annotations))
        return annotations;
    cJSON_DeleteItemFromObjectCaseSensitive(metadata, "annotations"); /* null is as good as none */
    return metadata ? cJSON_AddObjectToObject(metadata, "annotations") : NULL;
}

static bool put(cJSON *object, const char *key, const char *value)
{
    cJSON *annotations = annotations_of(object);
    if (!annotations)
        return false;
    cJSON_DeleteItemFromObjectCaseSensitive(annotations, key);
    return value ? cJSON_AddStringToObject(annotations, key, value) != NULL
                 : cJSON_AddNullToObject(annotations, key) != NULL;
}

static bool put_number(cJSON *object, const char *key, int value)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", value);
    return put(object, key, text);
}

/* What a run's canary says of itself. */
static bool put_marks(const struct fleet *f, cJSON *object, bool is_new)
{
    char source[FLEET_SOURCE_MAX];
    const struct fleet_version *stable = fleet_find(f, f->stable),
                               *canary = fleet_find(f, f->canary);
    fleet_source(&stable->state, source);
    return put(object, KUBE_SOURCE_ID, source) &&
           put_number(object, KUBE_DESIRED, f->want.replicas) &&
           (is_new || put(object, FLEET_SEEN_HASH, canary->live_hash)) &&
           (!canary->manifest || put(object, KUBE_TEMPLATE_HASH, canary->manifest_hash));
}

static bool put_record(struct fleet *f, cJSON *object)
{
    if (!f->record || fleet_is_stored(f, f->write.version))
        return true;
    f->write.stamp = f->stamp;
    f->write.is_move = f->is_durable;
    return put(object, KUBE_ROLLOUT, f->record);
}

static bool clean(cJSON *object)
{
    static const char *const keys[] = {KUBE_SOURCE_ID, KUBE_DESIRED, KUBE_ORIGINAL, KUBE_NEXT,
                                       FLEET_SEEN_HASH};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (!put(object, keys[i], NULL))
            return false;
    return true;
}

/* A merge patch with the version of the object as its precondition. NULL when memory is short. */
static cJSON *patch_of(struct fleet *f, const struct fleet_step *step)
{
    cJSON *patch = cJSON_CreateObject();
    cJSON *metadata = cJSON_AddObjectToObject(patch, "metadata");
    bool whole =
        metadata &&
        cJSON_AddStringToObject(metadata, "resourceVersion", f->write.version->state.version) &&
        put_record(f, patch);
    cJSON *spec = NULL;
    switch (step->action) {
    case FLEET_MARK_CANARY:
        whole = whole && put_marks(f, patch, false);
        break;
    case FLEET_MARK_STABLE:
        whole = whole && put_number(patch, KUBE_ORIGINAL, f->want.replicas);
        break;
    case FLEET_SCALE_CANARY:
    case FLEET_SCALE_STABLE:
        spec = whole ? cJSON_AddObjectToObject(patch, "spec") : NULL;
        whole = spec && cJSON_AddNumberToObject(spec, "replicas", step->replicas);
        break;
    case FLEET_CLEAN_CANARY:
    case FLEET_CLEAN_STABLE:
        whole = whole && clean(patch);
        break;
    default:
        break;
    }
    if (whole)
        return patch;
    cJSON_Delete(patch);
    return NULL;
}

static cJSON *creation_of(struct fleet *f)
{
    cJSON *object = cJSON_Duplicate(f->write.version->manifest, true);
    cJSON *spec = cJSON_GetObjectItemCaseSensitive(object, "spec");
    cJSON_DeleteItemFromObjectCaseSensitive(spec, "replicas");
    if (object && cJSON_AddNumberToObject(spec, "replicas", 0) && put_marks(f, object, true) &&
        put_record(f, object))
        return object;
    cJSON_Delete(object);
    return NULL;
}

/* Only the very object that was seen goes. */
static cJSON *deletion_of(const struct fleet *f)
{
    const struct kube_workload *state = &f->write.version->state;
    cJSON *options = cJSON_CreateObject();
    cJSON *conditions = cJSON_AddObjectToObject(options, "preconditions");
    if (conditions && cJSON_AddStringToObject(options, "propagationPolicy", "Background") &&
        cJSON_AddStringToObject(conditions, "uid", state->uid) &&
        cJSON_AddStringToObject(conditions, "resourceVersion", state->version))
        return options;
    cJSON_Delete(options);
    return NULL;
}

static void begin(struct fleet *f, struct fleet_version *v, const struct fleet_step *step)
{
    bool creates = step->action == FLEET_CREATE_CANARY;
    bool deletes = step->action == FLEET_DELETE_STABLE || step->action == FLEET_DELETE_CANARY;
    f->write = (struct fleet_write){.version = v, .step = *step};
    cJSON *body = creates ? creation_of(f) : deletes ? deletion_of(f) : patch_of(f, step);
    if (!body) {
        fail(f, "out of memory");
        return;
    }
    bool is_sent = begin_call(f,
                              creates   ? KUBE_POST
                              : deletes ? KUBE_DELETE
                                        : KUBE_PATCH,
                              body, on_written);
    cJSON_Delete(body);
    if (is_sent && step->action != FLEET_NOTHING)
        log_info("cluster_step", "route=%s rollout=%s workload=%s step=%s replicas=%d",
                 f->setup.route, f->run, v->workload, fleet_action_name(step->action),
                 step->replicas);
}

static struct fleet_version *version_of(const struct fleet *f, enum fleet_action action)
{
    bool is_stable = action == FLEET_MARK_STABLE || action == FLEET_SCALE_STABLE ||
                     action == FLEET_CLEAN_STABLE || action == FLEET_DELETE_STABLE;
    return fleet_find(f, is_stable ? f->stable : f->canary);
}

/* Pods go only once every proxy has the weight that needs them no more: the others see it on the objects. */
static bool must_wait(struct fleet *f, const struct fleet_step *step)
{
    const struct fleet_version *v = version_of(f, step->action);
    bool is_scale = step->action == FLEET_SCALE_CANARY || step->action == FLEET_SCALE_STABLE;
    int64_t left_ms = f->moved_ms + FOLLOW_MS - kube_monotonic_ms();
    bool waits = is_scale && step->replicas < v->state.replicas && f->moved_ms > 0 && left_ms > 0;
    if (waits)
        turn_after(f, left_ms);
    return waits;
}

/* What was written a moment ago, and does not stand. */
static bool is_undone(struct fleet *f, const struct fleet_step *step)
{
    const struct fleet_version *v = version_of(f, step->action);
    int64_t left_ms = f->last.at_ms + SAME_STEP_MS - kube_monotonic_ms();
    bool is_same = f->last.version == v && f->last.step.action == step->action &&
                   f->last.step.replicas == step->replicas && left_ms > 0;
    if (is_same)
        turn_after(f, left_ms);
    return is_same;
}

/* An object that does not bear the newest record; NULL: all do, or it may wait. */
static struct fleet_version *behind(struct fleet *f)
{
    bool is_due = f->is_durable || kube_monotonic_ms() - f->stored_ms >= RECORD_EVERY_MS;
    if (!f->record)
        return NULL;
    for (size_t i = 0; i < f->n_versions; i++) {
        struct fleet_version *v = &f->versions[i];
        bool is_party = strcmp(v->name, f->stable) == 0 || strcmp(v->name, f->canary) == 0;
        bool may_wait = !is_due && v->stored.epoch == f->stamp.epoch; /* only evidence is behind */
        if (is_party && v->exists && !fleet_is_stored(f, v) && !may_wait)
            return v;
    }
    f->is_durable = false;
    return NULL;
}

void fleet_drive(struct fleet *f)
{
    static const struct fleet_step record_only = {FLEET_NOTHING, 0};
    struct fleet_view view;
    struct cluster_seen seen = {.is_there = true};
    if (!f->is_wanted || f->write.call || kube_monotonic_ms() < f->next_write_ms || !fleet_leads(f))
        return;
    struct fleet_version *v = behind(f);
    if (v) {
        begin(f, v, &record_only);
        return;
    }
    if (fleet_trouble(f)[0])
        return; /* a look follows when it is over */
    fleet_view(f, &view);
    struct fleet_step step = fleet_plan(&view, &f->want, &seen);
    if (step.action != FLEET_NOTHING && !must_wait(f, &step) && !is_undone(f, &step))
        begin(f, version_of(f, step.action), &step);
    else if (step.action == FLEET_NOTHING)
        f->error[0] = '\0'; /* what failed is not wanted any more */
}

void fleet_write_end(struct fleet *f)
{
    kube_cancel(f->write.call);
    kube_cancel(f->autoscalers_call);
    for (size_t i = 0; i < FLEET_EVENTS_MAX; i++)
        kube_cancel(f->events[i].call);
}
