/* Pairs the Ingresses of ingress-nginx with their canaries, host by host and path by path, and makes routes of them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/ingress.h"
#include "proxy/convert/ingress_annotations.h"
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define ENTRIES_MAX 512u /* pairs of host and path of a file: each is held against the others */
#define HTTP_PORT   80

/* One path of one host of one Ingress. */
struct entry {
    const struct cJSON *ingress, *item; /* item: of the list of paths, or the default backend */
    const char *host;                   /* "" = every host */
    struct slice path;
    const char *service;
    int64_t port;
    size_t canary; /* which entry of the canaries has the same host and path; ENTRIES_MAX = none */
    bool is_placed;
};

struct entries {
    struct draft *d;
    struct entry stable[ENTRIES_MAX], canary[ENTRIES_MAX];
    size_t n_stable, n_canary;
};

bool ingress_is(const struct cJSON *object)
{
    return source_is(object, "networking.k8s.io", "Ingress") ||
           source_is(object, "extensions", "Ingress");
}

/* --- reading --- */

int64_t ingress_service_port(const struct draft *d, const char *service, const char *name_space,
                             const char *port, bool is_target)
{
    const struct cJSON *object = source_find(d, "", "Service", service, name_space), *item;
    char number[SOURCE_TEXT_MAX];
    int64_t found = 0;
    cJSON_ArrayForEach(item, source_at(object, "spec.ports"))
    {
        const char *name = source_text(item, "name");
        const struct cJSON *outer = source_get(item, "port");
        const struct cJSON *target = source_get(item, "targetPort");
        bool is_meant = !*port || (name && strcmp(name, port) == 0) ||
                        strcmp(source_as_text(outer, number), port) == 0;
        if (is_meant && source_count(is_target && target ? target : outer, 65535, &found))
            return found;
    }
    return 0;
}

/* The backend of an entry, in the form of either API version. False: there is none that serin could ask. */
static bool take_backend(struct entries *all, struct entry *e, const struct cJSON *backend)
{
    char text[SOURCE_TEXT_MAX];
    const struct cJSON *service = source_get(backend, "service");
    const struct cJSON *port = source_at(backend, "service.port.number");
    if (!port)
        port = source_at(backend, "service.port.name");
    if (!port)
        port = source_get(backend, "servicePort");
    e->service = source_text(service ? service : backend, service ? "name" : "serviceName");
    if (!e->service) {
        draft_note(all->d, NOTE_LEFT, e->item, NULL, "its backend is no Service");
        return false;
    }
    if (source_count(port, 65535, &e->port))
        return true;
    e->port = ingress_service_port(all->d, e->service, source_namespace(e->ingress),
                                   source_as_text(port, text), false);
    if (e->port)
        return true;
    e->port = HTTP_PORT;
    draft_note(all->d, NOTE_NEAR, port ? port : e->item, NULL,
               "the port is taken for %d, for the Service %.100s is not in this file", HTTP_PORT,
               e->service);
    return true;
}

/* What comes before the first sign of a regular expression, without a slash at its end. */
static struct slice literal(struct slice path)
{
    size_t len = 0;
    while (len < path.len && !strchr("()[]{}$+?*^|\\", path.at[len]))
        len++;
    return slice_of(path.at, len);
}

/* Prefixes cover whole segments in both: "/shop/" is "/shop". */
static struct slice without_slash(struct slice path)
{
    return path.len > 1 && path.at[path.len - 1] == '/' ? slice_of(path.at, path.len - 1) : path;
}

static void take_path(struct entries *all, struct entry *e, const struct cJSON *item)
{
    const char *path = source_text(item, "path"), *type = source_text(item, "pathType");
    struct slice whole = slice_str(path && *path ? path : "/");
    bool is_root = whole.len == 1;
    e->path = annotation_has_regex(e->ingress) ? literal(whole) : whole;
    bool is_cut = e->path.len < whole.len;
    e->path = without_slash(e->path);
    if (e->path.len == 0)
        e->path = SLICE("/");
    if (is_cut)
        draft_note(all->d, NOTE_NEAR, item, NULL,
                   "serin matches prefixes, no regular expressions: %.100s is taken for all below "
                   "\"%.*s\"",
                   whole.at, SLICE_ARG(e->path));
    else if (type && strcmp(type, "Exact") == 0)
        draft_note(all->d, NOTE_NEAR, item, NULL,
                   "serin matches prefixes: what lies below \"%.*s\" comes along",
                   SLICE_ARG(e->path));
    else if (type && strcmp(type, "ImplementationSpecific") == 0 && !is_root)
        draft_note(all->d, NOTE_NEAR, item, NULL,
                   "a prefix ends at a slash: \"%.*s\" does not cover what only begins with these "
                   "letters",
                   SLICE_ARG(e->path));
}

static bool is_writable(struct entries *all, const struct entry *e)
{
    char path[TEXT_MAX + 1];
    struct why why = {""};
    struct route_servers servers = {
        .service = e->service, .name_space = source_namespace(e->ingress), .port = e->port};
    (void)snprintf(path, sizeof path, "%.*s", SLICE_ARG(e->path));
    if ((*e->host && text_check(TEXT_HOST, slice_str(e->host), &why) != OK) ||
        e->path.len > TEXT_MAX || text_check(TEXT_PREFIX, slice_str(path), &why) != OK ||
        route_check_servers(&servers, &why) != OK) {
        draft_note(all->d, NOTE_LEFT, e->item, NULL, "its host, path or Service %s", why.text);
        return false;
    }
    return true;
}

static void take_entry(struct entries *all, const struct cJSON *ingress, const char *host,
                       const struct cJSON *item, const struct cJSON *backend)
{
    bool is_canary = annotation_is_true(ingress, "canary");
    size_t *n = is_canary ? &all->n_canary : &all->n_stable;
    struct entry e = {.ingress = ingress, .item = item, .host = host, .canary = ENTRIES_MAX};
    if (*n == ENTRIES_MAX) {
        draft_note(all->d, NOTE_LEFT, item, NULL, "serin convert reads at most %u paths",
                   ENTRIES_MAX);
        return;
    }
    if (!take_backend(all, &e, backend))
        return;
    take_path(all, &e, item);
    if (is_writable(all, &e))
        (is_canary ? all->canary : all->stable)[(*n)++] = e;
}

static void take_rules(struct entries *all, const struct cJSON *ingress)
{
    const struct cJSON *spec = source_get(ingress, "spec"), *rule, *item;
    const struct cJSON *fallback = source_get(spec, "defaultBackend");
    cJSON_ArrayForEach(rule, source_get(spec, "rules"))
    {
        const char *host = source_text(rule, "host");
        cJSON_ArrayForEach(item, source_at(rule, "http.paths"))
        {
            take_entry(all, ingress, host ? host : "", item, source_get(item, "backend"));
        }
    }
    fallback = fallback ? fallback : source_get(spec, "backend");
    if (fallback)
        take_entry(all, ingress, "", fallback, fallback);
}

/* --- pairing --- */

static bool is_same_place(const struct entry *a, const struct entry *b)
{
    return strcmp(a->host, b->host) == 0 && slice_equal(a->path, b->path) &&
           strcmp(source_namespace(a->ingress), source_namespace(b->ingress)) == 0;
}

static void pair(struct entries *all)
{
    for (size_t i = 0; i < all->n_canary; i++) {
        bool is_found = false;
        for (size_t k = 0; k < all->n_stable; k++) {
            if (!is_same_place(&all->stable[k], &all->canary[i]))
                continue;
            is_found = true;
            if (all->stable[k].canary == ENTRIES_MAX)
                all->stable[k].canary = i;
        }
        if (!is_found)
            draft_note(all->d, NOTE_LEFT, all->canary[i].item, NULL,
                       "no Ingress in this file has this host and path for everybody: give both "
                       "(kubectl get ingress -o yaml)");
    }
}

static bool is_same_service(const struct entry *a, const struct entry *b)
{
    return a->port == b->port && strcmp(a->service, b->service) == 0;
}

/* Whether two entries belong to one route, but for their hosts and paths. */
static bool is_same_route(const struct entries *all, const struct entry *a, const struct entry *b)
{
    if (a->ingress != b->ingress || !is_same_service(a, b) ||
        (a->canary == ENTRIES_MAX) != (b->canary == ENTRIES_MAX))
        return false;
    if (a->canary == ENTRIES_MAX)
        return true;
    const struct entry *x = &all->canary[a->canary], *y = &all->canary[b->canary];
    return x->ingress == y->ingress && is_same_service(x, y);
}

/* The next entry of a host in the route of e, from at on; n_stable: there is none. */
static size_t next_of_host(const struct entries *all, const struct entry *e, const char *host,
                           size_t at)
{
    while (at < all->n_stable &&
           (strcmp(all->stable[at].host, host) != 0 || !is_same_route(all, e, &all->stable[at])))
        at++;
    return at;
}

/* Whether two hosts have the same paths, in the same order. */
static bool has_same_paths(const struct entries *all, const struct entry *e, const char *host)
{
    size_t a = next_of_host(all, e, e->host, 0), b = next_of_host(all, e, host, 0);
    while (a < all->n_stable && b < all->n_stable &&
           slice_equal(all->stable[a].path, all->stable[b].path)) {
        a = next_of_host(all, e, e->host, a + 1);
        b = next_of_host(all, e, host, b + 1);
    }
    return a == all->n_stable && b == all->n_stable;
}

/* --- writing --- */

static void put_matches(struct entries *all, const struct entry *e, struct cJSON *route)
{
    char path[TEXT_MAX + 1];
    for (size_t i = 0; i < all->n_stable; i++) {
        struct entry *other = &all->stable[i];
        if (other->is_placed || !is_same_route(all, e, other) ||
            !has_same_paths(all, e, other->host) || !*other->host != !*e->host)
            continue;
        other->is_placed = true;
        if (*other->host)
            (void)route_add(all->d, route, "hosts", TEXT_HOST, other->item, other->host);
    }
    for (size_t i = next_of_host(all, e, e->host, 0); i < all->n_stable;
         i = next_of_host(all, e, e->host, i + 1)) {
        (void)snprintf(path, sizeof path, "%.*s", SLICE_ARG(all->stable[i].path));
        (void)route_add(all->d, route, "paths", TEXT_PREFIX, all->stable[i].item, path);
    }
}

static struct route_servers servers_of(const struct entry *e, bool is_tls)
{
    return (struct route_servers){.version = e->service,
                                  .service = e->service,
                                  .name_space = source_namespace(e->ingress),
                                  .port = e->port,
                                  .is_tls = is_tls};
}

/* What an Ingress says for all of its routes is said once. */
static bool is_first_of_ingress(const struct entries *all, const struct entry *e)
{
    for (const struct entry *other = all->stable; other < e; other++)
        if (other->ingress == e->ingress)
            return false;
    return true;
}

static void put_route(struct entries *all, struct entry *e)
{
    const struct entry *c = e->canary < ENTRIES_MAX ? &all->canary[e->canary] : NULL;
    struct cJSON *route = route_begin(all->d, e->item, source_name(e->ingress));
    bool is_tls = annotation_is_tls(e->ingress);
    struct route_servers stable = servers_of(e, is_tls), canary;
    if (!route) {
        e->is_placed = true;
        return;
    }
    put_matches(all, e, route);
    if (c && is_same_service(e, c)) {
        draft_note(all->d, NOTE_LEFT, c->item, route,
                   "the canary is served by the same Service as everybody: give it one of its own");
        c = NULL;
    }
    if (c)
        canary = servers_of(c, is_tls);
    route_put_versions(all->d, route, &stable, c ? &canary : NULL);
    annotation_put_balance(all->d, e->ingress, route);
    if (c) {
        annotation_put_override(all->d, source_at(c->ingress, "metadata.annotations"),
                                ANNOTATION_PREFIX, route);
        annotation_put_weight(all->d, c->ingress, route);
    }
    if (is_first_of_ingress(all, e))
        annotation_leave(all->d, e->ingress, route);
}

static void leave_tls(struct draft *d, const struct cJSON *ingress)
{
    const struct cJSON *item;
    cJSON_ArrayForEach(item, source_at(ingress, "spec.tls"))
    {
        const char *secret = source_text(item, "secretName");
        draft_note(d, NOTE_LEFT, item, d->listener,
                   "write tls.crt and tls.key of the Secret %.100s into files (or mount it), and "
                   "name them on a listener on port 8443: tls: { certificates: [{ certificate: "
                   "tls.crt, key: tls.key }] }",
                   secret ? secret : "of the ingress controller");
    }
}

void ingress_convert(struct draft *d)
{
    struct entries *all = calloc(1, sizeof *all);
    if (!all) {
        d->failed = true;
        return;
    }
    all->d = d;
    for (size_t i = 0; i < d->n_objects; i++)
        if (ingress_is(d->objects[i]))
            take_rules(all, d->objects[i]);
    pair(all);
    for (size_t i = 0; i < all->n_stable; i++)
        if (!all->stable[i].is_placed)
            put_route(all, &all->stable[i]);
    for (size_t i = 0; i < d->n_objects; i++)
        if (ingress_is(d->objects[i]))
            leave_tls(d, d->objects[i]);
    free(all);
}

bool ingress_put_matches(struct draft *d, const char *name, const char *name_space,
                         struct cJSON *route)
{
    const struct cJSON *ingress = source_find(d, "networking.k8s.io", "Ingress", name, name_space);
    const struct cJSON *rule, *item;
    cJSON_ArrayForEach(rule, source_at(ingress, "spec.rules"))
    {
        const char *host = source_text(rule, "host");
        if (host && *host)
            (void)route_add(d, route, "hosts", TEXT_HOST, rule, host);
        cJSON_ArrayForEach(item, source_at(rule, "http.paths"))
        {
            const char *path = source_text(item, "path");
            if (path && *path)
                (void)route_add(d, route, "paths", TEXT_PREFIX, item, path);
        }
    }
    return ingress != NULL;
}
