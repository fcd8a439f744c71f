/* The sentence that tells a person why the judge decided as it did.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_WHY_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_WHY_H

#include "rollout/decide/judge.h"

/* Writes decision->why from the other fields of the decision and the counts of j. check: the one
 * with the most evidence. Plain ASCII, cut at JUDGE_WHY_MAX. Pure. */
void judge_say(const struct judge *j, const struct judge_input *input, enum judge_check check,
               struct judge_decision *decision);

#endif
