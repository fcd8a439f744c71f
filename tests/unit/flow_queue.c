/* Requests for which there is no room at their endpoint: they wait their turn, not too many and not too long. And what
 * their outcomes do to the endpoint. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#define GET   "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST3 "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n"
#define OK_2  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define S500  "HTTP/1.1 500 Broken\r\nContent-Length: 2\r\n\r\nno"
#define CLOSE "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"

/* As a reload does. */
static void limit(struct fixture *f, uint32_t connections, uint32_t pending)
{
    f->flow.upstream.connections_max = connections;
    f->config.limits.pending_per_endpoint = pending;
}

/* A request that has its connection; the endpoint's side of it. */
static int begin_one(struct fixture *f, int *client)
{
    *client = client_open(f);
    say(f, *client, GET);
    int up = called(f, ROLE_STABLE);
    assert_true(up >= 0);
    assert_message(hear(up), "GET / HTTP/1.1\r\n", "");
    return up;
}

static uint32_t waiting(const struct fixture *f)
{
    const struct pool *p = f->flow.world->pools[0];
    assert_int_equal(p->n_waiting, quota_read(&fixture.quotas[ROLE_STABLE].queued));
    return p->n_waiting;
}

static void who_waits_is_served_in_turn(void **state)
{
    struct fixture *f = *state;
    int first, clients[3];
    limit(f, 1, 100);
    int up = begin_one(f, &first);
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = client_open(f);
        say(f, clients[i], i == 1 ? POST3 "abc" : GET);
    }
    assert_int_equal(called(f, ROLE_STABLE), -1);
    assert_int_equal(waiting(f), 3);
    assert_int_equal(f->flow.world->pools[0]->load,
                     4); /* who chooses between endpoints sees them */
    say(f, up, OK_2 "hi");
    assert_hears(first, "HTTP/1.1 200 OK\r\n", "hi");
    say(f, first, GET); /* one that comes later stands behind them */
    for (unsigned i = 0; i < 3; i++) {
        assert_message(hear(up), i == 1 ? "POST " : "GET ", i == 1 ? "abc" : "");
        say(f, up, OK_2 "ok");
        assert_hears(clients[i], "HTTP/1.1 200 OK\r\n", "ok");
    }
    assert_message(hear(up), "GET ", "");
    say(f, up, OK_2 "at");
    assert_hears(first, "HTTP/1.1 200 OK\r\n", "at");
    assert_int_equal(called(f, ROLE_STABLE), -1); /* one connection all the time */
    assert_int_equal(f->flow.upstream.n_idle, 1);
    assert_at_rest(f);
    for (unsigned i = 0; i < 3; i++)
        hang_up(f, clients[i]);
    hang_up(f, first);
    (void)close(up);
}

/* The one that served before closes: the next one gets a new one. */
static void a_connection_that_ends_makes_room(void **state)
{
    struct fixture *f = *state;
    int first;
    limit(f, 2, 100);
    int up = begin_one(f, &first), other, other_up = begin_one(f, &other);
    int client = client_open(f);
    say(f, client, GET);
    assert_int_equal(waiting(f), 1);
    say(f, up, CLOSE "hi");
    assert_hears(first, "HTTP/1.1 200 OK\r\n", "hi");
    (void)close(up);
    up = called(f, ROLE_STABLE);
    assert_true(up >= 0);
    settle(f);
    assert_message(hear(up), "GET ", "");
    assert_int_equal(waiting(f), 0);
    say(f, up, OK_2 "ok");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    say(f, other_up, OK_2 "ok");
    assert_hears(other, "HTTP/1.1 200 OK\r\n", "ok");
    assert_at_rest(f);
    hang_up(f, client);
    hang_up(f, first);
    hang_up(f, other);
    (void)close(up);
    (void)close(other_up);
}

static void the_queue_is_bounded(void **state)
{
    struct fixture *f = *state;
    int first, clients[3];
    limit(f, 1, 2);
    int up = begin_one(f, &first);
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = client_open(f);
        say(f, clients[i], GET);
    }
    assert_silent(clients[0]);
    assert_silent(clients[1]);
    struct slice answer = hear(clients[2]);
    assert_message(answer, "HTTP/1.1 503 ", "503 Service Unavailable\n");
    assert_non_null(strstr(answer.at, "\r\nRetry-After: 1\r\n"));
    assert_int_equal(errors(f, ROLE_STABLE, REASON_REFUSED), 1);
    hang_up(f, clients[0]); /* makes room */
    assert_int_equal(waiting(f), 1);
    say(f, clients[2], GET);
    assert_silent(clients[2]);
    assert_int_equal(waiting(f), 2);
    say(f, up, OK_2 "hi");
    say(f, up, OK_2 "hi");
    say(f, up, OK_2 "hi");
    for (unsigned i = 1; i < 3; i++) {
        assert_hears(clients[i], "HTTP/1.1 200 OK\r\n", "hi");
        hang_up(f, clients[i]);
    }
    assert_at_rest(f);
    hang_up(f, first);
    (void)close(up);
}

static void nobody_waits_longer_than_for_a_connect(void **state)
{
    struct fixture *f = *state;
    int first;
    limit(f, 1, 100);
    int up = begin_one(f, &first), client = client_open(f);
    say(f, client, GET);
    pass(f, f->config.timeouts.connect_ms - 1);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 503 ", "503 Service Unavailable\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_REFUSED), 1);
    /* that says nothing of the endpoint */
    assert_int_equal(atomic_load(&f->states[ROLE_STABLE].health), ENDPOINT_UP);
    assert_int_equal(atomic_load(&f->states[ROLE_STABLE].failures), 0);
    assert_int_equal(waiting(f), 0);
    say(f, up, OK_2 "hi");
    assert_hears(first, "HTTP/1.1 200 OK\r\n", "hi");
    assert_at_rest(f);
    hang_up(f, client);
    hang_up(f, first);
    (void)close(up);
}

/* A canary that is full does not make its users wait for nothing: they get stable. */
static void a_full_canary_gives_its_users_to_stable(void **state)
{
    struct fixture *f = *state;
    limit(f, 1, 1);
    f->route->split = (struct split){.weight_bp = 10000, .is_active = true};
    f->route_conf.retry.on = RETRY_CONNECT;
    int clients[3], ups[2];
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = client_open(f);
        say(f, clients[i], GET);
    }
    ups[0] = called(f, ROLE_CANARY);
    ups[1] = called(f, ROLE_STABLE);
    assert_true(ups[0] >= 0 && ups[1] >= 0);
    say(f, ups[1], OK_2 "v1");
    assert_hears(clients[2], "HTTP/1.1 200 OK\r\n", "v1");
    say(f, ups[0], OK_2 "v2");
    say(f, ups[0], OK_2 "v2");
    for (unsigned i = 0; i < 3; i++) {
        if (i < 2)
            assert_hears(clients[i], "HTTP/1.1 200 OK\r\n", "v2");
        hang_up(f, clients[i]);
    }
    assert_at_rest(f);
    (void)close(ups[0]);
    (void)close(ups[1]);
}

/* Another worker has the shared part: this one has its own connection still, and sees by looking when there is more. */
static void what_another_worker_gives_back_is_seen(void **state)
{
    struct fixture *f = *state;
    int first;
    f->flow.upstream.workers = 2;
    limit(f, 3, 100);
    atomic_store(&f->quotas[ROLE_STABLE].shared, 1);
    int up = begin_one(f, &first), client = client_open(f);
    say(f, client, GET);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    pass(f, ROOM_POLL_MS + WHEEL_TICK_MS);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    atomic_store(&f->quotas[ROLE_STABLE].shared, 0);
    pass(f, ROOM_POLL_MS + WHEEL_TICK_MS);
    int other = called(f, ROLE_STABLE);
    assert_true(other >= 0);
    settle(f);
    assert_int_equal(quota_read(&f->quotas[ROLE_STABLE].shared), 1);
    /* it waits in its turn: what this one has of the shared part is not kept idle */
    atomic_store(&f->quotas[ROLE_STABLE].queued, 1);
    say(f, other, OK_2 "ok");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
    assert_int_equal(quota_read(&f->quotas[ROLE_STABLE].shared), 0);
    say(f, up, OK_2 "hi"); /* but its own one is */
    assert_int_equal(f->flow.upstream.n_idle, 1);
    atomic_store(&f->quotas[ROLE_STABLE].queued, 0);
    assert_at_rest(f);
    hang_up(f, client);
    hang_up(f, first);
    (void)close(up);
    (void)close(other);
}

/* A reload lowers the limit: connections beyond it go as they become idle. */
static void a_lower_limit_is_kept_in_the_end(void **state)
{
    struct fixture *f = *state;
    int clients[4], ups[4];
    for (unsigned i = 0; i < 4; i++)
        ups[i] = begin_one(f, &clients[i]);
    limit(f, 1, 100);
    for (unsigned i = 0; i < 4; i++) {
        say(f, ups[i], OK_2 "ok");
        assert_hears(clients[i], "HTTP/1.1 200 OK\r\n", "ok");
        hang_up(f, clients[i]);
        (void)close(ups[i]);
        assert_int_equal(f->flow.world->pools[0]->n_open, i == 3 ? 1 : 3 - i);
    }
}

/* The client leaves, or all end, while they wait. */
static void who_leaves_the_queue_leaves_nothing(void **state)
{
    struct fixture *f = *state;
    int first, client;
    limit(f, 1, 100);
    int up = begin_one(f, &first);
    for (unsigned i = 0; i < 3; i++) {
        client = client_open(f);
        say(f, client, GET);
        if (i < 2)
            hang_up(f, client);
        assert_int_equal(waiting(f), i == 2);
    }
    hang_up(f, first); /* its connection ends with it, and the waiter is served */
    int other = called(f, ROLE_STABLE);
    assert_true(other >= 0);
    int last = client_open(f); /* still waits when the worker stops: see the teardown */
    say(f, last, GET);
    assert_int_equal(waiting(f), 1);
    (void)close(up);
    (void)close(other);
    (void)close(client);
    (void)close(last);
}

/* --- outcomes --- */

static void answer(struct fixture *f, int client, const char *text, const char *first)
{
    say(f, client, GET);
    int up = called(f, ROLE_CANARY);
    assert_true(up >= 0);
    (void)hear(up);
    if (*text)
        say(f, up, text);
    hang_up(f, up);
    assert_true(slice_starts(hear(client), slice_str(first)));
}

static void outcomes_are_noted_of_the_endpoint(void **state)
{
    static const struct {
        const char *response, *first;
        uint32_t failures;
    } rows[] = {
        {S500, "HTTP/1.1 500 ", 1},
        {"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 503 ", 2},
        {"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 404 ", 0},
        {"", "HTTP/1.1 502 ", 1},
        {"nonsense\r\n\r\n", "HTTP/1.1 502 ", 2},
        {OK_2 "ok", "HTTP/1.1 200 ", 0},
    };
    struct fixture *f = *state;
    f->route->split = (struct split){.weight_bp = 10000, .is_active = true};
    f->route_conf.retry.max = 0;
    f->route_conf.eject =
        (struct config_eject){.consecutive = 3, .base_ms = 30000, .max_ejected_bp = 10000};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int client = client_open(f);
        answer(f, client, rows[i].response, rows[i].first);
        hang_up(f, client);
        if (atomic_load(&f->states[ROLE_CANARY].failures) != rows[i].failures)
            fail_msg("row %zu: %u", i, atomic_load(&f->states[ROLE_CANARY].failures));
    }
    for (unsigned i = 0; i < 9; i++) { /* the only one of its version: never ejected */
        int client = client_open(f);
        answer(f, client, S500, "HTTP/1.1 500 ");
        hang_up(f, client);
    }
    assert_int_equal(cell_read(&cells(f, ROLE_CANARY)->ejections), 0);
}

/* Two endpoints, as in flow_endpoints.c: one of them fails. */
static void one_of_two_is_ejected(void **state)
{
    struct fixture *f = *state;
    struct snapshot *s = make_snapshot(f);
    struct route_variant *v = &s->routes[0].stable;
    struct endpoint *both = arena_alloc(&s->arena, 2 * sizeof *both);
    for (unsigned i = 0; i < 2; i++)
        both[i] = (struct endpoint){i ? "b" : "a", f->addrs[i], &f->states[i]};
    v->endpoints = both;
    v->n_endpoints = s->n_endpoints = 2;
    s->routes[0].canary.n_endpoints = 0;
    f->route_conf.balance = BALANCE_ROUND_ROBIN;
    f->route_conf.eject =
        (struct config_eject){.consecutive = 2, .base_ms = 1000, .max_ejected_bp = 5000};
    assert_int_equal(flow_adopt(&f->flow, s), OK);
    for (unsigned i = 0; i < 12; i++) {
        int client = client_open(f);
        say(f, client, GET);
        int up = called(f, ROLE_STABLE), is_first = up >= 0;
        if (!is_first)
            up = called(f, ROLE_CANARY);
        assert_true(up >= 0);
        assert_true(!is_first || i < 4); /* a, b, a, b and then b alone */
        (void)hear(up);
        say(f, up, is_first ? S500 : CLOSE "ok");
        assert_true(
            slice_starts(hear(client), slice_str(is_first ? "HTTP/1.1 500 " : "HTTP/1.1 2")));
        hang_up(f, client);
        (void)close(up);
        settle(f);
    }
    assert_int_equal(cell_read(&f->route->stable.metrics->cells[0]->ejections), 1);
    pass(f, 1000);
    assert_true(endpoint_may_serve(&f->states[0], f->flow.now_us));
}

static int set_up(void **state)
{
    int failed = setup(state);
    for (unsigned i = 0; i < ROLE_COUNT && !failed; i++)
        endpoint_note(&fixture.states[i], ENDPOINT_UP);
    return failed;
}

#define UP(f) cmocka_unit_test_setup_teardown(f, set_up, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        UP(who_waits_is_served_in_turn),
        UP(a_connection_that_ends_makes_room),
        UP(the_queue_is_bounded),
        UP(nobody_waits_longer_than_for_a_connect),
        UP(a_full_canary_gives_its_users_to_stable),
        UP(what_another_worker_gives_back_is_seen),
        UP(a_lower_limit_is_kept_in_the_end),
        UP(who_leaves_the_queue_leaves_nothing),
        UP(outcomes_are_noted_of_the_endpoint),
        UP(one_of_two_is_ejected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
