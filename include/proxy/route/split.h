/* Which version gets a request: override, then sticky key, then exact weight. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_SPLIT_H
#define SERIN_PROXY_ROUTE_SPLIT_H

#include "base/hash.h"
#include "metrics/shard.h"
#include <stdbool.h>
#include <stdint.h>

#define SPLIT_BUCKETS 10000u /* a weight is in basis points: one bucket each */

/* One fixed shuffled order of the buckets. Run through cyclically it gives every weight its exact share of any
 * SPLIT_BUCKETS consecutive requests, and no stripes. Made once, read by all workers. */
struct split_order {
    uint16_t bucket[SPLIT_BUCKETS];
};

/* The same order in every process and release. O(SPLIT_BUCKETS). */
void split_order_init(struct split_order *o);

enum split_override { OVERRIDE_NONE, OVERRIDE_ALWAYS, OVERRIDE_NEVER };

/* Reads the value of an override header or cookie: "always" or "never" in any case, all else is none. Pure. */
enum split_override split_override_parse(struct slice value);

/* What is in force for one route. */
struct split {
    bool is_active; /* a rollout runs or a static weight is set: overrides may reach the canary */
    uint32_t weight_bp;
    struct hash_salt salt; /* the rollout's id: a new rollout draws new users */
};

/* What one request brings along. */
struct split_request {
    enum split_override header, cookie; /* the header is the stronger of the two */
    bool has_key;
    struct slice key; /* sticky key, where has_key */
};

struct split_pick {
    bool canary;
    enum metric_assigned assigned;
    uint64_t key_hash; /* where assigned is ASSIGNED_STICKY */
};

/* Picks the version. The canary owns the buckets [0, weight): a key that is on it at some weight stays there at any
 * larger one. cursor: this worker's place in the order, moved on only by requests that nothing else decides. Pure
 * but for the cursor. O(length of the key). */
struct split_pick split_pick(const struct split *s, const struct split_order *order,
                             const struct split_request *request, uint32_t *cursor);

/* Whether a request is one of the share that is copied: exact over any SPLIT_BUCKETS consecutive calls, like the
 * split itself, but with a cursor of its own in another order, so that it has nothing to do with who goes where. Pure
 * but for the cursor. O(1). */
bool split_mirrors(uint32_t share_bp, const struct split_order *order, uint32_t *cursor);

#endif
