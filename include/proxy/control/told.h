/* What people are told of the routes beside their rollouts' own events: samples for charts, endpoints, and the ticks of
 * routes that have no rollout.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_TOLD_H
#define SERIN_PROXY_CONTROL_TOLD_H

#include "proxy/control/control.h"

/* Routes of which a series is kept, the first of the file: bounds its memory to some 17 MiB. */
#define TOLD_SERIES_MAX 128u

/* Endpoints of a route that are named one by one, those first that get no requests: bounds an answer and an event. */
#define TOLD_ENDPOINTS_MAX 256u

/* Each second, behind the rollouts' ticks: looks at every route, and tells those who follow the events ("sample", "tick",
 * and "endpoints" where something has changed). Nobody follows: one look a route. */
void told_tick(struct control *c);

/* Whether a route's ticks are told here rather than by its rollout: it has none, or no canary to roll out. */
bool told_has_tick(const struct known_route *r);

/* {"route","endpoints":[{"version","address","state"}],"left_out"}; state: untried, up, down, or ejected with
 * "returns_in_s". The caller frees it; NULL when memory is short. O(endpoints). */
struct cJSON *told_endpoints(const struct known_route *r);

/* {"route","columns","points"} (series.h); no points where none is kept. The caller frees it; NULL when memory is short. */
struct cJSON *told_series(const struct known_route *r);

#endif
