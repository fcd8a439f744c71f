/* Whether a failed attempt may be sent again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/retry.h"

#include "proxy/http/head.h"
#include "proxy/route/retry_budget.h"

bool retry_may(const struct config_retry *policy, const struct retry_facts *facts)
{
    if (!(policy->on & (uint32_t)facts->cause) || facts->tries >= policy->max)
        return false;
    if (facts->went_down || !facts->is_replayable)
        return false;
    return facts->nothing_sent || policy->methods & 1u << facts->method;
}

uint64_t retry_most(const struct config_retry *policy, uint64_t requests)
{
    /* in two parts, so that no number of requests overflows */
    uint64_t share = requests / SHARE_FULL_BP * policy->budget_bp +
                     requests % SHARE_FULL_BP * policy->budget_bp / SHARE_FULL_BP;
    return share > RETRY_BUDGET_FLOOR ? share : RETRY_BUDGET_FLOOR;
}

bool retry_is_idempotent(uint8_t method)
{
    return method == METHOD_GET || method == METHOD_HEAD || method == METHOD_OPTIONS ||
           method == METHOD_PUT || method == METHOD_DELETE;
}
