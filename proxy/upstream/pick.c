/* Which endpoint of a version gets a request.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/pick.h"

#define WARMTH_FULL 256u
#define WARMTH_MIN  26u /* a tenth */

/* Who is asked for: first only the good ones. */
enum tier { TIER_SERVING, TIER_REACHABLE, TIER_ANY, TIER_COUNT };

static bool is_usable(const struct pick *p, uint32_t at, enum tier tier)
{
    const struct endpoint_state *s = p->endpoints[at].state;
    if (at == p->avoid)
        return false;
    return tier == TIER_SERVING     ? endpoint_may_serve(s, p->now_us)
           : tier == TIER_REACHABLE ? endpoint_is_reachable(s)
                                    : true;
}

/* Good bits for another purpose (the finalizer of splitmix64). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static uint32_t warmth(const struct pick *p, uint32_t at)
{
    int64_t age_us = p->now_us - endpoint_serves_from_us(p->endpoints[at].state);
    if (__builtin_expect(age_us < 0 || age_us >= PICK_SLOW_START_US, 1))
        return WARMTH_FULL;
    uint32_t w = (uint32_t)(age_us * WARMTH_FULL / PICK_SLOW_START_US);
    return w < WARMTH_MIN ? WARMTH_MIN : w;
}

/* The one of two that slow start keeps from this request, since the other is warmer; PICK_NONE: neither. Of one key the
 * answer changes once: its share of the newcomer's keys moves as it warms. */
static uint32_t held_back(const struct pick *p, uint32_t a, uint32_t b)
{
    uint32_t of_a = warmth(p, a), of_b = warmth(p, b);
    if (__builtin_expect(of_a == of_b, 1))
        return PICK_NONE;
    uint32_t less = of_a < of_b ? of_a : of_b, more = of_a < of_b ? of_b : of_a;
    if ((mix(p->random) >> 56) * more < less * WARMTH_FULL)
        return PICK_NONE;
    return of_a < of_b ? a : b;
}

/* --- in turn --- */

static uint32_t next_usable(const struct pick *p, uint32_t from, enum tier tier)
{
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t at = (from + i) % p->n;
        if (is_usable(p, at, tier))
            return at;
    }
    return PICK_NONE;
}

static uint32_t pick_in_turn(const struct pick *p, enum tier tier)
{
    uint32_t at = next_usable(p, *p->turn % p->n, tier);
    if (at == PICK_NONE)
        return at;
    uint32_t next = next_usable(p, at + 1, tier);
    if (held_back(p, at, next) == at)
        at = next;
    *p->turn = at + 1;
    return at;
}

/* --- by two random choices --- */

/* One of those that are usable, all alike; not_this: one that is not wanted. */
static uint32_t draw_usable(const struct pick *p, uint64_t random, enum tier tier,
                            uint32_t not_this)
{
    uint32_t usable = 0;
    for (uint32_t i = 0; i < p->n; i++)
        usable += i != not_this && is_usable(p, i, tier);
    if (usable == 0)
        return PICK_NONE;
    uint32_t left = (uint32_t)(random % usable);
    for (uint32_t i = 0; i < p->n; i++)
        if (i != not_this && is_usable(p, i, tier) && left-- == 0)
            return i;
    return PICK_NONE; /* another thread has just taken some down */
}

/* While most serve the first draw does, and nobody looks at the others. */
static uint32_t draw(const struct pick *p, uint64_t random, enum tier tier, uint32_t not_this)
{
    uint32_t at = (uint32_t)(random % p->n);
    if (at != not_this && is_usable(p, at, tier))
        return at;
    return draw_usable(p, mix(random), tier, not_this);
}

static uint32_t pick_less_loaded(const struct pick *p, enum tier tier)
{
    uint32_t a = draw(p, p->random, tier, PICK_NONE);
    if (a == PICK_NONE)
        return a;
    uint32_t b = draw(p, p->random >> 32, tier, a);
    if (b == PICK_NONE)
        return a;
    uint32_t out = held_back(p, a, b);
    if (out != PICK_NONE)
        return out == a ? b : a;
    return *p->loads[b] < *p->loads[a] ? b : a;
}

/* --- by hash --- */

static uint32_t pick_by_hash(const struct pick *p, enum tier tier)
{
    uint32_t best = PICK_NONE, second = PICK_NONE;
    uint64_t best_score = 0, second_score = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        if (!is_usable(p, i, tier))
            continue;
        uint64_t score = mix(p->random ^ p->endpoints[i].state->hash);
        if (best == PICK_NONE || score > best_score) {
            second = best;
            second_score = best_score;
            best = i;
            best_score = score;
        } else if (second == PICK_NONE || score > second_score) {
            second = i;
            second_score = score;
        }
    }
    return second != PICK_NONE && held_back(p, best, second) == best ? second : best;
}

static uint32_t pick_among(const struct pick *p, enum tier tier)
{
    switch (p->balance) {
    case BALANCE_ROUND_ROBIN:
        return pick_in_turn(p, tier);
    case BALANCE_HASH:
        return pick_by_hash(p, tier);
    case BALANCE_LEAST_REQUESTS:
        break;
    }
    return pick_less_loaded(p, tier);
}

uint32_t pick_endpoint(const struct pick *p)
{
    if (p->n == 0)
        return PICK_NONE;
    if (p->n == 1)
        return is_usable(p, 0, p->take_down ? TIER_ANY : TIER_REACHABLE) ? 0 : PICK_NONE;
    uint32_t at = PICK_NONE;
    for (enum tier tier = TIER_SERVING;
         at == PICK_NONE && tier < (p->take_down ? TIER_COUNT : TIER_ANY); tier++)
        at = pick_among(p, tier);
    return at;
}
