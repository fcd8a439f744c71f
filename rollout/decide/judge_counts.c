/* Counters to blocks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_counts.h"

#include <math.h>

static uint64_t cut(uint64_t count)
{
    return count < JUDGE_COUNT_MAX ? count : JUDGE_COUNT_MAX;
}

static uint64_t gained(uint64_t before, uint64_t now)
{
    return now >= before ? now - before : now;
}

struct judge_side counts_cut(const struct judge_side *side)
{
    struct judge_side kept = {cut(side->requests),      cut(side->failed),
                              cut(side->client_errors), {0},
                              cut(side->key_requests),  cut(side->key_failed)};
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++)
        kept.slow[i] = cut(side->slow[i]);
    return kept;
}

struct judge_side counts_gained(const struct judge_side *before, const struct judge_side *now)
{
    struct judge_side d = {gained(before->requests, now->requests),
                           gained(before->failed, now->failed),
                           gained(before->client_errors, now->client_errors),
                           {0},
                           gained(before->key_requests, now->key_requests),
                           gained(before->key_failed, now->key_failed)};
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++)
        d.slow[i] = gained(before->slow[i], now->slow[i]);
    return d;
}

void counts_add(struct judge_side *sum, const struct judge_side *d)
{
    /* Both are at most 2^53, so that no addition wraps before it is cut. */
    sum->requests = cut(sum->requests + d->requests);
    sum->failed = cut(sum->failed + d->failed);
    sum->client_errors = cut(sum->client_errors + d->client_errors);
    sum->key_requests = cut(sum->key_requests + d->key_requests);
    sum->key_failed = cut(sum->key_failed + d->key_failed);
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++)
        sum->slow[i] = cut(sum->slow[i] + d->slow[i]);
}

bool counts_is_ordered(const struct judge_side *early, const struct judge_side *late)
{
    bool ordered = early->requests <= late->requests && early->failed <= late->failed &&
                   early->client_errors <= late->client_errors &&
                   early->key_requests <= late->key_requests &&
                   early->key_failed <= late->key_failed;
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++)
        ordered = ordered && early->slow[i] <= late->slow[i];
    return ordered;
}

static uint64_t marked(const struct judge_side *side, enum judge_check check)
{
    switch (check) {
    case JUDGE_CHECK_ERRORS:
    case JUDGE_CHECK_CEILING:
        return side->failed;
    case JUDGE_CHECK_CLIENT_ERRORS:
        return side->client_errors;
    default:
        return side->slow[check - JUDGE_CHECK_LATENCY];
    }
}

struct evidence_block counts_block(const struct judge_seen *seen, enum judge_check check,
                                   bool sticky)
{
    const struct judge_side *canary = &seen->canary, *stable = &seen->stable;
    if (sticky && (check == JUDGE_CHECK_ERRORS || check == JUDGE_CHECK_CEILING))
        return (struct evidence_block){(double)canary->key_requests, (double)canary->key_failed,
                                       (double)stable->key_requests, (double)stable->key_failed};
    return (struct evidence_block){(double)canary->requests, (double)marked(canary, check),
                                   (double)stable->requests, (double)marked(stable, check)};
}

void counts_block_add(struct evidence_block *open, const struct evidence_block *d)
{
    open->canary += d->canary;
    open->canary_marked += d->canary_marked;
    open->stable += d->stable;
    open->stable_marked += d->stable_marked;
}

void counts_block_close(struct evidence_block *block)
{
    block->canary_marked = fmin(block->canary_marked, block->canary);
    block->stable_marked = fmin(block->stable_marked, block->stable);
}
