/* Where a request goes whose attempt has failed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/failover.h"

#include "base/log.h"
#include "proxy/flow/attempt.h"
#include "proxy/upstream/pick.h"
#include "proxy/upstream/retry.h"

static const struct config_retry *policy_of(const struct exchange *x)
{
    return &x->route->conf->retry;
}

/* Whoever asked for the canary by name, or is there by a sticky key, gets stable's answer too: better than none. */
static bool find_place(struct exchange *x, struct failover *next)
{
    const struct attempt *a = &x->attempt;
    bool goes_to_stable = a->is_canary && policy_of(x)->to_stable;
    next->variant = goes_to_stable ? &x->route->stable : a->variant;
    if (!goes_to_stable && a->endpoint == PICK_NONE)
        return false;
    next->endpoint = attempt_choose(x, next->variant, goes_to_stable ? PICK_NONE : a->endpoint);
    return next->endpoint != PICK_NONE;
}

/* The sum over all workers' cells is spared as long as the floor is enough. */
static bool pay(struct exchange *x)
{
    struct retry_budget *b = x->route->live->retries;
    uint64_t most = RETRY_BUDGET_FLOOR;
    if (retry_budget_taken(b, x->flow->now_us) >= most) {
        uint64_t before = retry_budget_before(b);
        most = retry_most(policy_of(x), metrics_responses(x->route->metrics) - before);
    }
    return retry_budget_take(b, most, x->flow->now_us);
}

static void refuse(struct exchange *x)
{
    uint32_t budget_bp = policy_of(x)->budget_bp;
    cell_add(&x->route->metrics->cells[x->flow->worker]->retries_refused, 1);
    if (retry_budget_say(x->route->live->retries, x->flow->now_us))
        log_warn("retry_budget_used_up",
                 "route=%s version=%s budget=%u.%02u%% window_s=%u request_id=%.*s",
                 x->route->conf->name, x->attempt.variant->name, budget_bp / 100, budget_bp % 100,
                 RETRY_BUDGET_S, SLICE_ARG(x->request_id));
}

bool failover_find(struct exchange *x, unsigned cause, struct failover *next)
{
    bool is_early = x->state == EXCHANGE_ROUTE || x->state == EXCHANGE_CONNECT;
    struct retry_facts facts = {
        .cause = (enum retry_on)cause,
        .method = x->method,
        /* a stale connection had taken it before the present one was dialled */
        .nothing_sent = is_early && !x->attempt.was_stale,
        .is_replayable = x->is_replayable,
        .went_down = x->n_interim && x->minor != 0, /* HTTP/1.0 clients get no 1xx */
        .tries = x->tries};
    if (cause == RETRY_NEVER || !retry_may(policy_of(x), &facts) || !find_place(x, next))
        return false;
    if (pay(x))
        return true;
    refuse(x);
    return false;
}

bool failover_may_resend(const struct exchange *x)
{
    /* a stale connection is replaced whatever the policy says */
    return retry_is_idempotent(x->method) || policy_of(x)->methods & 1u << x->method;
}
