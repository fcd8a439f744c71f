/* Bytes that the kernel moves from stream to stream: all of them once and in order, none beyond the bound, and what the
 * peer does not take waits like everything else that a stream sends.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_stream.h"

#include <netinet/tcp.h>
#include <signal.h>
#include <sys/ioctl.h>

/* The fixture's stream is sent to; this one is read from. */
static struct stream source;
static struct pipes pipes;
static int feeder; /* the peer of source */

static void ignore(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

static int open_source(struct fixture *f, int fds[2])
{
    set_nonblocking(fds[0]);
    set_nonblocking(fds[1]);
    stream_init(&source, f->base, fds[0], ignore, ignore, NULL);
    feeder = fds[1];
    pipes_init(&pipes);
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    return 0;
}

static int open_tcp(void **state)
{
    int fds[2], failed = setup_tcp(state);
    connect_pair(fds);
    return failed ? failed : open_source(*state, fds);
}

static int open_unix(void **state)
{
    int fds[2], failed = setup_unix(state);
    if (failed || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0)
        return -1;
    return open_source(*state, fds);
}

/* Whatever the test did, no pipe is lent any more. */
static int shut(void **state)
{
    stream_close(&source);
    int failed = teardown(state);
    if (feeder >= 0)
        (void)close(feeder);
    pipes_fini(&pipes);
    return failed;
}

#define TCP(f)  cmocka_unit_test_setup_teardown(f, open_tcp, shut)
#define UNIX(f) cmocka_unit_test_setup_teardown(f, open_unix, shut)

/* As much of the pattern from there on as the socket takes, up to len. */
static size_t feed(size_t from, size_t len)
{
    size_t at = 0;
    assert_true(len <= BIG);
    for (size_t i = 0; i < len; i++)
        big[i] = pattern(from + i);
    while (at < len) {
        ssize_t n = send(feeder, big + at, len - at, MSG_NOSIGNAL);
        if (n < 0)
            break;
        at += (size_t)n;
    }
    return at;
}

static ssize_t move(struct fixture *f, uint64_t most, enum stream_result *sent)
{
    *sent = STREAM_FAILED;
    return stream_splice(&source, &f->s, &pipes, most, sent);
}

static void assert_all_idle(unsigned n)
{
    assert_int_equal(pipes.n, n);
    unsigned idle = 0;
    for (const struct pipe *p = pipes.idle; p; p = p->next) {
        assert_int_equal(p->len, 0);
        idle++;
    }
    assert_int_equal(idle, n);
}

static void assert_pattern(size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != pattern(i))
            fail_msg("byte %zu of %zu is not in its place", i, n);
}

static void what_is_there_goes_across(void **state)
{
    struct fixture *f = *state;
    enum stream_result sent;
    assert_int_equal(feed(0, 1000), 1000);
    await(source.fd, POLLIN);
    assert_int_equal(move(f, 5000, &sent), 1000);
    assert_int_equal(sent, STREAM_OK);
    assert_rests(f);
    assert_int_equal(f->s.sent, 1000);
    await(f->peer, POLLIN);
    assert_int_equal(peer_reads(f, got, sizeof got), 1000);
    assert_pattern(1000);
    assert_all_idle(1);
}

/* What fills no segment is not sent before there is more. */
static void more_may_be_announced(void **state)
{
    struct fixture *f = *state;
    enum stream_result sent;
    int none = 0, on = 1;
    (void)setsockopt(f->s.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    fill_big(0);
    struct iovec parts[] = {{big, 100}, {big + 100, 200}};
    assert_int_equal(stream_send_more(&f->s, parts, 2), STREAM_OK);
    assert_rests(f);
    assert_int_equal(ioctl(f->peer, FIONREAD, &none), 0);
    assert_int_equal(none, 0);
    assert_int_equal(feed(300, 700), 700);
    await(source.fd, POLLIN);
    assert_int_equal(move(f, 700, &sent), 700);
    await(f->peer, POLLIN);
    assert_int_equal(peer_reads(f, got, sizeof got), 1000);
    assert_pattern(1000);
}

/* What is behind the bound belongs to somebody else, and is read as if nothing had been. */
static void nothing_is_taken_beyond_the_bound(void **state)
{
    struct fixture *f = *state;
    enum stream_result sent;
    assert_int_equal(feed(0, 1000), 1000);
    await(source.fd, POLLIN);
    assert_int_equal(move(f, 600, &sent), 600);
    assert_int_equal(stream_recv(&source, got + 600, 4096), 400);
    await(f->peer, POLLIN);
    assert_int_equal(peer_reads(f, got, 600), 600);
    assert_pattern(1000);
    assert_int_equal(peer_reads(f, got, sizeof got), 0);
}

static void nothing_there_and_the_end_are_told_apart(void **state)
{
    struct fixture *f = *state;
    enum stream_result sent;
    assert_int_equal(move(f, 600, &sent), STREAM_AGAIN);
    assert_int_equal(feed(0, 10), 10);
    assert_int_equal(shutdown(feeder, SHUT_WR), 0);
    await(source.fd, POLLRDHUP);
    assert_int_equal(move(f, 600, &sent), 10);
    assert_int_equal(move(f, 600, &sent), STREAM_EOF);
    assert_all_idle(1);
}

static void a_reset_is_an_error(void **state)
{
    struct fixture *f = *state;
    enum stream_result sent;
    struct linger hard = {.l_onoff = 1, .l_linger = 0};
    assert_int_equal(setsockopt(feeder, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    (void)close(feeder);
    feeder = -1;
    await(source.fd, 0);
    errno = 0;
    assert_int_equal(move(f, 600, &sent), STREAM_ERROR);
    assert_int_equal(errno, ECONNRESET);
    assert_all_idle(1);
}

/* Moves until the peer takes no more. Returns how many bytes were fed. */
static size_t fill_up(struct fixture *f)
{
    size_t fed = 0;
    for (unsigned i = 0; i < 1000; i++) {
        enum stream_result sent;
        fed += feed(fed, BIG / 4);
        ssize_t n = move(f, UINT64_MAX, &sent);
        if (n > 0 && sent == STREAM_PENDING)
            return fed;
        assert_true(n == STREAM_AGAIN || sent == STREAM_OK);
    }
    fail_msg("the kernel takes everything");
    return 0;
}

static void assert_piped(const struct fixture *f, size_t more)
{
    assert_non_null(f->s.out->pipe);
    assert_int_equal(stream_pending(&f->s), f->s.out->pipe->len + more);
    assert_true(f->s.is_writing);
    assert_null(pipes.idle);
}

static void the_rest_waits_in_the_pipe_and_what_is_sent_behind_it(void **state)
{
    struct fixture *f = *state;
    size_t fed = fill_up(f), at = 0, n, more = 0;
    assert_piped(f, 0);
    int unread = 0; /* fed, and not moved yet */
    for (ssize_t k; (k = recv(source.fd, got, sizeof got, 0)) > 0;)
        unread += (int)k;
    size_t moved = fed - (size_t)unread;
    for (; more < 30000; more += 10000) {
        fill_big(moved + more);
        assert_int_equal(say(f, big, 10000), STREAM_PENDING);
        assert_piped(f, more + 10000);
    }
    assert_true(moved + more <= sizeof got);
    for (unsigned i = 0; i < 100000 && at < moved + more; i++) {
        await(f->peer, POLLIN);
        at += n = peer_reads(f, got + at, sizeof got - at);
        turn(f);
    }
    assert_int_equal(at, moved + more);
    assert_pattern(at);
    assert_int_equal(f->s.sent, at);
    assert_int_equal(f->flushed, STREAM_OK);
    assert_rests(f);
    assert_all_idle(1);
}

static void a_pipe_with_bytes_in_it_ends_with_its_stream(void **state)
{
    struct fixture *f = *state;
    (void)fill_up(f);
    stream_close(&f->s);
    assert_all_idle(0);
}

static void a_pipe_with_bytes_in_it_ends_with_what_is_discarded(void **state)
{
    struct fixture *f = *state;
    (void)fill_up(f);
    stream_discard(&f->s);
    assert_true(f->s.is_torn);
    assert_rests(f);
    assert_all_idle(0);
}

static void a_peer_that_leaves_fails_what_waits(void **state)
{
    struct fixture *f = *state;
    (void)fill_up(f);
    (void)close(f->peer);
    f->peer = -1;
    await(f->s.fd, POLLOUT);
    turn(f);
    assert_int_equal(f->flushed, STREAM_FAILED);
    stream_close(&f->s);
    assert_all_idle(0);
}

static void a_peer_that_has_left_takes_nothing(void **state)
{
    struct fixture *f = *state;
    enum stream_result sent = STREAM_OK;
    (void)close(f->peer);
    f->peer = -1;
    for (unsigned i = 0; i < 100 && sent != STREAM_FAILED;
         i++) { /* TCP: the first one is answered by a reset */
        assert_int_equal(feed(0, 10), 10);
        await(source.fd, POLLIN);
        assert_int_equal(move(f, 10, &sent), 10);
        if (sent == STREAM_OK)
            await(f->s.fd, POLLRDHUP | POLLHUP);
    }
    assert_int_equal(sent, STREAM_FAILED);
    stream_close(&f->s);
    assert_all_idle(0);
}

static void without_a_pipe_nothing_is_read(void **state)
{
    struct fixture *f = *state;
    struct pipe *lent[PIPES_MAX];
    enum stream_result sent;
    for (unsigned i = 0; i < PIPES_MAX; i++)
        assert_non_null(lent[i] = pipe_take(&pipes));
    assert_int_equal(feed(0, 100), 100);
    await(source.fd, POLLIN);
    assert_int_equal(move(f, 100, &sent), STREAM_NO_PIPE);
    assert_int_equal(stream_recv(&source, got, 100), 100);
    for (unsigned i = 0; i < PIPES_MAX; i++)
        pipe_give(lent[i]);
    assert_int_equal(feed(0, 100), 100);
    assert_int_equal(move(f, 100, &sent), 100);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#define ALL BIG

/* Pieces of any size against reads of any size, now moved, now copied. */
static void pieces_at_random_lose_nothing(void **state)
{
    struct fixture *f = *state;
    uint64_t seed = 7;
    size_t fed = 0, moved = 0, read = 0, spliced = 0, waited = 0;
    static char in[65536];
    while (read < ALL) {
        size_t want = (size_t)(next_random(&seed) >> 40) % 300000;
        fed += feed(fed, want < ALL - fed ? want : ALL - fed);
        enum stream_result sent = STREAM_OK;
        if (stream_pending(&f->s)) {
            waited++;
        } else if (next_random(&seed) >> 62) {
            uint64_t most = (next_random(&seed) >> 40) % 700000 + 1;
            ssize_t n = move(f, most, &sent);
            assert_true(n == STREAM_AGAIN ||
                        (n > 0 && (uint64_t)n <= most && sent != STREAM_FAILED));
            moved += n > 0 ? (size_t)n : 0;
            spliced += n > 0;
        } else {
            ssize_t n = stream_recv(&source, in, sizeof in);
            if (n > 0) {
                assert_int_not_equal(say(f, in, (size_t)n), STREAM_FAILED);
                moved += (size_t)n;
            }
        }
        size_t room = (size_t)(next_random(&seed) >> 40) % 100000;
        read += peer_reads(f, got + read, room < ALL - read ? room : ALL - read);
        turn(f);
        assert_true(read + stream_pending(&f->s) <= moved && moved <= fed);
    }
    assert_pattern(ALL);
    assert_true(spliced > 0 && waited > 0);
    assert_int_equal(f->s.sent, ALL);
    assert_all_idle(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP(what_is_there_goes_across),
        UNIX(what_is_there_goes_across),
        TCP(more_may_be_announced),
        TCP(nothing_is_taken_beyond_the_bound),
        UNIX(nothing_is_taken_beyond_the_bound),
        TCP(nothing_there_and_the_end_are_told_apart),
        UNIX(nothing_there_and_the_end_are_told_apart),
        TCP(a_reset_is_an_error),
        TCP(the_rest_waits_in_the_pipe_and_what_is_sent_behind_it),
        UNIX(the_rest_waits_in_the_pipe_and_what_is_sent_behind_it),
        TCP(a_pipe_with_bytes_in_it_ends_with_its_stream),
        TCP(a_pipe_with_bytes_in_it_ends_with_what_is_discarded),
        TCP(a_peer_that_leaves_fails_what_waits),
        UNIX(a_peer_that_leaves_fails_what_waits),
        TCP(a_peer_that_has_left_takes_nothing),
        UNIX(a_peer_that_has_left_takes_nothing),
        TCP(without_a_pipe_nothing_is_read),
        TCP(pieces_at_random_lose_nothing),
        UNIX(pieces_at_random_lose_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
