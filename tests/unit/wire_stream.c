/* Sending on a stream: what the kernel does not take waits in order, and goes out once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_stream.h"

static void assert_got(size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != pattern(i))
            fail_msg("byte %zu of %zu is not in its place", i, n);
}

static void what_the_kernel_takes_is_not_kept(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(say(f, "hello", 5), STREAM_OK);
    assert_rests(f);
    await(f->peer, POLLIN);
    assert_int_equal(peer_reads(f, got, sizeof got), 5);
    assert_memory_equal(got, "hello", 5);
    turn(f);
    assert_int_equal(f->writes, 0);
}

static void parts_go_out_in_their_order(void **state)
{
    struct fixture *f = *state;
    struct iovec parts[STREAM_PARTS_MAX] = {{"a", 1}, {NULL, 0},  {"bc", 2}, {"", 0},
                                            {"d", 1}, {"efg", 3}, {NULL, 0}, {"h", 1}};
    assert_int_equal(stream_send(&f->s, parts, STREAM_PARTS_MAX), STREAM_OK);
    await(f->peer, POLLIN);
    assert_int_equal(peer_reads(f, got, sizeof got), 8);
    assert_memory_equal(got, "abcdefgh", 8);
    assert_int_equal(stream_send(&f->s, parts, 0), STREAM_OK);
    assert_int_equal(stream_send(&f->s, parts + 1, 1), STREAM_OK);
    assert_int_equal(peer_reads(f, got, sizeof got), 0);
    assert_rests(f);
}

/* Reads at the peer while the loop flushes, until n bytes have come. */
static void drain(struct fixture *f, size_t n)
{
    size_t at = 0;
    while (at < n) {
        await(f->peer, POLLIN);
        at += peer_reads(f, got + at, sizeof got - at);
        turn(f);
    }
    assert_int_equal(at, n);
}

static void the_rest_waits_and_goes_out_in_order(void **state)
{
    struct fixture *f = *state;
    fill_big(0);
    struct iovec parts[] = {{big, 1000}, {big + 1000, BIG - 2000}, {big + BIG - 1000, 1000}};
    assert_int_equal(stream_send(&f->s, parts, 3), STREAM_PENDING);
    size_t waiting = stream_pending(&f->s);
    assert_in_range(waiting, 1001, BIG - 1); /* a short write, which ended in the middle part */
    assert_waits(f, waiting);
    for (size_t i = 0; i < 5; i++) { /* behind it, also in parts */
        char more[] = {pattern(BIG + 3 * i), pattern(BIG + 3 * i + 1), pattern(BIG + 3 * i + 2)};
        struct iovec small[] = {{more, 1}, {NULL, 0}, {more + 1, 2}};
        assert_int_equal(stream_send(&f->s, small, 3), STREAM_PENDING);
        assert_waits(f, waiting + 3 * (i + 1));
    }
    assert_int_equal(stream_send(&f->s, parts, 0),
                     STREAM_PENDING); /* nothing more, but not drained */
    drain(f, BIG + 15);
    assert_got(BIG + 15);
    assert_int_equal(f->flushed, STREAM_OK);
    assert_rests(f);
    unsigned writes = f->writes;
    turn(f);
    assert_int_equal(f->writes, writes); /* the write event does not spin */
    assert_int_equal(stream_flush(&f->s), STREAM_OK);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Sends of any size against reads of any size: every byte once, in order, and no more kept than is
 * on its way. */
static void sends_and_reads_at_random_lose_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 11;
    size_t sent = 0, read = 0, most = 0;
    while (sent < sizeof got) {
        struct iovec parts[3];
        size_t want[3], at = sent;
        for (unsigned i = 0; i < 3; i++) {
            want[i] = (size_t)(next_random(&seed) >> 40) % (i == 1 ? 60000 : 300);
            want[i] = want[i] < sizeof got - at ? want[i] : sizeof got - at;
            at += want[i];
        }
        fill_big(sent);
        parts[0] = (struct iovec){big, want[0]};
        parts[1] = (struct iovec){big + want[0], want[1]};
        parts[2] = (struct iovec){big + want[0] + want[1], want[2]};
        enum stream_result r = stream_send(&f->s, parts, 3);
        assert_true(r == (stream_pending(&f->s) ? STREAM_PENDING : STREAM_OK));
        sent = at;
        most = stream_pending(&f->s) > most ? stream_pending(&f->s) : most;
        size_t room = (size_t)(next_random(&seed) >> 40) % 900000;
        if (next_random(&seed) >> 60 == 0) /* now and then, so that the kernel's room runs out */
            read += peer_reads(f, got + read, room < sizeof got - read ? room : sizeof got - read);
        turn(f);
        assert_true(stream_pending(&f->s) + read <= sent);
    }
    while (read < sent) {
        await(f->peer, POLLIN);
        read += peer_reads(f, got + read, sizeof got - read);
        turn(f);
    }
    assert_got(sent);
    assert_true(most > 0);
    assert_rests(f);
}

static void discard_forgets_what_waits(void **state)
{
    struct fixture *f = *state;
    size_t sent = clog_up(f), waiting = stream_pending(&f->s);
    stream_discard(&f->s);
    assert_rests(f);
    stream_discard(&f->s);
    (void)shutdown(f->s.fd, SHUT_WR);
    size_t at = 0, n;
    do {
        await(f->peer, POLLIN);
        at += n = peer_reads(f, got, sizeof got);
    } while (n);
    assert_int_equal(at, sent - waiting);
    assert_int_equal(f->writes, 0);
}

static void more_than_can_be_counted_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t sent = clog_up(f), waiting = stream_pending(&f->s);
    errno = 0;
    assert_int_equal(say(f, big, UINT32_MAX - waiting + 1), STREAM_FAILED);
    assert_int_equal(errno, ENOBUFS);
    assert_waits(f, waiting); /* as it was */
    for (size_t at = 0; at < sent;) {
        await(f->peer, POLLIN);
        at += peer_reads(f, got, sizeof got);
        turn(f);
    }
    assert_rests(f);
}

/* --- a peer that is gone --- */

static void a_broken_connection_fails_without_a_signal(void **state)
{
    struct fixture *f = *state;
    (void)close(f->peer);
    f->peer = -1;
    errno = 0;
    assert_int_equal(say(f, "x", 1), STREAM_FAILED); /* SIGPIPE would end the test */
    assert_int_equal(errno, EPIPE);
    assert_rests(f);
    assert_int_equal(stream_send(&f->s, NULL, 0), STREAM_OK); /* nothing was tried */
}

static void what_waits_fails_when_the_peer_leaves(void **state)
{
    struct fixture *f = *state;
    (void)clog_up(f);
    (void)close(f->peer);
    f->peer = -1;
    await(f->s.fd, POLLOUT);
    assert_int_equal(say(f, "x", 1), STREAM_PENDING); /* queued behind: the kernel is not asked */
    turn(f);
    assert_int_equal(f->writes, 1);
    assert_int_equal(f->flushed, STREAM_FAILED);
    stream_discard(&f->s);
    assert_rests(f);
}

/* An end of input is none of the connection; a reset is, also behind bytes that nobody has read. */
static void a_reset_shows_without_an_event(void **state)
{
    struct fixture *f = *state;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    assert_false(stream_is_gone(&f->s));
    peer_says(f, "unread");
    assert_int_equal(shutdown(f->peer, SHUT_WR), 0);
    await(f->s.fd, POLLRDHUP);
    assert_false(stream_is_gone(&f->s));
    assert_int_equal(setsockopt(f->peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    (void)close(f->peer);
    f->peer = -1;
    await(f->s.fd, 0);
    assert_true(stream_is_gone(&f->s) && stream_unread(&f->s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_TCP(what_the_kernel_takes_is_not_kept),
        ON_TCP(parts_go_out_in_their_order),
        ON_TCP(the_rest_waits_and_goes_out_in_order),
        ON_UNIX(the_rest_waits_and_goes_out_in_order),
        ON_TCP(sends_and_reads_at_random_lose_nothing),
        ON_UNIX(sends_and_reads_at_random_lose_nothing),
        ON_TCP(discard_forgets_what_waits),
        ON_TCP(more_than_can_be_counted_is_refused),
        ON_UNIX(a_broken_connection_fails_without_a_signal),
        ON_UNIX(what_waits_fails_when_the_peer_leaves),
        ON_TCP(what_waits_fails_when_the_peer_leaves),
        ON_TCP(a_reset_shows_without_an_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
