/* Whether a failed attempt is sent again. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_RETRY_H
#define SERIN_PROXY_UPSTREAM_RETRY_H

#include "proxy/conf/config.h"

#define RETRY_BUDGET_MIN                                                                           \
    3 /* retries at a time that are always allowed: a quiet service has few requests to share in */

struct retry_facts {
    enum retry_on cause;
    uint8_t method;     /* enum method */
    bool nothing_sent;  /* no byte of the request reached the endpoint: safe for every method */
    bool is_replayable; /* the whole request so far is still here */
    uint32_t tries;     /* retries already made of this request */
    uint32_t active;    /* requests in flight in the process, roughly */
    uint32_t active_retries;
};

/* True where the policy and the budget allow one more attempt. The caller has made sure that nothing of a response
 * went to the client. */
bool retry_may(const struct config_retry *policy, const struct retry_facts *facts);

#endif
