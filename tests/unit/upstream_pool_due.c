/* Idle connections that the peer has closed or written to: nobody gets one, even in the turn in
 * which it happens. SPDX-License-Identifier: Apache-2.0 */
#include "upstream_pool.h"

/* What a peer does to an idle connection. */
enum deed { CLOSES, WRITES, WRITES_AND_CLOSES, RESETS, DEEDS };

/* Does it, and waits until the kernel shows it on the other side. Returns what is left of the peer,
 * or -1. */
static int do_to(int peer, enum deed deed, int other_side)
{
    struct linger hard = {.l_onoff = 1};
    if (deed == WRITES || deed == WRITES_AND_CLOSES)
        assert_int_equal(send(peer, "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    if (deed == RESETS)
        (void)setsockopt(peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    if (deed != WRITES) {
        (void)close(peer);
        peer = -1;
    }
    await(other_side, POLLIN);
    return peer;
}

static struct upstream_conn *front(const struct fixture *f)
{
    return CONTAINER_OF(f->pool->idle.next, struct upstream_conn, link);
}

static void its_own_event_closes_it(void **state)
{
    struct fixture *f = *state;
    for (unsigned deed = CLOSES; deed < DEEDS; deed++) {
        struct owner user = {.connected = 0};
        int peer = connect_idle(f, START_MS);
        peer = do_to(peer, (enum deed)deed, front(f)->stream.fd);
        turn(f);
        assert_counts(f, 0, 0, 0);
        assert_int_equal(f->wheel.count, 0);
        assert_null(pool_take(f->pool, &user, NOW_US));
        if (peer >= 0)
            (void)close(peer);
    }
}

/* A busy connection whose callback comes first in the turn takes from the pool. */
struct taker {
    struct owner owner;
    struct fixture *f;
    struct owner user;
    struct upstream_conn *got;
    unsigned n_idle; /* before it took */
};

static void take_now(struct owner *o)
{
    struct taker *t = CONTAINER_OF(o, struct taker, owner);
    char byte;
    (void)recv(o->conn->stream.fd, &byte, 1, 0);
    t->n_idle = t->f->pool->n_idle;
    t->got = pool_take(t->f->pool, &t->user, NOW_US);
}

/* One turn in which the loop sees both, and the taker's event runs first. */
static void take_in_that_turn(struct fixture *f, struct taker *t, int taker_peer)
{
    assert_int_equal(send(taker_peer, "x", 1, 0), 1);
    await(t->owner.conn->stream.fd, POLLIN);
    turn(f);
    assert_int_equal(t->owner.readable, 1);
}

static int start_taker(struct fixture *f, struct taker *t)
{
    *t = (struct taker){.f = f};
    int peer = connect_new(f, &t->owner);
    t->owner.on_readable = take_now;
    assert_int_equal(event_priority_set(&t->owner.conn->stream.read, 0), 0); /* before the others */
    stream_read_on(&t->owner.conn->stream);
    return peer;
}

static void one_that_is_due_is_not_handed_out(void **state)
{
    struct fixture *f = *state;
    for (unsigned deed = CLOSES; deed < DEEDS; deed++) {
        struct taker t;
        int taker_peer = start_taker(f, &t), peer = connect_idle(f, START_MS);
        peer = do_to(peer, (enum deed)deed, front(f)->stream.fd);
        take_in_that_turn(f, &t, taker_peer);
        assert_int_equal(t.n_idle, 1); /* its own event had not run */
        assert_null(t.got);
        assert_counts(f, 0, 1, 0);
        turn(f);
        turn(f);
        assert_int_equal(t.user.readable, 0);
        pool_close(t.owner.conn);
        (void)close(taker_peer);
        if (peer >= 0) {
            await(peer, POLLIN | POLLHUP);
            (void)close(peer);
        }
    }
}

/* Of three, the first two are due: the third is good and is the one. */
static void the_next_good_one_is_taken_instead(void **state)
{
    struct fixture *f = *state;
    struct taker t;
    int taker_peer = start_taker(f, &t);
    int good_peer = connect_idle(f, START_MS);
    struct upstream_conn *good = front(f);
    int second = connect_idle(f, START_MS), second_fd = front(f)->stream.fd;
    int first = connect_idle(f, START_MS), first_fd = front(f)->stream.fd;
    second = do_to(second, WRITES, second_fd);
    (void)do_to(first, CLOSES, first_fd);
    take_in_that_turn(f, &t, taker_peer);
    assert_int_equal(t.n_idle, 3);
    assert_ptr_equal(t.got, good);
    assert_counts(f, 0, 2, 0);
    turn(f);
    turn(f);
    assert_int_equal(send(good_peer, "y", 1, 0), 1);
    await(good->stream.fd, POLLIN);
    turn(f);
    turn(f);
    assert_true(t.user.readable > 0);
    pool_close(good);
    pool_close(t.owner.conn);
    (void)close(second);
    (void)close(good_peer);
    (void)close(taker_peer);
}

/* Where the peer has surprised before, what the loop has not seen yet is asked for; else that costs nothing. */
static void a_careful_pool_asks_the_socket(void **state)
{
    struct fixture *f = *state;
    for (unsigned deed = CLOSES; deed < DEEDS; deed++)
        for (unsigned is_careful = 0; is_careful < 2; is_careful++) {
            struct owner user = {.connected = 0};
            int peer = connect_idle(f, START_MS);
            peer = do_to(peer, (enum deed)deed, front(f)->stream.fd);
            f->pool->careful_until_us = is_careful ? NOW_US + 2 * POOL_SETTLE_US : 0;
            struct upstream_conn *got = pool_take(f->pool, &user, NOW_US + POOL_SETTLE_US);
            assert_int_equal(got == NULL, is_careful);
            if (got)
                pool_close(got);
            assert_counts(f, 0, 0, 0);
            if (peer >= 0)
                (void)close(peer);
            turn(f);
        }
}

static void release_in_that_turn_is_safe(void **state)
{
    struct fixture *f = *state;
    int peer = connect_idle(f, START_MS);
    peer = do_to(peer, WRITES, front(f)->stream.fd);
    event_active(&front(f)->stream.read, EV_READ, 0);
    pool_release(f->pool); /* the last one, with an event of an idle one due */
    turn(f);
    turn(f);
    f->pool = pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0});
    assert_counts(f, 0, 0, 0);
    (void)close(peer);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(its_own_event_closes_it),
        TEST(one_that_is_due_is_not_handed_out),
        TEST(the_next_good_one_is_taken_instead),
        TEST(a_careful_pool_asks_the_socket),
        TEST(release_in_that_turn_is_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
