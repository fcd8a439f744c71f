/* What outlives snapshots and reloads: routes with their breaker and rollout, endpoints with their health.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/known.h"

#include "proxy/control/address.h"
#include "proxy/control/probe.h"

void known_init(struct known *k, struct metrics *metrics, unsigned workers)
{
    *k = (struct known){.metrics = metrics, .workers = workers};
    list_init(&k->routes);
    list_init(&k->endpoints);
}

void endpoint_state_unref(struct endpoint_state *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        free(s);
}

static void forget_endpoint(struct known_endpoint *e)
{
    probe_cancel(e);
    list_remove(&e->link);
    endpoint_state_unref(e->state);
    free(e);
}

void known_fini(struct known *k)
{
    struct list *node;
    while ((node = list_pop_front(&k->routes))) {
        struct known_route *r = CONTAINER_OF(node, struct known_route, link);
        rollout_close(r->rollout);
        breaker_free(r->live.breaker);
        free(r->live.failed_keys);
        slowness_fini(&r->slowness);
        free(r);
    }
    while (!list_empty(&k->endpoints))
        forget_endpoint(CONTAINER_OF(k->endpoints.next, struct known_endpoint, link));
}

struct known_route *known_find_route(const struct known *k, const char *name)
{
    for (struct list *l = k->routes.next; l != &k->routes; l = l->next) {
        struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        if (strcmp(r->name, name) == 0)
            return r;
    }
    return NULL;
}

struct known_route *known_route(struct known *k, const char *name)
{
    struct known_route *r = known_find_route(k, name);
    if (r)
        return r;
    r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    (void)snprintf(r->name, sizeof r->name, "%s", name);
    r->metrics = metrics_route(k->metrics, name);
    r->live.breaker = breaker_new(k->workers);
    if (!r->metrics || !r->live.breaker) {
        breaker_free(r->live.breaker);
        free(r);
        return NULL;
    }
    list_push_back(&k->routes, &r->link);
    return r;
}

struct known_endpoint *known_find_endpoint(const struct known *k, const char *route,
                                           const char *version, const char *text)
{
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (strcmp(e->text, text) == 0 && strcmp(e->version, version) == 0 &&
            strcmp(e->route, route) == 0)
            return e;
    }
    return NULL;
}

static enum err know_endpoint(struct known *k, const char *route, const char *version,
                              const char *text, struct why *why)
{
    struct known_endpoint *e = known_find_endpoint(k, route, version, text);
    if (e) {
        e->is_named = true;
        return OK;
    }
    e = calloc(1, sizeof *e);
    struct endpoint_state *state = calloc(1, sizeof *state);
    enum err result = e && state ? address_of(text, &e->addr, why) : ERR_MEMORY;
    if (result != OK) {
        free(e);
        free(state);
        return result;
    }
    atomic_init(&state->refs, 1);
    e->state = state;
    e->is_named = true;
    (void)snprintf(e->route, sizeof e->route, "%s", route);
    (void)snprintf(e->version, sizeof e->version, "%s", version);
    (void)snprintf(e->text, sizeof e->text, "%s", text);
    list_push_back(&k->endpoints, &e->link);
    return OK;
}

static enum err know_route(struct known *k, const struct config_route *c, struct why *why)
{
    struct known_route *r = known_route(k, c->name);
    if (!r)
        return ERR_MEMORY;
    r->conf = c;
    if (c->has_rollout && c->sticky.by != STICKY_NONE && !r->live.failed_keys) {
        struct failed_keys *keys = calloc(1, sizeof *keys);
        if (!keys)
            return ERR_MEMORY;
        atomic_store_explicit(&r->live.failed_keys, keys, memory_order_release);
    }
    for (size_t v = 0; v < c->n_versions; v++)
        for (size_t i = 0; i < c->versions[v].endpoints.n; i++) {
            enum err e = know_endpoint(k, c->name, c->versions[v].name,
                                       c->versions[v].endpoints.items[i], why);
            if (e != OK)
                return e;
        }
    return OK;
}

enum err known_configure(struct known *k, const struct config *c, struct why *why)
{
    for (struct list *l = k->routes.next; l != &k->routes; l = l->next)
        CONTAINER_OF(l, struct known_route, link)->conf = NULL;
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next)
        CONTAINER_OF(l, struct known_endpoint, link)->is_named = false;
    for (size_t i = 0; i < c->n_routes; i++) {
        enum err e = know_route(k, &c->routes[i], why);
        if (e != OK)
            return e;
    }
    struct list *next;
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        next = l->next;
        if (!e->is_named)
            forget_endpoint(e);
    }
    return OK;
}

struct known_count known_count(const struct known *k, const char *route, const char *version,
                               bool is_proven)
{
    struct known_count n = {0, 0};
    for (struct list *l = k->endpoints.next; version && l != &k->endpoints; l = l->next) {
        const struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (strcmp(e->version, version) != 0 || strcmp(e->route, route) != 0)
            continue;
        n.total++;
        uint32_t health = atomic_load_explicit(&e->state->health, memory_order_relaxed);
        n.available += is_proven ? health == ENDPOINT_UP : health != ENDPOINT_DOWN;
    }
    return n;
}
