/* A snapshot as one worker sees it: with its own pools and cursors.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/world.h"

static void free_world(struct world *w)
{
    for (uint32_t i = 0; w->pools && i < w->snapshot->n_endpoints; i++)
        if (w->pools[i])
            pool_release(w->pools[i]);
    for (uint32_t i = 0; w->places && i < w->snapshot->n_routes; i++)
        if (w->places[i] && --w->places[i]->holders == 0)
            free(w->places[i]);
    free(w->pools);
    free(w->loads);
    free(w->places);
    free(w);
}

static enum err hold_pools(struct world *w, struct upstream *u, const struct route_variant *v)
{
    const struct dial_tls tls = {v->tls, v->tls_name};
    for (uint32_t i = 0; i < v->n_endpoints; i++) {
        struct pool *p = pool_hold(u, &v->endpoints[i].addr, &tls);
        if (!p)
            return ERR_MEMORY;
        w->pools[v->first_endpoint + i] = p;
        w->loads[v->first_endpoint + i] = &p->load;
    }
    return OK;
}

/* A reload rarely moves routes, so the same index is tried first. */
static struct route_place *find_place(const struct world *before, const struct route_metrics *route,
                                      uint32_t hint)
{
    if (!before)
        return NULL;
    if (hint < before->snapshot->n_routes && before->places[hint]->route == route)
        return before->places[hint];
    for (uint32_t i = 0; i < before->snapshot->n_routes; i++)
        if (before->places[i]->route == route)
            return before->places[i];
    return NULL;
}

static enum err hold_place(struct world *w, const struct world *before, uint32_t route,
                           uint32_t first_cursor)
{
    const struct route_metrics *key = w->snapshot->routes[route].metrics;
    struct route_place *place = find_place(before, key, route);
    if (!place) {
        place = calloc(1, sizeof *place);
        if (!place)
            return ERR_MEMORY;
        place->route = key;
        place->cursor = place->mirror_cursor = first_cursor;
    }
    place->holders++;
    w->places[route] = place;
    return OK;
}

/* Who still holds the world before may do so for hours, by one long request: what the new one does not name must not stay
 * connected as long. */
static void retire_pools(const struct world *before, uint32_t epoch)
{
    for (uint32_t i = 0; before && i < before->snapshot->n_endpoints; i++)
        if (before->pools[i]->epoch != epoch)
            pool_retire(before->pools[i]);
}

struct world *world_new(struct upstream *u, struct snapshot *snapshot, const struct world *before,
                        uint32_t first_cursor)
{
    struct world *w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    w->refs = 1;
    w->snapshot = snapshot;
    u->epoch++;
    w->pools = calloc(snapshot->n_endpoints + 1u, sizeof *w->pools);
    w->loads = calloc(snapshot->n_endpoints + 1u, sizeof *w->loads);
    w->places = calloc(snapshot->n_routes + 1u, sizeof *w->places);
    enum err e = w->pools && w->loads && w->places ? OK : ERR_MEMORY;
    for (uint32_t i = 0; i < snapshot->n_routes && e == OK; i++) {
        e = hold_pools(w, u, &snapshot->routes[i].stable);
        if (e == OK)
            e = hold_pools(w, u, &snapshot->routes[i].canary);
        if (e == OK)
            e = hold_place(w, before, i, first_cursor);
    }
    if (e != OK) {
        free_world(w);
        return NULL;
    }
    retire_pools(before, u->epoch);
    return w;
}

void world_unref(struct world *w)
{
    if (!w || --w->refs)
        return;
    struct snapshot *snapshot = w->snapshot;
    free_world(w);
    snapshot_unref(snapshot);
}
