/* One address that serves a version: what is known of its health, shared by all workers and all snapshots.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_ENDPOINT_H
#define SERIN_PROXY_ROUTE_ENDPOINT_H

#include "proxy/wire/addr.h"
#include <stdatomic.h>

enum endpoint_health {
    ENDPOINT_UNKNOWN, /* not tried yet: requests may go there */
    ENDPOINT_UP,      /* the last connect did not fail */
    ENDPOINT_DOWN, /* the last connect failed; the control thread tries again until one succeeds */
};

/* Made and freed by the control thread; snapshots hold references. */
struct endpoint_state {
    _Atomic uint32_t refs;
    _Atomic uint32_t health; /* enum endpoint_health; written where it changes only */
};

static inline void endpoint_note(struct endpoint_state *s, enum endpoint_health now)
{
    if (atomic_load_explicit(&s->health, memory_order_relaxed) != (uint32_t)now)
        atomic_store_explicit(&s->health, now, memory_order_relaxed);
}

static inline bool endpoint_may_serve(const struct endpoint_state *s)
{
    return atomic_load_explicit(&((struct endpoint_state *)(uintptr_t)s)->health,
                                memory_order_relaxed) != ENDPOINT_DOWN;
}

/* One endpoint as a snapshot names it. */
struct endpoint {
    const char *text; /* as the configuration or the cluster writes it */
    struct wire_addr addr;
    struct endpoint_state *state;
};

#endif
