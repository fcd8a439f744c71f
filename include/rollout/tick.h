/* One tick, and the parts of it that verbs and reloads use as well.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_TICK_H
#define SERIN_ROLLOUT_TICK_H

#include "rollout/decide/record.h"

struct rollout;

/* Stores what changed from the record to next, makes it the record and acts on it: notes, split,
 * log, events. who: for the history, "" = nobody. ERR_IO: not stored, and the change was not one
 * that may go ahead without (only a lower weight and a stop may); then nothing changed. */
enum err tick_make(struct rollout *r, struct record *next, enum machine_cause cause,
                   const char *who) MUST_USE;

/* Takes a new pair over as far as the state allows now. False: nothing to do, or not stored. */
bool tick_adopt(struct rollout *r);

#endif
