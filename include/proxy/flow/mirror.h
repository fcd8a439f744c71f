/* Copies of stable's requests for the canary, whose answers are thrown away (mirror: N%).
 *
 * A copy begins when the exchange of its request ends: then the request is whole, the user has the answer, and how stable
 * did is known, so that the two can be compared as a pair. It has its own connection, deadlines and end, and holds up
 * nobody.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_MIRROR_H
#define SERIN_PROXY_FLOW_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

struct exchange;

/* Copies under way in one worker. Bounds what a canary that hangs costs: so many descriptors, heads, and bodies of
 * EXCHANGE_REPLAY_MAX. */
#define MIRROR_INFLIGHT_MAX 128u

/* How stable fared with a request that is copied. */
struct mirror_side {
    bool is_known; /* false: it has not answered, or the user did not wait for it */
    bool failed, client_error;
    int64_t age_us; /* to the head of its answer, or to its failure */
};

/* Whether the request of x, which its weight or key has just given to stable, is one of the share that is copied. Moves
 * the route's cursor. Only where x->route->mirror_bp is set. */
bool mirror_chooses(const struct exchange *x);

/* The first attempt of a request that was chosen has ended on stable. */
void mirror_note_stable(struct exchange *x, unsigned status, bool failed);

/* The exchange of a request that was chosen ends: its copy goes out, or is counted as skipped. Takes what x kept of the
 * body. */
void mirror_start(struct exchange *x);

#endif
