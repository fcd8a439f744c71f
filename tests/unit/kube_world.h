/* Two proxies before one cluster, without sockets or clocks: objects, a lease, pods that become ready, a server that goes
 * away, a process that dies after a write. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_KUBE_WORLD_H
#define SERIN_TESTS_KUBE_WORLD_H

#include "rollout/inside.h"
#include "rollout/kube/fleet_plan.h"
#include "rollout_world.h"

#define PROXIES  2
#define NOBODY   PROXIES
#define LEASE_S  4 /* a dead leader is followed after this */
#define WRITES_S 3 /* of one proxy in a second */

/* What the API server holds. */
struct api {
    bool is_away;
    struct fleet_view view;
    char *records[2]; /* on the two objects: v1's and v2's */
    unsigned holder;  /* of the lease */
    int free_at_s;
    unsigned writes, kill_at; /* the leader dies after that many; 0 = never */
    bool is_slow;             /* pods become ready one a second */
};

struct proxy {
    unsigned index;
    struct cluster *cluster;
    struct world world;
    struct rollout *rollout; /* NULL: it is down */
    char dir[64];
    int back_at_s; /* when it starts again; 0 = it does not */
    struct cluster_want want;
    struct plan plan_wanted;
    char names[3][RECORD_ID_MAX];
    bool has_want;
    bool is_away;           /* it alone does not reach the server */
    struct fleet_view seen; /* the objects as it saw them last */
    char *read[2];          /* and their records, its own among them */
    char *stored[2];        /* what it knows to stand there */
    char *record;           /* to be stored; NULL = nothing */
    bool is_durable;
    int stored_s;
    const char *canary; /* in its file; NULL = none */
};

struct cluster {
    struct api api;
    struct proxy proxies[PROXIES];
    struct plan plan;
    int now_s;
    int most,
        keep; /* bounds that are checked each second; keep 0: pods are lost, and the data plane alone sees to it */
};

/* It has the lease, as far as it knows. */
static bool cluster_is_leader(const struct proxy *p)
{
    return p->cluster->api.holder == p->index;
}

static bool is_cut_off(const struct proxy *p)
{
    return p->is_away || p->cluster->api.is_away;
}

/* What a record says of itself; 0, 0 for none. */
struct stamp {
    uint64_t epoch, seq;
};

static struct stamp stamp_of(const char *text)
{
    cJSON *json = text ? cJSON_Parse(text) : NULL;
    struct stamp stamp = {0, 0};
    const char *route = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "route"));
    double epoch = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "epoch"));
    double seq = cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(json, "seq"));
    if (route && strcmp(route, "my-web") == 0 && epoch > 0 && seq > 0)
        stamp = (struct stamp){(uint64_t)epoch, (uint64_t)seq};
    cJSON_Delete(json);
    return stamp;
}

WORLD_UNUSED static bool is_before(struct stamp a, struct stamp b)
{
    return a.epoch < b.epoch || (a.epoch == b.epoch && a.seq < b.seq);
}

static void see_side(const struct fleet_side *side, struct cluster_version *seen)
{
    (void)snprintf(seen->workload, sizeof seen->workload, "%s", side->name);
    seen->is_known = side->exists;
    seen->wanted = side->exists ? side->workload.replicas : -1;
    seen->available = side->available;
}

static void port_look(void *host, const char *route, const struct cluster_want *want,
                      struct cluster_seen *seen)
{
    struct proxy *p = CONTAINER_OF(host, struct proxy, world);
    const struct api *api = &p->cluster->api;
    bool swapped = strcmp(want->stable, "v2") == 0;
    (void)route;
    if (!is_cut_off(p))
        p->seen = api->view;
    struct fleet_view view = p->seen;
    if (swapped) {
        view.stable = p->seen.canary;
        view.canary = p->seen.stable;
        view.has_manifest = false;
    }
    p->plan_wanted = *want->plan;
    p->want = *want;
    p->want.plan = &p->plan_wanted;
    p->has_want = true;
    *seen = (struct cluster_seen){.is_there = true};
    bool is_known_alone = api->holder == NOBODY || cluster_is_leader(p);
    seen->standing = is_cut_off(p)          ? is_known_alone ? CLUSTER_STRANDED : CLUSTER_FOLLOWS
                     : cluster_is_leader(p) ? CLUSTER_LEADS
                                            : CLUSTER_FOLLOWS;
    (void)snprintf(seen->leader, sizeof seen->leader, "proxy-%u", api->holder);
    see_side(&view.stable, &seen->stable);
    see_side(&view.canary, &seen->canary);
    (void)fleet_plan(&view, want, seen);
    seen->update_of = fleet_update_of(&view);
    if (is_cut_off(p)) {
        seen->away = true;
        (void)snprintf(seen->why, sizeof seen->why, "the API server cannot be reached");
    }
}

static void port_store(void *host, const char *route, const char *record, uint64_t seq,
                       bool durable)
{
    struct proxy *p = CONTAINER_OF(host, struct proxy, world);
    (void)route, (void)seq;
    free(p->record);
    p->record = strdup(record);
    p->is_durable = p->is_durable || durable;
}

static uint64_t port_stored(void *host, const char *route, uint64_t epoch)
{
    struct proxy *p = CONTAINER_OF(host, struct proxy, world);
    uint64_t newest = 0;
    (void)route;
    for (unsigned i = 0; i < 2; i++) {
        struct stamp stamp = stamp_of(p->stored[i]);
        if (stamp.epoch == epoch && stamp.seq > newest)
            newest = stamp.seq;
    }
    return newest;
}

static void proxy_forget(struct proxy *p)
{
    free(p->record);
    p->record = NULL;
    for (unsigned i = 0; i < 2; i++) {
        free(p->read[i]);
        free(p->stored[i]);
        p->read[i] = p->stored[i] = NULL;
    }
    p->is_durable = false;
}

static void proxy_open(struct proxy *p)
{
    struct rollout_setup setup = {.route = "my-web",
                                  .state_dir = p->dir,
                                  .stable = {.name = "v1"},
                                  .canary = {.name = p->canary},
                                  .plan = &p->cluster->plan,
                                  .has_cluster = true};
    struct rollout_ports ports = world_ports(&p->world);
    struct why why = {""};
    ports.cluster = port_look;
    ports.cluster_store = port_store;
    ports.cluster_stored = port_stored;
    proxy_forget(p);
    p->has_want = false;
    p->rollout = rollout_open(&setup, &ports, &why);
    if (!p->rollout && !p->canary) { /* promoted meanwhile: such a file is refused */
        setup.canary.name = p->canary = "v2";
        p->rollout = rollout_open(&setup, &ports, &why);
    }
    if (!p->rollout)
        fail_msg("proxy %u: %s", p->index, why.text);
    world_boot(&p->world, p->rollout);
}

/* kill -9: what is on its disk stays. */
static void proxy_kill(struct proxy *p)
{
    world_disk.dead = true;
    rollout_close(p->rollout);
    world_disk.dead = false;
    p->rollout = NULL;
}

static void scale(struct fleet_side *side, int replicas)
{
    side->workload.replicas = side->there = replicas;
    if (side->available > replicas)
        side->available = replicas;
}

static void name_side(struct fleet_side *side, const char *name, int replicas)
{
    side->is_known = true;
    side->exists = true;
    (void)snprintf(side->name, sizeof side->name, "rc/my-web-%s", name);
    (void)snprintf(side->workload.name, sizeof side->workload.name, "my-web-%s", name);
    (void)snprintf(side->workload.uid, sizeof side->workload.uid, "uid-%s", name);
    (void)snprintf(side->workload.selector, sizeof side->workload.selector, "version=%s", name);
    (void)snprintf(side->live_hash, sizeof side->live_hash, "live-%s", name);
    side->workload.replicas = side->there = side->available = replicas;
    side->workload.desired = side->workload.original = -1;
}

static void mark(struct fleet_side *side, const struct fleet_side *stable, int desired)
{
    fleet_source(&stable->workload, side->workload.source_id);
    side->workload.desired = desired;
    memcpy(side->seen_hash, side->live_hash, sizeof side->seen_hash);
}

static void unmark(struct fleet_side *side)
{
    side->workload.desired = side->workload.original = -1;
    side->workload.source_id[0] = side->seen_hash[0] = '\0';
}

static void api_act(struct api *api, const struct proxy *p, struct fleet_step step)
{
    bool swapped = strcmp(p->want.stable, "v2") == 0;
    struct fleet_side *stable = swapped ? &api->view.canary : &api->view.stable;
    struct fleet_side *canary = swapped ? &api->view.stable : &api->view.canary;
    switch (step.action) {
    case FLEET_CREATE_CANARY:
        name_side(canary, "v2", 0);
        break;
    case FLEET_MARK_CANARY:
        mark(canary, stable, p->want.replicas);
        break;
    case FLEET_MARK_STABLE:
        stable->workload.original = p->want.replicas;
        break;
    case FLEET_SCALE_CANARY:
        scale(canary, step.replicas);
        break;
    case FLEET_SCALE_STABLE:
        scale(stable, step.replicas);
        break;
    case FLEET_CLEAN_CANARY:
        unmark(canary);
        break;
    case FLEET_CLEAN_STABLE:
        unmark(stable);
        break;
    default:
        fail_msg("%s", fleet_action_name(step.action));
    }
}

static struct fleet_side *side_of(struct api *api, unsigned object)
{
    return object ? &api->view.canary : &api->view.stable;
}

/* An object that does not bear the record; 2: both do, or it may wait. */
static unsigned behind(struct proxy *p)
{
    struct api *api = &p->cluster->api;
    bool is_due = p->is_durable || p->cluster->now_s - p->stored_s >= 30;
    if (!p->record)
        return 2;
    struct stamp ours = stamp_of(p->record);
    for (unsigned i = 0; i < 2; i++) {
        struct stamp its = stamp_of(api->records[i]);
        bool is_stored = its.epoch == ours.epoch && (its.seq >= ours.seq || !is_due);
        if (side_of(api, i)->exists && !is_stored)
            return i;
    }
    p->is_durable = false;
    return 2;
}

static void set_text(char **to, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    free(*to);
    *to = copy;
}

/* One write, the record first. False: nothing is to be written. */
static bool proxy_write(struct proxy *p)
{
    struct api *api = &p->cluster->api;
    unsigned object = behind(p);
    if (object < 2) {
        set_text(&api->records[object], p->record);
        set_text(&p->stored[object], p->record);
        p->stored_s = p->cluster->now_s;
        rollout_apply(p->rollout);
    } else {
        struct fleet_view view = api->view;
        struct cluster_seen seen;
        if (strcmp(p->want.stable, "v2") == 0) {
            view.stable = api->view.canary;
            view.canary = api->view.stable;
        }
        struct fleet_step step = fleet_plan(&view, &p->want, &seen);
        if (step.action == FLEET_NOTHING)
            return false;
        api_act(api, p, step);
    }
    api->writes++;
    return true;
}

static void proxy_drive(struct proxy *p)
{
    struct api *api = &p->cluster->api;
    for (int i = 0; i < WRITES_S && p->has_want && cluster_is_leader(p) && !is_cut_off(p); i++) {
        if (!proxy_write(p))
            return;
        if (api->writes == api->kill_at) {
            proxy_kill(p);
            p->back_at_s = p->cluster->now_s + 2 * LEASE_S;
            return;
        }
    }
}

static void pods_become_ready(struct api *api)
{
    struct fleet_side *sides[] = {&api->view.stable, &api->view.canary};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++)
        if (sides[i]->exists && sides[i]->available < sides[i]->workload.replicas)
            sides[i]->available =
                api->is_slow ? sides[i]->available + 1 : sides[i]->workload.replicas;
}

static void check_bounds(const struct cluster *c)
{
    const struct fleet_side *stable = &c->api.view.stable, *canary = &c->api.view.canary;
    int total = stable->workload.replicas + canary->workload.replicas;
    int available = stable->available + canary->available;
    if (total > c->most || available < c->keep)
        fail_msg("at %d s, write %u: %d pods, %d available", c->now_s, c->api.writes, total,
                 available);
    for (unsigned i = 0; i < PROXIES; i++)
        if (c->keep > 0 && c->proxies[i].rollout && c->proxies[i].world.weight_bp > 0 &&
            canary->available == 0)
            fail_msg("at %d s: proxy %u sends to a canary without pods", c->now_s, i);
}

/* Reads the objects: what another has written there is followed. */
static void proxy_read(struct proxy *p)
{
    struct api *api = &p->cluster->api;
    for (unsigned i = 0; i < 2 && !is_cut_off(p); i++) {
        const char *now = side_of(api, i)->exists ? api->records[i] : NULL;
        if (now == NULL ? p->read[i] == NULL : p->read[i] && strcmp(p->read[i], now) == 0)
            continue;
        set_text(&p->read[i], now);
        set_text(&p->stored[i], now);
        if (!now || rollout_follow(p->rollout, now, strlen(now), NULL) != OK)
            continue;
        free(p->record);
        p->record = NULL;
        p->is_durable = false;
    }
}

static void proxy_second(struct proxy *p)
{
    struct api *api = &p->cluster->api;
    if (!p->rollout && p->back_at_s && p->cluster->now_s >= p->back_at_s) {
        p->back_at_s = 0;
        proxy_open(p);
    }
    if (!p->rollout)
        return;
    world_version(&p->world, "v1")->available = (unsigned)api->view.stable.available;
    world_version(&p->world, "v2")->available = (unsigned)api->view.canary.available;
    proxy_read(p);
    world_second(&p->world);
    rollout_tick(p->rollout);
    proxy_drive(p);
}

/* Who is there and reaches the server keeps the lease; another may have it some time after. */
static void renew(struct cluster *c)
{
    struct api *api = &c->api;
    const struct proxy *holder = api->holder == NOBODY ? NULL : &c->proxies[api->holder];
    if (api->is_away)
        return;
    if (holder && holder->rollout && !is_cut_off(holder)) {
        api->free_at_s = c->now_s + LEASE_S;
        return;
    }
    if (holder && c->now_s < api->free_at_s)
        return;
    for (unsigned i = 0; i < PROXIES; i++)
        if (c->proxies[i].rollout && !is_cut_off(&c->proxies[i])) {
            api->holder = i;
            api->free_at_s = c->now_s + LEASE_S;
            return;
        }
}

static void cluster_second(struct cluster *c)
{
    struct api *api = &c->api;
    c->now_s++;
    renew(c);
    for (unsigned i = 0; i < PROXIES; i++)
        proxy_second(&c->proxies[i]);
    check_bounds(c);
    pods_become_ready(api);
}

WORLD_UNUSED static void cluster_pass(struct cluster *c, int seconds)
{
    for (int i = 0; i < seconds; i++)
        cluster_second(c);
}

/* Four pods of v1; v2 can be made. Steps of one pod each, as the plan of the seed. */
static void cluster_init(struct cluster *c)
{
    *c = (struct cluster){.most = 5, .keep = 4};
    c->api.holder = NOBODY;
    c->api.view = (struct fleet_view){.autoscalers_known = true, .has_manifest = true};
    name_side(&c->api.view.stable, "v1", 4);
    c->api.view.canary.is_known = true;
    (void)snprintf(c->api.view.canary.name, sizeof c->api.view.canary.name, "rc/my-web-v2");
    plan_default(&c->plan);
    c->plan.n_steps = 3;
    for (unsigned i = 0; i < 3; i++)
        c->plan.steps[i].weight_bp = 2500 * (i + 1);
    c->plan.hold_ms = 3000;
    c->plan.bake_ms = 3000;
    c->plan.harm_budget = 0.05;
    c->plan.latency_judged = false;
    for (unsigned i = 0; i < PROXIES; i++) {
        struct proxy *p = &c->proxies[i];
        p->index = i;
        p->cluster = c;
        p->canary = "v2";
        world_init(&p->world);
        world_make_dir(p->dir);
        proxy_open(p);
    }
}

static void cluster_fini(struct cluster *c)
{
    for (unsigned i = 0; i < PROXIES; i++) {
        rollout_close(c->proxies[i].rollout);
        proxy_forget(&c->proxies[i]);
        world_remove_dir(c->proxies[i].dir);
    }
    free(c->api.records[0]);
    free(c->api.records[1]);
}

static enum machine_state state_of(const struct proxy *p)
{
    return p->rollout->record.machine.state;
}

/* Until both are there, or for so many seconds. */
WORLD_UNUSED static bool cluster_reaches(struct cluster *c, enum machine_state state, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        cluster_second(c);
        bool are_there = true;
        for (unsigned j = 0; j < PROXIES; j++)
            are_there = are_there && c->proxies[j].rollout && state_of(&c->proxies[j]) == state;
        if (are_there)
            return true;
    }
    return false;
}

#endif
