/* Sends of several streams that leave together as a turn of the loop ends: nothing is lost, doubled, or sent elsewhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include "wire_stream.h"

#include "proxy/wire/burst.h"

static struct burst burst;
static struct event another; /* what else is to be done in the turn */

static void ignore(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    (void)arg;
}

/* Something follows in this turn, so that it is worth it to wait. */
static void more_follows(void)
{
    event_active(&another, EV_TIMEOUT, 0);
}

static int begin(void)
{
    burst_init(&burst, fixture.base);
    if (!burst_begin(&burst))
        fail_msg("no io_uring: %s", strerror(errno));
    (void)event_assign(&another, fixture.base, -1, 0, ignore, NULL);
    stream_join(&fixture.s, &burst);
    return 0;
}

static int setup(void **state)
{
    return setup_unix(state) < 0 ? -1 : begin();
}

static int setup_on_tcp(void **state)
{
    return setup_tcp(state) < 0 ? -1 : begin();
}

static int teardown_all(void **state)
{
    stream_close(&fixture.s);
    burst_end(&burst);
    (void)event_del(&another);
    return teardown(state);
}

static enum stream_result say_soon(struct stream *s, const char *at, size_t len)
{
    struct iovec part = {(char *)(uintptr_t)at, len};
    return stream_send_soon(s, &part, 1);
}

static void assert_peer_reads(int peer, const char *text)
{
    char at[256];
    ssize_t n = recv(peer, at, sizeof at, MSG_DONTWAIT);
    assert_int_equal(n, strlen(text));
    assert_memory_equal(at, text, strlen(text));
}

static void assert_peer_has_nothing(int peer)
{
    char at[8];
    assert_int_equal(recv(peer, at, sizeof at, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

/* --- one more stream --- */

struct second {
    struct stream s;
    int peer;
};

static void open_second(struct second *o)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    stream_init(&o->s, fixture.base, fds[0], ignore, ignore, NULL);
    stream_join(&o->s, &burst);
    o->peer = fds[1];
}

static void close_second(struct second *o)
{
    stream_close(&o->s);
    (void)close(o->peer);
}

/* --- */

static void alone_it_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(say_soon(&f->s, "alone", 5), STREAM_OK);
    assert_int_equal(f->s.place, 0);
    assert_peer_reads(f->peer, "alone");
    assert_int_equal(burst.n_system_calls, 0);
}

static void several_leave_in_one_system_call(void **state)
{
    struct fixture *f = *state;
    struct second o;
    open_second(&o);
    more_follows();
    struct iovec parts[] = {
        {(char *)(uintptr_t) "in ", 3}, {NULL, 0}, {(char *)(uintptr_t) "parts", 5}};
    assert_int_equal(stream_send_soon(&f->s, parts, 3), STREAM_OK);
    assert_int_equal(say_soon(&o.s, "other", 5), STREAM_OK);
    assert_peer_has_nothing(f->peer);
    assert_peer_has_nothing(o.peer);
    assert_int_equal(f->s.sent, 8);
    turn(f);
    assert_peer_reads(f->peer, "in parts");
    assert_peer_reads(o.peer, "other");
    assert_int_equal(burst.n_system_calls, 1);
    assert_int_equal(f->s.place, 0);
    assert_rests(f);
    close_second(&o);
}

static void the_order_of_a_stream_is_kept(void **state)
{
    struct fixture *f = *state;
    struct second o;
    open_second(&o);
    more_follows();
    assert_int_equal(say_soon(&f->s, "1", 1), STREAM_OK);
    assert_int_equal(say_soon(&o.s, "x", 1), STREAM_OK);
    assert_int_equal(say_soon(&f->s, "2", 1), STREAM_OK);
    assert_int_equal(say(f, "3", 1), STREAM_OK);
    assert_peer_reads(f->peer, "123");
    assert_peer_reads(o.peer, "x");
    turn(f);
    assert_peer_has_nothing(f->peer);
    close_second(&o);
}

static void more_than_fits_leaves_before_the_turn_ends(void **state)
{
    struct fixture *f = *state;
    enum { MANY = BURST_MAX + 1 };
    static struct second all[MANY];
    more_follows();
    for (unsigned i = 0; i < MANY; i++) {
        open_second(&all[i]);
        assert_int_equal(say_soon(&all[i].s, "y", 1), STREAM_OK);
    }
    assert_int_equal(burst.n_system_calls, 1);
    for (unsigned i = 0; i < BURST_MAX; i++)
        assert_peer_reads(all[i].peer, "y");
    assert_peer_has_nothing(all[BURST_MAX].peer);
    turn(f);
    assert_peer_reads(all[BURST_MAX].peer, "y");
    for (unsigned i = 0; i < MANY; i++)
        close_second(&all[i]);
}

static void large_pieces_leave_at_once(void **state)
{
    struct fixture *f = *state;
    more_follows();
    assert_true(burst_takes(&burst, BURST_PIECE_MAX));
    assert_false(burst_takes(&burst, BURST_PIECE_MAX + 1));
    fill_big(0);
    assert_int_equal(say_soon(&f->s, big, BURST_PIECE_MAX + 1), STREAM_OK);
    assert_int_equal(peer_reads(f, got, sizeof got), BURST_PIECE_MAX + 1);
    assert_memory_equal(got, big, BURST_PIECE_MAX + 1);
}

/* The bytes of a whole turn have room: none are written over. */
static void pieces_of_all_sizes_arrive_whole(void **state)
{
    struct fixture *f = *state;
    enum { MANY = 40 };
    static struct second all[MANY];
    fill_big(0);
    more_follows();
    for (unsigned i = 0; i < MANY; i++) {
        open_second(&all[i]);
        assert_int_equal(say_soon(&all[i].s, big + i * 1000, BURST_PIECE_MAX - i * 7), STREAM_OK);
    }
    turn(f);
    for (unsigned i = 0; i < MANY; i++) {
        size_t len = BURST_PIECE_MAX - i * 7;
        assert_int_equal(recv(all[i].peer, got, sizeof got, MSG_DONTWAIT), len);
        assert_memory_equal(got, big + i * 1000, len);
        close_second(&all[i]);
    }
}

/* Its peer reads nothing: what the kernel does not take waits, is counted so, and arrives later. */
static void what_the_kernel_does_not_take_waits(void **state)
{
    struct fixture *f = *state;
    struct second o;
    size_t sent = 0, read = 0;
    open_second(&o);
    for (unsigned i = 0; i < 4096 && !f->s.out; i++) {
        more_follows();
        for (size_t k = 0; k < 8000; k++)
            big[k] = pattern(sent + k);
        assert_int_equal(say_soon(&f->s, big, 8000), STREAM_OK);
        assert_int_equal(say_soon(&o.s, "z", 1), STREAM_OK);
        sent += 8000;
        burst_send(&burst);
        assert_peer_reads(o.peer, "z");
    }
    assert_waits(f, sent - f->s.sent);
    assert_false(stream_settle(&f->s));
    assert_true(stream_pending(&f->s) > 0);
    more_follows();
    assert_int_equal(say_soon(&f->s, "!", 1), STREAM_PENDING); /* behind it */
    for (unsigned i = 0; i < 100000 && read < sent + 1; i++) {
        read += peer_reads(f, got + read, sizeof got - read);
        turn(f);
    }
    assert_int_equal(read, sent + 1);
    for (size_t k = 0; k < sent; k++)
        if (got[k] != pattern(k))
            fail_msg("byte %zu of %zu is another", k, sent);
    assert_int_equal(got[sent], '!');
    assert_int_equal(f->s.sent, sent + 1);
    assert_rests(f);
    close_second(&o);
}

/* Its owner, who took all for sent, looks in the same turn and not only once the peer says something. */
static void the_owner_is_woken_where_something_is_left(void **state)
{
    struct fixture *f = *state;
    struct second o;
    open_second(&o);
    stream_read_on(&f->s);
    for (unsigned i = 0; i < 4096 && !f->s.out; i++) {
        more_follows();
        assert_int_equal(say_soon(&f->s, big, 8000), STREAM_OK);
        assert_int_equal(say_soon(&o.s, "z", 1), STREAM_OK);
        assert_int_equal(f->reads, 0);
        turn(f);
        assert_peer_reads(o.peer, "z");
    }
    assert_non_null(f->s.out);
    assert_int_equal(f->reads, 1);
    close_second(&o);
}

/* The owner has been told that all is well: it learns of it by its write event, as ever. */
static void a_peer_that_has_left_is_told_by_the_write_event(void **state)
{
    struct fixture *f = *state;
    struct second o;
    open_second(&o);
    (void)close(f->peer);
    f->peer = -1;
    more_follows();
    assert_int_equal(say_soon(&f->s, "lost", 4), STREAM_OK);
    assert_int_equal(say_soon(&o.s, "kept", 4), STREAM_OK);
    turn(f);
    assert_peer_reads(o.peer, "kept");
    assert_int_equal(f->writes, 0);
    assert_int_equal(f->s.sent, 0);
    turn(f);
    assert_int_equal(f->writes, 1);
    assert_int_equal(f->flushed, STREAM_FAILED);
    close_second(&o);
}

/* A descriptor that is closed is another connection's in the next moment. */
static void what_waits_leaves_before_its_stream_closes(void **state)
{
    struct fixture *f = *state;
    struct second before, after;
    open_second(&before);
    int fd = before.s.fd;
    more_follows();
    assert_int_equal(say_soon(&before.s, "mine", 4), STREAM_OK);
    assert_int_equal(say_soon(&f->s, "other", 5), STREAM_OK);
    stream_close(&before.s);
    open_second(&after);
    assert_int_equal(after.s.fd, fd);
    turn(f);
    assert_peer_reads(before.peer, "mine");
    assert_peer_reads(f->peer, "other");
    assert_peer_has_nothing(after.peer);
    (void)close(before.peer);
    close_second(&after);
}

static void what_waits_leaves_before_our_side_ends(void **state)
{
    struct fixture *f = *state;
    char at[8];
    more_follows();
    assert_int_equal(say_soon(&f->s, "last", 4), STREAM_OK);
    assert_true(stream_end(&f->s));
    assert_peer_reads(f->peer, "last");
    assert_int_equal(recv(f->peer, at, sizeof at, MSG_DONTWAIT), 0);
}

static void what_is_discarded_is_not_sent(void **state)
{
    struct fixture *f = *state;
    struct second o;
    open_second(&o);
    more_follows();
    assert_int_equal(say_soon(&f->s, "no", 2), STREAM_OK);
    assert_int_equal(say_soon(&o.s, "yes", 3), STREAM_OK);
    stream_discard(&f->s);
    assert_true(f->s.is_torn);
    assert_int_equal(f->s.sent, 0);
    turn(f);
    assert_peer_has_nothing(f->peer);
    assert_peer_reads(o.peer, "yes");
    close_second(&o);
}

static void after_its_end_everything_leaves_at_once(void **state)
{
    struct fixture *f = *state;
    more_follows();
    assert_int_equal(say_soon(&f->s, "one", 3), STREAM_OK);
    burst_end(&burst);
    assert_peer_reads(f->peer, "one");
    assert_int_equal(say_soon(&f->s, "two", 3), STREAM_OK);
    assert_peer_reads(f->peer, "two");
}

#define ON_SOCKETPAIR(f) cmocka_unit_test_setup_teardown(f, setup, teardown_all)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_SOCKETPAIR(alone_it_leaves_at_once),
        ON_SOCKETPAIR(several_leave_in_one_system_call),
        ON_SOCKETPAIR(the_order_of_a_stream_is_kept),
        ON_SOCKETPAIR(more_than_fits_leaves_before_the_turn_ends),
        ON_SOCKETPAIR(large_pieces_leave_at_once),
        ON_SOCKETPAIR(pieces_of_all_sizes_arrive_whole),
        cmocka_unit_test_setup_teardown(what_the_kernel_does_not_take_waits, setup_on_tcp,
                                        teardown_all),
        ON_SOCKETPAIR(what_the_kernel_does_not_take_waits),
        ON_SOCKETPAIR(the_owner_is_woken_where_something_is_left),
        ON_SOCKETPAIR(a_peer_that_has_left_is_told_by_the_write_event),
        ON_SOCKETPAIR(what_waits_leaves_before_its_stream_closes),
        ON_SOCKETPAIR(what_waits_leaves_before_our_side_ends),
        ON_SOCKETPAIR(what_is_discarded_is_not_sent),
        ON_SOCKETPAIR(after_its_end_everything_leaves_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
