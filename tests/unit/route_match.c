/* The lookup of routes: which host beats which, where a path ends, and what nobody serves.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/route/match.h"

#include "base/check.h"
#include <stdio.h>

#define ROUTES_MAX 8
#define LIST_MAX   4
#define DNS_MAX    253 /* bytes of a name without its final dot, RFC 1035 */

/* A route as a row writes it; the first NULL ends a list. */
struct row_route {
    const char *hosts[LIST_MAX], *paths[LIST_MAX];
};

struct fixture {
    struct config config;
    struct config_route routes[ROUTES_MAX];
    struct arena arena;
    struct match match;
};

static size_t count(const char *const list[LIST_MAX])
{
    size_t n = 0;
    while (n < LIST_MAX && list[n])
        n++;
    return n;
}

static void configure(struct fixture *f, const struct row_route *rows, size_t n)
{
    assert_true(n <= ROUTES_MAX);
    memset(f, 0, sizeof *f);
    for (size_t i = 0; i < n; i++) {
        const char **hosts = (const char **)(uintptr_t)rows[i].hosts;
        const char **paths = (const char **)(uintptr_t)rows[i].paths;
        f->routes[i].hosts = (struct config_string_list){hosts, count(rows[i].hosts)};
        f->routes[i].paths = (struct config_string_list){paths, count(rows[i].paths)};
    }
    f->config.routes = f->routes;
    f->config.n_routes = n;
}

static void build(struct fixture *f, const struct row_route *rows, size_t n)
{
    configure(f, rows, n);
    arena_init(&f->arena, NULL, 0, 1u << 20);
    assert_int_equal(match_build(&f->match, &f->config, &f->arena), OK);
}

/* -1: no route. */
static int find(const struct fixture *f, const char *host, const char *path)
{
    uint32_t found = match_find(&f->match, slice_str(host), slice_str(path));
    return found == MATCH_NONE ? -1 : (int)found;
}

struct row {
    const char *host, *path;
    int route;
};

static void check_rows(const struct fixture *f, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int found = find(f, rows[i].host, rows[i].path);
        if (found != rows[i].route)
            fail_msg("\"%s\" \"%s\": route %d, not %d", rows[i].host, rows[i].path, found,
                     rows[i].route);
    }
}

#define NONE -1

/* --- hosts --- */

static void a_host_is_found_however_it_is_written(void **state)
{
    static const struct row_route routes[] = {{{"shop.example"}, {"/"}},
                                              {{"Upper.Example"}, {"/"}},
                                              {{"192.0.2.1"}, {"/"}},
                                              {{"[2001:db8::1]"}, {"/"}},
                                              {{"*.wild.example"}, {"/"}}};
    static const struct row rows[] = {
        {"shop.example", "/", 0},
        {"SHOP.eXample", "/", 0},
        {"shop.example.", "/", 0},
        {"shop.example:80", "/", 0},
        {"Shop.Example.:8080", "/", 0},
        {"shop.example:", "/", 0},
        {"shop.example..", "/", NONE},
        {"shop.exampl", "/", NONE},
        {"shop.example2", "/", NONE},
        {"a.shop.example", "/", NONE},
        {"shopXexample", "/", NONE},
        {"hop.example", "/", NONE},
        {"upper.example", "/", 1},
        {"192.0.2.1", "/", 2},
        {"192.0.2.1:80", "/", 2},
        {"192.0.2.11", "/", NONE},
        {"[2001:db8::1]", "/", 3},
        {"[2001:DB8::1]:443", "/", 3},
        {"[2001:db8::2]", "/", NONE},
        {"[2001:db8::1", "/", NONE},
        {"2001:db8::1", "/", NONE},
        {"a.wild.example", "/", 4},
        {"a.b.wild.example", "/", 4},
        {"A.WILD.example.:1", "/", 4},
        {"wild.example", "/", NONE},
        {"awild.example", "/", NONE},
        {"a.wild.example.org", "/", NONE},
        {"", "/", NONE},
        {".", "/", NONE},
        {":80", "/", NONE},
        {"[", "/", NONE},
        {"[a.wild.example", "/", NONE},
        {"[]", "/", NONE},
        {"*.wild.example2", "/", NONE},
    };
    struct fixture f;
    (void)state;
    build(&f, routes, ARRAY_LEN(routes));
    check_rows(&f, rows, ARRAY_LEN(rows));
    arena_reset(&f.arena);
}

static void exact_beats_wildcard_beats_any(void **state)
{
    static const struct row_route routes[] = {{{NULL}, {"/"}},
                                              {{"*.example"}, {"/"}},
                                              {{"*.b.example"}, {"/"}},
                                              {{"a.b.example"}, {"/"}}};
    static const struct row rows[] = {
        {"a.b.example", "/", 3},   {"c.b.example", "/", 2}, {"x.a.b.example", "/", 2},
        {"b.example", "/", 1},     {"c.example", "/", 1},   {"x.c.example", "/", 1},
        {"example", "/", 0},       {"other", "/", 0},       {"", "/", 0},
        {"a.b.example:81", "/", 3}};
    struct fixture f;
    (void)state;
    build(&f, routes, ARRAY_LEN(routes));
    check_rows(&f, rows, ARRAY_LEN(rows));
    arena_reset(&f.arena);
}

static void a_path_that_the_best_host_lacks_falls_back(void **state)
{
    static const struct row_route routes[] = {{{"a.b.example"}, {"/exact"}},
                                              {{"*.b.example"}, {"/long"}},
                                              {{"*.example"}, {"/short", "/exact"}},
                                              {{NULL}, {"/any", "/exact"}}};
    static const struct row rows[] = {{"a.b.example", "/exact", 0},
                                      {"a.b.example", "/long", 1},
                                      {"a.b.example", "/short", 2},
                                      {"a.b.example", "/any", 3},
                                      {"a.b.example", "/x", NONE},
                                      {"x.b.example", "/exact", 2},
                                      {"b.example", "/long", NONE},
                                      {"b.example", "/exact", 2},
                                      {"example", "/exact", 3},
                                      {"example", "/short", NONE},
                                      {"", "/any", 3},
                                      {"", "/", NONE}};
    struct fixture f;
    (void)state;
    build(&f, routes, ARRAY_LEN(routes));
    check_rows(&f, rows, ARRAY_LEN(rows));
    arena_reset(&f.arena);
}

/* A name of DNS_MAX bytes under ".example"; a longer one is no host, so only routes of any host
 * have it. */
static void a_host_longer_than_a_dns_name_is_no_host(void **state)
{
    static const struct row_route routes[] = {{{"*.example"}, {"/"}}, {{NULL}, {"/any", "/"}}};
    static const struct {
        size_t len;
        const char *behind;
        int route;
    } rows[] = {{DNS_MAX, "", 0},     {DNS_MAX, ".", 0},       {DNS_MAX, ":65535", 0},
                {DNS_MAX, ".:80", 0}, {DNS_MAX + 1, "", 1},    {DNS_MAX + 1, ".", 1},
                {DNS_MAX + 2, "", 1}, {DNS_MAX + 1, ":80", 1}, {60000, "", 1}};
    static char host[60100];
    struct fixture f;
    (void)state;
    build(&f, routes, ARRAY_LEN(routes));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        memset(host, 'a', rows[i].len);
        memcpy(host + rows[i].len - 8, ".example", 8);
        memcpy(host + rows[i].len, rows[i].behind, strlen(rows[i].behind) + 1);
        assert_int_equal(find(&f, host, "/"), rows[i].route);
    }
    arena_reset(&f.arena);
}

/* --- paths --- */

static void the_longest_prefix_wins_at_a_segments_end(void **state)
{
    static const struct row_route routes[] = {
        {{"h"}, {"/"}}, {{"h"}, {"/api", "/img/"}}, {{"h"}, {"/api/v2"}}, {{"h"}, {"/api/v2/x/"}}};
    static const struct row rows[] = {
        {"h", "/", 0},          {"h", "/apis", 0},         {"h", "/ap", 0},
        {"h", "/API", 0},       {"h", "/a/api", 0},        {"h", "/?/api", 0},
        {"h", "/api", 1},       {"h", "/api/", 1},         {"h", "/api?x", 1},
        {"h", "/api#x", 0},     {"h", "/api//v2", 1},      {"h", "/api/v", 1},
        {"h", "/api/v22", 1},   {"h", "/api?/v2", 1},      {"h", "/api/v2", 2},
        {"h", "/api/v2?", 2},   {"h", "/api/v2/x", 2},     {"h", "/api/v2/xx/", 2},
        {"h", "/api/v2/x/", 3}, {"h", "/api/v2/x/y?z", 3}, {"h", "/img", 0},
        {"h", "/img?", 0},      {"h", "/img/", 1},         {"h", "/img/a", 1},
        {"h", "/images", 0},
    };
    struct fixture f;
    (void)state;
    build(&f, routes, ARRAY_LEN(routes));
    check_rows(&f, rows, ARRAY_LEN(rows));
    arena_reset(&f.arena);
}

/* "OPTIONS *" is about the server itself: the route of everything answers for a host. */
static void the_asterisk_goes_where_everything_goes(void **state)
{
    static const struct row_route routes[] = {{{"root"}, {"/api", "/"}},
                                              {{"api"}, {"/api"}},
                                              {{"*.wild"}, {"/api"}},
                                              {{NULL}, {"/", "/any"}}};
    static const struct row rows[] = {{"root", "*", 0}, {"api", "*", 3},      {"a.wild", "*", 3},
                                      {"x", "*", 3},    {"root", "**", NONE}, {"root", "*x", NONE}};
    struct fixture f;
    (void)state;
    build(&f, routes, ARRAY_LEN(routes));
    check_rows(&f, rows, ARRAY_LEN(rows));
    arena_reset(&f.arena);
    build(&f, routes, 3);
    assert_int_equal(find(&f, "api", "*"), NONE);
    arena_reset(&f.arena);
}

/* --- one rule for everything --- */

static void one_route_for_everything_needs_no_lookup(void **state)
{
    static const struct {
        struct row_route route;
        bool is_catch_all;
        int elsewhere; /* host "x", path "/x" */
    } rows[] = {{{{NULL}, {"/"}}, true, 0},
                {{{NULL}, {"/api"}}, false, NONE},
                {{{"h"}, {"/"}}, false, NONE},
                {{{"*.h"}, {"/"}}, false, NONE},
                {{{NULL}, {"/", "/api"}}, false, 0}};
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        build(&f, &rows[i].route, 1);
        assert_int_equal(f.match.is_catch_all, rows[i].is_catch_all);
        assert_int_equal(find(&f, "x", "/x"), rows[i].elsewhere);
        arena_reset(&f.arena);
    }
    build(&f, &rows[0].route, 1);
    assert_int_equal(find(&f, "", "*"), 0);
    assert_int_equal(find(&f, "[", "/"), 0);
    arena_reset(&f.arena);
}

static void no_route_at_all_matches_nothing(void **state)
{
    struct fixture f;
    (void)state;
    build(&f, NULL, 0);
    assert_int_equal(f.match.n, 0);
    assert_int_equal(find(&f, "h", "/"), NONE);
    assert_int_equal(find(&f, "", "*"), NONE);
    arena_reset(&f.arena);
}

/* --- memory --- */

static void short_memory_is_told_at_every_place(void **state)
{
    static const struct row_route routes[] = {{{"one.example", "two.example"}, {"/", "/api"}},
                                              {{"*.Three.example"}, {"/"}}};
    static _Alignas(ARENA_ALIGN) char room[4096];
    unsigned failed = 0;
    size_t bytes = 0;
    struct fixture f;
    (void)state;
    configure(&f, routes, ARRAY_LEN(routes));
    for (;; bytes += ARENA_ALIGN, failed++) {
        assert_true(bytes < sizeof room);
        arena_init(&f.arena, room, bytes, bytes);
        enum err e = match_build(&f.match, &f.config, &f.arena);
        if (e == OK)
            break;
        assert_int_equal(e, ERR_MEMORY);
        assert_true(f.arena.failed);
    }
    assert_true(failed > 3); /* the table and each of three hosts */
    assert_int_equal(find(&f, "a.three.EXAMPLE", "/x"), 1);
    assert_int_equal(find(&f, "two.example", "/api"), 0);
}

/* --- against a second implementation --- */

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static unsigned below(uint64_t *seed, unsigned n)
{
    return (unsigned)((next_random(seed) >> 20) % n);
}

static const char *const words[] = {"a", "b", "ab", "ba"};

static void random_host(uint64_t *seed, char out[32])
{
    unsigned labels = 1 + below(seed, 3);
    size_t len = 0;
    for (unsigned i = 0; i < labels; i++)
        len += (size_t)snprintf(out + len, 32 - len, "%s%s", i ? "." : "", words[below(seed, 4)]);
}

static void random_path(uint64_t *seed, char out[32])
{
    unsigned segments = below(seed, 4);
    size_t len = (size_t)snprintf(out, 32, "%s", segments ? "" : "/");
    for (unsigned i = 0; i < segments; i++)
        len += (size_t)snprintf(out + len, 32 - len, "/%s", words[below(seed, 4)]);
    if (segments && below(seed, 4) == 0)
        (void)snprintf(out + len, 32 - len, "/");
}

struct plain_rule {
    char host[32], path[32];
};

static size_t make_rules(uint64_t *seed, struct plain_rule rules[ROUTES_MAX])
{
    size_t n = 0, want = 1 + below(seed, ROUTES_MAX);
    for (unsigned tries = 0; n < want && tries < 100; tries++) {
        struct plain_rule *r = &rules[n];
        char host[32];
        bool is_new = true;
        random_host(seed, host);
        unsigned kind = below(seed, 3);
        (void)snprintf(r->host, sizeof r->host, "%s%.29s", kind == 1 ? "*." : "",
                       kind == 2 ? "" : host);
        random_path(seed, r->path);
        for (size_t i = 0; i < n; i++) /* the configuration refuses a pair that is there twice */
            is_new &= strcmp(rules[i].host, r->host) != 0 || strcmp(rules[i].path, r->path) != 0;
        n += is_new;
    }
    return n;
}

static bool host_matches(const char *rule, const char *host)
{
    size_t a = strlen(rule), b = strlen(host);
    if (rule[0] == '*')
        return b > a - 1 && strcmp(host + b - (a - 1), rule + 1) == 0;
    return rule[0] == '\0' || strcmp(rule, host) == 0;
}

static bool path_matches(const char *rule, const char *path)
{
    size_t n = strlen(rule);
    if (strcmp(path, "*") == 0)
        return strcmp(rule, "/") == 0;
    return strncmp(rule, path, n) == 0 &&
           (rule[n - 1] == '/' || path[n] == '\0' || path[n] == '/' || path[n] == '?');
}

/* Every rule is looked at; the more specific host counts for more than any path. */
static int find_plainly(const struct plain_rule *rules, size_t n, const char *host,
                        const char *path)
{
    size_t best_rank = 0;
    int best = NONE;
    for (size_t i = 0; i < n; i++) {
        if (!host_matches(rules[i].host, host) || !path_matches(rules[i].path, path))
            continue;
        bool is_exact = rules[i].host[0] && rules[i].host[0] != '*';
        size_t rank = (is_exact ? 1000 : strlen(rules[i].host)) * 100 + strlen(rules[i].path);
        if (rank > best_rank) {
            best_rank = rank;
            best = (int)i;
        }
    }
    return best;
}

/* The same host as a client may write it. */
static void disguise(uint64_t *seed, const char *host, char out[48])
{
    static const char *const behind[] = {"", "", ".", ":80", ".:80"};
    size_t n = strlen(host);
    for (size_t i = 0; i < n; i++)
        out[i] = host[i] >= 'a' && below(seed, 4) == 0 ? (char)(host[i] - 32) : host[i];
    (void)snprintf(out + n, 48 - n, "%s", behind[below(seed, 5)]);
}

static void it_agrees_with_a_plain_search(void **state)
{
    uint64_t seed = 20240229;
    unsigned found = 0, none = 0;
    (void)state;
    for (unsigned round = 0; round < 1500; round++) {
        struct plain_rule rules[ROUTES_MAX];
        struct row_route routes[ROUTES_MAX] = {0};
        struct fixture f;
        size_t n = make_rules(&seed, rules);
        for (size_t i = 0; i < n; i++) {
            routes[i].hosts[0] = rules[i].host[0] ? rules[i].host : NULL;
            routes[i].paths[0] = rules[i].path;
        }
        build(&f, routes, n);
        for (unsigned i = 0; i < 100; i++) {
            char host[32], written[48], path[40];
            random_host(&seed, host);
            random_path(&seed, path);
            if (below(&seed, 20) == 0)
                (void)snprintf(path, sizeof path, "*");
            else if (below(&seed, 4) == 0)
                (void)snprintf(path + strlen(path), 4, "?/a");
            disguise(&seed, host, written);
            int expected = find_plainly(rules, n, host, path), got = find(&f, written, path);
            if (got != expected)
                fail_msg("round %u: \"%s\" \"%s\": %d, not %d", round, written, path, got,
                         expected);
            found += got != NONE;
            none += got == NONE;
        }
        arena_reset(&f.arena);
    }
    assert_true(found > 30000 && none > 30000); /* neither answer is rare */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_found_however_it_is_written),
        cmocka_unit_test(exact_beats_wildcard_beats_any),
        cmocka_unit_test(a_path_that_the_best_host_lacks_falls_back),
        cmocka_unit_test(a_host_longer_than_a_dns_name_is_no_host),
        cmocka_unit_test(the_longest_prefix_wins_at_a_segments_end),
        cmocka_unit_test(the_asterisk_goes_where_everything_goes),
        cmocka_unit_test(one_route_for_everything_needs_no_lookup),
        cmocka_unit_test(no_route_at_all_matches_nothing),
        cmocka_unit_test(short_memory_is_told_at_every_place),
        cmocka_unit_test(it_agrees_with_a_plain_search),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
