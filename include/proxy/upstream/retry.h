/* Whether a failed attempt may be sent again. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_RETRY_H
#define SERIN_PROXY_UPSTREAM_RETRY_H

#include "proxy/conf/config.h"

struct retry_facts {
    enum retry_on cause;
    uint8_t method;     /* enum method */
    bool nothing_sent;  /* no byte of the request reached an endpoint: safe for every method */
    bool is_replayable; /* the whole request so far is still here */
    bool went_down;     /* something of an answer, if only a 1xx, is with the client */
    uint32_t tries;     /* retries already made of this request */
};

/* True where the policy allows one more attempt, as far as this request goes: the budget of its route is asked apart. */
bool retry_may(const struct config_retry *policy, const struct retry_facts *facts);

/* Most retries in the window of a budget in which so many requests came (proxy/route/retry_budget.h). */
uint64_t retry_most(const struct config_retry *policy, uint64_t requests);

/* GET, HEAD, OPTIONS, PUT, DELETE: sent twice they do what they do sent once (RFC 9110 section 9.2.2). */
bool retry_is_idempotent(uint8_t method);

#endif
