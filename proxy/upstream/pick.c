/* Which endpoint of a version gets a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/pick.h"

/* The first endpoint from a place on that may serve and is not avoided. */
static uint32_t next_usable(const struct pick *p, uint32_t from, bool any_health)
{
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t at = (from + i) % p->n;
        if (at != p->avoid && (any_health || endpoint_may_serve(p->endpoints[at].state)))
            return at;
    }
    return PICK_NONE;
}

static uint32_t pick_among(const struct pick *p, bool any_health)
{
    if (p->balance == BALANCE_ROUND_ROBIN) {
        uint32_t at = next_usable(p, *p->turn % p->n, any_health);
        if (at != PICK_NONE)
            *p->turn = at + 1;
        return at;
    }
    uint32_t a = next_usable(p, (uint32_t)(p->random % p->n), any_health);
    uint32_t b = next_usable(p, (uint32_t)((p->random >> 32) % p->n), any_health);
    if (a == PICK_NONE)
        return PICK_NONE;
    if (a == b)
        b = next_usable(p, (a + 1) % p->n, any_health);
    if (b == PICK_NONE)
        return a; /* another thread has just taken it down */
    return *p->loads[b] < *p->loads[a] ? b : a;
}

uint32_t pick_endpoint(const struct pick *p)
{
    if (p->n == 0)
        return PICK_NONE;
    if (p->n == 1)
        return p->avoid != 0 && (p->take_down || endpoint_may_serve(p->endpoints[0].state))
                   ? 0
                   : PICK_NONE;
    uint32_t at = pick_among(p, false);
    return at == PICK_NONE && p->take_down ? pick_among(p, true) : at;
}
