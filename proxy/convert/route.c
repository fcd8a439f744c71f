/* Writes one route: its name, its versions, its hosts and paths; and keeps routes from getting in each other's way.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIST_MAX  256   /* hosts, or paths, of a route */
#define PAIRS_MAX 4096u /* of host and path in the draft: each is held against the others */

/* --- names --- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("._-", c));
}

void route_clean_name(const char *wished, size_t most, char out[ROUTE_NAME_ROOM])
{
    size_t len = 0;
    for (; wished[len] && len < most; len++)
        out[len] = is_name_char(wished[len]) ? wished[len] : '-';
    out[len] = '\0';
    if (text_check(TEXT_NAME, slice_str(out), NULL) != OK)
        (void)snprintf(out, ROUTE_NAME_ROOM, "unnamed");
}

static bool is_taken(const struct draft *d, const char *name)
{
    const struct cJSON *route;
    cJSON_ArrayForEach(route, d->routes)
    {
        const char *other = source_text(route, "name");
        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

struct cJSON *route_begin(struct draft *d, const struct cJSON *from, const char *name)
{
    char unique[ROUTE_NAME_ROOM], cut[ROUTE_NAME_ROOM];
    if (!d->routes)
        d->routes = draft_put_list(d, d->config, "routes");
    if (d->n_routes == DRAFT_ROUTES_MAX) {
        draft_note(d, NOTE_LEFT, from, NULL, "serin convert writes at most %u routes",
                   DRAFT_ROUTES_MAX);
        return NULL;
    }
    route_clean_name(name, TEXT_NAME_MAX, unique);
    route_clean_name(name, TEXT_NAME_MAX - 5, cut);
    for (unsigned n = 2; is_taken(d, unique) && n <= DRAFT_ROUTES_MAX + 1; n++)
        (void)snprintf(unique, sizeof unique, "%.*s-%u", TEXT_NAME_MAX - 5, cut, n);
    struct cJSON *route = draft_put_object(d, d->routes, NULL);
    if (!route)
        return NULL;
    d->route_from[d->n_routes++] = from;
    draft_put_text(d, route, "name", unique);
    return route;
}

/* --- versions --- */

#define ENDPOINT_MAX 600 /* dns:SERVICE.NAMESPACE.svc:PORT of two names of Kubernetes */

static void endpoint_of(const struct route_servers *s, char out[ENDPOINT_MAX])
{
    (void)snprintf(out, ENDPOINT_MAX, "dns:%.253s.%.253s.svc:%lld", s->service, s->name_space,
                   (long long)s->port);
}

enum err route_check_servers(const struct route_servers *s, struct why *why)
{
    char endpoint[ENDPOINT_MAX];
    struct why reason;
    const char *text = s->workload;
    enum text_form form = TEXT_WORKLOAD;
    if (s->port < 1 || s->port > 65535)
        return why_set(why, ERR_INVALID, "%lld is no port", (long long)s->port);
    if (!text) {
        endpoint_of(s, endpoint);
        text = endpoint;
        form = TEXT_ENDPOINT;
    }
    if (text_check(form, slice_str(text), &reason) != OK)
        return why_set(why, ERR_INVALID, "%.200s %.200s", text, reason.text);
    return OK;
}

static void put_version(struct draft *d, struct cJSON *versions, const char *name,
                        const struct route_servers *s)
{
    char endpoint[ENDPOINT_MAX];
    struct cJSON *version = draft_put_object(d, versions, name);
    if (s->workload) {
        draft_put_text(d, version, "workload", s->workload);
        draft_put_count(d, version, "port", s->port);
    } else {
        endpoint_of(s, endpoint);
        draft_put_text(d, draft_put_list(d, version, "endpoints"), NULL, endpoint);
    }
    if (s->is_tls)
        (void)draft_put_object(d, version, "tls");
}

void route_put_versions(struct draft *d, struct cJSON *route, const struct route_servers *stable,
                        const struct route_servers *canary)
{
    char names[2][ROUTE_NAME_ROOM];
    route_clean_name(stable->version, TEXT_NAME_MAX, names[0]);
    if (canary)
        route_clean_name(canary->version, TEXT_NAME_MAX, names[1]);
    if (canary && strcmp(names[0], names[1]) == 0) {
        (void)snprintf(names[0], ROUTE_NAME_ROOM, "stable");
        (void)snprintf(names[1], ROUTE_NAME_ROOM, "canary");
    }
    struct cJSON *versions = draft_put_object(d, route, "versions");
    put_version(d, versions, names[0], stable);
    if (canary)
        put_version(d, versions, names[1], canary);
    draft_put_text(d, route, "stable", names[0]);
    if (canary)
        draft_put_text(d, route, "canary", names[1]);
}

/* --- hosts and paths --- */

static bool is_among(const struct cJSON *list, const char *text)
{
    const struct cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && strcasecmp(item->valuestring, text) == 0)
            return true;
    }
    return false;
}

bool route_add(struct draft *d, struct cJSON *route, const char *key, enum text_form form,
               const struct cJSON *at, const char *text)
{
    struct why why;
    struct cJSON *list = cJSON_GetObjectItemCaseSensitive(route, key);
    if (text_check(form, slice_str(text), &why) != OK) {
        draft_note(d, NOTE_LEFT, at, route, "\"%.100s\" %s", text, why.text);
        return false;
    }
    if (cJSON_GetArraySize(list) >= LIST_MAX) {
        draft_note(d, NOTE_LEFT, at, route, "more than %d %s in a route", LIST_MAX, key);
        return false;
    }
    if (!list)
        list = draft_put_list(d, route, key);
    if (!is_among(list, text))
        draft_put_text(d, list, NULL, text);
    return true;
}

/* --- between routes --- */

struct pair {
    const char *host, *path;
};

/* What one walk over the routes has seen. */
struct settle {
    struct draft *d;
    struct pair pairs[PAIRS_MAX];
    size_t n;
};

static bool has_pair(const struct settle *s, const char *host, const char *path)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcasecmp(s->pairs[i].host, host) == 0 && strcmp(s->pairs[i].path, path) == 0)
            return true;
    return s->n == PAIRS_MAX;
}

static bool is_free(const struct settle *s, const char *host, const struct cJSON *paths)
{
    const struct cJSON *path;
    if (!paths)
        return !has_pair(s, host, "/");
    cJSON_ArrayForEach(path, paths)
    {
        if (has_pair(s, host, path->valuestring))
            return false;
    }
    return true;
}

static void take_pairs(struct settle *s, const char *host, const struct cJSON *paths)
{
    const struct cJSON *path = paths ? paths->child : NULL;
    do {
        if (s->n < PAIRS_MAX)
            s->pairs[s->n++] = (struct pair){host, path ? path->valuestring : "/"};
        path = path ? path->next : NULL;
    } while (path);
}

/* A host goes as a whole, where another route has one of its paths. False: the route has none left. */
static bool settle_hosts(struct settle *s, struct cJSON *route, const struct cJSON *from)
{
    struct cJSON *hosts = cJSON_GetObjectItemCaseSensitive(route, "hosts"), *next;
    const struct cJSON *paths = source_get(route, "paths");
    if (!hosts) {
        if (!is_free(s, "", paths))
            return false;
        take_pairs(s, "", paths);
        return true;
    }
    for (struct cJSON *host = hosts->child; host; host = next) {
        next = host->next;
        if (is_free(s, host->valuestring, paths)) {
            take_pairs(s, host->valuestring, paths);
            continue;
        }
        draft_note(s->d, NOTE_LEFT, from, route,
                   "another route has the host \"%.100s\" with the same path: give one of them "
                   "another path",
                   host->valuestring);
        cJSON_Delete(cJSON_DetachItemViaPointer(hosts, host));
    }
    return hosts->child != NULL;
}

static bool shares_workload(const struct cJSON *route, const struct cJSON *other)
{
    const struct cJSON *a, *b;
    cJSON_ArrayForEach(a, source_get(route, "versions"))
    {
        const char *mine = source_text(a, "workload");
        cJSON_ArrayForEach(b, source_get(other, "versions"))
        {
            const char *theirs = source_text(b, "workload");
            if (mine && theirs && strcmp(mine, theirs) == 0)
                return true;
        }
    }
    return false;
}

/* Whether a route before this one moves the same pods. */
static bool is_rival(const struct draft *d, const struct cJSON *route)
{
    for (const struct cJSON *other = d->routes->child; other && other != route; other = other->next)
        if (shares_workload(route, other))
            return true;
    return false;
}

void route_settle(struct draft *d)
{
    struct settle *s = calloc(1, sizeof *s);
    struct cJSON *next, *route = s && d->routes ? d->routes->child : NULL;
    if (!s)
        d->failed = true;
    else
        s->d = d;
    for (size_t i = 0; route && i < d->n_routes; i++, route = next) {
        const struct cJSON *from = d->route_from[i];
        bool has_rival = is_rival(d, route);
        next = route->next;
        if (!has_rival && settle_hosts(s, route, from))
            continue;
        draft_note(d, NOTE_LEFT, from, NULL,
                   has_rival ? "another route moves the same pods"
                             : "another route has its hosts and paths: give it others");
        cJSON_Delete(cJSON_DetachItemViaPointer(d->routes, route));
    }
    free(s);
}
