/* Upgraded connections: which request asks for one, which answer makes one, and bytes both ways in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_tunnel.h"

/* --- how one begins --- */

#define START "GET / HTTP/1.1\r\nHost: a.test\r\n"

static void only_a_websocket_get_without_a_body_asks(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *request;
        bool asks;
    } rows[] = {
        {START FIELDS "\r\n", true},
        {START "Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n\r\n", true},
        {START FIELDS "Content-Length: 0\r\n\r\n", true},
        {START FIELDS "Content-Length: 3\r\n\r\nabc", false},
        {START FIELDS "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
        {START "Upgrade: websocket\r\n\r\n", false},
        {START "Connection: upgrade\r\n\r\n", false},
        {START "Connection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n", false},
        {START "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n", false},
        {START FIELDS "Upgrade: h2c\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nHost: a.test\r\n" FIELDS "\r\n", false},
        {"POST / HTTP/1.1\r\nHost: a.test\r\n" FIELDS "\r\n", false},
        {"HEAD / HTTP/1.1\r\nHost: a.test\r\n" FIELDS "\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int client = client_open(f);
        say(f, client, rows[i].request);
        int up = called(f, ROLE_STABLE);
        struct slice s = hear(up);
        assert_int_equal(strstr(s.at, "Upgrade: websocket\r\n") != NULL, rows[i].asks);
        assert_int_equal(strstr(s.at, "pgrade") != NULL, rows[i].asks);
        /* an answer that would open one anyway never does */
        say(f, up, OK_101);
        assert_true(slice_starts(hear(client),
                                 rows[i].asks ? SLICE("HTTP/1.1 101 ") : SLICE("HTTP/1.1 502 ")));
        assert_int_equal(tunnels(f, ROLE_STABLE), rows[i].asks);
        (void)close(up);
        hang_up(f, client);
        assert_true(list_empty(&f->flow.tunnels));
    }
}

static void an_answer_that_is_not_quite_it_is_malformed(void **state)
{
    struct fixture *f = *state;
    static const char *const answers[] = {
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n" FIELDS "Upgrade: h2c\r\n\r\n",
        "HTTP/1.0 101 Switching Protocols\r\n" FIELDS "\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n" FIELDS
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        int client = client_open(f);
        say(f, client, UPGRADE);
        int up = called(f, ROLE_STABLE);
        (void)hear(up);
        say(f, up, answers[i]);
        assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
        assert_ended(up);
        (void)close(up);
        assert_at_rest(f);
        say(f, client, GET); /* its connection goes on */
        up = called(f, ROLE_STABLE);
        assert_hears(up, "GET / HTTP/1.1\r\n", "");
        (void)close(up);
        hang_up(f, client);
        assert_int_equal(errors(f, ROLE_STABLE, REASON_MALFORMED), i + 1);
        assert_int_equal(requests(f, ROLE_STABLE, 101), 0);
    }
    assert_int_equal(cell_read(&cells(f, ROLE_STABLE)->tunnels), 0);
}

static void it_may_come_before_the_request_is_out_only_as_nonsense(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, UPGRADE);
    int up = called(f, ROLE_STABLE);
    struct exchange *x = CONTAINER_OF(f->flow.clients.next, struct client, link)->exchange;
    x->state = EXCHANGE_SEND; /* as if the last bytes of the head waited still */
    say(f, up, OK_101);
    assert_hears(client, "HTTP/1.1 502 ", "502 Bad Gateway\n");
    (void)close(up);
    hang_up(f, client);
}

static void it_is_counted_once_with_its_answer(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, UPGRADE);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    pass(f, 700);
    say(f, up, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" OK_101);
    struct slice s = hear(client);
    assert_true(slice_starts(s, SLICE("HTTP/1.1 103 ")));
    assert_non_null(strstr(s.at, "\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n" FIELDS));
    for (unsigned is_over = 0; is_over < 2; is_over++) {
        const struct variant_cells *c = cells(f, ROLE_STABLE);
        struct hist_sum sum = {.sum_us = 0};
        hist_add(&sum, &c->duration[ROLE_STABLE]);
        assert_int_equal(hist_count(&sum), 1);
        assert_int_equal(sum.sum_us, 700000);
        assert_int_equal(all_requests(f), 1);
        assert_int_equal(requests(f, ROLE_STABLE, 101), 1);
        assert_int_equal(responses(f, 101), 1);
        assert_int_equal(cell_read(&c->judged[ROLE_STABLE]), 1);
        assert_int_equal(cell_read(&c->judged_failed[ROLE_STABLE]), 0);
        assert_int_equal(cell_read(&c->judged_client_errors[ROLE_STABLE]), 0);
        assert_int_equal(cell_read(&c->inflight), 0);
        assert_int_equal(tunnels(f, ROLE_STABLE), !is_over);
        assert_int_equal(f->flow.n_exchanges, 0);
        /* what chooses by load sees it */
        assert_int_equal(*f->flow.world->loads[f->route->stable.first_endpoint], !is_over);
        if (!is_over)
            close_pair(f, (struct pair){client, up});
        pass(f, 5000);
    }
    for (unsigned i = 0; i < REASON_COUNT; i++)
        assert_int_equal(errors(f, ROLE_STABLE, (enum metric_reason)i), 0);
    for (unsigned i = 0; i < CLIENT_ERROR_COUNT; i++)
        assert_int_equal(client_errors(f, (enum metric_client_error)i), 0);
}

/* Nothing of the client's is in the tunnel's protocol before there is a tunnel. */
static void what_comes_too_early_waits(void **state)
{
    struct fixture *f = *state;
    static const char *const pieces[][2] = {{UPGRADE "early", ""}, {UPGRADE, "early"}};
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        int client = client_open(f);
        say(f, client, pieces[i][0]);
        say(f, client, pieces[i][1]);
        int up = called(f, ROLE_STABLE);
        assert_message(hear(up), "GET /chat HTTP/1.1\r\n", "");
        say(f, client, " later");
        assert_silent(up);
        say(f, up, OK_101 "hello");
        assert_hears(client, "HTTP/1.1 101 ", "hello");
        assert_hears_bytes(up, "early later");
        struct pair p = {client, up};
        assert_alive(f, p);
        close_pair(f, p);
    }
}

/* Refused: what stands behind it is a request like any other, never a part of a tunnel. */
static void behind_a_refused_one_stands_a_request(void **state)
{
    struct fixture *f = *state;
    static const char *const answers[] = {
        OK_0,
        "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 426 Upgrade Required\r\n" FIELDS "Content-Length: 0\r\n\r\n",
    };
    int client = client_open(f), up = -1;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        say(f, client,
            UPGRADE
            "GET /smuggled HTTP/1.1\r\nHost: a.test\r\nConnection: x-evil\r\nX-Evil: 1\r\n\r\n");
        up = i ? up : called(f, ROLE_STABLE);
        assert_message(hear(up), "GET /chat HTTP/1.1\r\n", "");
        assert_silent(up);
        say(f, up, answers[i]);
        struct slice s = hear(up);
        assert_message(s, "GET /smuggled HTTP/1.1\r\nHost: a.test\r\nVia: 1.1 serin\r\n", "");
        say(f, up, OK_0);
        s = hear(client);
        assert_true(slice_starts(s, slice_of(answers[i], 13)));
        assert_non_null(strstr(s.at, "\r\n\r\nHTTP/1.1 200 OK\r\n"));
        assert_at_rest(f);
    }
    assert_int_equal(all_requests(f), 6);
    assert_int_equal(requests(f, ROLE_STABLE, 101), 0);
    (void)close(up);
    hang_up(f, client);
}

static void a_client_that_leaves_before_it_is_no_tunnel(void **state)
{
    struct fixture *f = *state;
    int client = client_open(f);
    say(f, client, UPGRADE);
    int up = called(f, ROLE_STABLE);
    (void)hear(up);
    hang_up(f, client);
    assert_int_equal(requests(f, ROLE_STABLE, 499), 1);
    assert_at_rest(f);
    (void)close(up);
}

/* --- bytes --- */

#define BIG ((size_t)8 << 20)

static char pattern(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

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

static void drink(int fd, size_t *at)
{
    struct slice s = hear(fd);
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] != pattern(*at + i))
            fail_msg("byte %zu is not in its place", *at + i);
    *at += s.len;
}

/* Both ways at once; while nobody drinks, what is held stays bounded. */
static void a_slow_side_slows_the_other_one(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    const struct tunnel *t = CONTAINER_OF(f->flow.tunnels.next, struct tunnel, link);
    size_t up = 0, down = 0, got_up = 0, got_down = 0;
    for (unsigned i = 0; i < 100; i++) {
        pour(p.client, &up);
        pour(p.up, &down);
        settle(f);
    }
    assert_true(up < BIG / 4 && down < BIG / 4);
    assert_in_range(stream_pending(&t->client->stream), 1, FLOW_RECV_BYTES);
    assert_in_range(stream_pending(&t->up->stream), 1, FLOW_RECV_BYTES);
    for (unsigned i = 0; i < 10000 && (got_up < BIG || got_down < BIG); i++) {
        drink(p.up, &got_up);
        drink(p.client, &got_down);
        pour(p.client, &up);
        pour(p.up, &down);
        settle(f);
    }
    assert_int_equal(got_up, BIG);
    assert_int_equal(got_down, BIG);
    assert_int_equal(stream_pending(&t->client->stream) + stream_pending(&t->up->stream), 0);
    assert_alive(f, p);
    close_pair(f, p);
}

/* What waited is out before the end is told. */
static void an_end_comes_behind_what_was_sent(void **state)
{
    struct fixture *f = *state;
    for (unsigned is_client = 0; is_client < 2; is_client++) {
        struct pair p = open_tunnel(f, ROLE_STABLE);
        int from = is_client ? p.client : p.up, to = is_client ? p.up : p.client;
        size_t poured = 0, drunk = 0;
        for (unsigned i = 0; i < 100; i++) {
            pour(from, &poured);
            settle(f);
        }
        assert_int_equal(shutdown(from, SHUT_WR), 0);
        settle(f);
        for (unsigned i = 0; i < 1000 && drunk < poured; i++) {
            drink(to, &drunk);
            settle(f);
        }
        assert_int_equal(drunk, poured);
        assert_ended(to);
        say(f, to, "and the answer"); /* half is open still */
        assert_hears_bytes(from, "and the answer");
        assert_int_equal(tunnels(f, ROLE_STABLE), 1);
        assert_int_equal(shutdown(to, SHUT_WR), 0);
        settle(f);
        assert_over(f, p);
    }
}

static void a_side_that_breaks_ends_it_with_its_last_words(void **state)
{
    struct fixture *f = *state;
    struct pair p = open_tunnel(f, ROLE_STABLE);
    assert_int_equal(send(p.up, "bye", 3, 0), 3);
    (void)close(p.up);
    say(f, p.client, "are you there");
    assert_hears_bytes(p.client, "bye");
    assert_ended(p.client);
    settle(f);
    hang_up(f, p.client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_at_rest(f);
    p = open_tunnel(f, ROLE_STABLE);
    size_t poured = 0;
    for (unsigned i = 0; i < 100; i++) { /* bytes wait for a client that goes */
        pour(p.up, &poured);
        settle(f);
    }
    hang_up(f, p.client);
    assert_int_equal(f->flow.n_clients, 0);
    assert_at_rest(f);
    (void)close(p.up);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(only_a_websocket_get_without_a_body_asks),
        TEST(an_answer_that_is_not_quite_it_is_malformed),
        TEST(it_may_come_before_the_request_is_out_only_as_nonsense),
        TEST(it_is_counted_once_with_its_answer),
        TEST(what_comes_too_early_waits),
        TEST(behind_a_refused_one_stands_a_request),
        TEST(a_client_that_leaves_before_it_is_no_tunnel),
        TEST(a_slow_side_slows_the_other_one),
        TEST(an_end_comes_behind_what_was_sent),
        TEST(a_side_that_breaks_ends_it_with_its_last_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
