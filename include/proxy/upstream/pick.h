/* Which endpoint of a version gets a request. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_PICK_H
#define SERIN_PROXY_UPSTREAM_PICK_H

#include "proxy/conf/config.h"
#include "proxy/route/endpoint.h"

#define PICK_NONE UINT32_MAX

/* Slow start: an endpoint that is new or back gets a tenth of its share at first, and all of it after so long, so that
 * caches and connections that are cold meet few users. It stands against those that are warmer: where all are new, all
 * are alike. */
#define PICK_SLOW_START_US INT64_C(10000000)

struct pick {
    const struct endpoint *endpoints;
    uint32_t n;
    uint32_t *const *loads; /* [n] requests now on each, of this worker */
    enum balance balance;
    bool take_down; /* where none is available, take one all the same (the last resort of stable) */
    uint32_t avoid; /* one that has just failed this request, or PICK_NONE */
    uint64_t random; /* of good quality in all bits; of balance: hash the hash of the key */
    uint32_t *turn;  /* round robin: this worker's place */
    int64_t now_us;
};

/* The number of the endpoint, or PICK_NONE: one that is neither down nor ejected; where there is none, one that is not
 * down; where there is none either and take_down says so, any.
 *
 * least_requests: the less loaded of two random choices (Mitzenmacher, 2001). O(1) while both places that are drawn
 * serve, else O(n). round_robin: O(n) past those that are out. hash: the endpoint with the highest hash of the key and
 * its own text (rendezvous; Thaler and Ravishankar, 1998), so that only the keys of an endpoint that goes move, and only
 * to one that comes. O(n). */
uint32_t pick_endpoint(const struct pick *p);

#endif
