/* Builds the snapshot of what is configured and split now, and hands it to every worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/publish.h"

#include "base/log.h"
#include "proxy/control/certificates.h"
#include "proxy/control/handover.h"
#include "proxy/control/health.h"
#include "proxy/control/states.h"

static void release_variant(const struct route_variant *v)
{
    for (uint32_t i = 0; i < v->n_endpoints; i++)
        if (v->endpoints[i].state)
            endpoint_state_unref(v->endpoints[i].state);
}

static void on_release(struct snapshot *s)
{
    for (uint32_t i = 0; i < s->n_routes; i++) {
        release_variant(&s->routes[i].stable);
        release_variant(&s->routes[i].canary);
    }
    config_keep_unref(s->keep);
}

static void add_endpoint(struct snapshot *s, struct route_variant *v, const char *text,
                         const struct known_endpoint *e)
{
    atomic_fetch_add_explicit(&e->state->refs, 1, memory_order_relaxed);
    v->endpoints[v->n_endpoints++] = (struct endpoint){text, e->addr, e->state};
    s->n_endpoints++;
}

static enum err add_configured(const struct control *c, struct snapshot *s, struct route_variant *v,
                               const char *route, const struct config_version *conf)
{
    v->endpoints = arena_alloc(&s->arena, (conf->endpoints.n + 1) * sizeof *v->endpoints);
    if (!v->endpoints)
        return ERR_MEMORY;
    for (size_t i = 0; i < conf->endpoints.n; i++) {
        const char *text = conf->endpoints.items[i];
        const struct known_endpoint *e = known_find_endpoint(&c->known, route, conf->name, text);
        CHECK(e);
        add_endpoint(s, v, text, e);
    }
    return OK;
}

/* Endpoints of a workload or a name come and go while the snapshot stays: it has texts of its own. */
static enum err add_given(const struct control *c, struct snapshot *s, struct route_variant *v,
                          const struct known_route *r, const struct config_version *conf)
{
    size_t n = known_count(&c->known, r->name, conf->name, false).total;
    const struct known_endpoint *e = NULL;
    v->endpoints = arena_alloc(&s->arena, (n + 1) * sizeof *v->endpoints);
    if (!v->endpoints)
        return ERR_MEMORY;
    while ((e = known_next_endpoint(r, conf->name, e))) {
        if (e->is_barred)
            continue;
        struct slice text = arena_copy(&s->arena, slice_of(e->text, strlen(e->text) + 1));
        if (!text.at)
            return ERR_MEMORY;
        add_endpoint(s, v, text.at, e);
    }
    return OK;
}

static enum err build_variant(const struct control *c, struct snapshot *s, struct route_variant *v,
                              const struct known_route *r, const char *name)
{
    const struct config_version *conf = config_find_version(r->conf, name);
    if (!conf && v->role == ROLE_CANARY)
        return OK; /* a reload has dropped it while its rollout is being aborted: nobody goes there */
    if (!conf) {
        log_error("stable_unknown",
                  "route=%s version=%s serving=%s why=\"the file does not name it any more\"",
                  r->name, name, r->conf->stable);
        conf = config_find_version(r->conf, r->conf->stable);
    }
    v->name = conf->name;
    v->tls = conf->tls.context;
    v->tls_name = conf->tls.name;
    v->metrics = metrics_variant(c->metrics, r->name, conf->name);
    v->first_endpoint = s->n_endpoints;
    if (!v->metrics)
        return ERR_MEMORY;
    metrics_variant_use(v->metrics, v->role);
    return config_version_is_dynamic(conf) ? add_given(c, s, v, r, conf)
                                           : add_configured(c, s, v, r->name, conf);
}

static enum err build_route(const struct control *c, struct snapshot *s, struct known_route *known)
{
    const struct known_split *split = &known->split;
    struct route *r = &s->routes[s->n_routes++];
    *r = (struct route){.conf = known->conf, .live = &known->live, .metrics = known->metrics};
    r->stable.role = ROLE_STABLE;
    r->canary.role = ROLE_CANARY;
    enum err e = build_variant(c, s, &r->stable, known, split->stable);
    if (e == OK && split->canary[0])
        e = build_variant(c, s, &r->canary, known, split->canary);
    r->split.is_active = split->is_active && split->canary[0];
    r->split.weight_bp = split->weight_bp;
    bool may_mirror = r->conf->mirror_bp && r->canary.metrics; /* a reload may have dropped it */
    if (may_mirror)
        metrics_variant_mirror(r->canary.metrics);
    if (may_mirror && r->split.is_active)
        r->mirror_bp = r->conf->mirror_bp;
    r->split.salt = hash_salt_of(slice_str(split->salt));
    return e;
}

static struct snapshot *build(struct control *c)
{
    const struct config *config = control_config(c);
    struct snapshot *s = snapshot_new();
    if (!s)
        return NULL;
    s->generation = c->generation + 1;
    s->config = config;
    s->keep = c->keep;
    atomic_fetch_add_explicit(&c->keep->refs, 1, memory_order_relaxed);
    s->release = on_release;
    s->listener_tls = certificates_contexts(c->keep->certificates);
    s->routes = arena_alloc(&s->arena, (config->n_routes + 1) * sizeof *s->routes);
    enum err e = s->routes ? match_build(&s->match, config, &s->arena) : ERR_MEMORY;
    for (size_t i = 0; e == OK && i < config->n_routes; i++)
        e = build_route(c, s, known_find_route(&c->known, config->routes[i].name));
    if (e == OK)
        return s;
    snapshot_unref(s);
    return NULL;
}

enum err publish(struct control *c)
{
    struct snapshot *s = build(c);
    c->is_publish_due = !s;
    if (!s)
        return ERR_MEMORY;
    snapshot_unref(c->snapshot);
    c->snapshot = s;
    c->generation = s->generation;
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (r->split_generation == SPLIT_UNPUBLISHED)
            r->split_generation = c->generation;
    }
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_publish(c->workers[i], s);
    handover_tell_splits(c->handover);
    return OK;
}

void publish_changes(struct control *c)
{
    if (publish(c) != OK)
        log_error("publish_failed", "why=\"out of memory\"");
    health_look(&c->known, c->base, control_config(c)->timeouts.connect_ms);
}

bool publish_endpoints(struct control *c, const char *route, const char *version,
                       const char *const *texts, size_t n)
{
    if (!known_take_endpoints(&c->known, route, version, texts, n))
        return false;
    publish_changes(c);
    return true;
}

bool publish_is_adopted(const struct control *c, uint64_t generation)
{
    for (unsigned i = 0; i < c->n_workers; i++)
        if (worker_generation(c->workers[i]) < generation)
            return false;
    return true;
}
