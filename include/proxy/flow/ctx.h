/* Everything that one worker's request path shares: buffers, time, timers, pools, the adopted snapshot. One thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_CTX_H
#define SERIN_PROXY_FLOW_CTX_H

#include "base/wheel.h"
#include "metrics/totals.h"
#include "proxy/flow/world.h"
#include "proxy/http/head.h"
#include "proxy/upstream/pool.h"
#include "proxy/wire/date.h"
#include "proxy/wire/pipes.h"

/* One receive buffer per worker: a kept-over partial head stands before the bytes of one recv. */
#define FLOW_RECV_BYTES          (64u << 10) /* most bytes of one recv */
#define FLOW_HELD_MAX            (64u << 10) /* a partial head: request (limits.header_bytes) or response */
#define FLOW_IN_BYTES            (FLOW_HELD_MAX + FLOW_RECV_BYTES)
#define FLOW_FRONT_BYTES         2048u /* in front of what is read: room for a head that grows */
#define FLOW_OUT_BYTES           (FLOW_HELD_MAX + 4096u) /* a rewritten response head */
#define FLOW_SPARE_EXCHANGES_MAX 256u /* finished exchanges kept for the next request */

struct access_ring;

/* What the whole process counts together; relaxed atomics. */
struct flow_shared {
    _Atomic uint32_t connections; /* open client connections: limits.connections */
};

struct flow {
    struct event_base *base;
    unsigned worker, workers;
    int64_t now_us;        /* refreshed as each callback begins */
    int64_t date_until_us; /* how long date is the present second */
    char date[DATE_CHARS + 1];
    struct wheel wheel;
    struct event tick; /* turns the wheel while it has entries */
    struct graveyard graves;
    struct burst burst; /* what waits for the end of this turn to be sent */
    struct pipes pipes; /* for large bodies (proxy/flow/splice.h) */
    struct upstream upstream;
    struct world *world; /* adopted last; requests hold the one that they started with */
    const struct split_order *order;
    struct flow_shared *shared;
    struct worker_cells *cells;
    struct access_ring *access; /* metrics/access_log.h; written to where log.access is on */
    struct list clients;        /* all client connections of this worker */
    struct list exchanges;      /* all requests under way, the oldest first */
    struct list tunnels;        /* all upgraded connections */
    struct list copies;         /* all copies under way */
    struct {
        struct list
            waiting; /* clients whose bytes came when no step was left in that turn, the first come first */
        uint32_t n_waiting;
        struct event turn;        /* gives the steps of the next one */
        unsigned steps;           /* left in this turn */
    } handshakes;                 /* of clients (proxy/flow/handshake.h) */
    struct wheel_entry slow_look; /* when those under way are held against the latency thresholds */
    uint32_t n_clients, n_exchanges, n_copies;
    bool is_draining; /* no new connection, every response says close */
    bool has_cut;     /* requests_until_ms has passed */
    int64_t requests_until_ms,
        tunnels_until_ms;   /* then what is left of them is cut, once it drains */
    uint32_t drain_idle_ms; /* how long a connection may wait for a request meanwhile */
    uint64_t random;        /* state of flow_random */
    struct exchange *spare; /* finished exchanges, for reuse */
    uint32_t n_spare;
    char *in, *out;   /* FLOW_IN_BYTES with FLOW_FRONT_BYTES in front of them, FLOW_OUT_BYTES */
    struct head head; /* the head being parsed */
};

/* Makes the context on a base of its own thread. order, shared and cells outlive it. ERR_MEMORY. */
enum err flow_init(struct flow *f, struct event_base *base, unsigned worker,
                   unsigned workers) MUST_USE;

/* Ends every connection and lets go of the world. */
void flow_fini(struct flow *f);

/* Takes a snapshot over, with its reference. New requests see it from here on. ERR_MEMORY: the old one stays. */
enum err flow_adopt(struct flow *f, struct snapshot *snapshot) MUST_USE;

/* A drain closes a connection that has waited so long for its next request, or a sixth of the time for requests where that
 * is shorter: one that is used has sent it by then. */
#define FLOW_DRAIN_IDLE_MS    5000u
#define FLOW_DRAIN_IDLE_SHARE 6u

/* Begins to drain: every response says close from now on, connections without a request are closed once they have been
 * idle for a while, tunnels near the end of their time. Calls after the first can only shorten the times. */
void flow_drain(struct flow *f, uint32_t requests_ms, uint32_t tunnels_ms);

/* True once nothing is left. Cuts the requests whose time is over, where tunnels have more of it. */
bool flow_is_drained(struct flow *f);

/* Reads the clock; called where a callback begins. */
void flow_refresh_now(struct flow *f);

static inline int64_t flow_now_ms(const struct flow *f)
{
    return f->now_us / 1000;
}

/* The present second as a Date field has it (RFC 9110 section 5.6.7). Lives until the next call. */
struct slice flow_date(struct flow *f);

/* 64 random bits, not for secrets. */
uint64_t flow_random(struct flow *f);

/* Sets a deadline at this time of flow_now_ms; WHEEL_NEVER = none. One that has passed already is due with the next tick of the
 * wheel: where an end is fixed that time is to be given, and not a moment from now, which whatever moves would put off. */
void flow_deadline_at(struct flow *f, struct wheel_entry *e, int64_t at_ms);

/* The time so many milliseconds from now; 0 = WHEEL_NEVER. */
static inline int64_t flow_time_in(const struct flow *f, uint32_t in_ms)
{
    return in_ms ? flow_now_ms(f) + in_ms : WHEEL_NEVER;
}

/* Sets a deadline so many milliseconds from now; 0 = none. */
static inline void flow_deadline(struct flow *f, struct wheel_entry *e, uint32_t in_ms)
{
    flow_deadline_at(f, e, flow_time_in(f, in_ms));
}

#endif
