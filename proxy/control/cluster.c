/* One client, one lease, one fleet a route; what they tell goes to the data plane and to the rollouts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/cluster.h"

#include "base/index.h"
#include "base/log.h"
#include "proxy/control/manifests.h"
#include "proxy/control/publish.h"
#include "rollout/kube/auth.h"
#include "rollout/kube/client.h"
#include "rollout/kube/fleet.h"
#include "rollout/kube/lease.h"
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define VERSIONS_MAX 16u
#define RENEWALS     3u /* of the lease, within its duration */

/* The fleet of one route. */
struct member {
    struct list link;
    struct index_node by_name;
    struct control *control;
    char route[KNOWN_NAME_MAX];
    char *said;   /* what the file says of its workloads; another text is another fleet */
    bool is_kept; /* the file says another by now, but a rollout has to end first */
    struct fleet *fleet;
    char trouble[WHY_MAX]; /* as the log has it */
};

struct cluster {
    struct kube *kube;
    struct kube_lease *lease;
    struct list members;
    struct index names; /* to find members by their routes: the operator's words */
};

static bool has_workload(const struct config_route *route)
{
    for (size_t i = 0; i < route->n_versions; i++)
        if (route->versions[i].workload)
            return true;
    return false;
}

bool cluster_is_asked(const struct config *config)
{
    for (size_t i = 0; i < config->n_routes; i++)
        if (has_workload(&config->routes[i]))
            return true;
    return false;
}

static uint64_t hash_of(const struct cluster *cluster, const char *route)
{
    return index_hash(&cluster->names, 0, slice_str(route));
}

static struct member *find(const struct cluster *cluster, const char *route)
{
    struct index_node *node = index_first(&cluster->names, hash_of(cluster, route));
    for (; node; node = index_next(node)) {
        struct member *m = CONTAINER_OF(node, struct member, by_name);
        if (strcmp(m->route, route) == 0)
            return m;
    }
    return NULL;
}

struct fleet *cluster_fleet(const struct control *c, const char *route)
{
    const struct member *m = c->cluster ? find(c->cluster, route) : NULL;
    return m ? m->fleet : NULL;
}

bool cluster_is_known(const struct control *c)
{
    const struct cluster *cluster = c->cluster;
    for (struct list *l = cluster ? cluster->members.next : NULL; l && l != &cluster->members;
         l = l->next)
        if (!fleet_is_known(CONTAINER_OF(l, struct member, link)->fleet))
            return false;
    return true;
}

static void on_endpoints(void *arg, const char *version, const char *const *endpoints, size_t n)
{
    struct member *m = arg;
    (void)publish_endpoints(m->control, m->route, version, endpoints, n);
}

static enum err on_record(void *arg, const char *record, size_t len)
{
    struct member *m = arg;
    struct why why;
    struct log_quoted quoted;
    const struct known_route *r = known_find_route(&m->control->known, m->route);
    if (!r || !r->rollout)
        return ERR_NOT_FOUND;
    enum err e = rollout_follow(r->rollout, record, len, &why);
    if (e == OK)
        log_debug("record_followed", "route=%s", m->route);
    else if (e != ERR_CONFLICT)
        log_error("record_unreadable", "route=%s why=%s", m->route,
                  log_quote(&quoted, slice_str(why.text)));
    return e;
}

static void on_stored(void *arg)
{
    struct member *m = arg;
    const struct known_route *r = known_find_route(&m->control->known, m->route);
    if (r && r->rollout)
        rollout_apply(r->rollout);
}

/* What the file says of a route's workloads. NULL when memory is short. */
static char *say(const struct control *c, const struct config_route *route)
{
    size_t room = 64, len = 0;
    for (size_t i = 0; i < route->n_versions; i++)
        if (route->versions[i].workload)
            room += strlen(route->versions[i].name) + strlen(route->versions[i].workload) + 64;
    char *text = calloc(1, room);
    for (size_t i = 0; text && i < route->n_versions; i++) {
        const struct config_version *v = &route->versions[i];
        const char *hash = manifests_hash(c->keep->manifests, route->name, v->name);
        if (v->workload)
            len += (size_t)snprintf(text + len, room - len, "%s=%s:%u:%s\n", v->name, v->workload,
                                    v->port, hash ? hash : "");
    }
    return text;
}

static void member_free(struct member *m)
{
    list_remove(&m->link);
    index_remove(&m->control->cluster->names, &m->by_name);
    fleet_free(m->fleet);
    free(m->said);
    free(m);
}

/* The workloads of a route's versions. Returns their number. */
static size_t versions_of(const struct control *c, const struct config_route *route,
                          struct fleet_version_setup versions[VERSIONS_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < route->n_versions; i++) {
        const struct config_version *v = &route->versions[i];
        if (v->workload && n < VERSIONS_MAX)
            versions[n++] = (struct fleet_version_setup){
                v->name, v->workload, v->port,
                manifests_object(c->keep->manifests, route->name, v->name)};
    }
    return n;
}

static enum err member_new(struct control *c, const struct config_route *route, struct why *why)
{
    struct fleet_version_setup versions[VERSIONS_MAX];
    struct member *m = calloc(1, sizeof *m);
    if (!m || !(m->said = say(c, route))) {
        free(m);
        return why_set(why, ERR_MEMORY, "out of memory");
    }
    m->control = c;
    (void)snprintf(m->route, sizeof m->route, "%s", route->name);
    list_push_back(&c->cluster->members, &m->link);
    index_add(&c->cluster->names, &m->by_name, hash_of(c->cluster, m->route));
    size_t n = versions_of(c, route, versions);
    struct fleet_setup setup = {m->route, versions, n, on_endpoints, on_record, on_stored, m};
    m->fleet = fleet_new(c->cluster->kube, c->cluster->lease, &setup, why);
    if (m->fleet)
        return OK;
    member_free(m);
    return ERR_INVALID;
}

/* Who this process is among the others. */
static void name_self(char name[128])
{
    unsigned char bytes[4] = {0};
    char host[64] = "serin";
    (void)gethostname(host, sizeof host - 1);
    (void)!getrandom(bytes, sizeof bytes, 0);
    (void)snprintf(name, 128, "%s_%02x%02x%02x%02x", host, bytes[0], bytes[1], bytes[2], bytes[3]);
}

static struct kube_auth *auth_of(const struct config *config, struct why *why)
{
    const struct config_kubernetes *conf = &config->kubernetes;
    struct kube_auth_setup who = {
        .kubeconfig = conf->kubeconfig, .context = conf->context, .name_space = conf->name_space};
    struct why reason;
    struct kube_auth *auth = kube_auth_new(&who, &reason);
    if (!auth)
        (void)why_set(why, ERR_INVALID, "kubernetes: %.450s", reason.text);
    return auth;
}

enum err cluster_may_take(const struct control *c, const struct config *config, struct why *why)
{
    if (c->cluster || !cluster_is_asked(config))
        return OK;
    struct kube_auth *auth = auth_of(config, why);
    kube_auth_free(auth);
    return auth ? OK : ERR_INVALID;
}

/* What is left half made, cluster_stop takes down. */
static enum err open_cluster(struct control *c, struct why *why)
{
    const struct config_kubernetes *conf = &control_config(c)->kubernetes;
    struct cluster *cluster = c->cluster = calloc(1, sizeof *cluster);
    char name[128];
    if (!cluster)
        return why_set(why, ERR_MEMORY, "out of memory");
    list_init(&cluster->members);
    index_init(&cluster->names, (struct hash_salt){0, 0});
    struct kube_auth *auth = auth_of(control_config(c), why);
    if (!auth)
        return ERR_INVALID;
    cluster->kube = kube_new(c->base, c->http, auth, control_count_kubernetes, c);
    name_self(name);
    struct kube_lease_setup lease = {.name_space =
                                         cluster->kube ? kube_namespace(cluster->kube) : "",
                                     .name = conf->lease,
                                     .identity = name,
                                     .duration_ms = conf->lease_duration_ms,
                                     .renew_ms = conf->lease_duration_ms / RENEWALS};
    cluster->lease = cluster->kube ? kube_lease_new(cluster->kube, &lease) : NULL;
    if (!cluster->lease)
        return why_set(why, ERR_MEMORY, "out of memory");
    log_info("cluster", "server=%s namespace=%s lease=%s identity=%s", kube_auth_server(auth),
             kube_namespace(cluster->kube), conf->lease, name);
    return OK;
}

/* What the present file says of a member's route; NULL: nothing any more. */
static const struct config_route *conf_of(const struct control *c, const struct member *m)
{
    const struct known_route *r = known_find_route(&c->known, m->route);
    return r ? r->conf : NULL;
}

/* Whether the member goes: the file says otherwise, and no rollout under way needs what it said before. */
static bool is_over(const struct control *c, struct member *m)
{
    struct fleet_version_setup versions[VERSIONS_MAX];
    const struct config_route *route = conf_of(c, m);
    if (!route) {
        if (fleet_must_stay(m->fleet, NULL, 0))
            log_warn("cluster_left",
                     "route=%s why=\"the file has no such route any more: its "
                     "workloads stay as the rollout left them\"",
                     m->route);
        return true;
    }
    char *said = say(c, route);
    bool is_same = said && strcmp(said, m->said) == 0;
    free(said);
    size_t n = versions_of(c, route, versions);
    m->is_kept = !is_same && fleet_must_stay(m->fleet, versions, n);
    return !is_same && !m->is_kept;
}

static void end_members(struct control *c)
{
    for (struct list *l = c->cluster->members.next, *next; l != &c->cluster->members; l = next) {
        struct member *m = CONTAINER_OF(l, struct member, link);
        next = l->next;
        if (is_over(c, m))
            member_free(m);
    }
}

void cluster_stop(struct control *c)
{
    struct cluster *cluster = c->cluster;
    if (!cluster)
        return;
    while (!list_empty(&cluster->members))
        member_free(CONTAINER_OF(cluster->members.next, struct member, link));
    kube_lease_free(cluster->lease);
    kube_free(cluster->kube);
    index_fini(&cluster->names);
    free(cluster);
    c->cluster = NULL;
}

enum err cluster_take(struct control *c, struct why *why)
{
    const struct config *config = control_config(c);
    enum err e = OK;
    if (c->cluster)
        end_members(c);
    else if (cluster_is_asked(config))
        e = open_cluster(c, why);
    if (e != OK)
        cluster_stop(c);
    for (size_t i = 0; e == OK && i < config->n_routes; i++)
        if (has_workload(&config->routes[i]) && !find(c->cluster, config->routes[i].name))
            e = member_new(c, &config->routes[i], why);
    return e;
}

void cluster_release(struct control *c)
{
    if (c->cluster && c->cluster->lease)
        kube_lease_release(c->cluster->lease);
}

/* Fleets that only a rollout kept give way when it has ended. */
static void end_kept(struct control *c)
{
    struct why why;
    bool is_due = false;
    for (struct list *l = c->cluster->members.next; l != &c->cluster->members; l = l->next) {
        struct member *m = CONTAINER_OF(l, struct member, link);
        is_due = is_due || (m->is_kept && is_over(c, m));
    }
    if (is_due && cluster_take(c, &why) != OK)
        log_error("cluster_not_followed", "why=\"%s\"", why.text);
}

/* A line where it begins, changes and ends: a proxy that may not list pods is never ready, and this says why. */
static void say_trouble(struct member *m)
{
    const char *now = fleet_trouble(m->fleet);
    if (strcmp(now, m->trouble) == 0)
        return;
    if (now[0])
        log_warn("cluster_away", "route=%s why=\"%s\"", m->route, now);
    else
        log_info("cluster_back", "route=%s", m->route);
    (void)snprintf(m->trouble, sizeof m->trouble, "%s", now);
}

void cluster_tick(struct control *c)
{
    if (!c->cluster)
        return;
    end_kept(c);
    for (struct list *l = c->cluster->members.next; l != &c->cluster->members; l = l->next) {
        struct member *m = CONTAINER_OF(l, struct member, link);
        const struct config_route *route = conf_of(c, m);
        say_trouble(m);
        for (size_t i = 0; route && i < route->n_versions; i++) {
            struct fleet_counts counts = {0};
            const char *version = route->versions[i].name;
            bool is_known = fleet_counts(m->fleet, version, &counts);
            struct known_replicas replicas = {is_known, (uint32_t)counts.wanted,
                                              (uint32_t)counts.current, (uint32_t)counts.ready,
                                              (uint32_t)counts.available};
            known_take_replicas(&c->known, m->route, version, &replicas);
        }
    }
}
