/* Records every rollout in state_dir, a line a judged tick, so that it can be judged again: `serin
 * judge < FILE`, `serin replay FILE`. Never in the way of the rollout itself.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_RECORDING_H
#define SERIN_ROLLOUT_RECORDING_H

#include <stdbool.h>

struct recording;
struct rollout;
struct judge_input;

/* Before a tick is judged: begins the recording of a run, or goes on with the one from before a
 * restart. Nothing where no run is judged. Control thread, as all here. */
void recording_look(struct rollout *r);

/* Notes what was just judged (the rollout's decision), for recording_write. */
void recording_note(struct rollout *r, const struct judge_input *input);

/* At the end of the tick: writes what is new by one write call, but for the rare tick that thins
 * the file; ends the recording with its run. moved: the machine moved in this tick. A failure is
 * logged once a run. */
void recording_write(struct rollout *r, bool moved);

/* Lets the file go; it is gone on with at the next open. NULL is allowed. */
void recording_free(struct recording *rec);

#endif
