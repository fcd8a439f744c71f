/* One request through the proxy: bodies both ways, a slow side that slows the other one, and
 * clients that leave at any moment. SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include <sys/ioctl.h>

#define POST(fields) "POST / HTTP/1.1\r\nHost: a.test\r\n" fields "\r\n"
#define GET          "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define CHUNKED      "Transfer-Encoding: chunked\r\n"

/* --- bodies --- */

static void request_bodies_go_up_as_they_were_framed(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *pieces[4], *field, *body;
    } rows[] = {
        {{POST("Content-Length: 0\r\n")}, "\r\nContent-Length: 0\r\n", ""},
        {{POST("Content-Length: 4\r\n") "abcd"}, "\r\nContent-Length: 4\r\n", "abcd"},
        {{POST("Content-Length: 4\r\n"), "a", "bc", "d"}, "\r\nContent-Length: 4\r\n", "abcd"},
        {{POST(CHUNKED) "3\r\nabc\r\n0\r\n\r\n"}, "\r\n" CHUNKED, "3\r\nabc\r\n0\r\n\r\n"},
        {{POST(CHUNKED), "2;x=y\r\nab\r\n", "1\r\nc\r\n0\r\n", "X-T: 1\r\n\r\n"},
         "\r\n" CHUNKED,
         "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"},
        {{POST(CHUNKED), "0\r\n\r\n"}, "\r\n" CHUNKED, "0\r\n\r\n"},
    };
    int client = client_open(f), up = -1;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t k = 0; k < 4 && rows[i].pieces[k]; k++)
            say(f, client, rows[i].pieces[k]);
        up = i ? up : called(f, ROLE_STABLE);
        struct slice s = hear(up);
        assert_message(s, "POST / HTTP/1.1\r\n", rows[i].body);
        assert_non_null(strstr(s.at, rows[i].field));
        say(f, up, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_hears(client, "HTTP/1.1 204 ", "");
        assert_at_rest(f);
    }
    (void)close(up);
    (void)close(client);
}

static void response_bodies_come_down_whole(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request, *response, *body;
        bool is_until_close, client_closes;
    } rows[] = {
        {GET, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc", false, false},
        {GET, "HTTP/1.1 200 OK\r\n" CHUNKED "\r\n3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n",
         false, false},
        {GET, "HTTP/1.1 200 OK\r\n\r\nabc", "3\r\nabc\r\n0\r\n\r\n", true, false},
        {GET, "HTTP/1.1 200 OK\r\n\r\n", "0\r\n\r\n", true, false},
        {GET, "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", "", false, false},
        {"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", "",
         false, false},
        {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n" CHUNKED "\r\n3\r\nabc\r\n0\r\n\r\n", "abc",
         false, true},
        {"GET / HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\nabc", "abc", true, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        f->flow.upstream.idle_ms = 1; /* a new connection each time */
        pass(f, 1000);
        say(f, client, rows[i].request);
        int up = called(f, ROLE_STABLE);
        (void)hear(up);
        say(f, up, rows[i].response);
        if (rows[i].is_until_close)
            (void)shutdown(up, SHUT_WR);
        settle(f);
        assert_hears(client, "HTTP/1.1 ", rows[i].body);
        if (rows[i].client_closes)
            assert_ended(client);
        else
            assert_silent(client);
        assert_at_rest(f);
        assert_int_equal(f->flow.upstream.n_idle, !rows[i].is_until_close);
        (void)close(up);
        hang_up(f, client);
    }
    assert_int_equal(responses(f, 200), ARRAY_LEN(rows) - 1);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_RESET), 0);
}

static void interim_responses_go_down_before_the_final_one(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST("Expect: 100-continue\r\nContent-Length: 2\r\n"));
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "POST / ", "");
    say(f, up, "HTTP/1.1 100 Continue\r\n\r\n");
    assert_hears(client, "HTTP/1.1 100 ", "");
    say(f, client, "ab");
    assert_true(slice_equal(hear(up), SLICE("ab")));
    say(f, up, "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    struct slice s = hear(client);
    assert_true(slice_starts(s, SLICE("HTTP/1.1 103 ")));
    assert_non_null(strstr(s.at, "\r\n\r\nHTTP/1.1 200 OK\r\n"));
    assert_int_equal(all_requests(f), 1);
    (void)close(up);
    (void)close(client);
}

/* --- a slow side slows the other one --- */

#define BIG (8u << 20)

static char pattern(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

/* Sends more of a body of BIG bytes from *at on, as far as the socket takes it. */
static void pour(int fd, size_t *at)
{
    static char block[1u << 16];
    while (*at < BIG) {
        size_t n = sizeof block < BIG - *at ? sizeof block : BIG - *at;
        for (size_t i = 0; i < n; i++)
            block[i] = pattern(*at + i);
        ssize_t sent = send(fd, block, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        *at += (size_t)sent;
    }
}

/* Reads what has come of it. */
static void drink(int fd, size_t *at)
{
    struct slice s = hear(fd);
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != pattern(*at + i))
            fail_msg("byte %zu is not in its place", *at + i);
    *at += s.len;
}

/* While nobody drinks, what was poured stays bounded; then everything arrives. */
static void carry(struct fixture *f, int from, int to, struct client *c)
{
    size_t poured = 0, drunk = 0;
    for (unsigned i = 0; i < 100; i++) {
        pour(from, &poured);
        settle(f);
    }
    assert_true(poured < BIG / 4);
    assert_int_equal(c->state, CLIENT_BUSY);
    for (unsigned i = 0; i < 10000 && drunk < BIG; i++) {
        drink(to, &drunk);
        pour(from, &poured);
        settle(f);
    }
    assert_int_equal(drunk, BIG);
}

static struct client *first_client(struct fixture *f)
{
    return CONTAINER_OF(f->flow.clients.next, struct client, link);
}

static void a_slow_endpoint_slows_its_client(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST("Content-Length: 8388608\r\n"));
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "POST / ", "");
    carry(f, client, up, first_client(f));
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "");
    assert_at_rest(f);
    (void)close(up);
    (void)close(client);
}

static void a_slow_client_slows_its_endpoint(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "");
    carry(f, up, client, first_client(f));
    assert_at_rest(f);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 1);
    (void)close(up);
    (void)close(client);
}

/* A response of so many bytes that nobody drinks; returns how many of them client's socket and the
 * proxy hold. */
static size_t offer(struct fixture *f, int client, size_t length)
{
    char head[64];
    size_t poured = BIG - length;
    int in_socket = 0;
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
    say(f, up, head);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "");
    for (unsigned i = 0; i < 100; i++) {
        pour(up, &poured);
        settle(f);
    }
    (void)close(up);
    assert_int_equal(ioctl(client, FIONREAD, &in_socket), 0);
    return (size_t)in_socket + stream_pending(&first_client(f)->stream);
}

/* The endpoint is done, the client is not: the rest waits without the endpoint, but not for ever.
 */
static void the_end_of_a_response_waits_for_a_slow_client(void **state)
{
    struct fixture *f = *state;
    int probe = client_open(f);
    size_t length = offer(f, probe, BIG); /* the most that is taken while nobody drinks */
    hang_up(f, probe);
    for (unsigned is_too_slow = 0; is_too_slow < 2; is_too_slow++) {
        size_t drunk = BIG - length;
        int client = client_open(f);
        assert_int_equal(offer(f, client, length), length);
        assert_at_rest(f);
        assert_int_equal(first_client(f)->state, CLIENT_FLUSH);
        pass(f, f->config.timeouts.client_body_ms - 1);
        assert_int_equal(first_client(f)->state, CLIENT_FLUSH);
        if (is_too_slow) {
            pass(f, 1 + WHEEL_TICK_MS);
            assert_int_equal(f->flow.n_clients, 0);
            assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
        } else {
            for (unsigned i = 0; i < 1000 && drunk < BIG; i++) {
                drink(client, &drunk);
                settle(f);
            }
            assert_int_equal(drunk, BIG);
            assert_int_equal(first_client(f)->state, CLIENT_READY);
        }
        hang_up(f, client);
    }
    assert_int_equal(requests(f, ROLE_STABLE, 200), 3);
}

/* --- clients that leave --- */

static void assert_left(const struct fixture *f, unsigned status, unsigned n)
{
    assert_at_rest(f);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(f->flow.upstream.n_idle, 0); /* nobody knows what would still come on it */
    assert_int_equal(requests(f, ROLE_STABLE, status), n);
    assert_int_equal(all_requests(f), n);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED), n);
    for (unsigned i = 0; i < REASON_COUNT; i++) /* not the version's fault */
        assert_int_equal(errors(f, ROLE_STABLE, (enum metric_reason)i), 0);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->judged[ROLE_STABLE]), 0);
}

static void one_that_leaves_while_it_waits(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    hang_up(f, client);
    assert_left(f, 499, 1);
    assert_ended(up);
    (void)close(up);
}

static void one_that_leaves_within_a_head_that_comes_down(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 200 OK\r\nConte");
    hang_up(f, client);
    assert_left(f, 499, 1);
    (void)close(up);
}

static void one_that_leaves_within_its_body(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST("Content-Length: 9\r\n") "abc");
    int up = called(f, ROLE_STABLE);
    assert_hears(up, "POST / ", "abc");
    hang_up(f, client);
    assert_left(f, 499, 1);
    assert_ended(up);
    (void)close(up);
}

static void one_that_leaves_within_the_response(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "abc");
    hang_up(f, client);
    assert_int_equal(f->flow.n_exchanges, 1); /* it may only have closed its side */
    say(f, up, "def");
    assert_left(f, 200, 1);
    assert_ended(up);
    (void)close(up);
}

/* The send finds it, not the receive: it has closed with a response unread. */
static void one_that_leaves_with_a_clogged_connection(void **state)
{
    struct fixture *f = *state;
    size_t poured = 0;
    int client = client_open(f);
    say(f, client, GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n");
    for (unsigned i = 0; i < 50; i++) {
        pour(up, &poured);
        settle(f);
    }
    hang_up(f, client);
    assert_at_rest(f);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 1);
    (void)close(up);
}

static void one_that_leaves_before_the_connection_is_there(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    assert_int_equal(send(client, GET, sizeof GET - 1, 0), sizeof GET - 1);
    (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(f->flow.n_exchanges, 1);
    assert_int_equal(first_client(f)->exchange->state, EXCHANGE_CONNECT);
    hang_up(f, client); /* the loop sees both in one turn, in whichever order */
    assert_left(f, 499, 1);
    int up = called(f, ROLE_STABLE);
    (void)close(up);
}

/* Requests that it has sent ahead are not begun, and leave nothing behind. */
static void one_that_leaves_with_requests_ahead(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, GET GET);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    hang_up(f, client); /* not seen yet: reading rests while a request waits */
    say(f, up, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    settle(f);
    assert_at_rest(f);
    assert_int_equal(f->flow.n_clients, 0);
    (void)close(up);
}

/* --- clients that are too slow --- */

static void a_body_that_stops_is_answered_408(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, POST("Content-Length: 9\r\n") "abc");
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    pass(f, f->config.timeouts.client_body_ms - 1);
    say(f, client, "d"); /* begins anew */
    pass(f, f->config.timeouts.client_body_ms - 1);
    assert_silent(client);
    pass(f, 1 + WHEEL_TICK_MS);
    assert_hears(client, "HTTP/1.1 408 ", "408 Request Timeout\n");
    assert_at_rest(f);
    assert_int_equal(requests(f, ROLE_STABLE, 408), 1);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->judged[ROLE_STABLE]), 0);
    (void)close(up);
    (void)close(client);
}

static void a_body_above_the_limit_is_refused_before_and_within(void **state)
{
    struct fixture *f = *state;
    static const char *const rows[] = {POST("Content-Length: 9\r\n"),
                                       POST(CHUNKED) "9\r\nabcdefghi\r\n"};
    f->config.limits.body_bytes = 8;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        say(f, client, rows[i]);
        assert_hears(client, "HTTP/1.1 413 ", "413 Content Too Large\n");
        assert_ended(client);
        assert_int_equal(client_errors(f, CLIENT_ERROR_BAD_REQUEST), i + 1);
        assert_at_rest(f);
        hang_up(f, client);
    }
    assert_int_equal(errors(f, ROLE_STABLE, REASON_5XX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(request_bodies_go_up_as_they_were_framed),
        TEST(response_bodies_come_down_whole),
        TEST(interim_responses_go_down_before_the_final_one),
        TEST(a_slow_endpoint_slows_its_client),
        TEST(a_slow_client_slows_its_endpoint),
        TEST(the_end_of_a_response_waits_for_a_slow_client),
        TEST(one_that_leaves_while_it_waits),
        TEST(one_that_leaves_within_a_head_that_comes_down),
        TEST(one_that_leaves_within_its_body),
        TEST(one_that_leaves_within_the_response),
        TEST(one_that_leaves_with_a_clogged_connection),
        TEST(one_that_leaves_before_the_connection_is_there),
        TEST(one_that_leaves_with_requests_ahead),
        TEST(a_body_that_stops_is_answered_408),
        TEST(a_body_above_the_limit_is_refused_before_and_within),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
