/* Which endpoint of a version gets a request. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_PICK_H
#define SERIN_PROXY_UPSTREAM_PICK_H

#include "proxy/conf/config.h"
#include "proxy/route/endpoint.h"

#define PICK_NONE UINT32_MAX

struct pick {
    const struct endpoint *endpoints;
    uint32_t n;
    uint32_t *const *loads; /* [n] requests now on each, of this worker */
    enum balance balance;
    bool take_down; /* where none is available, take one all the same (the last resort of stable) */
    uint32_t avoid; /* one that has just failed this request, or PICK_NONE */
    uint64_t random; /* of good quality in all bits */
    uint32_t *turn;  /* round robin: this worker's place */
};

/* The number of the endpoint, or PICK_NONE. least_requests: the less loaded of two random choices (Mitzenmacher,
 * 2001), each the next available one from a random place on. O(n) in the worst case, O(1) while most are up. */
uint32_t pick_endpoint(const struct pick *p);

#endif
