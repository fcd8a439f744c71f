/* What a configuration names becomes known, and what it does not name any more is forgotten.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/known_inside.h"

#include "proxy/conf/dns_name.h"
#include "proxy/control/address.h"
#include "proxy/control/health.h"
#include "proxy/upstream/eject.h"
#include "proxy/wire/time.h"

/* The file's word stands over what the cluster or the DNS says. */
static void claim(struct known *k, const struct known_endpoint *e)
{
    struct known_endpoint *rival = list_empty(&k->versions) ? NULL : known_find_rival(k, e, false);
    if (rival && rival->is_given)
        known_endpoint_bar(k, rival, e);
}

static enum err know_endpoint(struct known *k, struct known_route *r, const char *version,
                              const char *text, struct why *why)
{
    struct wire_addr addr;
    struct known_endpoint *e = known_find_endpoint(k, r->name, version, text);
    if (!e) {
        enum err result = address_of(text, &addr, why);
        if (result != OK)
            return result;
        e = known_endpoint_new(k, r, version, text, &addr);
    }
    if (!e)
        return ERR_MEMORY;
    e->is_named = true;
    e->is_given = false;
    known_endpoint_unbar(k, e);
    claim(k, e);
    return OK;
}

/* What served before the file made it dynamic serves on until others are given. */
static enum err know_dynamic(struct known *k, struct known_route *r, const char *version)
{
    struct known_endpoint *e = NULL;
    while ((e = known_next_endpoint(r, version, e)))
        e->is_named = e->is_given = true;
    struct known_version *v = known_version_get(k, r, version);
    if (!v)
        return ERR_MEMORY;
    v->is_named = true;
    return OK;
}

static enum err know_version(struct known *k, struct known_route *r, const struct config_version *v,
                             struct why *why)
{
    enum err e = config_version_is_dynamic(v) ? know_dynamic(k, r, v->name) : OK;
    for (size_t i = 0; e == OK && i < v->endpoints.n; i++)
        if (!config_endpoint_is_name(v->endpoints.items[i]))
            e = know_endpoint(k, r, v->name, v->endpoints.items[i], why);
    return e;
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
        enum err e = know_version(k, r, &c->versions[v], why);
        if (e != OK)
            return e;
    }
    for (struct list *l = r->endpoints.next; l != &r->endpoints; l = l->next)
        take_conf(CONTAINER_OF(l, struct known_endpoint, of_route), c);
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
            known_endpoint_forget(k, e);
    }
    for (struct list *l = k->versions.next; l != &k->versions; l = next) {
        struct known_version *v = CONTAINER_OF(l, struct known_version, link);
        next = l->next;
        if (!v->is_named)
            known_version_forget(v);
    }
}

enum err known_configure(struct known *k, const struct config *c, struct why *why)
{
    forget_all_names(k);
    for (size_t i = 0; i < c->n_routes; i++) {
        enum err e = know_route(k, &c->routes[i], why);
        if (e != OK)
            return e;
    }
    drop_unnamed(k);
    return OK;
}
