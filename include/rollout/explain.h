/* Plain sentences: why a rollout moved, and why it is or is not moving.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_EXPLAIN_H
#define SERIN_ROLLOUT_EXPLAIN_H

#include "rollout/decide/record.h"

struct rollout;

/* Why next is where it is, for a cause that the judge or the tick gave. who: for an operator's
 * cause, "" = nobody. */
void explain_cause(const struct rollout *r, const struct record *next, enum machine_cause cause,
                   const char *who, char why[RECORD_WHY_MAX]);

/* Who began the newest run, and how. */
void explain_begin(const struct record *record, char why[RECORD_WHY_MAX]);

/* Why a move was made: the cause's sentence where it decided, otherwise what the state had waited
 * for. */
void explain_move(const struct rollout *r, const struct record *next,
                  const struct machine_move *move, const char *who, char why[RECORD_WHY_MAX]);

/* What a person must hear who sends everyone to a version that cannot serve; "" where stable
 * can. */
void explain_no_stable(const struct rollout *r, const struct record *next, struct why *why);

/* One sentence for `serin status`. */
void explain_status(const struct rollout *r, char why[RECORD_WHY_MAX]);

/* Cuts a sentence to fit, without tearing a UTF-8 character, and makes it safe inside double
 * quotes. */
void explain_copy(char *to, size_t size, const char *from);

#endif
