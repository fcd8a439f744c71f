/* What outlives snapshots and reloads: routes with their breaker and rollout, endpoints with their health.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/known_inside.h"

#include "base/log.h"
#include "proxy/control/health.h"
#include "proxy/control/probe.h"
#include "proxy/control/series.h"
#include "proxy/control/states.h"
#include "proxy/wire/time.h"
#include <sys/random.h>

/* Addresses come from the cluster and the DNS: nobody outside knows which of them share a bucket. */
static struct hash_salt draw_salt(void)
{
    struct hash_salt salt = {0, 0};
    (void)!getrandom(&salt, sizeof salt, GRND_NONBLOCK);
    return salt;
}

void known_init(struct known *k, struct metrics *metrics, unsigned workers)
{
    *k = (struct known){.metrics = metrics, .workers = workers};
    list_init(&k->routes);
    list_init(&k->endpoints);
    list_init(&k->versions);
    index_init(&k->route_names, draw_salt());
    index_init(&k->endpoint_names, draw_salt());
    index_init(&k->addresses, draw_salt());
}

/* --- routes --- */

static uint64_t hash_route(const struct known *k, const char *name)
{
    return index_hash(&k->route_names, 0, slice_str(name));
}

struct known_route *known_find_route(const struct known *k, const char *name)
{
    struct index_node *node = index_first(&k->route_names, hash_route(k, name));
    for (; node; node = index_next(node)) {
        struct known_route *r = CONTAINER_OF(node, struct known_route, by_name);
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
    r->live.retries = retry_budget_new();
    if (!r->metrics || !r->live.breaker || !r->live.retries) {
        breaker_free(r->live.breaker);
        free(r->live.retries);
        free(r);
        return NULL;
    }
    list_init(&r->endpoints);
    list_init(&r->versions);
    list_push_back(&k->routes, &r->link);
    index_add(&k->route_names, &r->by_name, hash_route(k, r->name));
    return r;
}

static void route_free(struct known_route *r)
{
    rollout_close(r->rollout);
    breaker_free(r->live.breaker);
    free(r->live.retries);
    free(r->live.failed_keys);
    slowness_fini(&r->slowness);
    series_free(r->series);
    free(r);
}

/* --- endpoints --- */

static uint64_t hash_endpoint(const struct known *k, const char *route, const char *version,
                              const char *text)
{
    const struct index *x = &k->endpoint_names;
    uint64_t of_version = index_hash(x, index_hash(x, 0, slice_str(route)), slice_str(version));
    return index_hash(x, of_version, slice_str(text));
}

struct known_endpoint *known_find_endpoint(const struct known *k, const char *route,
                                           const char *version, const char *text)
{
    struct index_node *node =
        index_first(&k->endpoint_names, hash_endpoint(k, route, version, text));
    for (; node; node = index_next(node)) {
        struct known_endpoint *e = CONTAINER_OF(node, struct known_endpoint, by_name);
        if (strcmp(e->text, text) == 0 && strcmp(e->version, version) == 0 &&
            strcmp(e->route, route) == 0)
            return e;
    }
    return NULL;
}

static uint64_t hash_address(const struct known *k, const struct wire_addr *addr)
{
    return index_hash(&k->addresses, 0, slice_of((const char *)addr->bytes, addr->len));
}

static bool is_at(const struct known_endpoint *e, const struct wire_addr *addr)
{
    return e->addr.len == addr->len && memcmp(e->addr.bytes, addr->bytes, addr->len) == 0;
}

struct known_endpoint *known_find_address(const struct known *k, const struct wire_addr *addr)
{
    struct index_node *node = index_first(&k->addresses, hash_address(k, addr));
    for (; node; node = index_next(node)) {
        struct known_endpoint *e = CONTAINER_OF(node, struct known_endpoint, by_addr);
        if (is_at(e, addr))
            return e;
    }
    return NULL;
}

struct known_endpoint *known_next_endpoint(const struct known_route *r, const char *version,
                                           const struct known_endpoint *behind)
{
    const struct list *l = behind ? behind->of_route.next : r->endpoints.next;
    for (; l != &r->endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, of_route);
        if (strcmp(e->version, version) == 0)
            return e;
    }
    return NULL;
}

struct known_endpoint *known_endpoint_new(struct known *k, struct known_route *r,
                                          const char *version, const char *text,
                                          const struct wire_addr *addr)
{
    struct known_endpoint *e = calloc(1, sizeof *e);
    struct endpoint_state *state = e ? endpoint_state_new(k, text, addr) : NULL;
    if (!state) {
        free(e);
        return NULL;
    }
    e->state = state;
    e->addr = *addr;
    e->is_named = true;
    (void)snprintf(e->route, sizeof e->route, "%s", r->name);
    (void)snprintf(e->version, sizeof e->version, "%s", version);
    (void)snprintf(e->text, sizeof e->text, "%s", text);
    list_push_back(&k->endpoints, &e->link);
    list_push_back(&r->endpoints, &e->of_route);
    index_add(&k->endpoint_names, &e->by_name, hash_endpoint(k, e->route, e->version, e->text));
    index_add(&k->addresses, &e->by_addr, hash_address(k, &e->addr));
    return e;
}

struct known_endpoint *known_find_rival(const struct known *k, const struct known_endpoint *e,
                                        bool is_barred)
{
    const struct known_route *r = known_find_route(k, e->route);
    for (struct list *l = r->endpoints.next; l != &r->endpoints; l = l->next) {
        struct known_endpoint *other = CONTAINER_OF(l, struct known_endpoint, of_route);
        if (other->is_barred == is_barred && is_at(other, &e->addr) &&
            strcmp(other->version, e->version) != 0)
            return other;
    }
    return NULL;
}

void known_endpoint_bar(struct known *k, struct known_endpoint *e,
                        const struct known_endpoint *owner)
{
    e->is_barred = true;
    k->n_barred++;
    log_warn("endpoint_shared",
             "route=%s endpoint=%s version=%s why=\"it is one of version %s too\"", e->route,
             e->text, e->version, owner->version);
}

void known_endpoint_unbar(struct known *k, struct known_endpoint *e)
{
    k->n_barred -= e->is_barred;
    e->is_barred = false;
}

void known_endpoint_forget(struct known *k, struct known_endpoint *e)
{
    struct known_endpoint *heir =
        k->n_barred && !e->is_barred ? known_find_rival(k, e, true) : NULL;
    if (heir)
        known_endpoint_unbar(k, heir);
    known_endpoint_unbar(k, e);
    probe_cancel(e);
    health_stop(e);
    list_remove(&e->link);
    list_remove(&e->of_route);
    index_remove(&k->endpoint_names, &e->by_name);
    index_remove(&k->addresses, &e->by_addr);
    endpoint_state_unref(e->state);
    free(e);
}

struct known_count known_count(const struct known *k, const char *route, const char *version,
                               bool is_proven)
{
    const struct known_route *r = version ? known_find_route(k, route) : NULL;
    const struct known_endpoint *e = NULL;
    int64_t now_us = time_monotonic_us();
    struct known_count n = {0, 0};
    unsigned ejected = 0;
    while (r && (e = known_next_endpoint(r, version, e))) {
        if (e->is_barred)
            continue;
        n.total++;
        uint32_t health = atomic_load_explicit(&e->state->health, memory_order_relaxed);
        bool is_up = is_proven ? health == ENDPOINT_UP : health != ENDPOINT_DOWN;
        bool is_ejected = is_up && !endpoint_may_serve(e->state, now_us);
        n.available += is_up && !is_ejected;
        ejected += is_ejected;
    }
    if (n.available == 0)
        n.available = ejected; /* they serve all the same: ejection never takes the last one */
    return n;
}

struct dial_tls known_tls(const struct known_endpoint *e)
{
    const struct config_version *v = config_find_version(e->conf, e->version);
    return v ? (struct dial_tls){v->tls.context, v->tls.name} : (struct dial_tls){NULL, NULL};
}

/* --- dynamic versions --- */

static struct known_version *find_version(const struct known_route *r, const char *version)
{
    for (struct list *l = r->versions.next; l != &r->versions; l = l->next) {
        struct known_version *v = CONTAINER_OF(l, struct known_version, of_route);
        if (strcmp(v->version, version) == 0)
            return v;
    }
    return NULL;
}

struct known_version *known_find_version(const struct known *k, const char *route,
                                         const char *version)
{
    const struct known_route *r = known_find_route(k, route);
    return r ? find_version(r, version) : NULL;
}

struct known_version *known_version_get(struct known *k, struct known_route *r, const char *version)
{
    struct known_version *v = find_version(r, version);
    if (v)
        return v;
    v = calloc(1, sizeof *v);
    if (!v)
        return NULL;
    (void)snprintf(v->route, sizeof v->route, "%s", r->name);
    (void)snprintf(v->version, sizeof v->version, "%s", version);
    list_push_back(&k->versions, &v->link);
    list_push_back(&r->versions, &v->of_route);
    return v;
}

void known_version_forget(struct known_version *v)
{
    list_remove(&v->link);
    list_remove(&v->of_route);
    free(v);
}

/* --- all of it --- */

void known_fini(struct known *k)
{
    struct list *node;
    while (!list_empty(&k->endpoints)) {
        node = k->endpoints.next;
        known_endpoint_forget(k, CONTAINER_OF(node, struct known_endpoint, link));
    }
    while (!list_empty(&k->versions))
        known_version_forget(CONTAINER_OF(k->versions.next, struct known_version, link));
    while ((node = list_pop_front(&k->routes)))
        route_free(CONTAINER_OF(node, struct known_route, link));
    index_fini(&k->route_names);
    index_fini(&k->endpoint_names);
    index_fini(&k->addresses);
}
