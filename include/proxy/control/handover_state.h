/* What a process knows of a route beyond its file and its rollout's record, for the one that takes over: how slow and how
 * busy it was in the last ten minutes, its breaker, its endpoints. Written as JSON and read back; losing any of it is no
 * failure, the next process then begins as after a restart.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HANDOVER_STATE_H
#define SERIN_PROXY_CONTROL_HANDOVER_STATE_H

#include "proxy/control/known.h"

struct cJSON;

/* Endpoints of one message: so that it stays below HANDOVER_BYTES_MAX. */
#define HANDOVER_ENDPOINTS_MAX 256u

/* The last ten minutes and the breaker. Moments are monotonic: the next process is on the same machine, and its clock is the
 * same. now_ms: monotonic. The caller frees it; NULL when memory is short. */
struct cJSON *handover_state_of(struct known_route *r, int64_t now_ms);

/* The endpoints of a route, at most HANDOVER_ENDPOINTS_MAX from *at in the list on, which moves on; NULL in *at: there are
 * no more. The caller frees it; NULL when memory is short, or none was left. */
struct cJSON *handover_endpoints_of(const struct known_route *r, struct list **at);

/* Takes over the endpoints and the breaker of a route, before anything is served. What is wrong or unknown is left out. */
void handover_take_endpoints(struct known *k, struct known_route *r, const struct cJSON *state);

/* Takes over the last ten minutes, once the route's split is known. Figures of another stable version are left out. */
void handover_take_minutes(struct metrics *m, struct known_route *r, const struct cJSON *state,
                           int64_t now_ms);

#endif
