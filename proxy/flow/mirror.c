/* Which requests are copied to the canary, and whether there is room for a copy.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/mirror.h"

#include "proxy/flow/attempt.h"
#include "proxy/flow/copy.h"
#include "proxy/upstream/pick.h"

bool mirror_chooses(const struct exchange *x)
{
    const struct route *r = x->route;
    return (r->conf->mirror_methods & 1u << x->method) != 0 && !x->flow->head.upgrade_websocket &&
           split_mirrors(r->mirror_bp, x->flow->order, &x->place->mirror_cursor);
}

void mirror_note_stable(struct exchange *x, unsigned status, bool failed)
{
    int64_t until_us = x->head_us ? x->head_us : x->flow->now_us;
    x->stable_did = (struct mirror_side){.is_known = true,
                                         .failed = failed,
                                         .client_error = !failed && status >= 400,
                                         .age_us = until_us - x->start_us};
}

/* Users come first: half of what an endpoint may have stays theirs, of connections and of places in the queue. */
static bool has_room(const struct exchange *x, uint32_t endpoint)
{
    const struct route_variant *v = &x->route->canary;
    const struct pool *p = x->world->pools[v->first_endpoint + endpoint];
    struct quota *q = v->endpoints[endpoint].state->quota;
    uint32_t most = x->world->snapshot->config->limits.pending_per_endpoint;
    return room_leaves_half(p, q) && quota_read(&q->pending) < (most + 1) / 2;
}

/* Why the request is not copied; MIRROR_SKIP_COUNT: it is, to *endpoint. */
static enum metric_mirror_skip find_place(const struct exchange *x, uint32_t *endpoint)
{
    const struct route *r = x->route;
    if (!x->stable_did.is_known)
        return MIRROR_SKIP_UNANSWERED;
    if (!x->request_body.done || !x->is_replayable)
        return MIRROR_SKIP_BODY;
    if (x->flow->is_draining)
        return MIRROR_SKIP_DRAINING;
    if (x->flow->n_copies >= MIRROR_INFLIGHT_MAX)
        return MIRROR_SKIP_LIMIT;
    if (breaker_is_open(r->live->breaker, &r->conf->breaker))
        return MIRROR_SKIP_BREAKER;
    *endpoint = attempt_choose(x, &r->canary, PICK_NONE);
    if (*endpoint == PICK_NONE)
        return MIRROR_SKIP_ENDPOINT;
    return has_room(x, *endpoint) ? MIRROR_SKIP_COUNT : MIRROR_SKIP_CONNECTIONS;
}

void mirror_start(struct exchange *x)
{
    uint32_t endpoint = PICK_NONE;
    enum metric_mirror_skip skip = find_place(x, &endpoint);
    if (skip == MIRROR_SKIP_COUNT && copy_begin(x, endpoint))
        return;
    if (skip == MIRROR_SKIP_COUNT)
        skip = MIRROR_SKIP_LIMIT;
    cell_add(&x->route->canary.metrics->cells[x->flow->worker]->mirror.skipped[skip], 1);
}
