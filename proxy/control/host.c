/* What the rollouts ask of their host, answered from snapshots, shards and endpoint health.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/host.h"

#include "base/log.h"
#include "proxy/control/admin.h"
#include "proxy/control/cluster.h"
#include "proxy/control/handover.h"
#include "proxy/control/manifests.h"
#include "proxy/control/publish.h"
#include "proxy/control/told.h"
#include "proxy/wire/time.h"
#include "rollout/kube/fleet.h"
#include "rollout/notify/notifier.h"
#include <cjson/cJSON.h>

/* What this process and those before it have counted. */
static struct judged_totals counts_of(struct control *c, const char *route, const char *version,
                                      enum metric_role role, bool is_mirror)
{
    const struct variant_metrics *v = metrics_variant(c->metrics, route, version);
    const struct handover_counts *before =
        handover_gained(c->handover, route, version, role, is_mirror);
    struct handover_counts all = {.role = role};
    if (v)
        all.judged = is_mirror ? metrics_mirrored(v, role) : metrics_judged(v, role);
    if (before)
        handover_counts_add(&all, before);
    return all.judged;
}

static struct judged_totals port_counts(void *host, const char *route, const char *version,
                                        enum metric_role role)
{
    return counts_of(host, route, version, role, false);
}

static struct judged_totals port_mirrored(void *host, const char *route, const char *canary,
                                          enum metric_role role)
{
    return counts_of(host, route, canary, role, true);
}

static uint64_t port_weighed(void *host, const char *route, const char *version,
                             enum metric_role role)
{
    struct control *c = host;
    const struct variant_metrics *v = metrics_variant(c->metrics, route, version);
    return v ? metrics_weighed(v, role) : 0;
}

static struct http_call *port_ask(void *host, const struct http_ask *ask)
{
    return http_start(((struct control *)host)->http, ask);
}

static void port_ask_cancel(void *host, struct http_call *call)
{
    (void)host;
    http_cancel(call);
}

static void port_durations(void *host, const char *route, const char *version,
                           enum metric_role role, struct hist_sum *sum)
{
    struct control *c = host;
    const struct variant_metrics *v = metrics_variant(c->metrics, route, version);
    if (v)
        metrics_durations(v, role, sum);
}

static void port_recent_durations(void *host, const char *route, struct hist_sum *sum)
{
    struct control *c = host;
    const struct known_route *r = known_find_route(&c->known, route);
    memset(sum, 0, sizeof *sum);
    if (r)
        slowness_sum(&r->slowness, sum);
}

static void port_apply_slow_limits(void *host, const char *route,
                                   uint64_t const limits_us[ROLE_COUNT][JUDGED_QUANTILES])
{
    struct control *c = host;
    struct known_route *r = known_find_route(&c->known, route);
    for (unsigned role = 0; r && role < ROLE_COUNT; role++)
        for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
            atomic_store_explicit(&r->live.slow_us[role][q], limits_us[role][q],
                                  memory_order_relaxed);
}

static void copy_split(struct known_split *to, const struct rollout_split *from)
{
    (void)snprintf(to->stable, sizeof to->stable, "%s", from->stable);
    (void)snprintf(to->canary, sizeof to->canary, "%s", from->canary ? from->canary : "");
    (void)snprintf(to->salt, sizeof to->salt, "%s", from->salt);
    to->weight_bp = from->weight_bp;
    to->is_active = from->active;
}

void host_take_split(struct known_route *r)
{
    const struct config_route *conf = r->conf;
    struct rollout_split split = {.stable = conf->stable, .canary = conf->canary};
    if (r->rollout) {
        rollout_split(r->rollout, &split);
    } else if (conf->has_weight) {
        split.weight_bp = conf->weight_bp;
        split.active = true;
        (void)snprintf(split.salt, sizeof split.salt, "%s", conf->name);
    }
    copy_split(&r->split, &split);
    r->split_generation = SPLIT_UNPUBLISHED;
}

/* Whether nobody is worse off where this waits for the end of the tick: all that were sent to a canary still are, and more
 * may be. What takes anything from a canary is in force before the next rollout is looked at. */
static bool only_widens(const struct known_split *before, const struct known_split *now)
{
    if (strcmp(before->stable, now->stable) != 0)
        return false;
    if (!before->is_active)
        return true;
    return now->is_active && now->weight_bp >= before->weight_bp &&
           strcmp(before->canary, now->canary) == 0 && strcmp(before->salt, now->salt) == 0;
}

static void port_apply_split(void *host, const char *route, const struct rollout_split *split)
{
    struct control *c = host;
    struct known_route *r = known_find_route(&c->known, route);
    if (!r || !r->conf)
        return;
    struct known_split before = r->split;
    copy_split(&r->split, split);
    if (strcmp(before.canary, r->split.canary) != 0 || strcmp(before.salt, r->split.salt) != 0) {
        struct failed_keys *keys = atomic_load_explicit(&r->live.failed_keys, memory_order_relaxed);
        breaker_reset(r->live.breaker);
        if (keys)
            failed_keys_clear(keys);
    }
    r->split_generation = SPLIT_UNPUBLISHED;
    if (c->is_reloading)
        return;
    if (c->is_ticking && only_widens(&before, &r->split))
        c->is_publish_due = true;
    else if (publish(c) != OK)
        log_error("publish_failed", "route=%s why=\"out of memory\"", route);
}

void host_tick(struct control *c)
{
    c->is_ticking = true;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->rollout)
            rollout_tick(r->rollout);
    }
    c->is_ticking = false;
    if (c->is_publish_due && publish(c) != OK)
        log_error("publish_failed", "why=\"out of memory\"");
}

static bool port_split_confirmed(void *host, const char *route)
{
    struct control *c = host;
    const struct known_route *r = known_find_route(&c->known, route);
    return r && publish_is_adopted(c, r->split_generation);
}

static struct rollout_health port_health(void *host, const char *route, const char *stable,
                                         const char *canary)
{
    static const enum rollout_breaker states[] = {[BREAKER_CLOSED] = ROLLOUT_BREAKER_CLOSED,
                                                  [BREAKER_OPEN] = ROLLOUT_BREAKER_OPEN,
                                                  [BREAKER_TRICKLING] = ROLLOUT_BREAKER_TRICKLE};
    struct control *c = host;
    const struct known_route *r = known_find_route(&c->known, route);
    struct known_count of_stable = known_count(&c->known, route, stable, false);
    struct known_count of_canary = known_count(&c->known, route, canary, true);
    struct rollout_health h = {.stable_endpoints = of_stable.total,
                               .stable_available = of_stable.available,
                               .canary_endpoints = of_canary.total,
                               .canary_available = of_canary.available};
    if (r) {
        h.breaker = states[atomic_load_explicit(&r->live.breaker->state, memory_order_relaxed)];
        h.failed_trickles =
            atomic_load_explicit(&r->live.breaker->failed_trickles, memory_order_relaxed);
    }
    return h;
}

static int64_t port_monotonic_ms(void *host)
{
    (void)host;
    return time_monotonic_ms();
}

static int64_t port_wall_ms(void *host)
{
    (void)host;
    return time_wall_ms();
}

static void port_cluster(void *host, const char *route, const struct cluster_want *want,
                         struct cluster_seen *seen)
{
    struct fleet *fleet = cluster_fleet(host, route);
    *seen = (struct cluster_seen){.is_there = false};
    if (fleet)
        fleet_look(fleet, want, seen);
}

static void port_cluster_store(void *host, const char *route, const char *record, uint64_t seq,
                               bool durable)
{
    struct fleet *fleet = cluster_fleet(host, route);
    if (fleet)
        fleet_store(fleet, record, seq, durable);
}

static uint64_t port_cluster_stored(void *host, const char *route, uint64_t epoch)
{
    const struct fleet *fleet = cluster_fleet(host, route);
    return fleet ? fleet_stored(fleet, epoch) : 0;
}

/* Events of a rollout, and not its ticks, are the cluster's as well. */
static void tell_cluster(struct control *c, const char *route, const char *name, const cJSON *json)
{
    struct fleet *fleet = cluster_fleet(c, route);
    const cJSON *why = cJSON_GetObjectItemCaseSensitive(json, "why");
    if (fleet && strcmp(name, "tick") != 0)
        fleet_event(fleet, name, cJSON_IsString(why) ? why->valuestring : "");
}

static void port_event(void *host, const char *route, const char *name, const cJSON *json)
{
    struct control *c = host;
    const struct known_route *r = known_find_route(&c->known, route);
    if (r && told_has_tick(r) && strcmp(name, "tick") == 0)
        return;
    tell_cluster(c, route, name, json);
    char *text = c->admin ? cJSON_PrintUnformatted(json) : NULL;
    if (text)
        admin_publish(c->admin, name, text);
    cJSON_free(text);
}

static void port_tell(void *host, const struct rollout_event *event)
{
    notifier_tell(((struct control *)host)->notifier, event);
}

static bool port_is_followed(void *host)
{
    const struct control *c = host;
    return c->admin && admin_is_followed(c->admin);
}

struct rollout_ports host_ports(struct control *c)
{
    return (struct rollout_ports){.host = c,
                                  .counts = port_counts,
                                  .mirrored = port_mirrored,
                                  .weighed = port_weighed,
                                  .ask = port_ask,
                                  .ask_cancel = port_ask_cancel,
                                  .durations = port_durations,
                                  .recent_durations = port_recent_durations,
                                  .apply_slow_limits = port_apply_slow_limits,
                                  .apply_split = port_apply_split,
                                  .split_confirmed = port_split_confirmed,
                                  .health = port_health,
                                  .monotonic_ms = port_monotonic_ms,
                                  .wall_ms = port_wall_ms,
                                  .cluster = port_cluster,
                                  .cluster_store = port_cluster_store,
                                  .cluster_stored = port_cluster_stored,
                                  .event = port_event,
                                  .tell = port_tell,
                                  .is_followed = port_is_followed};
}

/* A version's identity beside its name: what the file says, or else the template that it is made from. */
static const char *revision_of(const struct manifests *manifests, const struct config_route *route,
                               const char *version)
{
    const struct config_version *v = version ? config_find_version(route, version) : NULL;
    return !v ? NULL : v->revision ? v->revision : manifests_hash(manifests, route->name, version);
}

static bool is_workload(const struct config_route *route, const char *version)
{
    const struct config_version *v = version ? config_find_version(route, version) : NULL;
    return v && v->workload;
}

struct rollout_setup host_setup(const struct config *config, const struct manifests *manifests,
                                const struct config_route *route)
{
    const char *canary = route->has_rollout ? route->canary : NULL;
    return (struct rollout_setup){
        .route = route->name,
        .state_dir = config->state_dir,
        .stable = {route->stable, revision_of(manifests, route, route->stable)},
        .canary = {canary, revision_of(manifests, route, canary)},
        .has_cluster = is_workload(route, route->stable) && (!canary || is_workload(route, canary)),
        .is_sticky = route->sticky.by != STICKY_NONE,
        .plan = route->has_rollout ? &route->plan : NULL,
        .outside = route->has_rollout ? &route->outside : NULL};
}

bool host_open_rollouts(struct control *c, const struct config *config,
                        const struct manifests *manifests, struct why *why)
{
    struct rollout_ports ports = host_ports(c);
    for (size_t i = 0; i < config->n_routes; i++) {
        struct known_route *r = known_route(&c->known, config->routes[i].name);
        if (!r) {
            (void)why_set(why, ERR_MEMORY, "out of memory");
            return false;
        }
        struct rollout_setup setup = host_setup(config, manifests, &config->routes[i]);
        if (r->rollout)
            continue;
        r->rollout = rollout_open(&setup, &ports, why);
        if (!r->rollout)
            return false;
        if (config->routes[i]
                .has_weight) { /* what an earlier rollout left was asked, and has ended */
            rollout_close(r->rollout);
            r->rollout = NULL;
        }
    }
    return true;
}
