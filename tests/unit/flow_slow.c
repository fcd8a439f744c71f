/* Slow clients on the whole path: who sends a body or takes a response below timeouts.min_rate is cut, whoever is held up
 * by somebody else is not. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include "proxy/flow/slow.h"

#define GET    "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define POST   "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n"
#define OK_2   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define SECOND 1000
#define RATE   240

static int rated(void **state)
{
    int failed = setup(state);
    ((struct fixture *)*state)->config.timeouts.min_rate_bytes = RATE;
    return failed;
}

#define RATED(test) cmocka_unit_test_setup_teardown(test, rated, teardown)

static char filler[1u << 16];

/* Sends as much of a body as the socket takes, up to len. */
static size_t pour(struct fixture *f, int fd, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        size_t most = len - sent < sizeof filler ? len - sent : sizeof filler;
        ssize_t n = send(fd, filler, most, MSG_NOSIGNAL);
        if (n < 0)
            break;
        sent += (size_t)n;
    }
    settle(f);
    return sent;
}

static size_t drink(int fd, size_t most)
{
    ssize_t n = recv(fd, heard, most < sizeof heard ? most : sizeof heard, 0);
    return n > 0 ? (size_t)n : 0;
}

/* The endpoint's end of the request that waits there. */
static int reached(const struct fixture *f)
{
    int up = accept4(f->endpoints[ROLE_STABLE], NULL, NULL, SOCK_NONBLOCK);
    assert_true(up >= 0);
    (void)hear(up);
    return up;
}

/* A response that the client does not drink, until it is held up in the proxy. */
static int fill(struct fixture *f, int client, unsigned length)
{
    char head[64];
    say(f, client, GET);
    int up = reached(f);
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", length);
    say(f, up, head);
    for (unsigned i = 0, n = length; i < 50; i++)
        n -= (unsigned)pour(f, up, n < sizeof filler ? n : sizeof filler);
    return up;
}

/* --- the body of a request --- */

static void a_body_that_dribbles_is_answered_408(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "\r\n");
    int up = reached(f);
    for (unsigned i = 0; i < 5; i++) {
        assert_silent(client);
        say(f, client, "x");
        pass(f, SECOND + (i == 4) * (int)WHEEL_TICK_MS);
    }
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 1);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 0);
    assert_int_equal(requests(f, ROLE_STABLE, 408), 1);
    for (unsigned i = 0; i < REASON_COUNT; i++) /* nobody's fault but the client's */
        assert_int_equal(errors(f, ROLE_STABLE, (enum metric_reason)i), 0);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->judged[ROLE_STABLE]), 0);
    assert_at_rest(f);
    (void)hear(up);
    assert_ended(up);
    (void)close(up);
    (void)close(client);
}

static void a_body_above_the_rate_takes_its_time(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "\r\n");
    int up = reached(f);
    for (unsigned i = 0; i < 400; i++) {
        assert_int_equal(pour(f, client, 250), 250);
        (void)hear(up);
        pass(f, SECOND);
    }
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 0);
    (void)close(up);
    hang_up(f, client);
}

/* What has come before buys timeouts.client_body of silence, not more. */
static void a_burst_does_not_pay_for_a_dribble(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "\r\n");
    int up = reached(f);
    assert_int_equal(pour(f, client, 60000), 60000);
    for (unsigned i = 0; i < 29; i++) {
        pass(f, SECOND);
        say(f, client, "x");
        assert_silent(client);
    }
    pass(f, 3 * SECOND);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 1);
    (void)close(up);
    (void)close(client);
}

/* The endpoint takes nothing: the client, which would send, is not to blame. */
static void a_body_that_the_endpoint_does_not_take_is_not_slow(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    f->config.timeouts.response_header_ms = 120000;
    say(f, client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 80000000\r\n\r\n");
    int up = reached(f);
    for (unsigned i = 0; i < 100 && pour(f, client, sizeof filler); i++)
        settle(f);
    pass(f, 100 * SECOND);
    assert_silent(client);
    assert_int_equal(f->flow.n_exchanges, 1);
    for (unsigned i = 0; i < 1000 && drink(up, sizeof heard); i++)
        settle(f);
    pass(f, 4 * SECOND); /* now it is the client's turn */
    assert_silent(client);
    pass(f, 30 * SECOND);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    (void)close(up);
    (void)close(client);
}

static void who_asked_to_send_waits_for_the_answer(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "Expect: 100-continue\r\n\r\n");
    int up = reached(f);
    for (unsigned i = 0; i < 29; i++)
        pass(f, SECOND);
    assert_silent(client);
    say(f, up, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_hears(client, "HTTP/1.1 100 ", "");
    say(f, client, "x");
    for (unsigned i = 0; i < 7; i++) /* from here on it is like any other */
        pass(f, SECOND);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 1);
    (void)close(up);
    (void)close(client);
}

/* The answer is on its way already: nothing can be said any more. */
static void a_slow_body_behind_a_response_head_is_cut(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST "\r\n");
    int up = reached(f);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_hears(client, "HTTP/1.1 200 ", "");
    pass(f, 5 * SECOND + WHEEL_TICK_MS);
    assert_ended(client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 1);
    (void)close(up);
    (void)close(client);
}

static void a_rate_of_0_leaves_only_the_gap(void **state)
{
    struct fixture *f = *state;
    f->config.timeouts.min_rate_bytes = 0;
    int client = client_open(f);
    say(f, client, POST "\r\n");
    int up = reached(f);
    for (unsigned i = 0; i < 20; i++) {
        pass(f, 29 * SECOND);
        say(f, client, "x");
    }
    assert_silent(client);
    pass(f, 30 * SECOND + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
    (void)close(up);
    (void)close(client);
}

/* --- the response --- */

static void a_reader_that_takes_nothing_is_cut(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = fill(f, client, 80000000);
    assert_true(stream_pending(&CONTAINER_OF(f->flow.clients.next, struct client, link)->stream));
    pass(f, 4 * SECOND);
    assert_int_equal(f->flow.n_clients, 1);
    pass(f, SECOND);
    pass(f, 100);
    assert_int_equal(f->flow.n_clients, 0);
    assert_at_rest(f);
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 1);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 1);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 0);
    (void)close(up);
    (void)close(client);
}

/* The kernel asks for more only when a good part of its buffer is free, seldom enough for client_body to run out: what the
 * peer takes is seen all the same. */
static void a_reader_above_the_rate_takes_its_time(void **state)
{
    struct fixture *f = *state;
    f->config.timeouts.client_body_ms = 5000;
    int client = client_open(f);
    int up = fill(f, client, 80000000);
    for (unsigned i = 0; i < 60; i++) {
        assert_true(drink(client, 20000) > RATE);
        (void)pour(f, up, sizeof filler);
        pass(f, SECOND);
        assert_int_equal(f->flow.n_clients, 1);
    }
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 0);
    (void)close(up);
    hang_up(f, client);
}

/* Nothing waits for the client: the endpoint takes its time. */
static void a_slow_endpoint_is_not_its_readers_fault(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    int up = reached(f);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    assert_hears(client, "HTTP/1.1 200 ", "");
    for (unsigned i = 0; i < 8; i++) {
        say(f, up, "x");
        pass(f, 40 * SECOND);
    }
    say(f, up, "x");
    assert_int_equal(hear(client).len, 9);
    assert_at_rest(f);
    assert_int_equal(f->flow.n_clients, 1);
    (void)close(up);
    hang_up(f, client);
}

/* The endpoint is done, the rest of its answer waits in the proxy, or all of it in the kernel alone. */
static void the_end_of_a_response_must_be_taken_too(void **state)
{
    struct fixture *f = *state;
    for (unsigned in_kernel = 0; in_kernel < 2; in_kernel++) {
        int client = client_open(f);
        int up = fill(f, client, in_kernel ? 100000 : 10 * 65536);
        const struct client *c = CONTAINER_OF(f->flow.clients.next, struct client, link);
        if (in_kernel)
            assert_int_equal(c->state, CLIENT_READY);
        for (unsigned i = 0; i < 11; i++)
            pass(f, SECOND);
        assert_int_equal(f->flow.n_clients, 0);
        assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), in_kernel + 1);
        (void)close(up);
        (void)close(client);
    }
}

/* A short answer that was not acknowledged yet: the peer may have lost its network for a moment. */
static void a_short_answer_may_wait_in_the_kernel(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = fill(f, client, 1000);
    for (unsigned i = 0; i < 59; i++)
        pass(f, SECOND);
    assert_int_equal(f->flow.n_clients, 1);
    assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), 0);
    (void)close(up);
    hang_up(f, client);
}

/* It was slow, then asked for more: between two requests nobody waits for it. */
static void the_next_request_ends_the_wait(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = fill(f, client, 100000);
    for (unsigned i = 0; i < 8; i++)
        pass(f, SECOND);
    const struct client *c = CONTAINER_OF(f->flow.clients.next, struct client, link);
    assert_true(pace_is_waiting(&c->pace));
    (void)hear(client);
    say(f, client, GET);
    assert_false(pace_is_waiting(&c->pace));
    (void)hear(up);
    pass(f, 39 * SECOND);
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 ", "hi");
    (void)close(up);
    hang_up(f, client);
}

/* A reload applies to those who are waited for. */
static void a_new_rate_applies_at_once(void **state)
{
    struct fixture *f = *state;
    f->config.timeouts.min_rate_bytes = 0;
    f->config.timeouts.client_body_ms = 600000;
    int client = client_open(f);
    int up = fill(f, client, 80000000);
    for (unsigned i = 0; i < 60; i++)
        pass(f, SECOND);
    assert_int_equal(f->flow.n_clients, 1);
    f->config.timeouts.min_rate_bytes = RATE;
    for (unsigned i = 0; i < 4; i++)
        pass(f, SECOND);
    assert_int_equal(f->flow.n_clients, 1);
    for (unsigned i = 0; i < 2; i++)
        pass(f, SECOND);
    assert_int_equal(f->flow.n_clients, 0);
    (void)close(up);
    (void)close(client);
}

/* --- lingering --- */

static void who_lingers_must_take_the_reply(void **state)
{
    struct fixture *f = *state;
    for (unsigned is_slow = 0; is_slow < 2; is_slow++) {
        int client = client_open(f);
        f->config.limits.requests_per_connection = 1;
        int up = fill(f, client, 150000);
        const struct client *c = CONTAINER_OF(f->flow.clients.next, struct client, link);
        assert_int_equal(c->state, CLIENT_LINGER);
        for (unsigned i = 0; i < 10 && f->flow.n_clients; i++) {
            (void)drink(client, is_slow ? 10 : 14000);
            pass(f, SECOND);
        }
        assert_int_equal(f->flow.n_clients, !is_slow);
        assert_int_equal(client_errors(f, CLIENT_ERROR_SLOW), is_slow);
        (void)close(up);
        hang_up(f, client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RATED(a_body_that_dribbles_is_answered_408),
        RATED(a_body_above_the_rate_takes_its_time),
        RATED(a_burst_does_not_pay_for_a_dribble),
        RATED(a_body_that_the_endpoint_does_not_take_is_not_slow),
        RATED(who_asked_to_send_waits_for_the_answer),
        RATED(a_slow_body_behind_a_response_head_is_cut),
        RATED(a_rate_of_0_leaves_only_the_gap),
        RATED(a_reader_that_takes_nothing_is_cut),
        RATED(a_reader_above_the_rate_takes_its_time),
        RATED(a_slow_endpoint_is_not_its_readers_fault),
        RATED(the_end_of_a_response_must_be_taken_too),
        RATED(a_short_answer_may_wait_in_the_kernel),
        RATED(the_next_request_ends_the_wait),
        RATED(a_new_rate_applies_at_once),
        RATED(who_lingers_must_take_the_reply),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
