/* The mover of the machine and the few changes that ticks and verbs share; nothing else may set a
 * state. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_MOVES_H
#define SERIN_ROLLOUT_DECIDE_MOVES_H

#include "rollout/decide/machine.h"

/* Sets the state. CHECKs that the table has the move. Entering ABORTING or RESTORING takes the
 * weight to 0. Pure. */
void moves_goto(struct machine *m, enum machine_state to, enum machine_cause cause);

/* Out of ANALYZING (also where HOLDING or PAUSED stand in for it) to the next step, or to the bake.
 * Pure. */
void moves_next_step(struct machine *m, const struct plan *p, enum machine_cause cause);

/* To PROMOTING, from any state that may; the weight is raised there, once the canary can serve. Pure. */
void moves_promote(struct machine *m, const struct plan *p, enum machine_cause cause);

/* Out of HOLDING or PAUSED: back to the state that was left, or, where the weight was lowered
 * meanwhile, to the state that raises it again. Pure. */
void moves_return(struct machine *m, const struct plan *p, enum machine_cause cause);

#endif
