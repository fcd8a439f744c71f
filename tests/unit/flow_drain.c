/* A drain: who is answered once more, who is closed and when, and that nobody is met by a reset.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#define GET(path) "GET " path " HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define DRAIN_MS  30000u /* of the fixture; FLOW_DRAIN_IDLE_MS is shorter than a share of it */
#define IDLE_MS   FLOW_DRAIN_IDLE_MS

static void drain(struct fixture *f, uint32_t ms)
{
    flow_drain(&f->flow, ms, ms);
    settle(f);
}

/* Answers one request of the client's from the endpoint's kept connection. */
static void answer(struct fixture *f, int client, int up, const char *field)
{
    say(f, client, GET("/"));
    assert_hears(up, "GET / ", "");
    say(f, up, OK_2 "hi");
    struct slice s = hear(client);
    assert_message(s, "HTTP/1.1 200 OK\r\n", "hi");
    assert_non_null(strstr(s.at, field));
}

/* The end is one that a client sees in its own time: no reset takes what it has not read yet. */
static void assert_ended_well(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static int served_once(struct fixture *f, int *up)
{
    int client = client_open(f);
    say(f, client, GET("/"));
    *up = called(f, ROLE_STABLE);
    (void)hear(*up);
    say(f, *up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    return client;
}

static void a_kept_connection_is_answered_once_more(void **state)
{
    struct fixture *f = *state;
    int up, client = served_once(f, &up);
    drain(f, DRAIN_MS);
    pass(f, IDLE_MS / 2);
    assert_silent(client);
    answer(f, client, up, "\r\nConnection: close\r\n");
    assert_ended_well(client);
    hang_up(f, client);
    assert_true(flow_is_drained(&f->flow));
    (void)close(up);
}

/* Accepted a moment before: its first request is on its way. */
static void a_new_connection_is_answered(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    drain(f, DRAIN_MS);
    pass(f, IDLE_MS - WHEEL_TICK_MS);
    say(f, client, GET("/"));
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_ended_well(client);
    (void)close(up);
    hang_up(f, client);
}

static void one_that_stays_idle_ends_in_an_orderly_way(void **state)
{
    struct fixture *f = *state;
    int up, client = served_once(f, &up);
    drain(f, DRAIN_MS);
    pass(f, IDLE_MS - 1);
    assert_silent(client);
    pass(f, WHEEL_TICK_MS + 1);
    assert_ended_well(client);
    say(f, client,
        GET("/late")); /* crossed our end: nobody can answer it, but no reset meets it either */
    assert_ended_well(client);
    assert_int_equal(called(f, ROLE_STABLE), -1);
    hang_up(f, client);
    assert_true(flow_is_drained(&f->flow));
    (void)close(up);
}

static void a_peer_that_does_not_see_the_end_is_not_waited_for(void **state)
{
    struct fixture *f = *state;
    int up, client = served_once(f, &up);
    drain(f, DRAIN_MS);
    pass(f, IDLE_MS + WHEEL_TICK_MS);
    assert_false(flow_is_drained(&f->flow));
    pass(f, 1000 + 2 * WHEEL_TICK_MS);
    assert_true(flow_is_drained(&f->flow));
    (void)close(client);
    (void)close(up);
}

/* Who was not used for long is closed first: its time began when it became idle. */
static void a_long_idle_one_ends_at_once(void **state)
{
    struct fixture *f = *state;
    int up, old = served_once(f, &up);
    pass(f, 20000);
    int young = client_open(f);
    drain(f, DRAIN_MS);
    pass(f, 2 * WHEEL_TICK_MS);
    assert_ended_well(old);
    assert_silent(young);
    hang_up(f, old);
    hang_up(f, young);
    (void)close(up);
}

/* Its bytes are there when its time is over, and the loop has yet to see them. */
static void a_request_of_that_very_moment_is_answered(void **state)
{
    struct fixture *f = *state;
    int up, client = served_once(f, &up);
    drain(f, DRAIN_MS);
    assert_int_equal(send(client, GET("/"), strlen(GET("/")), 0), strlen(GET("/")));
    fake_now_us += (IDLE_MS + WHEEL_TICK_MS) * 1000LL;
    event_active(&f->flow.tick, EV_TIMEOUT, 0); /* before the socket's event */
    settle(f);
    assert_hears(up, "GET / ", "");
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_ended_well(client);
    (void)close(up);
    hang_up(f, client);
}

/* A short drain leaves a sixth of itself. */
static void a_short_drain_has_a_short_patience(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    drain(f, 1200);
    pass(f, 199);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_ended_well(client);
    hang_up(f, client);
}

static void none_at_all_has_none(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    drain(f, 0);
    pass(f, 2 * WHEEL_TICK_MS);
    assert_ended_well(client);
    hang_up(f, client);
}

/* The response's head, which promised another request, went down before the drain began. */
static void a_promise_is_kept(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET("/"));
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, OK_2 "h");
    struct slice s = hear(client);
    assert_null(strstr(s.at, "Connection: close"));
    drain(f, DRAIN_MS);
    say(f, up, "i");
    assert_true(slice_equal(hear(client), slice_str("i")));
    pass(f, IDLE_MS / 2);
    assert_silent(client);
    answer(f, client, up, "\r\nConnection: close\r\n");
    assert_ended_well(client);
    (void)close(up);
    hang_up(f, client);
}

static void busy_ones_end_behind_their_response(void **state)
{
    struct fixture *f = *state;
    int busy = client_open(f), partial = client_open(f);
    say(f, busy, GET("/"));
    say(f, partial, "GET /p HTTP/1.1\r\n");
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    drain(f, DRAIN_MS);
    assert_silent(busy);
    say(f, up, OK_2 "hi");
    struct slice s = hear(busy);
    assert_message(s, "HTTP/1.1 200 OK\r\n", "hi");
    assert_non_null(strstr(s.at, "\r\nConnection: close\r\n"));
    assert_ended_well(busy);
    pass(f, IDLE_MS + WHEEL_TICK_MS); /* what has begun has the time of a head */
    say(f, partial, "Host: a.test\r\n\r\n");
    (void)hear(up);
    say(f, up, OK_2 "hi");
    assert_hears(partial, "HTTP/1.1 200 OK\r\n", "hi");
    assert_ended_well(partial);
    (void)close(busy);
    hang_up(f, partial);
    (void)close(up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_kept_connection_is_answered_once_more),
        TEST(a_new_connection_is_answered),
        TEST(one_that_stays_idle_ends_in_an_orderly_way),
        TEST(a_peer_that_does_not_see_the_end_is_not_waited_for),
        TEST(a_long_idle_one_ends_at_once),
        TEST(a_request_of_that_very_moment_is_answered),
        TEST(a_short_drain_has_a_short_patience),
        TEST(none_at_all_has_none),
        TEST(a_promise_is_kept),
        TEST(busy_ones_end_behind_their_response),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
