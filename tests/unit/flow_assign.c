/* The version of a request: override beats sticky key beats weight, and no weight gets past the
 * guards of the canary. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/flow/assign.h"

#include "base/check.h"
#include "proxy/http/parse.h"
#include <stdio.h>
#include <stdlib.h>

#define SECOND_US INT64_C(1000000)
#define REQUEST   "GET / HTTP/1.1\r\nHost: a.test\r\n"

/* One route with a canary, and a request on it; no connection is there. */
struct fixture {
    struct config_route conf;
    struct route_live live;
    struct route route;
    struct route_place place;
    struct variant_cells cells[ROLE_COUNT], *cell_of[ROLE_COUNT];
    struct variant_metrics metrics[ROLE_COUNT];
    struct endpoint endpoints[2];
    struct endpoint_state states[2]; /* of the canary */
    struct client *client;
    struct flow flow;
    struct exchange x;
    char request[4096];
};

static struct split_order order;
static struct fixture fixture;

static int setup(void **state)
{
    struct fixture *f = &fixture;
    memset(f, 0, sizeof *f);
    f->client = test_calloc(1, sizeof *f->client + CLIENT_PEER_MAX);
    f->live.breaker = breaker_new(1);
    f->conf.name = "web";
    f->route =
        (struct route){.conf = &f->conf,
                       .canary = {.role = ROLE_CANARY, .endpoints = f->endpoints, .n_endpoints = 2},
                       .split = {.is_active = true, .weight_bp = 5000},
                       .live = &f->live};
    for (unsigned i = 0; i < 2; i++) {
        f->endpoints[i].state = &f->states[i];
        f->cell_of[i] = &f->cells[i];
        f->metrics[i] = (struct variant_metrics){.workers = 1, .cells = &f->cell_of[i]};
    }
    f->route.stable.metrics = &f->metrics[ROLE_STABLE];
    f->route.canary.metrics = &f->metrics[ROLE_CANARY];
    split_order_init(&order);
    f->flow.order = &order;
    f->flow.random = 42;
    f->flow.now_us = 1000 * SECOND_US;
    memcpy(f->client->peer, "192.0.2.7", 9);
    f->client->peer_len = 9;
    f->client->has_address = true;
    *state = f;
    return f->live.breaker ? 0 : -1;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    arena_reset(&f->x.arena);
    breaker_free(f->live.breaker);
    test_free(f->client);
    return 0;
}

/* A request with these further fields ("Name: value\r\n…") is assigned. True: to the canary. */
static bool assign_with(struct fixture *f, const char *fields, size_t ceiling)
{
    static const struct head_limits limits = {4096, 4096, 100};
    struct exchange *x = &f->x;
    int len = snprintf(f->request, sizeof f->request, REQUEST "%s\r\n", fields);
    head_init(&f->flow.head, false);
    assert_int_equal(head_feed(&f->flow.head, f->request, (size_t)len, &limits), len);
    arena_reset(&x->arena);
    memset(x, 0, offsetof(struct exchange, first));
    arena_init(&x->arena, x->first, ceiling ? sizeof x->first : 0, ceiling);
    x->flow = &f->flow;
    x->client = f->client;
    x->route = &f->route;
    x->place = &f->place;
    assign_version(x, f->request);
    bool is_canary = x->attempt.is_canary;
    assert_ptr_equal(x->attempt.variant, is_canary ? &f->route.canary : &f->route.stable);
    return is_canary;
}

static bool assign(struct fixture *f, const char *fields)
{
    return assign_with(f, fields, EXCHANGE_ARENA_CEILING);
}

/* A place of the order that gives the next request by weight, half of all, to the canary or not. */
static void set_place(struct fixture *f, bool canary)
{
    f->place.cursor = 0;
    while ((order.bucket[f->place.cursor] < 5000) != canary)
        f->place.cursor++;
}

/* A sticky key on the wanted side at the weight that is set, as text. */
static const char *find_key(const struct fixture *f, bool canary)
{
    static char text[32];
    for (unsigned i = 0; i < 100000; i++) {
        int len = snprintf(text, sizeof text, "user-%u", i);
        uint64_t bucket =
            hash_bytes(f->route.split.salt, slice_of(text, (size_t)len)) % SPLIT_BUCKETS;
        if ((bucket < f->route.split.weight_bp) == canary)
            return text;
    }
    fail_msg("no key on the wanted side");
    return NULL;
}

/* --- what beats what --- */

static void override_beats_sticky_beats_weight(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *header, *cookie; /* of the override; NULL = the request has none */
        int key;                     /* 1: one of the canary's, -1: one of stable's, 0: none */
        bool place_is_canary;
        bool canary;
        enum metric_assigned assigned;
    } rows[] = {
        {NULL, NULL, 0, true, true, ASSIGNED_WEIGHT},
        {NULL, NULL, 0, false, false, ASSIGNED_WEIGHT},
        {NULL, NULL, 1, false, true, ASSIGNED_STICKY},
        {NULL, NULL, -1, true, false, ASSIGNED_STICKY},
        {NULL, "always", -1, false, true, ASSIGNED_COOKIE},
        {NULL, "never", 1, true, false, ASSIGNED_COOKIE},
        {NULL, "always", 0, false, true, ASSIGNED_COOKIE},
        {"always", NULL, -1, false, true, ASSIGNED_HEADER},
        {"never", NULL, 1, true, false, ASSIGNED_HEADER},
        {"always", "never", -1, false, true, ASSIGNED_HEADER},
        {"never", "always", 1, true, false, ASSIGNED_HEADER},
        {"ALWAYS", NULL, 0, false, true, ASSIGNED_HEADER},
        {"Never", NULL, 0, true, false, ASSIGNED_HEADER},
        {"maybe", "never", 1, true, false,
         ASSIGNED_COOKIE}, /* no word of ours: as if it were not there */
        {"maybe", "maybe", 1, false, true, ASSIGNED_STICKY},
        {"", "", 0, true, true, ASSIGNED_WEIGHT},
    };
    f->conf.override = (struct config_override){"X-Canary", "canary"};
    f->conf.sticky = (struct config_sticky){.by = STICKY_HEADER, .name = "X-User"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char fields[256];
        const char *h = rows[i].header, *c = rows[i].cookie;
        (void)snprintf(fields, sizeof fields, "%s%s%s%s%s%s%s%s%s", h ? "x-canary: " : "",
                       h ? h : "", h ? "\r\n" : "", c ? "Cookie: a=1; canary=" : "", c ? c : "",
                       c ? "\r\n" : "", rows[i].key ? "x-user: " : "",
                       rows[i].key ? find_key(f, rows[i].key > 0) : "", rows[i].key ? "\r\n" : "");
        set_place(f, rows[i].place_is_canary);
        if (assign(f, fields) != rows[i].canary || f->x.assigned != rows[i].assigned)
            fail_msg("row %zu: canary %d, assigned %u", i, f->x.attempt.is_canary, f->x.assigned);
        assert_int_equal(f->x.set_cookie.len, 0);
    }
}

static void names_that_are_not_configured_override_nothing(void **state)
{
    struct fixture *f = *state;
    set_place(f, false);
    assert_false(assign(f, "X-Canary: always\r\nCookie: canary=always\r\n"));
    assert_int_equal(f->x.assigned, ASSIGNED_WEIGHT);
}

static void overrides_hold_at_any_weight(void **state)
{
    struct fixture *f = *state;
    f->conf.override.header = "X-Canary";
    f->route.split.weight_bp = 0;
    assert_true(assign(f, "X-Canary: always\r\n"));
    assert_false(assign(f, ""));
    f->route.split.weight_bp = SPLIT_BUCKETS;
    assert_false(assign(f, "X-Canary: never\r\n"));
    assert_true(assign(f, ""));
}

/* Where no rollout runs, the canary's version may be anything: nobody gets there, no user is
 * marked. */
static void without_a_split_everything_is_stable(void **state)
{
    struct fixture *f = *state;
    f->conf.override = (struct config_override){"X-Canary", "canary"};
    f->conf.sticky = (struct config_sticky){.by = STICKY_COOKIE, .name = "uid", .issue = true};
    f->route.split.is_active = false;
    f->route.split.weight_bp = SPLIT_BUCKETS;
    assert_false(assign(f, "X-Canary: always\r\nCookie: canary=always\r\n"));
    assert_int_equal(f->x.assigned, ASSIGNED_WEIGHT);
    assert_false(assign(f, ""));
    assert_int_equal(f->x.set_cookie.len, 0);
    assert_int_equal(f->place.cursor, 0);
}

static void by_weight_every_request_moves_the_cursor(void **state)
{
    struct fixture *f = *state;
    unsigned canary = 0;
    f->route.split.weight_bp = 1234;
    for (unsigned i = 0; i < SPLIT_BUCKETS; i++)
        canary += assign(f, "");
    assert_int_equal(canary, 1234);
    assert_int_equal(f->place.cursor, 0);
}

/* --- sticky keys --- */

static void a_key_is_read_where_the_route_says(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum sticky_by by;
        const char *fields;
        enum metric_assigned assigned;
    } rows[] = {
        {STICKY_NONE, "uid: 1\r\nCookie: uid=1\r\n", ASSIGNED_WEIGHT},
        {STICKY_HEADER, "UID: 1\r\n", ASSIGNED_STICKY},
        {STICKY_HEADER, "uid:\r\n",
         ASSIGNED_WEIGHT}, /* an empty key would put all its senders on one side */
        {STICKY_HEADER, "Cookie: uid=1\r\n", ASSIGNED_WEIGHT},
        {STICKY_COOKIE, "Cookie: a=b; uid=1\r\n", ASSIGNED_STICKY},
        {STICKY_COOKIE, "Cookie: uid=\r\n", ASSIGNED_WEIGHT},
        {STICKY_COOKIE, "Cookie: UID=1\r\n", ASSIGNED_WEIGHT},
        {STICKY_COOKIE, "uid: 1\r\n", ASSIGNED_WEIGHT},
        {STICKY_CLIENT_IP, "", ASSIGNED_STICKY},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f->conf.sticky = (struct config_sticky){.by = rows[i].by, .name = "uid"};
        f->place.cursor = 0;
        (void)assign(f, rows[i].fields);
        if (f->x.assigned != rows[i].assigned)
            fail_msg("row %zu: assigned %u", i, f->x.assigned);
        assert_int_equal(f->place.cursor, rows[i].assigned == ASSIGNED_WEIGHT);
        assert_int_equal(f->x.set_cookie.len, 0);
    }
}

static void an_address_is_a_key(void **state)
{
    struct fixture *f = *state;
    unsigned canary = 0;
    f->conf.sticky.by = STICKY_CLIENT_IP;
    for (unsigned i = 0; i < 256; i++) {
        int len = snprintf(f->client->peer, CLIENT_PEER_MAX, "192.0.2.%u", i);
        f->client->peer_len = (uint8_t)len;
        bool first = assign(f, "");
        assert_int_equal(assign(f, "X-Else: 1\r\n"), first);
        canary += first;
    }
    assert_in_range(canary, 80, 176); /* 128, standard deviation 8 */
    f->client->has_address = false;   /* a UNIX socket: all users would be one */
    (void)assign(f, "");
    assert_int_equal(f->x.assigned, ASSIGNED_WEIGHT);
}

/* Nobody who has seen the canary goes back while the weight grows. */
static void a_growing_weight_loses_no_user(void **state)
{
    struct fixture *f = *state;
    static bool was_canary[500];
    unsigned at_half = 0;
    f->conf.sticky = (struct config_sticky){.by = STICKY_COOKIE, .name = "uid"};
    f->route.split.salt = hash_salt_of(SLICE("web/v2"));
    for (uint32_t weight = 0; weight <= SPLIT_BUCKETS; weight += 500) {
        f->route.split.weight_bp = weight;
        for (unsigned i = 0; i < ARRAY_LEN(was_canary); i++) {
            char fields[64];
            (void)snprintf(fields, sizeof fields, "Cookie: uid=%u\r\n", i);
            bool canary = assign(f, fields);
            assert_true(canary || !was_canary[i]);
            was_canary[i] = canary;
            at_half += weight == 5000 && canary;
            assert_true(weight > 0 || !canary);
            assert_true(weight < SPLIT_BUCKETS || canary);
        }
    }
    assert_in_range(at_half, 200, 300); /* 250, standard deviation 11 */
}

/* --- a cookie for a new user --- */

#define ID_CHARS 32
#define BEHIND   "; Path=/; Max-Age=31536000; HttpOnly; SameSite=Lax"

/* The id in x->set_cookie, which has the form that is promised. */
static struct slice issued(const struct fixture *f, const char *name)
{
    struct slice name_part, rest, id, behind;
    assert_true(slice_cut(f->x.set_cookie, '=', &name_part, &rest));
    assert_true(slice_equal(name_part, slice_str(name)));
    assert_true(rest.len > ID_CHARS);
    id = slice_of(rest.at, ID_CHARS);
    behind = slice_of(rest.at + ID_CHARS, rest.len - ID_CHARS);
    assert_true(slice_equal(behind, SLICE(BEHIND)));
    for (size_t i = 0; i < id.len; i++)
        assert_non_null(memchr("0123456789abcdef", id.at[i], 16));
    return id;
}

static void a_new_user_gets_a_cookie_that_leads_to_the_same_side(void **state)
{
    struct fixture *f = *state;
    char fields[128], before[ID_CHARS] = {0};
    unsigned canary = 0;
    f->conf.sticky = (struct config_sticky){.by = STICKY_COOKIE, .name = "uid", .issue = true};
    f->route.split.weight_bp = 2500;
    for (unsigned i = 0; i < 2000; i++) {
        bool first = assign(f, i & 1 ? "" : "Cookie: a=b; uid=\r\n");
        struct slice id = issued(f, "uid");
        assert_int_equal(f->x.assigned, ASSIGNED_STICKY);
        assert_memory_not_equal(id.at, before, ID_CHARS / 2); /* both halves are drawn */
        assert_memory_not_equal(id.at + ID_CHARS / 2, before + ID_CHARS / 2, ID_CHARS / 2);
        memcpy(before, id.at, ID_CHARS);
        canary += first;
        (void)snprintf(fields, sizeof fields, "Cookie: uid=%.*s\r\n", SLICE_ARG(id));
        assert_int_equal(assign(f, fields), first);
        assert_int_equal(f->x.set_cookie.len, 0); /* once is enough */
    }
    assert_in_range(canary, 420, 580); /* 500, standard deviation 19 */
    assert_int_equal(f->place.cursor, 0);
}

static void a_cookie_has_its_longest_name(void **state)
{
    struct fixture *f = *state;
    static const char name[] = "n234567890123456789012345678901234567890123456789012345678901234";
    f->conf.sticky = (struct config_sticky){.by = STICKY_COOKIE, .name = name, .issue = true};
    assert_int_equal(sizeof name - 1, 64);
    (void)assign(f, "");
    (void)issued(f, name);
}

static void nobody_else_gets_a_cookie(void **state)
{
    struct fixture *f = *state;
    f->conf.override = (struct config_override){"X-Canary", "canary"};
    f->conf.sticky = (struct config_sticky){.by = STICKY_COOKIE, .name = "uid", .issue = true};
    static const char *const rows[] = {"Cookie: uid=known\r\n", "X-Canary: always\r\n",
                                       "X-Canary: never\r\n", "Cookie: canary=always\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)assign(f, rows[i]);
        assert_int_equal(f->x.set_cookie.len, 0);
    }
    f->conf.sticky.issue = false;
    (void)assign(f, "");
    assert_int_equal(f->x.set_cookie.len, 0);
    assert_int_equal(f->x.assigned, ASSIGNED_WEIGHT);
}

static void short_memory_shows_in_the_arena(void **state)
{
    struct fixture *f = *state;
    f->conf.sticky = (struct config_sticky){.by = STICKY_COOKIE, .name = "uid", .issue = true};
    (void)assign_with(f, "", 0);
    assert_true(f->x.arena.failed);
    assert_int_equal(f->x.set_cookie.len, 0);
    assert_int_equal(f->x.assigned, ASSIGNED_WEIGHT);
}

/* --- the guards of the canary --- */

static const char *const ways[] = {"", "uid: key\r\n", "X-Canary: always\r\n",
                                   "Cookie: canary=always\r\n"};

/* Each way leads to the canary, as long as it may serve. */
static void lead_to_canary(struct fixture *f)
{
    f->conf.override = (struct config_override){"X-Canary", "canary"};
    f->conf.sticky = (struct config_sticky){.by = STICKY_HEADER, .name = "uid"};
    f->route.split.weight_bp = SPLIT_BUCKETS;
}

static void a_canary_without_an_endpoint_that_is_up_gets_nothing(void **state)
{
    struct fixture *f = *state;
    lead_to_canary(f);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        endpoint_note(&f->states[0], ENDPOINT_DOWN);
        endpoint_note(&f->states[1], ENDPOINT_UNKNOWN);
        assert_true(assign(f, ways[i]));
        assert_int_equal(f->x.assigned,
                         i); /* the order of the ways is that of the enum, header before cookie */
        endpoint_note(&f->states[1], ENDPOINT_DOWN);
        assert_false(assign(f, ways[i]));
        assert_int_equal(f->x.assigned, i); /* what it asked for is counted, not what it got */
        endpoint_note(&f->states[0], ENDPOINT_UP);
        f->route.canary.n_endpoints = 0;
        assert_false(assign(f, ways[i]));
        f->route.canary.n_endpoints = 2;
    }
}

static const struct config_breaker usual = {
    .window_ms = 10000, .min_requests = 5, .error_rate_bp = 5000, .retry_after_ms = 30000};

static void open_breaker(struct fixture *f)
{
    f->conf.breaker = usual;
    for (unsigned i = 0; i < usual.min_requests; i++)
        (void)breaker_note(f->live.breaker, &usual, 0, true, f->flow.now_us);
    assert_int_equal(atomic_load(&f->live.breaker->state), BREAKER_OPEN);
}

static void an_open_breaker_lets_nobody_through(void **state)
{
    struct fixture *f = *state;
    lead_to_canary(f);
    f->conf.breaker = usual;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++)
        assert_true(assign(f, ways[i]));
    /* the others chose for themselves */
    assert_int_equal(metrics_weighed(&f->metrics[ROLE_CANARY], ROLE_CANARY), 1);
    open_breaker(f);
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        assert_false(assign(f, ways[i]));
        assert_false(f->x.attempt.is_trial);
        assert_int_equal(f->x.assigned, i);
    }
    f->conf.breaker.min_requests = 0; /* a reload switches it off */
    assert_true(assign(f, ""));
    assert_false(f->x.attempt.is_trial);
}

/* By weight or of one of the canary's own users: a forced one proves nothing, uses up no trial. */
static void the_trial_is_a_request_that_counts(void **state)
{
    struct fixture *f = *state;
    lead_to_canary(f);
    open_breaker(f);
    f->flow.now_us += usual.retry_after_ms * INT64_C(1000);
    for (size_t i = 0; i < 3 * (BREAKER_TRICKLE + 1); i++) {
        assert_false(assign(f, ways[ASSIGNED_HEADER + i % 2]));
        assert_false(f->x.attempt.is_trial);
    }
    assert_true(assign(f, "")); /* they have used up none of the trials of this period */
    assert_true(f->x.attempt.is_trial);
    assert_false(assign(f, "")); /* one at a time */
    assert_false(f->x.attempt.is_trial);
    breaker_trial_end(f->live.breaker, &usual, TRIAL_OK, f->flow.now_us);
    assert_true(assign(f, ways[ASSIGNED_STICKY]));
    assert_true(f->x.attempt.is_trial);
}

static void a_request_for_stable_does_not_ask_the_breaker(void **state)
{
    struct fixture *f = *state;
    lead_to_canary(f);
    open_breaker(f);
    f->flow.now_us += usual.retry_after_ms * INT64_C(1000);
    f->route.split.weight_bp = 0;
    assert_false(assign(f, ""));
    assert_false(assign(f, "X-Canary: never\r\n"));
    f->route.split.weight_bp = SPLIT_BUCKETS;
    endpoint_note(&f->states[0], ENDPOINT_DOWN);
    endpoint_note(&f->states[1], ENDPOINT_DOWN);
    assert_false(assign(f, "")); /* nor does one that the canary could not serve */
    assert_int_equal(atomic_load(&f->live.breaker->in_flight), 0);
    assert_int_equal(atomic_load(&f->live.breaker->trickle_used), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(override_beats_sticky_beats_weight),
        TEST(names_that_are_not_configured_override_nothing),
        TEST(overrides_hold_at_any_weight),
        TEST(without_a_split_everything_is_stable),
        TEST(by_weight_every_request_moves_the_cursor),
        TEST(a_key_is_read_where_the_route_says),
        TEST(an_address_is_a_key),
        TEST(a_growing_weight_loses_no_user),
        TEST(a_new_user_gets_a_cookie_that_leads_to_the_same_side),
        TEST(a_cookie_has_its_longest_name),
        TEST(nobody_else_gets_a_cookie),
        TEST(short_memory_shows_in_the_arena),
        TEST(a_canary_without_an_endpoint_that_is_up_gets_nothing),
        TEST(an_open_breaker_lets_nobody_through),
        TEST(the_trial_is_a_request_that_counts),
        TEST(a_request_for_stable_does_not_ask_the_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
