/* Arithmetic of the judge's counters: bounds, differences, sums, and the blocks made of them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_COUNTS_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_COUNTS_H

#include "rollout/decide/judge.h"

/* The side with every counter cut at JUDGE_COUNT_MAX. Pure. */
struct judge_side counts_cut(const struct judge_side *side);

/* now - before, counter by counter; a counter that went down was reset: all that it shows is new.
 * Both cut. Pure. */
struct judge_side counts_gained(const struct judge_side *before, const struct judge_side *now);

/* Adds d to *sum, cut at JUDGE_COUNT_MAX. Both cut. Pure. */
void counts_add(struct judge_side *sum, const struct judge_side *d);

/* Whether no counter of late is below that of early. Pure. */
bool counts_is_ordered(const struct judge_side *early, const struct judge_side *late);

/* The requests that a check marks among those seen. sticky: errors go by first failures of keys.
 * Pure. */
struct evidence_block counts_block(const struct judge_seen *seen, enum judge_check check,
                                   bool sticky);

/* Adds a block to one that is open. Pure. */
void counts_block_add(struct evidence_block *open, const struct evidence_block *d);

/* Cuts the marked at the requests: counters are read one after the other, so that a mark may be
 * seen before its request. Pure. */
void counts_block_close(struct evidence_block *block);

#endif
