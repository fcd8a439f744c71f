/* A pool on an event base, endpoints that are plain sockets, and a clock that the test moves.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_UPSTREAM_POOL_H
#define SERIN_TESTS_UPSTREAM_POOL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/upstream/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 10000
#define START_MS    INT64_C(1000000)
#define NOW_US      ((START_MS + 1) * 1000)
#define IDLE_MS     5000

/* Who uses a connection, and what it was told. */
struct owner {
    unsigned connected, failed, readable, writable, rooms;
    int failure;
    void (*on_readable)(struct owner *o); /* what the test does then; NULL = nothing */
    struct upstream_conn *conn;
};

struct fixture {
    struct event_base *base;
    struct wheel wheel;
    struct graveyard graves;
    struct upstream upstream;
    int listener;
    struct wire_addr addr;
    struct pool *pool;
};

static struct fixture fixture;

static inline void on_connected(void *owner, bool ok)
{
    struct owner *o = owner;
    o->failure = errno;
    o->connected += ok;
    o->failed += !ok;
}

static inline void on_readable(void *owner)
{
    struct owner *o = owner;
    o->readable++;
    if (o->on_readable)
        o->on_readable(o);
}

static inline void on_writable(void *owner)
{
    ((struct owner *)owner)->writable++;
}

static inline void on_room(void *owner)
{
    ((struct owner *)owner)->rooms++;
}

static const struct upstream_events recorded = {on_connected, on_readable, on_writable, on_room};

/* A loopback socket on a port of its own; whether somebody listens there is the caller's. */
static inline int bind_loopback(struct wire_addr *bound)
{
    static const uint8_t ip[16] = {127, 0, 0, 1};
    struct sockaddr_storage ss;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    wire_addr_inet(bound, false, ip, 0);
    memcpy(&ss, bound->bytes, sizeof ss);
    assert_int_equal(bind(fd, (struct sockaddr *)&ss, bound->len), 0);
    wire_addr_local(bound, fd);
    return fd;
}

static inline int setup(void **state)
{
    struct fixture *f = &fixture;
    struct event_config *conf = event_config_new();
    memset(f, 0, sizeof *f);
    f->base = event_base_new_with_config(conf);
    event_config_free(conf);
    if (!f->base || event_base_priority_init(f->base, 2) < 0)
        return -1;
    wheel_init(&f->wheel, START_MS);
    graveyard_init(&f->graves, f->base);
    upstream_init(&f->upstream, f->base, &f->wheel, &f->graves, &recorded);
    f->upstream.idle_ms = IDLE_MS;
    f->listener = bind_loopback(&f->addr);
    *state = f;
    return listen(f->listener, 1000) < 0 ||
                   !(f->pool = pool_hold(&f->upstream, &f->addr, &(struct dial_tls){0}))
               ? -1
               : 0;
}

/* Nothing is left behind, whatever the test did. */
static inline int teardown(void **state)
{
    struct fixture *f = *state;
    if (f->pool->load)
        return -1; /* the test has failed before it let go; pool_release would abort and hide why */
    pool_release(f->pool);
    upstream_fini(&f->upstream);
    assert_int_equal(f->upstream.n_idle, 0);
    assert_int_equal(f->upstream.n_busy, 0);
    assert_int_equal(f->wheel.count, 0);
    graveyard_fini(&f->graves);
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
    event_base_free(f->base);
    (void)close(f->listener);
    return 0;
}

/* One turn of the loop, which waits for nothing. */
static inline void turn(struct fixture *f)
{
    (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

static inline void await(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};
    assert_int_equal(poll(&p, 1, PATIENCE_MS), 1);
}

/* Time passes; what is due then is told. */
static inline void pass_to(struct fixture *f, int64_t now_ms)
{
    struct list due;
    list_init(&due);
    wheel_advance(&f->wheel, now_ms, &due);
    for (struct wheel_entry *e; (e = wheel_pop_due(&f->wheel, &due, now_ms));)
        e->on_due(e);
}

/* A connection that is there, in the hands of o; its other end is returned. */
static inline int connect_new(struct fixture *f, struct owner *o)
{
    *o = (struct owner){.connected = 0};
    o->conn = pool_dial(f->pool, o);
    assert_non_null(o->conn);
    await(f->listener, POLLIN);
    int peer = accept4(f->listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(peer >= 0);
    await(o->conn->stream.fd, POLLOUT);
    turn(f);
    assert_int_equal(o->connected, 1);
    return peer;
}

/* The same one, idle since now_ms. */
static inline int connect_idle(struct fixture *f, int64_t now_ms)
{
    struct owner o;
    int peer = connect_new(f, &o);
    pool_put(o.conn, now_ms * 1000, false);
    return peer;
}

static inline void assert_counts(const struct fixture *f, uint32_t idle, uint32_t busy,
                                 uint32_t connecting)
{
    assert_int_equal(f->pool->n_idle, idle);
    assert_int_equal(f->upstream.n_idle, idle);
    assert_int_equal(f->pool->load, busy);
    assert_int_equal(f->upstream.n_busy, busy);
    assert_int_equal(f->pool->n_connecting, connecting);
}

/* The peer of a connection sees that it was closed in order. */
static inline void assert_closed(int peer)
{
    char byte;
    await(peer, POLLIN);
    assert_int_equal(recv(peer, &byte, 1, 0), 0);
    (void)close(peer);
}

static inline bool is_open(int peer)
{
    char byte;
    return recv(peer, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

#endif
