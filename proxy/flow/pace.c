/* The rule for slow clients: how fast a body must come or go while the proxy waits for the client alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/pace.h"

/* The lowest that spent_ms may be: silent for the gap, and no longer, uses up what is ahead. */
static int64_t most_ahead(struct pace_rule rule)
{
    return rule.gap_ms > PACE_GRACE_MS ? PACE_GRACE_MS - (int64_t)rule.gap_ms : 0;
}

/* The time for which so many bytes pay, rounded in the client's favour. */
static int64_t time_of(uint64_t bytes, struct pace_rule rule)
{
    uint64_t seconds = bytes / rule.rate, rest = bytes % rule.rate;
    return seconds > INT32_MAX
               ? INT64_C(1000) * INT32_MAX
               : (int64_t)(seconds * 1000 + (rest * 1000 + rule.rate - 1) / rule.rate);
}

static uint32_t silent_ms(const struct pace *p, int64_t now_ms)
{
    return (uint32_t)now_ms - p->moved_ms;
}

enum pace_verdict pace_look(struct pace *p, struct pace_rule rule, uint64_t total, int64_t now_ms)
{
    uint64_t moved = total > p->total ? total - p->total : 0;
    p->total += moved;
    int64_t spent_ms = p->spent_ms + now_ms - p->since_ms;
    p->since_ms = now_ms;
    if (rule.rate == 0)
        spent_ms = 0;
    else
        spent_ms -= time_of(moved, rule);
    if (spent_ms < most_ahead(rule))
        spent_ms = most_ahead(rule);
    p->spent_ms = spent_ms < INT32_MAX ? (int32_t)spent_ms : INT32_MAX;
    if (silent_ms(p, now_ms) >= rule.gap_ms)
        return PACE_STALLED;
    return rule.rate && spent_ms >= PACE_GRACE_MS ? PACE_SLOW : PACE_OK;
}

uint32_t pace_next_ms(const struct pace *p, struct pace_rule rule, int64_t now_ms)
{
    int64_t next = PACE_LOOK_MS, left = (int64_t)rule.gap_ms - silent_ms(p, now_ms);
    if (left < next)
        next = left;
    if (rule.rate && PACE_GRACE_MS - p->spent_ms < next)
        next = PACE_GRACE_MS - p->spent_ms;
    return next > 1 ? (uint32_t)next : 1;
}
