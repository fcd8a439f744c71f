/* The workloads of one route: watched, read, and looked at by the rollout.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet_inside.h"

#include "base/check.h"
#include "base/log.h"
#include "rollout/kube/lease.h"
#include "rollout/kube/within.h"
#include "rollout/kube/clock.h"
#include <cjson/cJSON.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>

struct fleet_version *fleet_find(const struct fleet *f, const char *name)
{
    for (size_t i = 0; i < f->n_versions; i++)
        if (strcmp(f->versions[i].name, name) == 0)
            return (struct fleet_version *)(uintptr_t)&f->versions[i];
    return NULL;
}

static void look_again(struct fleet *f)
{
    static const struct timeval next_turn = {0, 0};
    (void)event_add(f->turn, &next_turn);
}

static uint64_t count_of(const cJSON *json, const char *name)
{
    double value = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, name));
    return value > 0 && value < 0x1p53 ? (uint64_t)value : 0;
}

/* Which record of the route it is, without believing anything else in it. */
static struct fleet_stamp stamp_of(const struct fleet *f, const char *record)
{
    cJSON *json = cJSON_Parse(record);
    const char *route = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "route"));
    struct fleet_stamp stamp = {0, 0};
    if (route && strcmp(route, f->setup.route) == 0)
        stamp = (struct fleet_stamp){count_of(json, "epoch"), count_of(json, "seq")};
    cJSON_Delete(json);
    return stamp;
}

bool fleet_is_stored(const struct fleet *f, const struct fleet_version *v)
{
    return v->stored.epoch == f->stamp.epoch && v->stored.seq >= f->stamp.seq;
}

/* Another proxy's word: what this one had to say is over. */
static void forget_record(struct fleet *f)
{
    free(f->record);
    f->record = NULL;
    f->stamp = (struct fleet_stamp){0, 0};
    f->is_durable = false;
}

/* `serin rolling-update` keeps its own there. */
static bool is_of_command(const char *record)
{
    cJSON *json = cJSON_Parse(record);
    bool is_so = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(json, "tool"));
    cJSON_Delete(json);
    return is_so;
}

static void read_record(struct fleet_version *v, const cJSON *object)
{
    const char *record = kube_annotation(object, KUBE_ROLLOUT);
    if (record && v->record && strcmp(record, v->record) == 0)
        return;
    free(v->record);
    v->record = record ? strdup(record) : NULL;
    v->stored = (struct fleet_stamp){0, 0};
    if (!v->record || is_of_command(v->record))
        return;
    enum err e = v->fleet->setup.on_record(v->fleet->setup.arg, v->record, strlen(v->record));
    if (e == OK)
        forget_record(v->fleet);
    if (e == OK || e == ERR_CONFLICT)
        v->stored = stamp_of(v->fleet, v->record);
}

static void read_object(struct fleet_version *v)
{
    const cJSON *object = kube_watch_find(v->object, v->ref.name);
    struct why why = {""};
    v->exists = false;
    if (!object) {
        v->stored = (struct fleet_stamp){0, 0};
        free(v->record);
        v->record = NULL;
        return;
    }
    const cJSON *spec = cJSON_GetObjectItemCaseSensitive(object, "spec");
    const cJSON *template = cJSON_GetObjectItemCaseSensitive(spec, "template");
    enum err e = kube_workload_read(object, &v->state, &why);
    if (e == OK && !template)
        e = why_set(&why, ERR_INVALID, "spec.template: missing");
    if (e == OK)
        e = kube_hash(template, v->live_hash);
    if (e != OK && strcmp(v->unreadable, why.text) != 0)
        log_error("workload_unreadable", "workload=%s why=\"%s\"", v->workload, why.text);
    memcpy(v->unreadable, why.text, sizeof v->unreadable);
    if (e != OK)
        return;
    v->exists = !v->state.is_deleting;
    read_record(v, object);
    fleet_pods_follow(v);
}

static void on_object_change(void *arg)
{
    struct fleet_version *v = arg;
    read_object(v);
    look_again(v->fleet);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct fleet *f = arg;
    (void)fd, (void)what;
    for (size_t i = 0; i < f->n_versions; i++)
        fleet_pods_tell(&f->versions[i]);
    fleet_drive(f);
}

static const cJSON *template_of(const cJSON *object)
{
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(object, "spec"),
                                            "template");
}

/* What serin made says from which manifest; what a person made is compared. */
static bool differs(const struct fleet_version *v)
{
    const cJSON *object = kube_watch_find(v->object, v->ref.name);
    const char *made_from = kube_annotation(object, KUBE_TEMPLATE_HASH);
    if (!v->manifest || !object)
        return false;
    if (made_from)
        return strcmp(made_from, v->manifest_hash) != 0;
    return !kube_is_within(template_of(v->manifest), template_of(object));
}

static void view_side(const struct fleet_version *v, const char *name, struct fleet_side *side)
{
    *side = (struct fleet_side){.is_known = true, .is_unnamed = !v};
    if (!v) {
        (void)snprintf(side->name, sizeof side->name, "%s", name);
        return;
    }
    side->is_known = kube_watch_is_synced(v->object) && !v->unreadable[0];
    memcpy(side->name, v->workload, sizeof side->name);
    side->exists = side->is_known && v->exists;
    if (!side->exists)
        return;
    side->workload = v->state;
    side->available = fleet_pods_available(v);
    side->are_pods_unknown = !fleet_pods_are_known(v);
    side->there = v->state.seen > v->state.replicas ? v->state.seen : v->state.replicas;
    memcpy(side->live_hash, v->live_hash, sizeof side->live_hash);
    const char *seen = kube_annotation(kube_watch_find(v->object, v->ref.name), FLEET_SEEN_HASH);
    if (seen)
        (void)snprintf(side->seen_hash, sizeof side->seen_hash, "%s", seen);
}

void fleet_view(const struct fleet *f, struct fleet_view *view)
{
    const struct fleet_version *stable = fleet_find(f, f->stable),
                               *canary = fleet_find(f, f->canary);
    const char *unreadable = stable && stable->unreadable[0] ? stable->unreadable
                             : canary                        ? canary->unreadable
                                                             : "";
    view_side(stable, f->stable, &view->stable);
    view_side(canary, f->canary, &view->canary);
    (void)snprintf(view->unreadable, sizeof view->unreadable, "%.300s", unreadable);
    view->has_manifest = canary && canary->manifest;
    view->canary_differs = canary && differs(canary);
    view->autoscalers_known = fleet_knows_autoscalers(f);
    memcpy(view->autoscaler, f->autoscaler, sizeof view->autoscaler);
}

static bool is_synced(const struct fleet *f)
{
    for (size_t i = 0; i < f->n_versions; i++)
        if (!kube_watch_is_synced(f->versions[i].object))
            return false;
    return true;
}

bool fleet_is_known(const struct fleet *f)
{
    for (size_t i = 0; i < f->n_versions; i++)
        if (f->versions[i].exists && !f->versions[i].is_told)
            return false;
    return is_synced(f);
}

/* Why the objects and the lease cannot be asked now. */
static const char *trouble_of(const struct fleet *f)
{
    for (size_t i = 0; i < f->n_versions; i++)
        if (kube_watch_trouble(f->versions[i].object)[0])
            return kube_watch_trouble(f->versions[i].object);
    return kube_lease_trouble(f->lease);
}

/* The pods, too: without them the server can be asked, but no pod may be moved. */
const char *fleet_trouble(const struct fleet *f)
{
    const char *trouble = trouble_of(f);
    for (size_t i = 0; i < f->n_versions && trouble[0] == '\0'; i++)
        trouble = fleet_pods_trouble(&f->versions[i]);
    return trouble;
}

static enum cluster_standing standing_of(const struct fleet *f)
{
    if (kube_lease_is_held(f->lease))
        return is_synced(f) ? CLUSTER_LEADS : trouble_of(f)[0] ? CLUSTER_STRANDED : CLUSTER_FOLLOWS;
    bool is_mine = kube_lease_holder(f->lease)[0] == '\0' || kube_lease_was_held(f->lease);
    return is_mine && trouble_of(f)[0] ? CLUSTER_STRANDED : CLUSTER_FOLLOWS;
}

bool fleet_leads(const struct fleet *f)
{
    return standing_of(f) == CLUSTER_LEADS;
}

static void see_version(const struct fleet_version *v, struct cluster_version *seen)
{
    *seen = (struct cluster_version){.wanted = -1};
    if (!v)
        return;
    memcpy(seen->workload, v->workload, sizeof seen->workload);
    const char *hash = v->manifest ? v->manifest_hash : v->exists ? v->state.hash : "";
    (void)snprintf(seen->revision, sizeof seen->revision, "%s", hash);
    seen->is_known = kube_watch_is_synced(v->object) && v->exists;
    if (!seen->is_known)
        return;
    seen->wanted = v->state.replicas;
    seen->ready = v->state.ready;
    seen->available = fleet_pods_available(v);
}

static void take_want(struct fleet *f, const struct cluster_want *want)
{
    (void)snprintf(f->stable, sizeof f->stable, "%s", want->stable);
    (void)snprintf(f->canary, sizeof f->canary, "%s", want->canary);
    (void)snprintf(f->run, sizeof f->run, "%s", want->run);
    f->plan = *want->plan;
    f->want = *want;
    f->want.stable = f->stable;
    f->want.canary = f->canary;
    f->want.run = f->run;
    f->want.plan = &f->plan;
    f->is_wanted = true;
}

void fleet_look(struct fleet *f, const struct cluster_want *want, struct cluster_seen *seen)
{
    struct fleet_view view;
    take_want(f, want);
    *seen = (struct cluster_seen){
        .is_there = true, .is_stale = trouble_of(f)[0] != '\0', .standing = standing_of(f)};
    (void)snprintf(seen->leader, sizeof seen->leader, "%s", kube_lease_holder(f->lease));
    see_version(fleet_find(f, f->stable), &seen->stable);
    see_version(fleet_find(f, f->canary), &seen->canary);
    fleet_view(f, &view);
    (void)fleet_plan(&view, &f->want, seen);
    seen->update_of = fleet_update_of(&view);
    const char *trouble = fleet_trouble(f)[0] ? fleet_trouble(f) : f->error;
    if (trouble[0]) {
        seen->away = true;
        (void)snprintf(seen->why, sizeof seen->why, "%.*s", (int)sizeof seen->why - 1, trouble);
    }
    bool may_widen = want->goal == CLUSTER_LOOK || want->goal == CLUSTER_STEP;
    if (seen->standing == CLUSTER_LEADS && may_widen)
        fleet_ask_autoscalers(f);
    look_again(f); /* not from here: the rollout may be in the middle of a move */
}

void fleet_store(struct fleet *f, const char *record, uint64_t seq, bool durable)
{
    char *copy = strdup(record);
    if (!copy)
        return; /* the next one comes within a second */
    free(f->record);
    f->record = copy;
    f->stamp = stamp_of(f, record);
    f->stamp.seq = seq;
    f->is_durable = f->is_durable || durable;
    if (durable)
        look_again(f);
}

uint64_t fleet_stored(const struct fleet *f, uint64_t epoch)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < f->n_versions; i++)
        if (f->versions[i].stored.epoch == epoch && f->versions[i].stored.seq > newest)
            newest = f->versions[i].stored.seq;
    return newest;
}

static bool is_among(const struct fleet_version *v, const struct fleet_version_setup *versions,
                     size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(versions[i].name, v->name) == 0)
            return strcmp(versions[i].workload, v->workload) == 0;
    return false;
}

bool fleet_must_stay(const struct fleet *f, const struct fleet_version_setup *versions, size_t n)
{
    const char *const names[] = {f->stable, f->canary};
    if (!f->is_wanted || f->want.goal == CLUSTER_REST || f->want.goal == CLUSTER_LOOK)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct fleet_version *v = fleet_find(f, names[i]);
        if (v && v->exists && !is_among(v, versions, n))
            return true;
    }
    return false;
}

bool fleet_counts(const struct fleet *f, const char *version, struct fleet_counts *counts)
{
    const struct fleet_version *v = fleet_find(f, version);
    if (!v || !v->exists)
        return false;
    *counts =
        (struct fleet_counts){v->state.replicas, v->state.seen, v->state.ready, v->state.available};
    return true;
}

static enum err begin_version(struct fleet *f, const struct fleet_version_setup *setup,
                              struct why *why)
{
    char path[KUBE_PATH_MAX];
    struct fleet_version *v = &f->versions[f->n_versions];
    v->fleet = f;
    (void)snprintf(v->name, sizeof v->name, "%s", setup->name);
    (void)snprintf(v->workload, sizeof v->workload, "%s", setup->workload);
    v->port = setup->port;
    enum err e = kube_ref_parse(setup->workload, &v->ref, why);
    if (e != OK)
        return e;
    f->n_versions++;
    v->manifest = setup->manifest ? cJSON_Duplicate(setup->manifest, true) : NULL;
    if (setup->manifest &&
        (!v->manifest || kube_hash(template_of(v->manifest), v->manifest_hash) != OK))
        return why_set(why, ERR_MEMORY, "out of memory");
    kube_path(path, v->ref.kind, kube_namespace(f->kube), NULL, NULL);
    struct kube_watch_setup watch = {
        .path = path, .name = v->ref.name, .on_change = on_object_change, .arg = v};
    v->object = kube_watch_new(f->kube, &watch);
    return v->object ? OK : why_set(why, ERR_MEMORY, "out of memory");
}

struct fleet *fleet_new(struct kube *k, struct kube_lease *lease, const struct fleet_setup *setup,
                        struct why *why)
{
    CHECK(setup->n_versions <= FLEET_VERSIONS_MAX);
    struct fleet *f = calloc(1, sizeof *f);
    enum err e = f ? OK : why_set(why, ERR_MEMORY, "out of memory");
    if (f) {
        f->kube = k;
        f->lease = lease;
        f->setup = *setup;
        f->turn = evtimer_new(kube_base(k), on_turn, f);
        if (!f->turn)
            e = why_set(why, ERR_MEMORY, "out of memory");
    }
    for (size_t i = 0; e == OK && i < setup->n_versions; i++)
        e = begin_version(f, &setup->versions[i], why);
    if (e == OK)
        return f;
    fleet_free(f);
    return NULL;
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    fleet_write_end(f);
    for (size_t i = 0; i < f->n_versions; i++) {
        struct fleet_version *v = &f->versions[i];
        kube_watch_free(v->object);
        kube_watch_free(v->pods);
        cJSON_Delete(v->manifest);
        free(v->record);
    }
    if (f->turn)
        event_free(f->turn);
    free(f->record);
    free(f);
}
