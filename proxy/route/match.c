/* Host and path to route: the most specific host wins, then the longest path.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/match.h"

#include <stdlib.h>

#define HOST_MAX 253 /* a DNS name (RFC 1035); a longer one matches no host */

static int compare_host(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n ? memcmp(a.at, b.at, n) : 0;
    return order ? order : (a.len > b.len) - (a.len < b.len);
}

static int compare_rules(const void *x, const void *y)
{
    const struct match_rule *a = x, *b = y;
    int order = compare_host(a->host, b->host);
    return order ? order : (a->path.len < b->path.len) - (a->path.len > b->path.len);
}

/* "*.Example.org" becomes ".example.org"; everything lower case. */
static struct slice fold_host(struct arena *arena, const char *host)
{
    struct slice s = slice_str(host);
    if (s.len && s.at[0] == '*')
        s = slice_of(s.at + 1, s.len - 1);
    char *p = arena_alloc(arena, s.len + 1);
    if (!p)
        return slice_of(NULL, 0);
    for (size_t i = 0; i < s.len; i++)
        p[i] = ascii_lower(s.at[i]);
    return slice_of(p, s.len);
}

enum err match_build(struct match *m, const struct config *c, struct arena *arena)
{
    size_t n = 0;
    for (size_t r = 0; r < c->n_routes; r++)
        n += (c->routes[r].hosts.n ? c->routes[r].hosts.n : 1) * c->routes[r].paths.n;
    *m = (struct match){.rules = arena_alloc(arena, (n ? n : 1) * sizeof *m->rules)};
    if (!m->rules)
        return ERR_MEMORY;
    for (size_t r = 0; r < c->n_routes; r++) {
        const struct config_route *route = &c->routes[r];
        for (size_t h = 0; h < (route->hosts.n ? route->hosts.n : 1); h++) {
            struct slice host = SLICE("");
            if (route->hosts.n)
                host = fold_host(arena, route->hosts.items[h]);
            if (!host.at)
                return ERR_MEMORY;
            for (size_t p = 0; p < route->paths.n; p++)
                m->rules[m->n++] =
                    (struct match_rule){host, slice_str(route->paths.items[p]), (uint32_t)r};
        }
    }
    qsort(m->rules, m->n, sizeof *m->rules, compare_rules);
    m->is_catch_all = m->n == 1 && m->rules[0].host.len == 0 && m->rules[0].path.len == 1;
    return OK;
}

/* "/api" covers "/api", "/api/…" and "/api?…", never "/apis". */
static bool covers(struct slice prefix, struct slice path)
{
    if (!slice_starts(path, prefix))
        return false;
    if (path.len == prefix.len || prefix.at[prefix.len - 1] == '/')
        return true;
    return path.at[prefix.len] == '/' || path.at[prefix.len] == '?';
}

static uint32_t find_among(const struct match *m, struct slice host, struct slice path)
{
    size_t low = 0, high = m->n;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (compare_host(m->rules[mid].host, host) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < m->n && slice_equal(m->rules[low].host, host); low++)
        if (covers(m->rules[low].path, path) ||
            (m->rules[low].path.len == 1 && slice_equal(path, SLICE("*"))))
            return m->rules[low].route;
    return MATCH_NONE;
}

/* Host without port and trailing dot, lower case; len 0 where it is none that a rule could name. */
static struct slice plain_host(struct slice authority, char out[HOST_MAX])
{
    size_t len = authority.len;
    if (len && authority.at[0] == '[') {
        const char *end = memchr(authority.at, ']', len);
        len = end ? (size_t)(end - authority.at) + 1 : 0;
    } else if (len) {
        const char *colon = memchr(authority.at, ':', len);
        len = colon ? (size_t)(colon - authority.at) : len;
    }
    if (len && authority.at[len - 1] == '.')
        len--;
    if (len > HOST_MAX)
        len = 0;
    for (size_t i = 0; i < len; i++)
        out[i] = ascii_lower(authority.at[i]);
    return slice_of(out, len);
}

uint32_t match_find(const struct match *m, struct slice authority, struct slice path)
{
    if (m->is_catch_all)
        return m->rules[0].route;
    char buf[HOST_MAX];
    struct slice host = plain_host(authority, buf);
    uint32_t found = MATCH_NONE;
    if (host.len)
        found = find_among(m, host, path);
    for (size_t i = 1; i < host.len && found == MATCH_NONE; i++)
        if (host.at[i] == '.')
            found = find_among(m, slice_of(host.at + i, host.len - i), path);
    if (found == MATCH_NONE)
        found = find_among(m, SLICE(""), path);
    return found;
}
