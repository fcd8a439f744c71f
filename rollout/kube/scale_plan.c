/* How many replicas of each version, and which count to move next.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/scale_plan.h"
#include "base/slice.h"

#include <stdlib.h>

#define WHOLE_BP 10000

enum err scale_amount_parse(const char *text, struct scale_amount *a, struct why *why)
{
    struct slice s = slice_str(text), whole, decimals;
    uint64_t value = 0, part = 0;
    bool is_share = s.len && s.at[s.len - 1] == '%';
    if (is_share)
        s.len--;
    bool has_decimals = slice_cut(s, '.', &whole, &decimals);
    bool is_good = slice_parse_u64(whole, &value) && value <= SCALE_AMOUNT_MAX;
    if (has_decimals)
        is_good = is_good && is_share && decimals.len <= 2 && slice_parse_u64(decimals, &part);
    if (!is_good)
        return why_set(why, ERR_INVALID,
                       "\"%s\" is no number of replicas (expected 1 or 25%%, at most %u)", text,
                       SCALE_AMOUNT_MAX);
    if (decimals.len == 1)
        part *= 10;
    a->is_share = is_share;
    a->value = (uint32_t)(is_share ? value * 100 + part : value);
    return OK;
}

static int amount_of(struct scale_amount a, int desired, bool rounds_up)
{
    if (!a.is_share)
        return (int)a.value;
    int64_t product = (int64_t)a.value * desired;
    return (int)((product + (rounds_up ? WHOLE_BP - 1 : 0)) / WHOLE_BP);
}

enum err scale_bounds_make(int desired, int old, struct scale_amount surge,
                           struct scale_amount unavailable, struct scale_bounds *b, struct why *why)
{
    if (desired > 0 && surge.value == 0 && unavailable.value == 0)
        return why_set(why, ERR_INVALID, "one of maxSurge or maxUnavailable must be specified");
    *b = (struct scale_bounds){.desired = desired,
                               .surge = amount_of(surge, desired, true),
                               .unavailable = amount_of(unavailable, desired, false)};
    if (b->surge == 0 && b->unavailable == 0)
        b->unavailable = 1;
    b->most = desired + b->surge;
    b->keep = desired > b->unavailable ? desired - b->unavailable : 0;
    if (desired == 0)
        b->unavailable = old;
    return OK;
}

int scale_up(const struct scale_bounds *b, int old, int new)
{
    int more = old ? b->most - (old + new) : b->desired - new;
    if (new >= b->desired)
        return b->desired;
    if (more <= 0)
        return new;
    return more < b->desired - new ? new + more : b->desired;
}

int scale_down(const struct scale_bounds *b, int old, int new, int new_ready)
{
    int fewer = old + new - b->keep - (new - new_ready);
    if (old == 0 || fewer <= 0)
        return old;
    if (new == b->desired && new_ready == b->desired)
        return 0;
    return fewer < old ? old - fewer : 0;
}

bool scale_classic(int desired, int *old, int *new)
{
    if (*old <= 0 || *new >= desired)
        return false;
    --*old;
    ++*new;
    return true;
}

int scale_percent(int desired, int new_at_start, int new)
{
    int64_t goal = llabs((long long)desired - new_at_start);
    int64_t left = llabs((long long)desired - new);
    return left >= goal ? (left ? 0 : 100) : (int)((goal - left) * 100 / goal);
}

bool scale_ratio_is_possible(int replicas, uint32_t weight_bp, int surge)
{
    return weight_bp == 0 || weight_bp >= WHOLE_BP || replicas != 1 || surge > 0;
}

/* Of a total, the number of canaries whose share comes nearest to a weight between the ends. */
static int nearest_canary(int total, uint32_t weight_bp)
{
    int nearest = (int)(((int64_t)total * weight_bp + WHOLE_BP / 2) / WHOLE_BP);
    if (nearest < 1)
        return 1;
    return nearest < total ? nearest : total - 1;
}

/* How far the share of canaries is from the weight, times the total. */
static int64_t distance(int canary, int total, uint32_t weight_bp)
{
    return llabs((int64_t)canary * WHOLE_BP - (int64_t)weight_bp * total);
}

struct scale_ratio scale_ratio(int replicas, uint32_t weight_bp, int surge)
{
    if (replicas <= 0)
        return (struct scale_ratio){0, 0};
    if (weight_bp >= WHOLE_BP)
        return (struct scale_ratio){replicas, 0};
    if (weight_bp == 0 || !scale_ratio_is_possible(replicas, weight_bp, surge))
        return (struct scale_ratio){0, replicas};
    int more = replicas + 1;
    int canary = nearest_canary(replicas, weight_bp);
    int canary_of_more = nearest_canary(more, weight_bp);
    bool is_nearer = distance(canary_of_more, more, weight_bp) * replicas <
                     distance(canary, replicas, weight_bp) * more;
    if (surge > 0 && (replicas == 1 || is_nearer))
        return (struct scale_ratio){canary_of_more, more - canary_of_more};
    return (struct scale_ratio){canary, replicas - canary};
}
