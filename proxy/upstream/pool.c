/* Connections of one worker to upstream endpoints.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/pool.h"

#include "base/hash.h"
#include "proxy/upstream/room.h"
#include "proxy/wire/time.h"
#include "proxy/wire/tls.h"
#include <errno.h>
#include <openssl/ssl.h>

/* An idle connection that ends sooner than this was not ended for being idle. */
#define HASTY_US 50000

void upstream_init(struct upstream *u, struct event_base *base, struct wheel *wheel,
                   struct graveyard *graves, const struct upstream_events *events)
{
    *u = (struct upstream){.base = base, .wheel = wheel, .graves = graves, .events = events};
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        list_init(&u->buckets[i]);
    room_init(u);
}

static struct list *bucket_of(struct upstream *u, const struct wire_addr *addr)
{
    struct slice bytes = slice_of((const char *)addr->bytes, addr->len);
    return &u->buckets[hash_bytes((struct hash_salt){0, 0}, bytes) % POOL_BUCKETS];
}

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static struct pool *find_pool(const struct list *bucket, const struct wire_addr *addr,
                              const struct dial_tls *tls)
{
    for (struct list *l = bucket->next; l != bucket; l = l->next) {
        struct pool *p = CONTAINER_OF(l, struct pool, link);
        if (p->addr.len == addr->len && memcmp(p->addr.bytes, addr->bytes, addr->len) == 0 &&
            p->tls.ctx == tls->ctx && same_name(p->tls.name, tls->name))
            return p;
    }
    return NULL;
}

static struct pool *make_pool(struct upstream *u, const struct wire_addr *addr,
                              const struct dial_tls *tls)
{
    struct pool *p = calloc(1, sizeof *p);
    char *name = tls->name ? strdup(tls->name) : NULL;
    if (!p || (tls->name && !name)) {
        free(name);
        free(p);
        return NULL;
    }
    p->upstream = u;
    p->addr = *addr;
    p->tls = (struct dial_tls){tls->ctx, name};
    if (tls->ctx)
        SSL_CTX_up_ref(tls->ctx);
    list_init(&p->idle);
    room_init_pool(p);
    return p;
}

static void free_pool(struct pool *p)
{
    sessions_fini(&p->sessions);
    SSL_CTX_free(p->tls.ctx);
    free((char *)(uintptr_t)p->tls.name);
    free(p);
}

struct pool *pool_hold(struct upstream *u, const struct wire_addr *addr, const struct dial_tls *tls)
{
    struct list *bucket = bucket_of(u, addr);
    struct pool *p = find_pool(bucket, addr, tls);
    if (!p) {
        p = make_pool(u, addr, tls);
        if (!p)
            return NULL;
        list_push_front(bucket, &p->link);
    }
    p->holders++;
    p->idle_max = POOL_IDLE_MAX;
    p->epoch = u->epoch;
    return p;
}

static void free_conn(struct grave *g)
{
    free(CONTAINER_OF(g, struct upstream_conn, grave));
}

static void end_conn(struct upstream_conn *c)
{
    struct upstream *u = c->pool->upstream;
    wheel_cancel(u->wheel, &c->timer);
    stream_close(&c->stream);
    c->pool->n_open--;
    if (c->cells)
        cell_sub(&c->cells->upstream_open, 1);
    room_give(c->pool, c->shared);
    grave_bury(u->graves, &c->grave, free_conn);
}

void pool_count(struct upstream_conn *c, struct variant_cells *cells)
{
    c->cells = cells;
    cell_add(&cells->upstream_open, 1);
    cell_add(&cells->upstream_connecting, 1);
}

bool pool_count_handshake(const struct upstream_conn *c, bool ok)
{
    if (!c->stream.tls)
        return false;
    enum metric_handshake how = !ok                          ? HANDSHAKE_FAILED
                                : tls_is_resumed(&c->stream) ? HANDSHAKE_RESUMED
                                                             : HANDSHAKE_FULL;
    cell_add(&c->cells->tls_handshakes[how], 1);
    return true;
}

static void leave_idle(struct upstream_conn *c)
{
    list_remove(&c->link);
    c->pool->n_idle--;
    c->pool->upstream->n_idle--;
    if (c->cells)
        cell_sub(&c->cells->upstream_idle, 1);
}

static void close_idle(struct upstream_conn *c)
{
    leave_idle(c);
    end_conn(c);
}

static void end_connecting(struct upstream_conn *c)
{
    c->is_connecting = false;
    c->pool->n_connecting--;
    if (c->cells)
        cell_sub(&c->cells->upstream_connecting, 1);
}

static void close_all_idle(struct pool *p)
{
    while (!list_empty(&p->idle))
        close_idle(CONTAINER_OF(p->idle.next, struct upstream_conn, link));
}

void pool_retire(struct pool *p)
{
    p->idle_max = 0;
    close_all_idle(p);
}

/* A pool lives while a world names it: every busy connection belongs to a request that holds such a world, or to a tunnel
 * that holds the pool. */
void pool_release(struct pool *p)
{
    if (--p->holders)
        return;
    close_all_idle(p);
    CHECK(p->load == 0 && p->n_open == 0);
    room_fini_pool(p);
    list_remove(&p->link);
    free_pool(p);
}

void upstream_fini(struct upstream *u)
{
    for (unsigned i = 0; i < POOL_BUCKETS; i++)
        CHECK(list_empty(&u->buckets[i]));
    room_fini(u);
}

void pool_note_surprise(struct upstream_conn *c, int64_t now_us)
{
    if (now_us - c->idle_since_us < HASTY_US)
        c->pool->careful_until_us = now_us + POOL_CAREFUL_US;
}

static void step(struct upstream_conn *c, short what)
{
    struct pool *p = c->pool;
    enum dial_progress progress = dial_step(&c->stream, what, &p->addr, &p->tls, &p->sessions);
    int failure = errno;
    if (progress == DIAL_MORE)
        return;
    end_connecting(c);
    errno = failure;
    c->events->on_connected(c->owner, progress == DIAL_DONE);
}

/* What comes on an idle connection is a surprise, unless TLS says it for itself. */
static bool is_still_good(struct upstream_conn *c)
{
    return c->stream.tls && stream_take_idle(&c->stream);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    struct upstream_conn *c = arg;
    (void)fd;
    if (c->is_connecting) {
        step(c, what);
        return;
    }
    if (c->owner) {
        c->events->on_readable(c->owner);
        return;
    }
    if (is_still_good(c))
        return;
    /* closed by the peer, or bytes that nobody asked for: never to be trusted again */
    pool_note_surprise(c, time_monotonic_us());
    close_idle(c);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
    struct upstream_conn *c = arg;
    (void)fd;
    if (c->is_connecting)
        step(c, what);
    else if (c->owner)
        c->events->on_writable(c->owner);
}

static void on_idle_due(struct wheel_entry *e)
{
    close_idle(CONTAINER_OF(e, struct upstream_conn, timer));
}

static void become_busy(struct upstream_conn *c, void *owner)
{
    c->owner = owner;
    c->pool->load++;
    c->pool->upstream->n_busy++;
}

static bool is_careful(const struct pool *p, int64_t now_us)
{
    return now_us < p->careful_until_us;
}

/* Whether input waits on an idle connection: as the loop has seen, or as the socket says where it may be feared. */
static bool has_input(const struct upstream_conn *c, int64_t now_us)
{
    return stream_is_due(&c->stream) ||
           ((c->is_doubtful || is_careful(c->pool, now_us)) && stream_is_readable(&c->stream));
}

static bool has_settled(const struct upstream_conn *c, int64_t now_us)
{
    return !is_careful(c->pool, now_us) || now_us - c->idle_since_us >= POOL_SETTLE_US;
}

/* The first idle connection that may serve; those that the loop has seen readable end here, as their read event would
 * end them later in this turn. */
static struct upstream_conn *find_idle(struct pool *p, int64_t now_us)
{
    struct list *next;
    for (struct list *l = p->idle.next; l != &p->idle; l = next) {
        struct upstream_conn *c = CONTAINER_OF(l, struct upstream_conn, link);
        next = l->next;
        if (has_input(c, now_us) && !is_still_good(c))
            close_idle(c);
        else if (has_settled(c, now_us))
            return c;
    }
    return NULL;
}

struct upstream_conn *pool_take(struct pool *p, void *owner, int64_t now_us)
{
    struct upstream_conn *c = find_idle(p, now_us);
    if (!c)
        return NULL;
    leave_idle(c);
    /* the idle deadline stays in the wheel and is moved on by the next pool_put; until then it must not fire */
    c->timer.deadline_ms = WHEEL_NEVER;
    c->is_reused = true;
    become_busy(c, owner);
    return c;
}

struct upstream_conn *pool_dial(struct pool *p, void *owner)
{
    struct upstream_conn *c = malloc(sizeof *c);
    if (!c) {
        errno = ENOMEM;
        return NULL;
    }
    int fd = dial_start(&p->addr);
    if (fd < 0) {
        free(c);
        return NULL;
    }
    c->pool = p;
    c->shared = NULL;
    c->cells = NULL;
    c->events = p->upstream->events;
    c->is_connecting = true;
    c->is_reused = c->was_large = c->is_doubtful = false;
    c->idle_since_us = 0;
    list_init(&c->link);
    wheel_entry_init(&c->timer);
    c->timer.on_due = on_idle_due;
    stream_init(&c->stream, p->upstream->base, fd, on_read, on_write, c);
    stream_join(&c->stream, p->upstream->burst);
    stream_write_on(&c->stream);
    p->n_connecting++;
    p->n_open++;
    become_busy(c, owner);
    return c;
}

static void become_free(struct upstream_conn *c)
{
    c->owner = NULL;
    c->pool->load--;
    c->pool->upstream->n_busy--;
}

void pool_put(struct upstream_conn *c, int64_t now_us, bool is_doubtful)
{
    struct pool *p = c->pool;
    become_free(c);
    if (p->n_idle >= p->idle_max ||
        ((c->shared || p->upstream->connections_max) && !room_may_keep(c))) {
        end_conn(c);
        return;
    }
    c->idle_since_us = now_us;
    c->is_doubtful = is_doubtful;
    stream_read_on(&c->stream);
    list_push_front(&p->idle, &c->link);
    p->n_idle++;
    p->upstream->n_idle++;
    if (c->cells)
        cell_add(&c->cells->upstream_idle, 1);
    if (p->n_waiting)
        room_tell(p);
    wheel_set(p->upstream->wheel, &c->timer, now_us / 1000 + p->upstream->idle_ms);
}

void pool_hand_over(struct upstream_conn *c, void *owner, const struct upstream_events *events)
{
    c->owner = owner;
    c->events = events;
    c->pool->holders++;
}

void pool_close(struct upstream_conn *c)
{
    if (c->is_connecting)
        end_connecting(c);
    become_free(c);
    end_conn(c);
}
