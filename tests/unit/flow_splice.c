/* Large bodies on the whole path: what goes through a pipe and what is copied, that no byte is lost, moved or taken from whoever
 * it belongs to, and what becomes of a pipe with bytes in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include "proxy/flow/splice.h"

#define GET  "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2 "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define MIB  (1u << 20)

static char sent[65536], came[2 * MIB];

static char pattern(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

static uint64_t spliced(const struct fixture *f, enum metric_direction direction)
{
    return cell_read(&f->flow.cells->spliced_bytes[direction]);
}

static unsigned lent(const struct fixture *f)
{
    unsigned n = f->flow.pipes.n;
    for (const struct pipe *p = f->flow.pipes.idle; p; p = p->next)
        n--;
    return n;
}

/* Sends of the pattern, from there on, what the socket takes of len. */
static size_t put(int fd, size_t from, size_t len)
{
    size_t at = 0;
    while (at < len) {
        size_t most = len - at < sizeof sent ? len - at : sizeof sent;
        for (size_t i = 0; i < most; i++)
            sent[i] = pattern(from + at + i);
        ssize_t n = send(fd, sent, most, MSG_NOSIGNAL);
        if (n < 0)
            break;
        at += (size_t)n;
    }
    return at;
}

/* len bytes of the pattern go in at one end and must come out at the other. */
static void carry(struct fixture *f, int from, int to, size_t len)
{
    size_t in = 0, out = 0;
    assert_true(len <= sizeof came);
    for (unsigned i = 0; i < 10000 && out < len; i++) {
        in += put(from, in, len - in);
        settle(f);
        ssize_t n = recv(to, came + out, len - out, 0);
        out += n > 0 ? (size_t)n : 0;
        settle(f);
    }
    assert_int_equal(out, len);
    for (size_t i = 0; i < len; i++)
        if (came[i] != pattern(i))
            fail_msg("byte %zu of %zu is not in its place", i, len);
}

static int asked(struct fixture *f, int client, const char *request)
{
    say(f, client, request);
    int up = called(f, ROLE_STABLE);
    assert_true(up >= 0);
    (void)hear(up);
    return up;
}

static void begin_reply(struct fixture *f, int client, int up, const char *fields)
{
    char head[128];
    (void)snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\n%s\r\n\r\n", fields);
    say(f, up, head);
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "");
}

/* Both connections serve on, and nothing is under way. */
static void assert_serves_on(struct fixture *f, int client, int up)
{
    assert_at_rest(f);
    assert_int_equal(f->flow.upstream.n_idle, 1);
    assert_int_equal(lent(f), 0);
    say(f, client, GET);
    assert_true(slice_starts(hear(up), SLICE("GET / ")));
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
}

static void part(struct fixture *f, int client, int up)
{
    (void)close(up);
    hang_up(f, client);
    assert_int_equal(lent(f), 0);
}

/* --- down --- */

static void a_large_response_is_not_copied(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = asked(f, client, GET);
    begin_reply(f, client, up, "Content-Length: 1048577");
    carry(f, up, client, MIB + 1);
    assert_in_range(spliced(f, DIRECTION_RESPONSE), MIB + 1 - SPLICE_LEAST, MIB + 1);
    assert_int_equal(spliced(f, DIRECTION_REQUEST), 0);
    assert_int_equal(requests(f, ROLE_STABLE, 200), 1);
    assert_serves_on(f, client, up);
    part(f, client, up);
}

static void others_are(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *fields;
        size_t bytes;
    } rows[] = {{"Content-Length: 65535", SPLICE_LEAST - 1}, {"Connection: close", 200000}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int client = client_open(f), up = asked(f, client, "GET / HTTP/1.0\r\n\r\n");
        begin_reply(f, client, up, rows[i].fields);
        carry(f, up, client, rows[i].bytes);
        (void)close(up);
        hang_up(f, client);
    }
    assert_int_equal(f->flow.pipes.n, 0);
    assert_int_equal(spliced(f, DIRECTION_RESPONSE), 0);
}

static void chunks_are(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = asked(f, client, GET);
    begin_reply(f, client, up, "Transfer-Encoding: chunked");
    say(f, up, "100000\r\n");
    for (size_t at = 0; at < MIB;) {
        at += put(up, at, MIB - at);
        settle(f);
        (void)hear(client);
        settle(f);
    }
    say(f, up, "\r\n0\r\n\r\n");
    (void)hear(client);
    assert_int_equal(f->flow.pipes.n, 0);
    assert_serves_on(f, client, up);
    part(f, client, up);
}

static void bytes_behind_a_body_end_their_connection(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = asked(f, client, GET);
    begin_reply(f, client, up, "Content-Length: 100000");
    assert_int_equal(put(up, 0, 100000 + 7), 100000 + 7);
    settle(f);
    assert_int_equal(hear(client).len, 100000);
    assert_int_equal(spliced(f, DIRECTION_RESPONSE), 100000);
    assert_at_rest(f);
    assert_int_equal(f->flow.upstream.n_idle, 0);
    assert_ended(up);
    part(f, client, up);
}

static void a_response_that_breaks_off_shows_it(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = asked(f, client, GET);
    begin_reply(f, client, up, "Content-Length: 1000000");
    assert_int_equal(put(up, 0, 90000), 90000);
    settle(f);
    (void)close(up);
    settle(f);
    assert_int_equal(hear(client).len, 90000);
    assert_ended(client);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_RESET), 1);
    hang_up(f, client);
    assert_at_rest(f);
}

/* A response of which the client takes nothing: bytes wait in a pipe. */
static int clog_up(struct fixture *f, int client)
{
    int up = asked(f, client, GET);
    begin_reply(f, client, up, "Content-Length: 80000000");
    for (unsigned i = 0; i < 100 && put(up, 0, MIB); i++)
        settle(f);
    assert_int_equal(lent(f), 1);
    return up;
}

static void a_client_that_leaves_takes_the_pipe_with_it(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = clog_up(f, client);
    hang_up(f, client);
    assert_int_equal(f->flow.pipes.n, 0);
    assert_at_rest(f);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED), 1);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_RESET), 0);
    (void)close(up);
}

/* It is the client that is waited for: the version has done its part. */
static void a_client_that_takes_nothing_is_cut(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = clog_up(f, client);
    pass(f, 29000);
    assert_int_equal(f->flow.n_clients, 1);
    pass(f, 1100);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(f->flow.pipes.n, 0);
    assert_int_equal(client_errors(f, CLIENT_ERROR_TIMEOUT), 1);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 0);
    (void)close(up);
    (void)close(client);
}

/* The whole response is there, and its end waits in the pipe: the endpoint's connection is free already. */
static void the_end_may_wait_in_a_pipe(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f), up = asked(f, client, GET);
    begin_reply(f, client, up, "Content-Length: 400000");
    size_t at = 0;
    for (unsigned i = 0; i < 100 && at < 400000; i++) {
        at += put(up, at, 400000 - at);
        settle(f);
    }
    assert_int_equal(at, 400000);
    assert_int_equal(lent(f), 1);
    assert_at_rest(f);
    assert_int_equal(f->flow.upstream.n_idle, 1);
    size_t out = 0;
    for (unsigned i = 0; i < 100 && out < at; i++) {
        out += hear(client).len;
        settle(f);
    }
    assert_int_equal(out, at);
    assert_serves_on(f, client, up);
    part(f, client, up);
}

static void without_a_pipe_bytes_are_copied_also_in_the_middle(void **state)
{
    struct fixture *f = *state;
    struct pipe *all[PIPES_MAX];
    int client = client_open(f), up = asked(f, client, GET);
    begin_reply(f, client, up, "Content-Length: 1048576");
    assert_int_equal(put(up, 0, 70000), 70000);
    settle(f);
    assert_int_equal(spliced(f, DIRECTION_RESPONSE), 70000);
    for (unsigned i = 0; i < PIPES_MAX; i++)
        assert_non_null(all[i] = pipe_take(&f->flow.pipes));
    assert_int_equal(put(up, 70000, 70000), 70000);
    settle(f);
    assert_int_equal(spliced(f, DIRECTION_RESPONSE), 70000);
    for (unsigned i = 0; i < PIPES_MAX; i++)
        pipe_give(all[i]);
    assert_int_equal(put(up, 140000, 10000), 10000);
    settle(f);
    assert_int_equal(spliced(f, DIRECTION_RESPONSE), 80000);
    struct slice s = hear(client);
    assert_int_equal(s.len, 150000);
    for (size_t i = 0; i < s.len; i++)
        assert_int_equal(s.at[i], pattern(i));
    part(f, client, up);
}

/* Behind a large one so little is read of the next that only that is copied; behind a small one, as much as is there. */
static void who_sent_a_large_one_is_read_in_a_smaller_piece(void **state)
{
    struct fixture *f = *state;
    static const struct {
        unsigned length;
        bool is_spliced;
    } rows[] = {{100000, false}, {100000, true}, {100000, true}, {69000, false}, {100000, false}};
    int client = client_open(f), up = -1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char head[64];
        size_t length = rows[i].length;
        uint64_t before = spliced(f, DIRECTION_RESPONSE);
        int len =
            snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
        say(f, client, GET);
        up = i ? up : called(f, ROLE_STABLE);
        (void)hear(up);
        assert_int_equal(send(up, head, (size_t)len, 0), len);
        assert_int_equal(put(up, 0, length), length);
        settle(f);
        struct slice s = hear(client);
        const char *body = strstr(s.at, "\r\n\r\n") + 4;
        assert_int_equal(s.at + s.len - body, length);
        for (size_t k = 0; k < length; k++)
            assert_int_equal(body[k], pattern(k));
        assert_int_equal(spliced(f, DIRECTION_RESPONSE) - before,
                         rows[i].is_spliced ? length + (size_t)len - SPLICE_FIRST_BYTES : 0);
    }
    part(f, client, up);
}

/* --- up --- */

static void a_large_request_is_not_copied(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = asked(f, client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048577\r\n\r\n");
    carry(f, client, up, MIB + 1);
    assert_in_range(spliced(f, DIRECTION_REQUEST), MIB + 1 - SPLICE_LEAST, MIB + 1);
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_int_equal(spliced(f, DIRECTION_RESPONSE), 0);
    assert_serves_on(f, client, up);
    part(f, client, up);
}

/* An idempotent one may go to another endpoint while all of it is kept. */
static void what_may_be_sent_again_is_copied(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = asked(f, client, "PUT / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1048576\r\n\r\n");
    for (size_t at = 0; at < EXCHANGE_REPLAY_MAX; at += 16384) {
        assert_int_equal(put(client, at, 16384), 16384);
        settle(f);
    }
    assert_int_equal(spliced(f, DIRECTION_REQUEST), 0);
    assert_int_equal(put(client, EXCHANGE_REPLAY_MAX, 16384), 16384);
    settle(f);
    assert_int_equal(put(client, EXCHANGE_REPLAY_MAX + 16384, 16384), 16384);
    settle(f);
    assert_int_equal(spliced(f, DIRECTION_REQUEST), 16384);
    struct slice s = hear(up);
    assert_int_equal(s.len, EXCHANGE_REPLAY_MAX + 2 * 16384);
    for (size_t i = 0; i < s.len; i++)
        assert_int_equal(s.at[i], pattern(i));
    part(f, client, up);
}

static void the_next_request_is_not_taken_for_body(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = asked(f, client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 70001\r\n\r\n");
    assert_int_equal(put(client, 0, 70001), 70001);
    say(f, client, "GET /next HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_int_equal(spliced(f, DIRECTION_REQUEST), 70001);
    assert_int_equal(hear(up).len, 70001);
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    assert_true(slice_starts(hear(up), SLICE("GET /next ")));
    say(f, up, OK_2 "hi");
    assert_hears(client, "HTTP/1.1 200 OK\r\n", "hi");
    part(f, client, up);
}

static void a_request_that_breaks_off_is_taken_back(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up = asked(f, client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 1000000\r\n\r\n");
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(put(client, i * 70000, 70000), 70000);
        settle(f);
    }
    assert_true(spliced(f, DIRECTION_REQUEST) > 0);
    hang_up(f, client);
    assert_int_equal(hear(up).len, 140000);
    assert_ended(up);
    assert_int_equal(client_errors(f, CLIENT_ERROR_ABORTED), 1);
    assert_at_rest(f);
    (void)close(up);
}

/* The endpoint answers while it takes nothing of the body: its answer goes down, the pipe with what it did not take is gone. */
static void an_endpoint_that_refuses_in_the_middle_is_heard(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    int up =
        asked(f, client, "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 80000000\r\n\r\n");
    for (unsigned i = 0; i < 100 && put(client, 0, MIB); i++)
        settle(f);
    assert_int_equal(lent(f), 1);
    say(f, up, "HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno");
    assert_hears(client, "HTTP/1.1 413 ", "no");
    assert_int_equal(f->flow.pipes.n, 0);
    assert_at_rest(f);
    assert_int_equal(f->flow.upstream.n_idle, 0);
    part(f, client, up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_large_response_is_not_copied),
        TEST(others_are),
        TEST(chunks_are),
        TEST(bytes_behind_a_body_end_their_connection),
        TEST(a_response_that_breaks_off_shows_it),
        TEST(a_client_that_leaves_takes_the_pipe_with_it),
        TEST(a_client_that_takes_nothing_is_cut),
        TEST(the_end_may_wait_in_a_pipe),
        TEST(without_a_pipe_bytes_are_copied_also_in_the_middle),
        TEST(who_sent_a_large_one_is_read_in_a_smaller_piece),
        TEST(a_large_request_is_not_copied),
        TEST(what_may_be_sent_again_is_copied),
        TEST(the_next_request_is_not_taken_for_body),
        TEST(a_request_that_breaks_off_is_taken_back),
        TEST(an_endpoint_that_refuses_in_the_middle_is_heard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
