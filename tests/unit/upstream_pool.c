/* Connections to one endpoint: begun, lent, kept while idle, and never counted twice.
 * SPDX-License-Identifier: Apache-2.0 */
#include "upstream_pool.h"

#include "proxy/upstream/dial.h"
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/resource.h>

/* --- pools --- */

static void an_address_has_one_pool(void **state)
{
    struct fixture *f = *state;
    static const uint8_t ip[16] = {127, 0, 0, 1};
    struct wire_addr other, path;
    wire_addr_inet(&other, false, ip, 1);
    assert_int_equal(wire_addr_unix(&path, SLICE("/nowhere")), OK);
    struct pool *same = pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0});
    struct pool *second = pool_hold(&f->upstream, &other, &(struct dial_tls){0});
    struct pool *third = pool_hold(&f->upstream, &path, &(struct dial_tls){0});
    assert_ptr_equal(same, f->pool);
    assert_ptr_not_equal(second, f->pool);
    assert_ptr_not_equal(third, second);
    pool_release(same);
    assert_ptr_equal(pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0}),
                     f->pool); /* one holder was left */
    pool_release(f->pool);
    pool_release(second);
    pool_release(third);
}

static void many_pools_are_found_again(void **state)
{
    struct fixture *f = *state;
    static struct pool *pools[3000];
    static const uint8_t ip[16] = {127, 0, 0, 2};
    struct wire_addr a;
    for (uint16_t i = 0; i < 3000; i++) {
        wire_addr_inet(&a, false, ip, i);
        pools[i] = pool_hold(&f->upstream, &a, &(struct dial_tls){0});
        assert_non_null(pools[i]);
        assert_memory_equal(pools[i]->addr.bytes, a.bytes, a.len); /* its own, not its bucket's */
    }
    for (uint16_t i = 0; i < 3000; i++) {
        wire_addr_inet(&a, false, ip, i);
        assert_ptr_equal(pool_hold(&f->upstream, &a, &(struct dial_tls){0}), pools[i]);
        pool_release(pools[i]);
        pool_release(pools[i]);
    }
}

/* --- a new connection --- */

static void a_connection_is_told_when_it_is_there(void **state)
{
    struct fixture *f = *state;
    struct owner o = {.connected = 0};
    int on = 0;
    socklen_t len = sizeof on;
    o.conn = pool_dial(f->pool, &o);
    assert_non_null(o.conn);
    assert_true(o.conn->is_connecting);
    assert_false(o.conn->is_reused);
    assert_int_equal(o.connected, 0); /* not from within the call */
    assert_counts(f, 0, 1, 1);
    assert_true(fcntl(o.conn->stream.fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(o.conn->stream.fd, F_GETFD) & FD_CLOEXEC);
    assert_int_equal(getsockopt(o.conn->stream.fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    assert_true(on);
    await(o.conn->stream.fd, POLLOUT);
    turn(f);
    assert_int_equal(o.connected, 1);
    assert_int_equal(o.failed, 0);
    assert_false(o.conn->is_connecting);
    assert_counts(f, 0, 1, 0);
    turn(f);
    assert_int_equal(o.connected + o.writable, 1); /* the write event rests */
    pool_close(o.conn);
    assert_counts(f, 0, 0, 0);
}

static void a_refused_connection_says_why(void **state)
{
    struct fixture *f = *state;
    struct owner o = {.connected = 0};
    struct wire_addr nobody;
    int taken = bind_loopback(&nobody); /* bound, and nobody listens */
    struct pool *p = pool_hold(&f->upstream, &nobody, &(struct dial_tls){0});
    o.conn = pool_dial(p, &o);
    if (o.conn) {
        assert_int_equal(p->n_connecting, 1);
        await(o.conn->stream.fd, POLLOUT);
        turn(f);
        assert_int_equal(o.failed, 1);
        assert_int_equal(o.connected, 0);
        assert_int_equal(o.failure, ECONNREFUSED);
        assert_int_equal(p->n_connecting, 0);
        assert_int_equal(p->load, 1); /* until the owner lets go */
        pool_close(o.conn);
    } else {
        assert_int_equal(errno, ECONNREFUSED);
    }
    assert_int_equal(p->load, 0);
    pool_release(p);
    (void)close(taken);
}

/* The number that the next descriptor gets. */
static int next_fd(const struct fixture *f)
{
    int fd = dup(f->listener);
    (void)close(fd);
    return fd;
}

static void one_that_cannot_even_start_counts_nowhere(void **state)
{
    struct fixture *f = *state;
    struct owner o = {.connected = 0};
    struct wire_addr rows[2] = {{.len = 0}}; /* of no family */
    static const int failures[] = {EAFNOSUPPORT, ENOENT};
    assert_int_equal(wire_addr_unix(&rows[1], SLICE("/nowhere/at/all")), OK);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct pool *p = pool_hold(&f->upstream, &rows[i], &(struct dial_tls){0});
        int fd = next_fd(f);
        errno = 0;
        assert_null(pool_dial(p, &o));
        assert_int_equal(errno, failures[i]);
        assert_int_equal(next_fd(f), fd);
        assert_int_equal(p->load + p->n_connecting + p->n_idle, 0);
        assert_int_equal(f->upstream.n_busy, 0);
        pool_release(p);
    }
    turn(f);
    assert_int_equal(o.connected + o.failed, 0);
}

static void one_given_up_while_connecting_is_told_nothing(void **state)
{
    struct fixture *f = *state;
    struct owner o = {.connected = 0};
    o.conn = pool_dial(f->pool, &o);
    assert_non_null(o.conn);
    await(o.conn->stream.fd, POLLOUT);
    pool_close(o.conn);
    assert_counts(f, 0, 0, 0);
    turn(f);
    assert_int_equal(o.connected + o.failed, 0);
}

/* --- busy --- */

static void events_of_a_busy_one_are_its_owners(void **state)
{
    struct fixture *f = *state;
    struct owner o;
    int peer = connect_new(f, &o);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    await(o.conn->stream.fd, POLLIN);
    turn(f);
    assert_int_equal(o.readable, 0); /* the owner has not asked yet */
    stream_read_on(&o.conn->stream);
    turn(f);
    assert_int_equal(o.readable, 1);
    stream_write_on(&o.conn->stream);
    turn(f);
    assert_int_equal(o.writable, 1);
    (void)close(peer);
    turn(f);
    assert_true(o.readable > 1); /* its end is the owner's to read, and closes nothing by itself */
    assert_counts(f, 0, 1, 0);
    pool_close(o.conn);
}

/* A tunnel outlives the request that began it, and every world that names its endpoint. */
static void another_owner_holds_the_pool(void **state)
{
    static const struct upstream_events others = {NULL, on_readable, on_writable, NULL};
    struct fixture *f = *state;
    struct owner first, second = {0};
    int peer = connect_new(f, &first);
    struct upstream_conn *c = first.conn;
    pool_hand_over(c, &second, &others);
    pool_retire(f->pool);
    pool_release(f->pool);
    assert_counts(f, 0, 1, 0);
    stream_read_on(&c->stream);
    assert_int_equal(send(peer, "x", 1, 0), 1);
    await(c->stream.fd, POLLIN);
    turn(f);
    assert_int_equal(first.readable, 0);
    assert_true(second.readable > 0);
    pool_close(c);
    pool_release(f->pool);
    f->pool =
        pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0}); /* for teardown: a new one */
    assert_counts(f, 0, 0, 0);
    (void)close(peer);
}

static void close_own(struct owner *o)
{
    pool_close(o->conn);
    assert_int_equal(o->conn->stream.fd, -1); /* closed, and still there */
}

/* The connection whose callback runs is buried, not freed: ASan watches. */
static void an_owner_may_close_it_in_its_own_callback(void **state)
{
    struct fixture *f = *state;
    struct owner o;
    int peer = connect_new(f, &o);
    o.on_readable = close_own;
    stream_read_on(&o.conn->stream);
    stream_write_on(&o.conn->stream); /* due in the same turn, and taken back */
    assert_int_equal(send(peer, "x", 1, 0), 1);
    await(o.conn->stream.fd, POLLIN);
    turn(f);
    turn(f);
    assert_int_equal(o.readable, 1);
    assert_counts(f, 0, 0, 0);
    (void)close(peer);
}

/* --- idle --- */

static void the_last_one_put_is_the_first_one_taken(void **state)
{
    struct fixture *f = *state;
    struct owner owners[3], user = {.connected = 0};
    int peers[3];
    for (unsigned i = 0; i < 3; i++)
        peers[i] = connect_new(f, &owners[i]);
    assert_null(pool_take(f->pool, &user, NOW_US));
    pool_put(owners[1].conn, START_MS * 1000, false);
    pool_put(owners[2].conn, START_MS * 1000, false);
    pool_put(owners[0].conn, START_MS * 1000, false);
    assert_counts(f, 3, 0, 0);
    assert_ptr_equal(pool_take(f->pool, &user, NOW_US), owners[0].conn);
    assert_counts(f, 2, 1, 0);
    assert_true(owners[0].conn->is_reused);
    assert_false(owners[1].conn->is_reused);
    pool_put(owners[0].conn, START_MS * 1000, false);
    assert_ptr_equal(pool_take(f->pool, &user, NOW_US), owners[0].conn);
    assert_ptr_equal(pool_take(f->pool, &user, NOW_US), owners[2].conn);
    assert_ptr_equal(pool_take(f->pool, &user, NOW_US), owners[1].conn);
    assert_null(pool_take(f->pool, &user, NOW_US));
    assert_counts(f, 0, 3, 0);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(send(peers[i], "x", 1, 0), 1);
        await(owners[i].conn->stream.fd, POLLIN);
    }
    turn(f);
    assert_int_equal(user.readable, 3); /* the new owner is told without asking */
    assert_int_equal(owners[0].readable + owners[1].readable + owners[2].readable, 0);
    for (unsigned i = 0; i < 3; i++) {
        pool_close(owners[i].conn);
        (void)close(peers[i]);
    }
}

static void an_idle_one_is_closed_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    int early = connect_idle(f, START_MS), late = connect_idle(f, START_MS + 1000);
    pass_to(f, START_MS + IDLE_MS - 1);
    assert_counts(f, 2, 0, 0);
    pass_to(f, START_MS + IDLE_MS + WHEEL_TICK_MS);
    assert_counts(f, 1, 0, 0);
    assert_closed(early);
    assert_true(is_open(late));
    pass_to(f, START_MS + 1000 + IDLE_MS + WHEEL_TICK_MS);
    assert_counts(f, 0, 0, 0);
    assert_int_equal(f->wheel.count, 0);
    assert_closed(late);
}

/* The deadline is the idle one's: it does not fire under a request, and begins anew behind it. */
static void a_request_puts_the_deadline_off(void **state)
{
    struct fixture *f = *state;
    struct owner user = {.connected = 0};
    int peer = connect_idle(f, START_MS);
    struct upstream_conn *c = pool_take(f->pool, &user, NOW_US);
    assert_non_null(c);
    pass_to(f, START_MS + 100 * IDLE_MS);
    assert_true(is_open(peer));
    assert_counts(f, 0, 1, 0);
    int64_t again = START_MS + 100 * IDLE_MS + 7;
    pool_put(c, again * 1000, false);
    pass_to(f, again + IDLE_MS - 1);
    assert_true(is_open(peer));
    pass_to(f, again + IDLE_MS + WHEEL_TICK_MS);
    assert_closed(peer);
    assert_counts(f, 0, 0, 0);
}

static void more_than_the_most_are_not_kept(void **state)
{
    struct fixture *f = *state;
    static struct owner owners[POOL_IDLE_MAX + 1];
    static int peers[POOL_IDLE_MAX + 1];
    struct rlimit files;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &files), 0);
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < 2 * POOL_IDLE_MAX + 50)
        skip();
    for (unsigned i = 0; i <= POOL_IDLE_MAX; i++)
        peers[i] = connect_new(f, &owners[i]);
    for (unsigned i = 0; i <= POOL_IDLE_MAX; i++)
        pool_put(owners[i].conn, START_MS * 1000, false);
    assert_counts(f, POOL_IDLE_MAX, 0, 0);
    assert_closed(peers[POOL_IDLE_MAX]);
    for (unsigned i = 0; i < POOL_IDLE_MAX; i++)
        assert_true(is_open(peers[i]));
    pass_to(f, START_MS + IDLE_MS + WHEEL_TICK_MS);
    assert_counts(f, 0, 0, 0);
    for (unsigned i = 0; i < POOL_IDLE_MAX; i++)
        assert_closed(peers[i]);
}

static void the_last_holder_closes_the_idle_ones(void **state)
{
    struct fixture *f = *state;
    int peers[2] = {connect_idle(f, START_MS), connect_idle(f, START_MS)};
    struct pool *again = pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0});
    pool_release(f->pool);
    assert_true(is_open(peers[0]) && is_open(peers[1]));
    assert_counts(f, 2, 0, 0);
    pool_release(again);
    assert_int_equal(f->upstream.n_idle, 0);
    assert_int_equal(f->wheel.count, 0);
    assert_closed(peers[0]);
    assert_closed(peers[1]);
    turn(f);
    f->pool = pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0}); /* for teardown */
    assert_counts(f, 0, 0, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_address_has_one_pool),
        TEST(many_pools_are_found_again),
        TEST(a_connection_is_told_when_it_is_there),
        TEST(a_refused_connection_says_why),
        TEST(one_that_cannot_even_start_counts_nowhere),
        TEST(one_given_up_while_connecting_is_told_nothing),
        TEST(events_of_a_busy_one_are_its_owners),
        TEST(another_owner_holds_the_pool),
        TEST(an_owner_may_close_it_in_its_own_callback),
        TEST(the_last_one_put_is_the_first_one_taken),
        TEST(an_idle_one_is_closed_at_its_deadline),
        TEST(a_request_puts_the_deadline_off),
        TEST(more_than_the_most_are_not_kept),
        TEST(the_last_holder_closes_the_idle_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
