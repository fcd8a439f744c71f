/* Whether a failed attempt is sent again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/retry.h"

bool retry_may(const struct config_retry *policy, const struct retry_facts *facts)
{
    if (!(policy->on & (uint32_t)facts->cause) || facts->tries >= policy->max ||
        !facts->is_replayable)
        return false;
    if (!facts->nothing_sent && !(policy->methods & 1u << facts->method))
        return false;
    uint64_t budget = (uint64_t)facts->active * policy->budget_bp / SHARE_FULL_BP;
    return facts->active_retries < (budget > RETRY_BUDGET_MIN ? budget : RETRY_BUDGET_MIN);
}
