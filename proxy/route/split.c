/* Which version gets a request: override, then sticky key, then exact weight.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/split.h"

/* Seed of the shuffle. Any value serves; a constant makes two runs comparable. */
#define ORDER_SEED 0x5e21c0de5e21c0deULL

/* Steps of the mirror's cursor. Prime to SPLIT_BUCKETS, so that it comes to every bucket before it comes to one again. */
#define MIRROR_STRIDE 3607u

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void split_order_init(struct split_order *o)
{
    uint64_t state = ORDER_SEED;
    for (unsigned i = 0; i < SPLIT_BUCKETS; i++)
        o->bucket[i] = (uint16_t)i;
    for (unsigned i = SPLIT_BUCKETS - 1; i > 0; i--) {
        unsigned j = (unsigned)(splitmix64(&state) % (i + 1));
        uint16_t swap = o->bucket[i];
        o->bucket[i] = o->bucket[j];
        o->bucket[j] = swap;
    }
}

enum split_override split_override_parse(struct slice value)
{
    if (slice_equal_nocase(value, SLICE("always")))
        return OVERRIDE_ALWAYS;
    if (slice_equal_nocase(value, SLICE("never")))
        return OVERRIDE_NEVER;
    return OVERRIDE_NONE;
}

struct split_pick split_pick(const struct split *s, const struct split_order *order,
                             const struct split_request *request, uint32_t *cursor)
{
    if (!s->is_active)
        return (struct split_pick){false, ASSIGNED_WEIGHT, 0};
    if (request->header != OVERRIDE_NONE)
        return (struct split_pick){request->header == OVERRIDE_ALWAYS, ASSIGNED_HEADER, 0};
    if (request->cookie != OVERRIDE_NONE)
        return (struct split_pick){request->cookie == OVERRIDE_ALWAYS, ASSIGNED_COOKIE, 0};
    if (request->has_key) {
        uint64_t hash = hash_bytes(s->salt, request->key);
        return (struct split_pick){hash % SPLIT_BUCKETS < s->weight_bp, ASSIGNED_STICKY, hash};
    }
    uint32_t at = *cursor;
    *cursor = at + 1 < SPLIT_BUCKETS ? at + 1 : 0;
    return (struct split_pick){order->bucket[at] < s->weight_bp, ASSIGNED_WEIGHT, 0};
}

bool split_mirrors(uint32_t share_bp, const struct split_order *order, uint32_t *cursor)
{
    uint32_t at = *cursor;
    *cursor = (at + MIRROR_STRIDE) % SPLIT_BUCKETS;
    return order->bucket[at] < share_bp;
}
