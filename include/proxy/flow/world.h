/* A snapshot as one worker sees it: with its own pools and cursors. Counted without atomics.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_WORLD_H
#define SERIN_PROXY_FLOW_WORLD_H

#include "proxy/route/snapshot.h"
#include "proxy/upstream/pool.h"

/* What a worker remembers of a route over snapshots. */
struct route_place {
    const struct route_metrics *route; /* its identity: one per route name and process */
    uint32_t cursor;                   /* split_pick */
    uint32_t mirror_cursor;            /* split_mirrors */
    uint32_t turn[ROLE_COUNT];         /* round robin */
    uint32_t holders;
};

struct world {
    uint32_t refs;
    struct snapshot *snapshot;
    struct pool **pools;         /* [snapshot->n_endpoints] */
    uint32_t **loads;            /* [snapshot->n_endpoints] &pools[i]->load */
    struct route_place **places; /* [snapshot->n_routes] */
};

/* Builds the view of a snapshot and takes its reference. before: the present world, whose places go on, and whose pools are
 * retired where the new one does not name them; may be NULL. first_cursor: where a new route begins in the split order. NULL
 * when memory is short: the reference stays with the caller. */
struct world *world_new(struct upstream *u, struct snapshot *snapshot, const struct world *before,
                        uint32_t first_cursor);

static inline struct world *world_ref(struct world *w)
{
    w->refs++;
    return w;
}

/* NULL is allowed. */
void world_unref(struct world *w);

#endif
