/* Builds the snapshot of what is configured and split now, and hands it to every worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/publish.h"

#include "base/log.h"
#include "proxy/conf/load.h"

struct config_keep *config_keep_new(struct config *config)
{
    struct config_keep *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    atomic_init(&k->refs, 1);
    k->config = config;
    return k;
}

void config_keep_unref(struct config_keep *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    config_free(k->config);
    free(k);
}

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
    v->metrics = metrics_variant(c->metrics, r->name, conf->name);
    v->first_endpoint = s->n_endpoints;
    v->endpoints = arena_alloc(&s->arena, (conf->endpoints.n + 1) * sizeof *v->endpoints);
    if (!v->metrics || !v->endpoints)
        return ERR_MEMORY;
    metrics_variant_use(v->metrics, v->role);
    for (size_t i = 0; i < conf->endpoints.n; i++) {
        struct known_endpoint *e =
            known_find_endpoint(&c->known, r->name, conf->name, conf->endpoints.items[i]);
        CHECK(e);
        atomic_fetch_add_explicit(&e->state->refs, 1, memory_order_relaxed);
        v->endpoints[v->n_endpoints++] =
            (struct endpoint){conf->endpoints.items[i], e->addr, e->state};
        s->n_endpoints++;
    }
    return OK;
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
    return OK;
}

bool publish_is_adopted(const struct control *c, uint64_t generation)
{
    for (unsigned i = 0; i < c->n_workers; i++)
        if (worker_generation(c->workers[i]) < generation)
            return false;
    return true;
}
