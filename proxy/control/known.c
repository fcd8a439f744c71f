/* What outlives snapshots and reloads: routes with their breaker and rollout, endpoints with their health.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/known.h"

#include "base/log.h"
#include "proxy/conf/dns_name.h"
#include "proxy/control/address.h"
#include "proxy/control/health.h"
#include "proxy/control/probe.h"
#include "proxy/control/series.h"
#include "proxy/control/states.h"
#include "proxy/upstream/eject.h"
#include "proxy/wire/time.h"

void known_init(struct known *k, struct metrics *metrics, unsigned workers)
{
    *k = (struct known){.metrics = metrics, .workers = workers};
    list_init(&k->routes);
    list_init(&k->endpoints);
    list_init(&k->versions);
}

/* Whether two endpoints are one address of one route under two names. */
static bool are_rivals(const struct known_endpoint *a, const struct known_endpoint *b)
{
    return a->addr.len == b->addr.len && memcmp(a->addr.bytes, b->addr.bytes, a->addr.len) == 0 &&
           strcmp(a->route, b->route) == 0 && strcmp(a->version, b->version) != 0;
}

/* The endpoint that has or wants the same address for another version of the route, or NULL. */
static struct known_endpoint *find_rival(const struct known *k, const struct known_endpoint *e,
                                         bool is_barred)
{
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        struct known_endpoint *other = CONTAINER_OF(l, struct known_endpoint, link);
        if (other->is_barred == is_barred && are_rivals(other, e))
            return other;
    }
    return NULL;
}

static void unbar(struct known *k, struct known_endpoint *e)
{
    k->n_barred -= e->is_barred;
    e->is_barred = false;
}

static void bar(struct known *k, struct known_endpoint *e, const struct known_endpoint *owner)
{
    e->is_barred = true;
    k->n_barred++;
    log_warn("endpoint_shared",
             "route=%s endpoint=%s version=%s why=\"it is one of version %s too\"", e->route,
             e->text, e->version, owner->version);
}

/* Whoever waits for its address gets it. */
static void forget_endpoint(struct known *k, struct known_endpoint *e)
{
    struct known_endpoint *heir = k->n_barred && !e->is_barred ? find_rival(k, e, true) : NULL;
    if (heir)
        unbar(k, heir);
    unbar(k, e);
    probe_cancel(e);
    health_stop(e);
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
        free(r->live.retries);
        free(r->live.failed_keys);
        slowness_fini(&r->slowness);
        series_free(r->series);
        free(r);
    }
    while (!list_empty(&k->endpoints))
        forget_endpoint(k, CONTAINER_OF(k->endpoints.next, struct known_endpoint, link));
    while ((node = list_pop_front(&k->versions)))
        free(CONTAINER_OF(node, struct known_version, link));
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
    r->live.retries = retry_budget_new();
    if (!r->metrics || !r->live.breaker || !r->live.retries) {
        breaker_free(r->live.breaker);
        free(r->live.retries);
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

struct dial_tls known_tls(const struct known_endpoint *e)
{
    const struct config_version *v = config_find_version(e->conf, e->version);
    return v ? (struct dial_tls){v->tls.context, v->tls.name} : (struct dial_tls){NULL, NULL};
}

static bool is_of(const struct known_endpoint *e, const char *route, const char *version)
{
    return strcmp(e->version, version) == 0 && strcmp(e->route, route) == 0;
}

/* Makes an endpoint, the last one. NULL when memory is short. */
static struct known_endpoint *add_endpoint(struct known *k, const char *route, const char *version,
                                           const char *text, const struct wire_addr *addr)
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
    (void)snprintf(e->route, sizeof e->route, "%s", route);
    (void)snprintf(e->version, sizeof e->version, "%s", version);
    (void)snprintf(e->text, sizeof e->text, "%s", text);
    list_push_back(&k->endpoints, &e->link);
    return e;
}

/* Moves it to where the order of its version's texts wants it. */
static void sort_in(struct known *k, struct known_endpoint *e)
{
    struct list *at = k->endpoints.next;
    for (; at != &e->link; at = at->next) {
        const struct known_endpoint *other = CONTAINER_OF(at, struct known_endpoint, link);
        if (is_of(other, e->route, e->version) && strcmp(other->text, e->text) > 0)
            break;
    }
    if (at == &e->link)
        return;
    list_remove(&e->link);
    list_push_back(at, &e->link);
}

/* --- what the file names --- */

/* The file's word stands over what the cluster or the DNS says. */
static void claim(struct known *k, const struct known_endpoint *e)
{
    struct known_endpoint *rival = list_empty(&k->versions) ? NULL : find_rival(k, e, false);
    if (rival && rival->is_given)
        bar(k, rival, e);
}

static enum err know_endpoint(struct known *k, const char *route, const char *version,
                              const char *text, struct why *why)
{
    struct wire_addr addr;
    struct known_endpoint *e = known_find_endpoint(k, route, version, text);
    if (!e) {
        enum err result = address_of(text, &addr, why);
        if (result != OK)
            return result;
        e = add_endpoint(k, route, version, text, &addr);
    }
    if (!e)
        return ERR_MEMORY;
    e->is_named = true;
    e->is_given = false;
    unbar(k, e);
    claim(k, e);
    return OK;
}

/* What served before the file made it dynamic serves on until others are given. */
static enum err know_dynamic(struct known *k, const char *route, const char *version)
{
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (is_of(e, route, version))
            e->is_named = e->is_given = true;
    }
    struct known_version *v = known_find_version(k, route, version);
    if (!v) {
        v = calloc(1, sizeof *v);
        if (!v)
            return ERR_MEMORY;
        (void)snprintf(v->route, sizeof v->route, "%s", route);
        (void)snprintf(v->version, sizeof v->version, "%s", version);
        list_push_back(&k->versions, &v->link);
    }
    v->is_named = true;
    return OK;
}

static enum err know_version(struct known *k, const char *route, const struct config_version *v,
                             struct why *why)
{
    enum err e = config_version_is_dynamic(v) ? know_dynamic(k, route, v->name) : OK;
    for (size_t i = 0; e == OK && i < v->endpoints.n; i++)
        if (!config_endpoint_is_name(v->endpoints.items[i]))
            e = know_endpoint(k, route, v->name, v->endpoints.items[i], why);
    return e;
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
    for (size_t v = 0; v < c->n_versions; v++) {
        enum err e = know_version(k, c->name, &c->versions[v], why);
        if (e != OK)
            return e;
    }
    return OK;
}

static void forget_all_names(struct known *k)
{
    for (struct list *l = k->routes.next; l != &k->routes; l = l->next)
        CONTAINER_OF(l, struct known_route, link)->conf = NULL;
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next)
        CONTAINER_OF(l, struct known_endpoint, link)->is_named = false;
    for (struct list *l = k->versions.next; l != &k->versions; l = l->next)
        CONTAINER_OF(l, struct known_version, link)->is_named = false;
}

static void drop_unnamed(struct known *k)
{
    struct list *next;
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        next = l->next;
        if (!e->is_named)
            forget_endpoint(k, e);
    }
    for (struct list *l = k->versions.next; l != &k->versions; l = next) {
        struct known_version *v = CONTAINER_OF(l, struct known_version, link);
        next = l->next;
        if (v->is_named)
            continue;
        list_remove(&v->link);
        free(v);
    }
}

/* What a reload says to those that were known before. */
static void take_conf(struct known_endpoint *e, const struct config_route *conf)
{
    e->conf = conf;
    if (!conf->health.path)
        health_stop(e);
    if (conf->eject.consecutive == 0)
        eject_forget(e->state, time_monotonic_us());
}

static void spread_confs(struct known *k, const struct config_route *conf)
{
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (strcmp(e->route, conf->name) == 0)
            take_conf(e, conf);
    }
}

enum err known_configure(struct known *k, const struct config *c, struct why *why)
{
    forget_all_names(k);
    for (size_t i = 0; i < c->n_routes; i++) {
        enum err e = know_route(k, &c->routes[i], why);
        if (e != OK)
            return e;
        spread_confs(k, &c->routes[i]);
    }
    drop_unnamed(k);
    return OK;
}

/* --- what the cluster and the DNS give --- */

struct known_version *known_find_version(const struct known *k, const char *route,
                                         const char *version)
{
    for (struct list *l = k->versions.next; l != &k->versions; l = l->next) {
        struct known_version *v = CONTAINER_OF(l, struct known_version, link);
        if (strcmp(v->version, version) == 0 && strcmp(v->route, route) == 0)
            return v;
    }
    return NULL;
}

void known_take_replicas(struct known *k, const char *route, const char *version,
                         const struct known_replicas *replicas)
{
    struct known_version *v = known_find_version(k, route, version);
    if (v)
        v->replicas = *replicas;
}

/* An address on its way in. */
struct given {
    struct wire_addr addr;
    char text[WIRE_TEXT_MAX]; /* as wire_addr_text writes it: one spelling an address */
    bool is_known;
};

static int compare_given(const void *left, const void *right)
{
    return strcmp(((const struct given *)left)->text, ((const struct given *)right)->text);
}

static bool read_given(struct given *g, const char *text)
{
    struct why why;
    if (address_of(text, &g->addr, &why) != OK || strncmp(text, "unix:", 5) == 0)
        return false;
    wire_addr_text(&g->addr, g->text);
    g->is_known = false;
    return true;
}

/* Sorted, each once, at most KNOWN_GIVEN_MAX. Returns their number. */
static size_t gather_given(struct given *all, const struct known_version *v,
                           const char *const *texts, size_t n)
{
    size_t read = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        if (read_given(&all[read], texts[i]))
            read++;
        else
            log_warn("endpoint_refused", "route=%s version=%s why=\"%.64s is no address\"",
                     v->route, v->version, texts[i]);
    if (read)
        qsort(all, read, sizeof *all, compare_given);
    for (size_t i = 0; i < read; i++)
        if (kept == 0 || compare_given(&all[kept - 1], &all[i]) != 0)
            all[kept++] = all[i];
    if (kept <= KNOWN_GIVEN_MAX)
        return kept;
    log_warn("endpoints_cut", "route=%s version=%s why=\"%zu are more than %u\"", v->route,
             v->version, kept, KNOWN_GIVEN_MAX);
    return KNOWN_GIVEN_MAX;
}

/* Marks what is known and, where what is given is whole, forgets what is not in it but for what the file names. Workers that have not adopted the next snapshot yet, and
 * retries in a world of before, find it down: they go elsewhere where there is anything else. Returns how many are gone for
 * the data plane. */
static unsigned drop_ungiven(struct known *k, const struct known_version *v, struct given *all,
                             size_t n, bool is_whole)
{
    struct list *next;
    struct given key;
    unsigned gone = 0;
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        next = l->next;
        if (!is_of(e, v->route, v->version))
            continue;
        wire_addr_text(&e->addr, key.text);
        struct given *g = n ? bsearch(&key, all, n, sizeof *all, compare_given) : NULL;
        if (g)
            g->is_known = true;
        if (g || !e->is_given || !is_whole)
            continue;
        gone += !e->is_barred;
        endpoint_note(e->state, ENDPOINT_DOWN);
        forget_endpoint(k, e);
    }
    return gone;
}

/* Returns how many are new for the data plane. */
static unsigned add_given(struct known *k, const struct known_version *v, const struct given *all,
                          size_t n)
{
    unsigned added = 0;
    for (size_t i = 0; i < n; i++) {
        if (all[i].is_known)
            continue;
        struct known_endpoint *e = add_endpoint(k, v->route, v->version, all[i].text, &all[i].addr);
        if (!e) {
            log_error("endpoint_not_taken", "route=%s version=%s endpoint=%s why=\"out of memory\"",
                      v->route, v->version, all[i].text);
            break;
        }
        e->is_given = true;
        e->conf = known_find_route(k, v->route)->conf;
        sort_in(k, e);
        const struct known_endpoint *owner = find_rival(k, e, false);
        if (owner)
            bar(k, e, owner);
        added += !e->is_barred;
    }
    return added;
}

static bool take_given(struct known *k, const char *route, const char *version,
                       const char *const *texts, size_t n, bool is_whole)
{
    const struct known_version *v = known_find_version(k, route, version);
    struct given *all = v ? malloc((n + 1) * sizeof *all) : NULL;
    if (!all) {
        if (v)
            log_error("endpoints_not_taken", "route=%s version=%s why=\"out of memory\"", route,
                      version);
        return false;
    }
    n = gather_given(all, v, texts, n);
    unsigned gone = drop_ungiven(k, v, all, n, is_whole);
    unsigned added = add_given(k, v, all, n);
    free(all);
    if (gone || added)
        log_info("endpoints", "route=%s version=%s endpoints=%u added=%u gone=%u", route, version,
                 known_count(k, route, version, false).total, added, gone);
    return gone || added;
}

bool known_take_endpoints(struct known *k, const char *route, const char *version,
                          const char *const *texts, size_t n)
{
    return take_given(k, route, version, texts, n, true);
}

bool known_add_endpoints(struct known *k, const char *route, const char *version,
                         const char *const *texts, size_t n)
{
    return take_given(k, route, version, texts, n, false);
}

struct known_count known_count(const struct known *k, const char *route, const char *version,
                               bool is_proven)
{
    int64_t now_us = time_monotonic_us();
    struct known_count n = {0, 0};
    unsigned ejected = 0;
    for (struct list *l = k->endpoints.next; version && l != &k->endpoints; l = l->next) {
        const struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (e->is_barred || !is_of(e, route, version))
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
