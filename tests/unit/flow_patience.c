/* A version that sends quickly is read in large pieces, and nothing that it has sent waits for long: not when it pauses, ends,
 * breaks off, or when its client or the pipes are the slow ones.
 * SPDX-License-Identifier: Apache-2.0 */
#include "flow_fixture.h"

#include "proxy/flow/patience.h"
#include "proxy/flow/splice.h"
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#define GET   "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"
#define OK_2  "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"
#define SIZE  (2u << 20)
#define PIECE (64u << 10)

/* One large response under way. */
struct response {
    struct fixture *f;
    int client, up;
    size_t sent, got;
};

static char bytes[SIZE];

/* Only TCP can wait for more than a byte. */
static int setup_tcp(void **state)
{
    struct fixture *f = &fixture;
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    begin();
    open_endpoints(f);
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        (void)close(f->endpoints[i]);
        wire_addr_inet(&f->addrs[i], false, loopback, 0);
        listen_at(&f->addrs[i], &f->endpoints[i], 100);
        wire_addr_local(&f->addrs[i], f->endpoints[i]);
    }
    return start(state);
}

/* What was sent has left, and is on the other side. */
static void arrive(int fd)
{
    int n = 1;
    for (unsigned i = 0; i < 1000 && n; i++) {
        assert_int_equal(ioctl(fd, SIOCOUTQNSD, &n), 0);
        if (n)
            (void)usleep(1000);
    }
    assert_int_equal(n, 0);
}

static void take(struct response *r)
{
    ssize_t n;
    do {
        settle(r->f);
        n = recv(r->client, bytes, sizeof bytes, 0);
        r->got += n > 0 ? (size_t)n : 0;
    } while (n > 0);
}

static void put(struct response *r, size_t len)
{
    while (len) {
        size_t most = len < PIECE ? len : PIECE;
        assert_int_equal(send(r->up, bytes, most, MSG_NOSIGNAL), most);
        arrive(r->up);
        r->sent += most;
        len -= most;
    }
}

/* The version sends, and the client has taken what of it there is to take. */
static void pass_on(struct response *r, size_t len)
{
    put(r, len);
    take(r);
}

static int await_call(struct fixture *f)
{
    int up = -1, at_once = 1;
    for (unsigned i = 0; i < 1000 && up < 0; i++) {
        settle(f);
        up = called(f, ROLE_STABLE);
        if (up < 0)
            (void)usleep(1000);
    }
    assert_true(up >= 0);
    assert_int_equal(setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once), 0);
    return up;
}

static struct slice hear_request(struct response *r)
{
    struct slice s = {NULL, 0};
    for (unsigned i = 0; i < 1000 && s.len == 0; i++) {
        settle(r->f);
        s = hear(r->up);
        if (s.len == 0)
            (void)usleep(1000);
    }
    return s;
}

static void say_head(struct response *r)
{
    char head[64];
    int len = snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %u\r\n\r\n", SIZE);
    assert_int_equal(send(r->up, head, (size_t)len, 0), len);
    arrive(r->up);
    settle(r->f);
}

static void begin_reply(struct response *r)
{
    say_head(r);
    assert_hears(r->client, "HTTP/1.1 200 OK\r\n", "");
    r->sent = r->got = 0;
}

static const struct stream *from(const struct response *r)
{
    assert_int_equal(r->f->flow.n_exchanges, 1);
    return &CONTAINER_OF(r->f->flow.exchanges.next, struct exchange, link)->up->stream;
}

/* So much has come of a response, in pieces that went down at once, that now more is awaited. */
static struct response quick(struct fixture *f)
{
    struct response r = {.f = f, .client = client_open(f)};
    say(f, r.client, GET);
    r.up = await_call(f);
    (void)hear_request(&r);
    begin_reply(&r);
    while (r.sent < PATIENCE_FROM) {
        assert_false(from(&r)->is_patient);
        pass_on(&r, PIECE);
        assert_int_equal(r.got, r.sent);
    }
    assert_true(from(&r)->is_patient);
    return r;
}

/* The whole response is there, and the next one, of which nothing may wait. */
static void assert_whole(struct response *r)
{
    assert_int_equal(r->sent, SIZE);
    assert_int_equal(r->got, SIZE);
    assert_at_rest(r->f);
    assert_int_equal(r->f->flow.upstream.n_idle, 1);
    assert_int_equal(requests(r->f, ROLE_STABLE, 200), 1);
    say(r->f, r->client, GET);
    assert_true(slice_starts(hear_request(r), SLICE("GET / ")));
    assert_int_equal(send(r->up, OK_2 "hi", strlen(OK_2 "hi"), 0), strlen(OK_2 "hi"));
    arrive(r->up);
    settle(r->f);
    assert_hears(r->client, "HTTP/1.1 200 OK\r\n", "hi");
    (void)close(r->up);
    hang_up(r->f, r->client);
}

/* Where the kernel's window is full before so much is there, that tells it too: the last 64 KiB may be read for themselves. */
static void the_next_piece_is_a_large_one(void **state)
{
    struct response r = quick(*state);
    while (r.sent < SIZE) {
        size_t next = SIZE - r.sent < PATIENCE_BYTES ? SIZE - r.sent : PATIENCE_BYTES;
        size_t before = r.got;
        if (next > PIECE)
            pass_on(&r, next - PIECE);
        assert_int_equal(r.got, before);
        pass_on(&r, next > PIECE ? PIECE : next);
        assert_int_equal(r.got, r.sent);
    }
    assert_whole(&r);
}

static void the_last_bytes_are_awaited_as_one(void **state)
{
    struct response r = quick(*state);
    while (SIZE - r.sent > 2 * PATIENCE_BYTES)
        pass_on(&r, PATIENCE_BYTES);
    pass_on(&r, SIZE - r.sent - 1000);
    assert_int_equal(r.got, r.sent);
    pass_on(&r, 999);
    assert_int_equal(r.got, r.sent - 999);
    pass_on(&r, 1);
    assert_whole(&r);
}

static void who_pauses_is_waited_for_once(void **state)
{
    struct response r = quick(*state);
    pass_on(&r, 1000);
    assert_int_equal(r.got, r.sent - 1000);
    pass(r.f, PATIENCE_MS + WHEEL_TICK_MS);
    take(&r);
    assert_int_equal(r.got, r.sent);
    pass_on(&r, 1);
    assert_int_equal(r.got, r.sent);
    while (r.sent < SIZE) {
        pass_on(&r, SIZE - r.sent < PIECE ? SIZE - r.sent : PIECE);
        assert_int_equal(r.got, r.sent);
    }
    assert_whole(&r);
}

/* A slow version has nothing to gain. */
static void small_pieces_begin_nothing(void **state)
{
    struct fixture *f = *state;
    struct response r = {.f = f, .client = client_open(f)};
    say(f, r.client, GET);
    r.up = await_call(f);
    (void)hear_request(&r);
    begin_reply(&r);
    while (r.sent < 2 * PATIENCE_FROM) {
        pass_on(&r, PATIENCE_QUICK - 1);
        assert_int_equal(r.got, r.sent);
        assert_false(from(&r)->is_patient);
    }
    (void)close(r.up);
    hang_up(f, r.client);
}

/* To await its next piece is no time of its own: silence is silence from its last byte on. */
static void who_falls_silent_is_cut_in_time(void **state)
{
    struct response r = quick(*state);
    uint32_t idle_ms = r.f->config.timeouts.response_idle_ms;
    pass(r.f, PATIENCE_MS + WHEEL_TICK_MS);
    pass(r.f, idle_ms - PATIENCE_MS - 2 * WHEEL_TICK_MS);
    assert_int_equal(r.f->flow.n_exchanges, 1);
    pass(r.f, 2 * WHEEL_TICK_MS);
    assert_at_rest(r.f);
    assert_int_equal(errors(r.f, ROLE_STABLE, REASON_TIMEOUT), 1);
    take(&r);
    assert_int_equal(r.got, r.sent);
    (void)close(r.up);
    hang_up(r.f, r.client);
}

static void a_short_time_for_silence_is_kept(void **state)
{
    struct fixture *f = *state;
    f->config.timeouts.response_idle_ms = PATIENCE_MS - 10;
    struct response r = quick(f);
    pass(f, PATIENCE_MS - 10 + WHEEL_TICK_MS); /* which ends the waiting */
    pass(f, 2 * WHEEL_TICK_MS);
    assert_at_rest(f);
    assert_int_equal(errors(f, ROLE_STABLE, REASON_TIMEOUT), 1);
    (void)close(r.up);
    hang_up(f, r.client);
}

static void who_breaks_off_loses_nothing(void **state)
{
    struct response r = quick(*state);
    pass_on(&r, 1000);
    assert_int_equal(r.got, r.sent - 1000);
    (void)close(r.up);
    for (unsigned i = 0; i < 1000 && r.f->flow.n_exchanges; i++) {
        settle(r.f);
        (void)usleep(1000);
    }
    take(&r);
    assert_int_equal(r.got, r.sent);
    assert_ended(r.client);
    assert_int_equal(errors(r.f, ROLE_STABLE, REASON_RESET), 1);
    assert_at_rest(r.f);
    hang_up(r.f, r.client);
}

/* The client stops within the last but one piece, and takes it later: of the end, which is there, nothing waits then. */
static void a_client_that_pauses_gets_the_end_at_once(void **state)
{
    struct response r = quick(*state);
    for (size_t ends = SIZE - 1000; r.sent < ends;) {
        put(&r, ends - r.sent < PIECE ? ends - r.sent : PIECE);
        if (ends - r.sent > 3 * PATIENCE_BYTES)
            take(&r);
        else
            settle(r.f);
    }
    assert_true(r.got < r.sent);
    take(&r);
    pass_on(&r, 1000);
    assert_whole(&r);
}

/* Nor is the version waited for again by that. */
static void who_pauses_while_its_client_does_is_waited_for_once(void **state)
{
    struct response r = quick(*state);
    while (from(&r)->is_reading && r.sent < SIZE / 2) {
        put(&r, PIECE);
        settle(r.f);
    }
    assert_false(from(&r)->is_reading);
    put(&r, 1000);
    take(&r);
    assert_true(r.got < r.sent);
    pass(r.f, PATIENCE_MS + WHEEL_TICK_MS);
    take(&r);
    assert_int_equal(r.got, r.sent);
    (void)close(r.up);
    hang_up(r.f, r.client);
}

/* A client over TCP, whose kernel and ours hold less for it than a UNIX socket does. */
static int client_open_tcp(struct fixture *f)
{
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    struct wire_addr at;
    wire_addr_inet(&at, false, loopback, 0);
    int listener, client = socket(AF_INET, SOCK_STREAM, 0);
    listen_at(&at, &listener, 1);
    stream_prepare(listener);
    wire_addr_local(&at, listener);
    assert_int_equal(connect(client, (const struct sockaddr *)at.bytes, at.len), 0);
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(fd >= 0);
    (void)close(listener);
    atomic_fetch_add(&f->shared.connections, 1); /* as the listener does */
    assert_true(client_accept(&f->flow, fd, &at, 0, f->listener));
    return client;
}

/* For one that reads nothing no more is kept in the kernel than ever. */
static void who_takes_nothing_is_not_read_for(void **state)
{
    struct fixture *f = *state;
    struct response r = {.f = f, .client = client_open_tcp(f)};
    say(f, r.client, GET);
    r.up = await_call(f);
    (void)hear_request(&r);
    say_head(&r);
    for (unsigned i = 0; i < SIZE / PIECE; i++) {
        (void)send(r.up, bytes, PIECE, MSG_NOSIGNAL);
        settle(f);
        assert_false(from(&r)->is_patient);
    }
    (void)close(r.up);
    hang_up(f, r.client);
}

static void without_pipes_the_rest_is_read_too(void **state)
{
    struct response r = quick(*state);
    struct pipe *all[PIPES_MAX];
    for (unsigned i = 0; i < PIPES_MAX; i++)
        assert_non_null(all[i] = pipe_take(&r.f->flow.pipes));
    uint64_t before = cell_read(&r.f->flow.cells->spliced_bytes[DIRECTION_RESPONSE]);
    while (SIZE - r.sent > PIECE)
        pass_on(&r, PIECE);
    pass_on(&r, SIZE - r.sent);
    assert_int_equal(cell_read(&r.f->flow.cells->spliced_bytes[DIRECTION_RESPONSE]), before);
    for (unsigned i = 0; i < PIPES_MAX; i++)
        pipe_give(all[i]);
    assert_whole(&r);
}

#undef TEST
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_tcp, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_next_piece_is_a_large_one),
        TEST(the_last_bytes_are_awaited_as_one),
        TEST(who_pauses_is_waited_for_once),
        TEST(small_pieces_begin_nothing),
        TEST(who_falls_silent_is_cut_in_time),
        TEST(a_short_time_for_silence_is_kept),
        TEST(who_breaks_off_loses_nothing),
        TEST(a_client_that_pauses_gets_the_end_at_once),
        TEST(who_pauses_while_its_client_does_is_waited_for_once),
        TEST(who_takes_nothing_is_not_read_for),
        TEST(without_pipes_the_rest_is_read_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
