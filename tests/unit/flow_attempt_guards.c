/* Attempts that must not pile up: connections that do not come up, and a canary whose breaker is
 * open. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>

#define GET  "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define S500 "HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n"

/* --- a connect that hangs: stable's queue is full, so that the kernel drops what comes --- */

static int fillers[2];

static int setup_hanging(void **state)
{
    static const uint8_t ip[16] = {127, 0, 0, 1};
    struct fixture *f = &fixture;
    struct wire_addr any;
    struct sockaddr_storage ss;
    begin();
    open_endpoints(f);
    (void)close(f->endpoints[ROLE_STABLE]);
    wire_addr_inet(&any, false, ip, 0);
    listen_at(&any, &f->endpoints[ROLE_STABLE], 0);
    wire_addr_local(&f->addrs[ROLE_STABLE], f->endpoints[ROLE_STABLE]);
    memcpy(&ss, f->addrs[ROLE_STABLE].bytes, sizeof ss);
    for (unsigned i = 0; i < 2; i++) {
        fillers[i] = socket(AF_INET, SOCK_STREAM, 0);
        if (i == 1)
            (void)fcntl(fillers[i], F_SETFL, O_NONBLOCK);
        (void)connect(fillers[i], (struct sockaddr *)&ss, f->addrs[ROLE_STABLE].len);
    }
    return start(state);
}

static int teardown_hanging(void **state)
{
    (void)close(fillers[0]);
    (void)close(fillers[1]);
    return teardown(state);
}

/* Where the kernel takes connections past a full queue, there is nothing to test. */
static void must_hang(const struct fixture *f)
{
    struct pollfd p = {.fd = fillers[1], .events = POLLOUT};
    (void)f;
    if (poll(&p, 1, 0) != 0)
        skip();
}

static void a_connect_that_hangs_is_504_and_down(void **state)
{
    struct fixture *f = *state;
    must_hang(f);
    int client = client_open(f);
    say(f, client, GET);
    assert_int_equal(f->flow.n_exchanges, 1);
    pass(f, f->config.timeouts.connect_ms - 1);
    assert_silent(client);
    assert_int_equal(atomic_load(&f->states[ROLE_STABLE].health), ENDPOINT_UNKNOWN);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 504 ", "504 Gateway Timeout\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 1);
    assert_int_equal(atomic_load(&f->states[ROLE_STABLE].health), ENDPOINT_DOWN);
    assert_at_rest(f);
    assert_int_equal(f->flow.world->pools[0]->n_connecting, 0);
    (void)close(client);
}

static void one_that_leaves_while_it_connects(void **state)
{
    struct fixture *f = *state;
    must_hang(f);
    static const char *const rows[] = {GET, POST, GET GET};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        say(f, client, rows[i]);
        assert_int_equal(f->flow.world->pools[0]->n_connecting, 1);
        hang_up(f, client);
        /* while a body or another request is read ahead, reading rests: the end is seen when the
         * connect ends */
        pass(f, f->config.timeouts.connect_ms + WHEEL_TICK_MS);
        assert_at_rest(f);
        assert_int_equal(f->flow.n_clients, 0);
        assert_int_equal(f->flow.world->pools[0]->n_connecting, 0);
        assert_int_equal(all_requests(f), i + 1); /* the one behind is not begun for nobody */
    }
}

static void connects_under_way_are_bounded(void **state)
{
    struct fixture *f = *state;
    must_hang(f);
    int clients[3];
    f->config.limits.pending_per_endpoint = 2;
    for (unsigned i = 0; i < 3; i++) {
        clients[i] = client_open(f);
        say(f, clients[i], GET);
    }
    assert_silent(clients[0]);
    assert_silent(clients[1]);
    assert_hears(clients[2], "HTTP/1.1 503 ", "503 Service Unavailable\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_REFUSED), 1);
    assert_int_equal(f->flow.world->pools[0]->n_connecting, 2);
    hang_up(f, clients[0]); /* makes room */
    say(f, clients[2], GET);
    assert_silent(clients[2]);
    pass(f, f->config.timeouts.connect_ms + WHEEL_TICK_MS);
    assert_at_rest(f);
    for (unsigned i = 1; i < 3; i++)
        (void)close(clients[i]);
}

/* The kernel's answer comes by an event here, not from connect() as a UNIX socket's. */
static void a_refusal_that_comes_later_is_502_and_down(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    (void)close(f->endpoints[ROLE_STABLE]);
    f->endpoints[ROLE_STABLE] = -1;
    say(f, client, GET);
    for (unsigned i = 0; i < 1000 && f->flow.n_exchanges; i++) {
        struct pollfd p = {.fd = client, .events = POLLIN};
        (void)poll(&p, 1, 1);
        settle(f);
    }
    assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    assert_int_equal(errors(f, ROLE_STABLE, REASON_CONNECT), 1);
    assert_int_equal(atomic_load(&f->states[ROLE_STABLE].health), ENDPOINT_DOWN);
    assert_at_rest(f);
    (void)close(client);
}

/* --- the breaker --- */

static int setup_breaker(void **state)
{
    if (setup(state) != 0)
        return -1;
    struct fixture *f = *state;
    f->route->split.is_active = true;
    f->route->split.weight_bp = SPLIT_BUCKETS;
    f->route_conf.breaker = (struct config_breaker){
        .window_ms = 10000, .min_requests = 3, .error_rate_bp = 5000, .retry_after_ms = 30000};
    return 0;
}

/* One request, answered by whoever gets it: true where that is the canary. */
static bool ask_with(struct fixture *f, const char *answer)
{
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    bool is_canary = up < 0;
    up = is_canary ? called(f, ROLE_CANARY) : up;
    (void)hear(up);
    say(f, up, answer);
    assert_true(hear(client).len > 0);
    hang_up(f, client);
    hang_up(f, up); /* so that the next request comes on a new one */
    return is_canary;
}

static void trip(struct fixture *f)
{
    for (unsigned i = 0; i < 3; i++)
        assert_true(ask_with(f, S500));
    assert_int_equal(atomic_load(&f->live.breaker->state), BREAKER_OPEN);
    assert_false(ask_with(f, OK_2 "hi"));
    pass(f, f->route_conf.breaker.retry_after_ms);
}

static void failures_open_it_and_good_trials_close_it(void **state)
{
    struct fixture *f = *state;
    trip(f);
    for (unsigned i = 0; i < BREAKER_TRICKLE; i++) {
        assert_int_not_equal(atomic_load(&f->live.breaker->state), BREAKER_CLOSED);
        assert_true(ask_with(f, OK_2 "hi"));
        assert_int_equal(atomic_load(&f->live.breaker->in_flight), 0);
    }
    assert_int_equal(atomic_load(&f->live.breaker->state), BREAKER_CLOSED);
}

static void a_failed_trial_opens_it_again(void **state)
{
    struct fixture *f = *state;
    trip(f);
    assert_true(ask_with(f, OK_2 "hi"));
    assert_true(ask_with(f, S500));
    assert_int_equal(atomic_load(&f->live.breaker->state), BREAKER_OPEN);
    assert_int_equal(atomic_load(&f->live.breaker->failed_trickles), 1);
    assert_false(ask_with(f, OK_2 "hi"));
}

/* However the one trial request ends, the place is free for the next one. */
static void no_end_of_a_trial_keeps_its_place(void **state)
{
    struct fixture *f = *state;
    enum { CLIENT_LEAVES, UPSTREAM_LEAVES, TOO_LATE, IS_RETRIED, WAYS };
    for (unsigned way = 0; way < WAYS; way++) {
        breaker_reset(f->live.breaker);
        f->route_conf.retry.on = 0;
        trip(f);
        f->route_conf.retry.on = way == IS_RETRIED ? RETRY_RESET : 0;
        int client = client_open(f);
        say(f, client, GET);
        assert_int_equal(atomic_load(&f->live.breaker->in_flight), 1);
        assert_false(ask_with(f, OK_2 "hi")); /* one at a time */
        int canary = called(f, ROLE_CANARY);
        (void)hear(canary);
        if (way == CLIENT_LEAVES)
            hang_up(f, client);
        else if (way == TOO_LATE)
            pass(f, f->config.timeouts.response_header_ms + WHEEL_TICK_MS);
        else
            hang_up(f, canary);
        assert_int_equal(atomic_load(&f->live.breaker->in_flight), 0);
        assert_int_equal(atomic_load(&f->live.breaker->failed_trickles), way != CLIENT_LEAVES);
        assert_int_equal(atomic_load(&f->live.breaker->trickle_ok), 0);
        if (way == IS_RETRIED) {
            int stable = called(f, ROLE_STABLE);
            say(f, stable, OK_2 "ok");
            assert_hears(client, "HTTP/1.1 200 OK\r\n", "ok");
            hang_up(f, stable);
        }
        assert_at_rest(f);
        if (way == CLIENT_LEAVES || way == TOO_LATE)
            hang_up(f, canary);
        if (way != CLIENT_LEAVES)
            hang_up(f, client);
    }
}

#define HANGS(f)   cmocka_unit_test_setup_teardown(f, setup_hanging, teardown_hanging)
#define BREAKER(f) cmocka_unit_test_setup_teardown(f, setup_breaker, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HANGS(a_connect_that_hangs_is_504_and_down),
        HANGS(one_that_leaves_while_it_connects),
        HANGS(connects_under_way_are_bounded),
        HANGS(a_refusal_that_comes_later_is_502_and_down),
        BREAKER(failures_open_it_and_good_trials_close_it),
        BREAKER(a_failed_trial_opens_it_again),
        BREAKER(no_end_of_a_trial_keeps_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
