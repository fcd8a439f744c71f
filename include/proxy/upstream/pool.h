/* Connections of one worker to upstream endpoints: idle ones are kept last in, first out, busy ones are counted.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_POOL_H
#define SERIN_PROXY_UPSTREAM_POOL_H

#include "base/wheel.h"
#include "metrics/shard.h"
#include "proxy/route/quota.h"
#include "proxy/upstream/dial.h"
#include "proxy/wire/grave.h"
#include "proxy/wire/stream.h"

#define POOL_IDLE_MAX 512 /* idle connections kept per endpoint and worker: guards descriptors */
#define POOL_BUCKETS  1024u

/* A peer that sends what nobody asked for (a body behind an answer that has none by rule) or ends a connection without a
 * word makes its pool careful for a while: each of its connections rests a moment before it serves again, and is asked then,
 * since such bytes would be taken for the next answer. */
#define POOL_SETTLE_US  2000
#define POOL_CAREFUL_US 60000000

/* All connections of this worker to one address, spoken to in one way: what was opened under one TLS identity never serves
 * another. */
struct pool {
    struct list link; /* in its bucket */
    struct upstream *upstream;
    struct wire_addr addr;
    struct dial_tls tls; /* with a reference, and a name of its own */
    struct sessions sessions;
    uint32_t holders; /* worlds that name it, and tunnels to it; freed with the last */
    struct list idle; /* most recently used first */
    uint32_t n_idle, n_connecting;
    uint32_t idle_max;   /* POOL_IDLE_MAX; 0 once retired */
    uint32_t epoch;      /* of the newest world that names it */
    uint32_t load;       /* requests now on this endpoint from this worker, waiting ones too */
    uint32_t n_open;     /* connections of this worker, busy and idle */
    uint32_t n_shared;   /* of them: counted in the quota of the address (room.h) */
    uint32_t n_waiting;  /* requests in the queue */
    struct list waiting; /* of struct upstream_waiter, the oldest first (room.h) */
    struct list due;     /* in upstream->due: the queue is to be looked at */
    struct wheel_entry
        poll; /* while somebody waits: what other workers give back is seen by looking */
    int64_t careful_until_us; /* its peer has surprised us */
};

/* What the owner of a busy connection is told. */
struct upstream_events {
    void (*on_connected)(void *owner, bool ok); /* ok false: errno says why, as that of dial_step */
    void (*on_readable)(void *owner);
    void (*on_writable)(void *owner);
    void (*on_room)(void *owner); /* of a waiter, which is in the queue no more (room.h) */
};

/* One connection. owner: who uses it now, NULL while idle. */
struct upstream_conn {
    struct stream stream;
    struct pool *pool;
    void *owner;
    struct quota *shared;        /* that counts it, with a reference; NULL: none does */
    struct variant_cells *cells; /* of the version that opened it, for its gauges; NULL = none */
    const struct upstream_events *events; /* the worker's, but for pool_hand_over */
    union {
        struct list link;   /* while idle: pool->idle */
        struct grave grave; /* once closed */
    };
    struct wheel_entry timer; /* idle deadline */
    int64_t idle_since_us;
    bool is_connecting; /* until it may be used: TLS included */
    bool is_reused;     /* has served a request before this one */
    bool was_large;     /* its last response (proxy/flow/splice.h) */
    bool
        is_doubtful; /* its last answer had no body by rule (HEAD, 204, 304): a broken peer sends one */
};

/* One worker's upstream side, embedded in its context. */
struct upstream {
    struct event_base *base;
    struct wheel *wheel;
    struct graveyard *graves;
    struct burst *burst; /* of the connections' sends; NULL = none */
    const struct upstream_events *events;
    struct list buckets[POOL_BUCKETS];
    uint32_t idle_ms;         /* upstream_idle */
    uint32_t connections_max; /* to one address, of the process; 0 = no limit */
    uint32_t workers;         /* that share it */
    struct list due;          /* pools whose queue is to be looked at */
    struct event serve;       /* does so, in a turn of its own */
    uint32_t epoch;           /* counts the worlds that were begun */
    uint32_t n_idle, n_busy;
};

void upstream_init(struct upstream *u, struct event_base *base, struct wheel *wheel,
                   struct graveyard *graves, const struct upstream_events *events);

/* Closes idle connections; busy ones must have ended. */
void upstream_fini(struct upstream *u);

/* Finds or makes the pool of an address that is spoken to in this way and holds it: it is one of the present epoch's. NULL
 * when memory is short. */
struct pool *pool_hold(struct upstream *u, const struct wire_addr *addr,
                       const struct dial_tls *tls);

/* Lets go; the last one closes its idle connections. */
void pool_release(struct pool *p);

/* The newest world does not name it any more: closes its idle connections, and keeps none from now on. Requests under
 * way go on; the pool is freed with the last world that holds it, or serves again when pool_hold names it anew. */
void pool_retire(struct pool *p);

/* Takes the most recently used idle connection for owner, or NULL. Its read event stays armed. One that the loop has
 * seen readable (closed by the peer, or written to unasked) is closed and the next one looked at: bytes that wait there
 * would be taken for the answer to this request. What TLS says for itself (session tickets) is read and does no harm. What
 * comes later than the loop looked cannot be told from an answer;
 * where it is to be feared the socket is asked, and a careful pool lets a connection rest first. O(1), else O(idle). */
struct upstream_conn *pool_take(struct pool *p, void *owner, int64_t now_us);

/* Starts a new connection for owner: on_connected follows in a later turn. NULL with errno where it cannot even
 * start. */
struct upstream_conn *pool_dial(struct pool *p, void *owner);

/* Counts a connection that pool_dial has just begun in the gauges of a version, until it is closed. */
void pool_count(struct upstream_conn *c, struct variant_cells *cells);

/* Counts its TLS handshake, which is over (or its time is), for the version that pool_count named. False: it has none. */
bool pool_count_handshake(const struct upstream_conn *c, bool ok);

/* The connection may serve again: whole response read, nothing more came. Ownership moves back to the pool.
 * is_doubtful: the answer had no body by rule. */
void pool_put(struct upstream_conn *c, int64_t now_us, bool is_doubtful);

/* The peer has ended a connection without a word, or sent more than it was asked for: where that was soon after its last
 * answer, the pool is careful from now on. */
void pool_note_surprise(struct upstream_conn *c, int64_t now_us);

/* A busy connection gets another owner, for good: one that closes it (pool_close) and after that lets go of the pool
 * (pool_release), which is held for it from here on, whatever becomes of the worlds that name it. It goes on to count in
 * the load. events: what the new owner is told; on_connected is not called. */
void pool_hand_over(struct upstream_conn *c, void *owner, const struct upstream_events *events);

/* Closes a busy connection. */
void pool_close(struct upstream_conn *c);

#endif
