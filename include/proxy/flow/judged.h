/* What the judge and the breaker see of a request: how it ended, and how old it grew before that.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_JUDGED_H
#define SERIN_PROXY_FLOW_JUDGED_H

#include "proxy/flow/exchange.h"

/* How often requests under way are held against the latency thresholds: a tick of the rollout. */
#define JUDGED_LOOK_MS 1000u

/* Counts the outcome of the first attempt, which is ending now. is_void: neither success nor failure (the client
 * left); then only its age counts. Forced requests are not comparable with the rest and stay out. */
void judged_settle(struct exchange *x, unsigned status, bool failed, bool is_void);

/* The latency thresholds of a role that an age has crossed, a bit each. Pure but for the thresholds. */
unsigned judged_crossed(const struct route_live *live, enum metric_role role, int64_t age_us);

/* A request begins: the looks at those under way begin with it. */
void judged_begin(struct flow *f);

/* For flow_init: prepares the looks. Requests that crossed a threshold since the last one count as slow now, not when
 * they end: a version that hangs ends none. */
void judged_init(struct flow *f);

#endif
