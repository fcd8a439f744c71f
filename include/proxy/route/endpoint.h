/* One address that serves a version: what is known of its health, shared by all workers and all snapshots.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_ENDPOINT_H
#define SERIN_PROXY_ROUTE_ENDPOINT_H

#include "proxy/route/quota.h"
#include "proxy/wire/addr.h"
#include <stdatomic.h>

enum endpoint_health {
    ENDPOINT_UNKNOWN, /* not tried yet: requests may go there */
    ENDPOINT_UP,      /* the last connect, or active check, did not fail */
    ENDPOINT_DOWN, /* connects or checks have failed; the control thread tries again until they do not */
};

/* Made and freed by the control thread; snapshots hold references. What a successful request finds here it only reads,
 * but for the first one behind a failure. */
struct endpoint_state {
    _Atomic uint32_t refs;
    _Atomic uint32_t health;           /* enum endpoint_health; written where it changes only */
    _Atomic int64_t serves_from_us;    /* ejected until then, a newcomer for a while from then on */
    _Atomic uint32_t failures;         /* requests that failed, in a row */
    _Atomic uint32_t connect_failures; /* likewise connects */
    _Atomic uint32_t ejections; /* how often it was ejected of late: the next one is longer */
    _Atomic uint32_t
        owes_return;     /* 1: it was ejected, and the log does not know yet that it is back */
    struct quota *quota; /* of its address; one reference */
    uint64_t hash;       /* of its text, for balance: hash */
};

#define ENDPOINT_LOAD(x)     atomic_load_explicit(&(x), memory_order_relaxed)
#define ENDPOINT_STORE(x, v) atomic_store_explicit(&(x), v, memory_order_relaxed)

static inline void endpoint_note(struct endpoint_state *s, enum endpoint_health now)
{
    if (ENDPOINT_LOAD(s->health) != (uint32_t)now)
        ENDPOINT_STORE(s->health, now);
}

/* It has proven that it can be reached. One that was down is a newcomer from now on. */
static inline void endpoint_come_up(struct endpoint_state *s, int64_t now_us)
{
    uint32_t before = ENDPOINT_LOAD(s->health);
    if (ENDPOINT_LOAD(s->connect_failures))
        ENDPOINT_STORE(s->connect_failures, 0);
    if (before == ENDPOINT_DOWN && ENDPOINT_LOAD(s->serves_from_us) < now_us)
        ENDPOINT_STORE(s->serves_from_us, now_us);
    endpoint_note(s, ENDPOINT_UP);
}

/* False: nobody should be sent there while there is anywhere else, and no user of a canary at all. Ejection does not
 * count: it never takes the last endpoint of a version. */
static inline bool endpoint_is_reachable(const struct endpoint_state *s)
{
    return ENDPOINT_LOAD(((struct endpoint_state *)(uintptr_t)s)->health) != ENDPOINT_DOWN;
}

static inline int64_t endpoint_serves_from_us(const struct endpoint_state *s)
{
    return ENDPOINT_LOAD(((struct endpoint_state *)(uintptr_t)s)->serves_from_us);
}

/* Neither down nor ejected. */
static inline bool endpoint_may_serve(const struct endpoint_state *s, int64_t now_us)
{
    return endpoint_is_reachable(s) && endpoint_serves_from_us(s) <= now_us;
}

/* One endpoint as a snapshot names it. */
struct endpoint {
    const char *text; /* as the configuration or the cluster writes it */
    struct wire_addr addr;
    struct endpoint_state *state;
};

#endif
