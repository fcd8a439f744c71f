/* Endpoints that are names: when they are asked for, and what becomes of the answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/names.h"

#include "base/log.h"
#include "proxy/control/pace.h"
#include "proxy/control/publish.h"
#include "proxy/wire/time.h"
#include <event2/event.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

#define RESOLV_FILE "/etc/resolv.conf"
#define HOSTS_FILE  "/etc/hosts"
#define NEVER       INT64_MAX

/* One name of the file; in any number of versions. */
struct name {
    struct list link;
    struct names *names;
    char host[RESOLV_NAME_MAX + 1];
    struct lookup *lookup;       /* under way; NULL = none */
    struct lookup_family v4, v6; /* what it is known to be: kept over failures */
    int64_t due_ms;              /* when it is asked for; NEVER while it is */
    int64_t found_ms;            /* when it last was; NEVER: it never was */
    unsigned failures;           /* in a row */
    enum lookup_result said;     /* that the log knows */
    bool has_result, is_named;
};

/* One endpoint that is a name, of one version. */
struct reference {
    struct name *name;
    uint16_t port;
};

/* One version with names. */
struct user {
    struct list link;
    char route[KNOWN_NAME_MAX], version[KNOWN_NAME_MAX];
    struct reference *references;
    size_t n;
};

struct names {
    struct control *control;
    struct list names, users, lookups;
    struct event *due;
    unsigned n_names, n_asking;
    int64_t ready_until_ms;
    bool is_ready;
    uint64_t ended[LOOKUP_RESULTS];
};

static uint32_t chance(void)
{
    uint32_t random = 0;
    (void)!getrandom(&random, sizeof random, GRND_NONBLOCK);
    return random;
}

/* --- endpoints --- */

static unsigned count(const struct name *name)
{
    return name->v4.n + name->v6.n;
}

/* Until every name of a version has had a first result, good or bad, nothing that serves now goes. */
static bool is_settled(const struct user *u)
{
    for (size_t i = 0; i < u->n; i++)
        if (!u->references[i].name->has_result)
            return false;
    return true;
}

/* Texts of addresses, in memory of their own. */
struct texts {
    char (*at)[WIRE_TEXT_MAX];
    size_t n;
};

static void add_family(struct texts *t, const struct lookup_family *f, uint16_t port)
{
    for (unsigned i = 0; i < f->n; i++) {
        struct wire_addr addr;
        wire_addr_inet(&addr, f->at[i].is_v6, f->at[i].at, port);
        wire_addr_text(&addr, t->at[t->n++]);
    }
}

/* Gives a version the union of what its names are known to be; what is known twice is sorted out by who takes it. Nothing at
 * all is no list of endpoints. Returns whether that changed anything. */
static bool give(const struct names *n, const struct user *u)
{
    struct known *k = &n->control->known;
    size_t room = 0;
    bool is_changed = false;
    for (size_t i = 0; i < u->n; i++)
        room += count(u->references[i].name);
    struct texts t = {malloc((room + 1) * sizeof *t.at), 0};
    const char **list = malloc((room + 1) * sizeof *list);
    for (size_t i = 0; t.at && i < u->n; i++) {
        const struct name *name = u->references[i].name;
        add_family(&t, &name->v4, u->references[i].port);
        add_family(&t, &name->v6, u->references[i].port);
    }
    for (size_t i = 0; list && i < t.n; i++)
        list[i] = t.at[i];
    if (!t.at || !list)
        log_error("endpoints_not_taken", "route=%s version=%s why=\"out of memory\"", u->route,
                  u->version);
    else if (t.n && is_settled(u))
        is_changed = known_take_endpoints(k, u->route, u->version, list, t.n);
    else if (t.n)
        is_changed = known_add_endpoints(k, u->route, u->version, list, t.n);
    free(list);
    free(t.at);
    return is_changed;
}

static void give_all_of(const struct names *n, const struct name *name)
{
    bool is_changed = false;
    for (struct list *l = n->users.next; l != &n->users; l = l->next) {
        const struct user *u = CONTAINER_OF(l, struct user, link);
        bool has = false;
        for (size_t i = 0; i < u->n; i++)
            has = has || u->references[i].name == name;
        is_changed |= has && give(n, u);
    }
    if (is_changed)
        publish_changes(n->control);
}

/* --- asking --- */

static void arm(struct names *n)
{
    int64_t first = NEVER, now = time_monotonic_ms();
    for (struct list *l = n->names.next; l != &n->names; l = l->next) {
        const struct name *name = CONTAINER_OF(l, struct name, link);
        if (name->due_ms < first)
            first = name->due_ms;
    }
    (void)event_del(n->due);
    if (first == NEVER || n->n_asking >= NAMES_ASKING_MAX)
        return; /* the next look-up that ends comes here again */
    int64_t wait = first > now ? first - now : 0;
    struct timeval in = {wait / 1000, wait % 1000 * 1000};
    (void)event_add(n->due, &in);
}

/* One line a change: what is looked up every few seconds would fill the log. */
static void say(struct name *name, enum lookup_result result, uint32_t ttl_s)
{
    bool is_new = !name->has_result || result != name->said;
    name->said = result;
    if (is_new && result == LOOKUP_OK)
        log_info("name_found", "name=%s addresses=%u ttl_s=%u", name->host, count(name), ttl_s);
    else if (is_new)
        log_warn("name_not_found", "name=%s result=%s kept=%u why=\"%s\"", name->host,
                 lookup_result_text(result), count(name),
                 count(name) ? "its last addresses serve on" : "it has had no address yet");
    else
        log_debug("name_looked_up", "name=%s result=%s addresses=%u", name->host,
                  lookup_result_text(result), count(name));
}

/* A family without an address loses those that it had only where the other has some: the name is there, then. */
static void take_family(struct lookup_family *mine, const struct lookup_family *found,
                        bool is_there)
{
    if (found->n || (is_there && found->result == LOOKUP_NOT_FOUND))
        *mine = *found;
}

static void take(struct name *name, const struct lookup_answer *a)
{
    struct names *n = name->names;
    enum lookup_result result = lookup_result_of(a);
    bool is_there = a->v4.n || a->v6.n;
    n->ended[result]++;
    take_family(&name->v4, &a->v4, is_there);
    take_family(&name->v6, &a->v6, is_there);
    name->failures = result == LOOKUP_OK ? 0 : name->failures + 1;
    uint32_t wait = pace_after_failure_ms(name->failures, count(name) == 0, chance());
    if (is_there) {
        uint32_t good = pace_after_answer_ms(lookup_ttl_s(a), chance());
        wait = result == LOOKUP_OK || good < wait ? good : wait;
        name->found_ms = time_monotonic_ms();
    }
    name->due_ms = time_monotonic_ms() + wait;
    say(name, result, lookup_ttl_s(a));
    bool is_first = !name->has_result;
    name->has_result = true;
    if (is_there || is_first)
        give_all_of(n, name);
}

static void on_end(void *arg, const struct lookup_answer *a)
{
    struct name *name = arg;
    name->lookup = NULL;
    name->names->n_asking--;
    take(name, a);
    arm(name->names);
}

static bool find_in_hosts(struct name *name)
{
    struct ip_address found[LOOKUP_ADDRESSES_MAX];
    struct lookup_answer a = {{.result = LOOKUP_NOT_FOUND, .ttl_s = NAMES_HOSTS_TTL_S},
                              {.result = LOOKUP_NOT_FOUND, .ttl_s = NAMES_HOSTS_TTL_S}};
    size_t n = hosts_find_in(HOSTS_FILE, slice_str(name->host), found, LOOKUP_ADDRESSES_MAX);
    for (size_t i = 0; i < n; i++) {
        struct lookup_family *f = found[i].is_v6 ? &a.v6 : &a.v4;
        if (!ip_address_is_usable(&found[i]))
            continue; /* 0.0.0.0: whoever wrote it wants the name blocked, and nobody asked */
        f->at[f->n++] = found[i];
        f->result = LOOKUP_OK;
    }
    if (n)
        take(name, &a);
    return n > 0;
}

static void whom_to_ask(const struct config_dns *conf, struct resolv *r)
{
    if (conf->servers.n == 0) {
        resolv_read(r, RESOLV_FILE);
        return;
    }
    *r = (struct resolv){.ndots = 1};
    for (size_t i = 0; i < conf->servers.n && i < RESOLV_SERVERS_MAX; i++)
        (void)snprintf(r->servers[r->n_servers++], sizeof r->servers[0], "%s",
                       conf->servers.items[i]);
}

static void begin(struct name *name)
{
    struct names *n = name->names;
    const struct config_dns *conf = &control_config(n->control)->dns;
    const struct lookup_answer none = {{.result = LOOKUP_ERROR}, {.result = LOOKUP_ERROR}};
    struct resolv resolv;
    if (find_in_hosts(name))
        return;
    whom_to_ask(conf, &resolv);
    struct lookup_setup setup = {.base = n->control->base,
                                 .all = &n->lookups,
                                 .resolv = &resolv,
                                 .name = name->host,
                                 .timeout_ms = conf->timeout_ms,
                                 .on_end = on_end,
                                 .arg = name};
    name->due_ms = NEVER;
    name->lookup = lookup_start(&setup);
    if (name->lookup)
        n->n_asking++;
    else
        take(name, &none);
}

static void on_due(evutil_socket_t fd, short what, void *arg)
{
    struct names *n = arg;
    int64_t now = time_monotonic_ms();
    (void)fd;
    (void)what;
    for (struct list *l = n->names.next; l != &n->names && n->n_asking < NAMES_ASKING_MAX;
         l = l->next) {
        struct name *name = CONTAINER_OF(l, struct name, link);
        if (name->due_ms <= now)
            begin(name);
    }
    arm(n);
}

/* --- what the file names --- */

static struct name *find(const struct names *n, const char *host)
{
    for (struct list *l = n->names.next; l != &n->names; l = l->next) {
        struct name *name = CONTAINER_OF(l, struct name, link);
        if (strcasecmp(name->host, host) == 0)
            return name;
    }
    return NULL;
}

static struct name *name_of(struct names *n, struct slice host)
{
    char text[RESOLV_NAME_MAX + 1];
    (void)snprintf(text, sizeof text, "%.*s", SLICE_ARG(host));
    struct name *name = find(n, text);
    if (!name) {
        name = calloc(1, sizeof *name);
        if (!name)
            return NULL;
        memcpy(name->host, text, sizeof text);
        name->names = n;
        name->found_ms = NEVER;
        list_push_back(&n->names, &name->link);
    }
    name->is_named = true;
    return name;
}

static void name_free(struct name *name)
{
    if (name->lookup) {
        lookup_forget(name->lookup);
        name->names->n_asking--;
    }
    list_remove(&name->link);
    free(name);
}

static void forget_users(struct names *n)
{
    struct list *node;
    while ((node = list_pop_front(&n->users))) {
        struct user *u = CONTAINER_OF(node, struct user, link);
        free(u->references);
        free(u);
    }
}

static enum err add_user(struct names *n, const char *route, const struct config_version *v)
{
    struct user *u = calloc(1, sizeof *u);
    if (!u)
        return ERR_MEMORY;
    (void)snprintf(u->route, sizeof u->route, "%s", route);
    (void)snprintf(u->version, sizeof u->version, "%s", v->name);
    list_push_back(&n->users, &u->link);
    u->references = calloc(v->endpoints.n, sizeof *u->references);
    for (size_t i = 0; u->references && i < v->endpoints.n; i++) {
        struct config_address address;
        if (!config_endpoint_is_name(v->endpoints.items[i]) ||
            config_endpoint_parse(slice_str(v->endpoints.items[i]), &address, NULL) != OK)
            continue;
        struct name *name = name_of(n, address.path);
        if (!name)
            return ERR_MEMORY;
        u->references[u->n++] = (struct reference){name, address.port};
    }
    return u->references ? OK : ERR_MEMORY;
}

static void drop_unnamed(struct names *n)
{
    struct list *next;
    for (struct list *l = n->names.next; l != &n->names; l = next) {
        struct name *name = CONTAINER_OF(l, struct name, link);
        next = l->next;
        if (!name->is_named)
            name_free(name);
    }
}

enum err names_configure(struct names *n, struct why *why)
{
    const struct config *config = control_config(n->control);
    enum err e = OK;
    forget_users(n);
    for (struct list *l = n->names.next; l != &n->names; l = l->next)
        CONTAINER_OF(l, struct name, link)->is_named = false;
    for (size_t i = 0; i < config->n_routes; i++)
        for (size_t k = 0; e == OK && k < config->routes[i].n_versions; k++) {
            const struct config_version *v = &config->routes[i].versions[k];
            if (!v->workload && config_version_is_dynamic(v))
                e = add_user(n, config->routes[i].name, v);
        }
    if (e != OK)
        return why_set(why, e, "out of memory");
    drop_unnamed(n);
    for (struct list *l = n->users.next; l != &n->users; l = l->next)
        (void)give(n, CONTAINER_OF(l, struct user, link));
    arm(n);
    return OK;
}

/* --- the rest --- */

struct names *names_new(struct control *c)
{
    struct names *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->control = c;
    list_init(&n->names);
    list_init(&n->users);
    list_init(&n->lookups);
    n->ready_until_ms = time_monotonic_ms() + NAMES_READY_MAX_MS;
    n->due = event_new(c->base, -1, 0, on_due, n);
    lookup_init();
    if (n->due)
        return n;
    free(n);
    return NULL;
}

void names_free(struct names *n)
{
    if (!n)
        return;
    event_free(n->due);
    forget_users(n);
    while (!list_empty(&n->names))
        name_free(CONTAINER_OF(n->names.next, struct name, link));
    lookup_end_all(&n->lookups, n->control->base);
    free(n);
}

static bool is_stable(const struct names *n, const struct user *u)
{
    const struct known_route *r = known_find_route(&n->control->known, u->route);
    return r && r->conf && strcmp(r->split.stable, u->version) == 0;
}

bool names_are_ready(struct names *n, int64_t now)
{
    bool is_ready = true;
    if (n->is_ready)
        return true;
    for (struct list *l = n->users.next; l != &n->users; l = l->next) {
        const struct user *u = CONTAINER_OF(l, struct user, link);
        for (size_t i = 0; i < u->n; i++)
            is_ready = is_ready && (count(u->references[i].name) || !is_stable(n, u));
    }
    if (!is_ready && now >= n->ready_until_ms) {
        log_warn("ready_without_names",
                 "why=\"%d s have passed, and names of stable versions are not found\"",
                 NAMES_READY_MAX_MS / 1000);
        is_ready = true;
    }
    n->is_ready = is_ready;
    return is_ready;
}

uint64_t names_lookups(const struct names *n, enum lookup_result result)
{
    return n->ended[result];
}

void names_ages(const struct names *n, names_age_fn *fn, void *arg)
{
    int64_t now = time_monotonic_ms();
    for (struct list *l = n->names.next; l != &n->names; l = l->next) {
        const struct name *name = CONTAINER_OF(l, struct name, link);
        fn(arg, name->host, name->found_ms == NEVER ? NAN : (double)(now - name->found_ms) / 1000);
    }
}
