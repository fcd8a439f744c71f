/* A client connection: requests one by one in their order, however their bytes come, and an end
 * that loses no reply. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"

static void one_request_goes_through_and_back(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    assert_int_equal(cell_read(&f->listener->open), 1);
    assert_int_equal(cell_read(&f->listener->connections), 1);
    say(f, client, GET("/x?y"));
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "GET /x?y HTTP/1.1\r\n", "");
    assert_int_equal(f->flow.n_exchanges, 1);
    assert_int_equal(f->flow.upstream.n_busy, 1);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->inflight), 1);
    assert_int_equal(all_requests(f), 0); /* counted at its end */
    fake_now_us += 5000;
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_at_rest(f);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 1);
    assert_int_equal(all_requests(f), 1);
    assert_int_equal(responses(f, 200), 1);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->judged[ROLE_STABLE]), 1);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->judged_failed[ROLE_STABLE]), 0);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->duration[ROLE_STABLE].sum_us), 5000);
    assert_int_equal(f->flow.upstream.n_idle, 1);
    (void)close(up);
    hang_up(f, client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED), 0); /* it had all that it asked for */
}

static void both_connections_serve_again(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = -1;
    for (unsigned i = 0; i < 10; i++) {
        say(f, client, GET("/"));
        int new_up = called(f, ROLE_STABLE);
        assert_true(i == 0 ? new_up >= 0 : new_up < 0);
        up = i ? up : new_up;
        assert_hears(up, "GET / ", "");
        say(f, up, OK_2 "hi");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    }
    assert_int_equal(requests(f, ROLE_STABLE, 200), 10);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

static void pipelined_requests_are_served_in_order_one_at_a_time(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[] = {"r1", "r2", "r3"};
    int client = client_open(f);
    say(f, client, GET("/1") GET("/2") "GET /3 HTTP/1.1\r\nHo");
    int up = called(f, ROLE_STABLE);
    for (unsigned i = 0; i < 3; i++) {
        char first[32], response[128];
        (void)snprintf(first, sizeof first, "GET /%u HTTP/1.1\r\n", i + 1);
        assert_hears(up, first, "");
        assert_int_equal(f->flow.n_exchanges, 1);
        (void)snprintf(response, sizeof response, OK_2 "%s", bodies[i]);
        say(f, up, response);
        assert_hears(client, "HTTP/1.1 200 OK\r\n", bodies[i]);
        if (i == 1) {
            assert_silent(up); /* half a head is no request */
            say(f, client, "st: a.test\r\n\r\n");
        }
    }
    assert_int_equal(called(f, ROLE_STABLE), -1);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 3);
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

/* More requests than one receive holds, from one who sends before it reads. */
static void many_pipelined_requests_are_all_served(void **state)
{
    struct fixture *f = *state;
    enum { N = 40 };
    int client = client_open(f), up = -1;
    for (unsigned i = 0; i < N; i++) {
        char request[3200];
        (void)snprintf(request, sizeof request,
                       "GET /%u HTTP/1.1\r\nHost: a.test\r\nX-Fill: %03000u\r\n\r\n", i, 7u);
        say(f, client, request);
    }
    for (unsigned i = 0; i < N; i++) {
        char first[32];
        up = i ? up : called(f, ROLE_STABLE);
        (void)snprintf(first, sizeof first, "GET /%u HTTP/1.1\r\n", i);
        assert_hears(up, first, "");
        say(f, up, OK_2 "hi");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    }
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

static void say_bytewise(struct fixture *f, int fd, const char *text)
{
    for (; *text; text++)
        say(f, fd, (const char[]){*text, '\0'});
}

static void heads_and_bodies_may_come_byte_by_byte(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = -1;
    for (unsigned i = 0; i < 2; i++) {
        say_bytewise(f, client, "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc");
        up = i ? up : called(f, ROLE_STABLE);
        assert_hears(up, "POST /x HTTP/1.1\r\n", "abc");
        say_bytewise(f, up, "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 3\r\n\r\ndef");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "def");
        assert_at_rest(f);
    }
    (void)close(up);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 2);
    (void)close(client);
}

/* --- what is no request --- */

static void nonsense_is_refused_and_the_connection_ends(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *first;
    } rows[] = {
        {"GET\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
        {"CONNECT a.test:1 HTTP/1.1\r\nHost: a.test:1\r\n\r\n", "HTTP/1.1 405 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n", "HTTP/1.1 400 "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        say(f, client, rows[i].request);
        struct slice s = hear(client);
        assert_true(slice_starts(s, slice_str(rows[i].first)));
        assert_non_null(strstr(s.at, "\r\nConnection: close\r\n"));
        assert_ended(client);
        say(f, client, GET("/")); /* thrown away: nothing behind nonsense is a request */
        assert_int_equal(called(f, ROLE_STABLE), -1);
        assert_int_equal(client_errors(f, CLIENT_ERROR_BAD_REQUEST), i + 1);
        hang_up(f, client);
        assert_int_equal(f->flow.n_clients, 0);
    }
    assert_int_equal(all_requests(f), 0);
}

/* The reply to a good request is not lost to the nonsense behind it. */
static void nonsense_behind_a_request_comes_second(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET("/") "nonsense\r\n\r\n");
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "GET / ", "");
    assert_silent(client);
    say(f, up, OK_2 "hi");
    struct slice s = hear(client);
    assert_true(slice_starts(s, SLICE("HTTP/1.1 200 OK\r\n")));
    assert_non_null(strstr(s.at, "\r\n\r\nhiHTTP/1.1 400 "));
    assert_ended(client);
    (void)close(up);
    (void)close(client);
}

/* --- who closes when --- */

static void a_client_that_asks_to_close_is_closed_behind_its_response(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {
        "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"};
    int up = -1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        say(f, client, rows[i]);
        up = i ? up : called(f, ROLE_STABLE); /* the upstream connection serves on */
        assert_hears(up, "GET / HTTP/1.1\r\n", "");
        say(f, up, OK_2 "hi");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
        assert_ended(client);
        assert_int_equal(f->flow.n_clients, 0);
        (void)close(client);
    }
    (void)close(up);
}

static void the_last_request_of_a_connection_says_so(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    f->config.limits.requests_per_connection = 2;
    say(f, client, GET("/1") GET("/2") GET("/3"));
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, OK_2 "hi");
    assert_null(strstr(hear(client).at, "Connection: close"));
    (void)hear(up);
    say(f, up, OK_2 "hi");
    assert_non_null(strstr(hear(client).at, "\r\nConnection: close\r\n"));
    assert_silent(up);
    assert_ended(client);
    (void)close(up);
    (void)close(client);
}

/* --- waiting has an end --- */

/* Without a word, for it has asked for nothing: browsers connect ahead of what they may want. */
static void a_silent_client_is_closed_after_the_time_of_a_head(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    pass(f, f->config.timeouts.client_header_ms - 1);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_ended(client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 0);
    (void)close(client);
}

/* The deadline is the whole head's: a byte now and then does not put it off. */
static void a_slow_head_is_answered_408(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, "GET / HT");
    for (unsigned i = 0; i < 9; i++) {
        pass(f, 1000);
        say(f, client, "T");
        assert_silent(client);
    }
    pass(f, 1000 + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
    assert_ended(client);
    assert_int_equal(f->flow.n_clients, 1); /* lingers */
    pass(f, 5000);
    assert_int_equal(f->flow.n_clients, 0);
    (void)close(client);
}

/* The first head has the time from accept on: who sends nothing for a while has the rest of it. */
static void the_first_head_has_its_time_from_accept_on(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    pass(f, f->config.timeouts.client_header_ms - 1000);
    say(f, client, "GET / HTTP/1.1\r\n");
    pass(f, 999);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
    (void)close(client);
}

/* Half a head that comes in the very moment in which the time is over has a deadline all the same: its own. */
static void half_a_head_in_the_last_moment_has_an_end(void **state)
{
    struct fixture *f = *state;
    static const char half[] = "GET / HTTP/1.1\r\n";
    int client = client_open(f);
    pass(f, f->config.timeouts.client_header_ms - 1);
    assert_int_equal(send(client, half, sizeof half - 1, 0), sizeof half - 1);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_silent(client);
    pass(f, f->config.timeouts.client_header_ms + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    (void)close(client);
}

/* Behind a head that came in pieces the idle time runs, and the next head in pieces has all of its
 * own. */
static void each_head_has_a_deadline_of_its_own(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = -1;
    for (unsigned i = 0; i < 2; i++) {
        say(f, client, "GET / HTTP/1.1\r\n");
        pass(f, f->config.timeouts.client_header_ms - 1);
        say(f, client, "Host: a.test\r\n\r\n");
        up = i ? up : called(f, ROLE_STABLE);
        assert_hears(up, "GET / ", "");
        say(f, up, OK_2 "hi");
        assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    }
    pass(f, f->config.timeouts.client_idle_ms - 1);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_ended(client);
    (void)close(client);
    (void)close(up);
}

/* A partial head, and requests read ahead: the end of the worker lets go of both (ASan watches). */
static void what_is_held_ends_with_the_worker(void **state)
{
    struct fixture *f = *state;
    int partial = client_open(f), ahead = client_open(f);
    say(f, partial, "GET / HT");
    say(f, ahead, GET("/1") GET("/2"));
    assert_int_equal(f->flow.n_exchanges, 1);
    flow_fini(&f->flow);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(f->flow.n_exchanges, 0);
    assert_ended(partial);
    assert_ended(ahead);
    (void)close(partial);
    (void)close(ahead);
    assert_int_equal(flow_init(&f->flow, f->base, 0, 1), OK); /* for teardown */
}

static void one_that_leaves_within_its_head_counts_as_aborted(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, "GET / HT");
    hang_up(f, client);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED), 1);
    assert_int_equal(f->flow.n_clients, 0);
    client = client_open(f);
    hang_up(f, client);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED),
                     1); /* one that asked for nothing does not */
    assert_int_equal(f->flow.n_clients, 0);
}

/* A request that comes with its connection. */
static int client_comes_with(struct fixture *f, const char *request)
{
    int client = client_open_with(f, request);
    settle(f);
    return client;
}

static bool is_watched(const struct fixture *f)
{
    const struct client *c = CONTAINER_OF(f->flow.clients.next, struct client, link);
    assert_true(c->stream.is_reading);
    assert_int_equal(c->stream.is_deferred, !event_pending(&c->stream.read, EV_READ, NULL));
    return !c->stream.is_deferred;
}

#define LAST(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n"

static void one_that_comes_for_a_single_answer_is_watched_a_little_later(void **state)
{
    struct fixture *f = *state;
    int client = client_comes_with(f, LAST("/")), up = called(f, ROLE_STABLE);
    (void)hear(up);
    assert_false(is_watched(f));
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_ended(client);
    (void)close(client);
    assert_int_equal(f->flow.n_clients, 0);

    client = client_comes_with(f, LAST("/"));
    (void)hear(up);
    hang_up(f, client);
    assert_int_equal(f->flow.n_exchanges, 1);
    pass(f, 3 * WHEEL_TICK_MS);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED), 1);
    assert_int_equal(f->flow.n_clients, 0);
    assert_at_rest(f);
    (void)close(up);
}

/* Its next request, its body, or its leaving in the middle of one is awaited from the start. */
static void one_from_which_more_may_come_is_watched_at_once(void **state)
{
    struct fixture *f = *state;
    static const char *const requests[] = {
        GET("/"), "GET / HT", "",
        "POST / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\nContent-Length: 2\r\n\r\na"};
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int client = client_comes_with(f, requests[i]), up = called(f, ROLE_STABLE);
        assert_true(is_watched(f));
        hang_up(f, client);
        assert_int_equal(f->flow.n_clients, 0);
        assert_at_rest(f);
        if (up >= 0)
            (void)close(up);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_request_goes_through_and_back),
        TEST(both_connections_serve_again),
        TEST(pipelined_requests_are_served_in_order_one_at_a_time),
        TEST(many_pipelined_requests_are_all_served),
        TEST(heads_and_bodies_may_come_byte_by_byte),
        TEST(nonsense_is_refused_and_the_connection_ends),
        TEST(nonsense_behind_a_request_comes_second),
        TEST(a_client_that_asks_to_close_is_closed_behind_its_response),
        TEST(the_last_request_of_a_connection_says_so),
        TEST(a_silent_client_is_closed_after_the_time_of_a_head),
        TEST(a_slow_head_is_answered_408),
        TEST(the_first_head_has_its_time_from_accept_on),
        TEST(half_a_head_in_the_last_moment_has_an_end),
        TEST(each_head_has_a_deadline_of_its_own),
        TEST(what_is_held_ends_with_the_worker),
        TEST(one_that_leaves_within_its_head_counts_as_aborted),
        TEST(one_that_comes_for_a_single_answer_is_watched_a_little_later),
        TEST(one_from_which_more_may_come_is_watched_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
