/* Receiving on a stream, its events and its end: no callback comes that was not asked for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_stream.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

/* --- receiving --- */

static void recv_tells_bytes_from_nothing_from_the_end(void **state)
{
    struct fixture *f = *state;
    char buf[8];
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), STREAM_AGAIN);
    peer_says(f, "0123456789");
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), 8);
    assert_memory_equal(buf, "01234567", 8);
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), 2);
    assert_memory_equal(buf, "89", 2);
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), STREAM_AGAIN);
    peer_says(f, "z");
    (void)shutdown(f->peer, SHUT_WR);
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), 1); /* before the end */
    await(f->s.fd, POLLIN);
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), STREAM_EOF);
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), STREAM_EOF);
    assert_int_equal(say(f, "x", 1), STREAM_OK); /* its other half is open */
}

static void recv_tells_a_reset(void **state)
{
    struct fixture *f = *state;
    struct linger hard = {.l_onoff = 1};
    char buf[8];
    (void)setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    (void)close(f->peer);
    f->peer = -1;
    await(f->s.fd, POLLIN);
    errno = 0;
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), STREAM_ERROR);
    assert_int_equal(errno, ECONNRESET);
}

/* --- events --- */

static void reading_is_switched_on_and_off(void **state)
{
    struct fixture *f = *state;
    char buf[8];
    peer_says(f, "x");
    turn(f);
    assert_int_equal(f->reads, 0); /* not armed by init */
    stream_read_on(&f->s);
    stream_read_on(&f->s);
    turn(f);
    assert_int_equal(f->reads, 1);
    turn(f);
    assert_int_equal(f->reads, 2); /* as long as the byte is there */
    stream_read_off(&f->s);
    stream_read_off(&f->s);
    turn(f);
    assert_int_equal(f->reads, 2);
    stream_read_on(&f->s);
    turn(f);
    assert_int_equal(f->reads, 3); /* what came meanwhile is told */
    assert_int_equal(stream_recv(&f->s, buf, sizeof buf), 1);
    turn(f);
    assert_int_equal(f->reads, 3);
    (void)shutdown(f->peer, SHUT_WR);
    await(f->s.fd, POLLIN);
    turn(f);
    assert_int_equal(f->reads, 4);
}

static void a_wake_calls_once_whatever_is_armed(void **state)
{
    struct fixture *f = *state;
    stream_wake(&f->s);
    turn(f);
    assert_int_equal(f->reads, 1);
    turn(f);
    assert_int_equal(f->reads, 1);
    stream_wake(&f->s);
    stream_wake(&f->s);
    turn(f);
    assert_int_equal(f->reads, 2);
    stream_read_on(&f->s);
    stream_wake(&f->s);
    turn(f);
    turn(f);
    assert_int_equal(f->reads, 3);
    stream_wake(&f->s);
    stream_close(&f->s);
    turn(f);
    assert_int_equal(f->reads, 3); /* taken back */
}

static void the_write_event_tells_of_a_connect(void **state)
{
    struct fixture *f = *state;
    stream_write_on(&f->s);
    stream_write_on(&f->s);
    assert_true(f->s.is_writing);
    turn(f);
    assert_int_equal(f->writes, 1);
    assert_int_equal(f->flushed, STREAM_OK); /* nothing waited: it rests */
    assert_rests(f);
    turn(f);
    assert_int_equal(f->writes, 1);
}

/* --- what the loop has seen and not told yet --- */

struct pair {
    struct stream s[2];
    unsigned calls;
    bool other_was_due, own_was_due;
};

/* Whichever comes first sees that the other one is due. */
static void on_either(evutil_socket_t fd, short what, void *arg)
{
    struct pair *p = arg;
    char buf[8];
    unsigned at = p->s[0].fd == fd ? 0 : 1;
    (void)what;
    if (p->calls++ == 0) {
        p->other_was_due = stream_is_due(&p->s[1 - at]);
        p->own_was_due = stream_is_due(&p->s[at]);
    }
    (void)stream_recv(&p->s[at], buf, sizeof buf);
}

static void due_is_seen_and_not_yet_told(void **state)
{
    struct fixture *f = *state;
    struct pair p = {.calls = 0};
    int fds[2][2];
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]), 0);
        stream_init(&p.s[i], f->base, fds[i][0], on_either, on_either, &p);
        stream_read_on(&p.s[i]);
        assert_int_equal(send(fds[i][1], "x", 1, 0), 1);
        assert_false(stream_is_due(&p.s[i])); /* the loop has not looked */
    }
    turn(f);
    assert_int_equal(p.calls, 2);
    assert_true(p.other_was_due);
    assert_false(p.own_was_due);
    for (unsigned i = 0; i < 2; i++) {
        assert_false(stream_is_due(&p.s[i]));
        stream_close(&p.s[i]);
        (void)close(fds[i][1]);
    }
}

/* --- closing --- */

static void the_peer_sees_an_end_or_a_reset(void **state)
{
    char buf[8];
    for (unsigned is_reset = 0; is_reset < 2; is_reset++) {
        struct fixture *f = *state;
        if (is_reset)
            stream_reset_on_close(&f->s);
        stream_close(&f->s);
        await(f->peer, POLLIN);
        errno = 0;
        assert_int_equal(recv(f->peer, buf, sizeof buf, 0), is_reset ? -1 : 0);
        assert_int_equal(errno, is_reset ? ECONNRESET : 0);
        (void)teardown(state);
        assert_int_equal(setup_tcp(state), 0);
    }
}

/* However much of it the kernel has taken, what is sent before the end arrives whole, and the end behind it. */
static void the_last_bytes_arrive_with_the_end(void **state)
{
    static const size_t lengths[] = {10, BIG, 10, BIG};
    for (unsigned i = 0; i < ARRAY_LEN(lengths); i++) {
        struct fixture *f = *state;
        size_t all = 0, n;
        stream_expect_end(&f->s);
        assert_int_equal(say(f, big, lengths[i]), lengths[i] == BIG ? STREAM_PENDING : STREAM_OK);
        while (stream_pending(&f->s)) {
            await(f->peer, POLLIN);
            all += peer_reads(f, got, sizeof got);
            turn(f);
        }
        if (i < 2)
            assert_true(stream_end(&f->s));
        else
            stream_close(&f->s);
        do {
            await(f->peer, POLLIN);
            all += n = peer_reads(f, got, sizeof got);
        } while (n);
        assert_int_equal(all, lengths[i]);
        (void)teardown(state);
        assert_int_equal(setup_tcp(state), 0);
    }
}

static void close_may_come_twice_and_begin_anew(void **state)
{
    struct fixture *f = *state;
    int fds[2], closed = f->s.fd;
    (void)clog_up(f);
    stream_read_on(&f->s);
    stream_close(&f->s);
    assert_int_equal(f->s.fd, -1);
    assert_int_equal(fcntl(closed, F_GETFD), -1);
    assert_rests(f);
    assert_false(f->s.is_reading);
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
    (void)close(f->peer);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds),
                     0); /* reuses the number */
    f->peer = fds[1];
    stream_close(&f->s);
    assert_true(fcntl(fds[0], F_GETFD) >= 0 && fcntl(fds[1], F_GETFD) >= 0);
    stream_init(&f->s, f->base, fds[0], on_read, on_write, f);
    peer_says(f, "x");
    stream_read_on(&f->s);
    turn(f);
    assert_int_equal(f->reads, 1);
}

static void the_kernel_tells_what_the_peer_has_not_taken(void **state)
{
    struct fixture *f = *state;
    int ends[2];
    assert_int_equal(stream_unacknowledged(&f->s), 0);
    size_t sent = clog_up(f);
    uint32_t before = stream_unacknowledged(&f->s);
    assert_in_range(before, 1, sent - stream_pending(&f->s));
    assert_int_equal(f->s.sent, sent - stream_pending(&f->s));
    stream_discard(&f->s);
    /* the last acknowledgement comes by itself once everything was read */
    for (unsigned i = 0; stream_unacknowledged(&f->s) && i < PATIENCE_MS; i++) {
        struct pollfd p = {.fd = f->peer, .events = POLLIN};
        if (poll(&p, 1, 1) == 1)
            (void)peer_reads(f, got, sizeof got);
    }
    assert_int_equal(stream_unacknowledged(&f->s), 0);
    assert_int_equal(pipe(ends), 0);
    struct stream none = {.fd = ends[0]};
    assert_int_equal(stream_unacknowledged(&none), 0); /* it does not tell */
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* One call for a listener, none for each connection. */
static void what_a_listener_accepts_is_prepared(void **state)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a, size = sizeof(int);
    int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0), most = 0;
    (void)state;
    stream_prepare(listener);
    assert_int_equal(bind(listener, (struct sockaddr *)&a, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, len), 0);
    int accepted = accept(listener, NULL, NULL), is_at_once = 0;
    assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, &size), 0);
    assert_int_equal(most, STREAM_UNSENT_MAX);
    assert_int_equal(getsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &is_at_once, &size), 0);
    assert_int_equal(is_at_once, 1);
    (void)close(accepted);
    (void)close(fd);
    (void)close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TCP(recv_tells_bytes_from_nothing_from_the_end),
        ON_UNIX(recv_tells_bytes_from_nothing_from_the_end),
        ON_TCP(recv_tells_a_reset),
        ON_TCP(reading_is_switched_on_and_off),
        ON_TCP(a_wake_calls_once_whatever_is_armed),
        ON_TCP(the_write_event_tells_of_a_connect),
        ON_TCP(due_is_seen_and_not_yet_told),
        ON_TCP(the_peer_sees_an_end_or_a_reset),
        ON_TCP(the_last_bytes_arrive_with_the_end),
        ON_TCP(close_may_come_twice_and_begin_anew),
        ON_TCP(the_kernel_tells_what_the_peer_has_not_taken),
        ON_TCP(what_a_listener_accepts_is_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
