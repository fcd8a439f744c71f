/* Where a request goes whose attempt has failed: a canary's to stable, a stable one's to another endpoint of stable.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_FAILOVER_H
#define SERIN_PROXY_FLOW_FAILOVER_H

#include "proxy/flow/exchange.h"

struct failover {
    const struct route_variant *variant;
    uint32_t endpoint; /* number within the variant */
};

/* What `retry.on` calls a failure: an enum retry_on, or this: never tried again. */
#define RETRY_NEVER 0u

/* Finds the next attempt of a request whose present one has failed before a final head went down. True: it may be made,
 * and the budget of the route has paid for it. False: not allowed, nowhere to go, or refused for want of budget, which
 * is counted. cause: an enum retry_on, or RETRY_NEVER. Changes nothing of x. */
bool failover_find(struct exchange *x, unsigned cause, struct failover *next);

/* False: whatever happens, this request is not sent again once it has been sent in part. Its body need not be kept. */
bool failover_may_resend(const struct exchange *x);

#endif
