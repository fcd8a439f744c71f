/* The words of a rollout that people and scripts read: verbs, phases, results.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_WORDS_H
#define SERIN_ROLLOUT_DECIDE_WORDS_H

#include <stdbool.h>

enum rollout_verb {
    ROLLOUT_START,
    ROLLOUT_PAUSE,
    ROLLOUT_RESUME,
    ROLLOUT_PROMOTE,      /* to the next step, whatever the evidence */
    ROLLOUT_PROMOTE_FULL, /* all the way to 100 % */
    ROLLOUT_ABORT,
    ROLLOUT_RETRY,
    ROLLOUT_UNDO,
    ROLLOUT_RESET,
    ROLLOUT_VERB_COUNT
};

/* start pause resume promote promote_full abort retry undo reset; NULL for other values. Pure. */
const char *rollout_verb_name(enum rollout_verb verb);

/* False: no such verb. Pure. */
bool rollout_verb_parse(const char *name, enum rollout_verb *verb);

enum rollout_phase {
    ROLLOUT_PHASE_HEALTHY,
    ROLLOUT_PHASE_PROGRESSING,
    ROLLOUT_PHASE_PAUSED,
    ROLLOUT_PHASE_DEGRADED,
    ROLLOUT_PHASE_COUNT
};

/* "Healthy" "Progressing" "Paused" "Degraded". Never NULL. Pure. */
const char *rollout_phase_name(enum rollout_phase phase);

enum rollout_result {
    ROLLOUT_RESULT_NONE, /* still running, or none yet */
    ROLLOUT_RESULT_COMPLETED,
    ROLLOUT_RESULT_REVERTED,   /* by the judge, or because the canary could not serve */
    ROLLOUT_RESULT_ABORTED,    /* by a person, a deadline, low evidence */
    ROLLOUT_RESULT_SUPERSEDED, /* the file named another pair, or dropped the canary */
    ROLLOUT_RESULT_COUNT
};

/* "none" "completed" "reverted" "aborted" "superseded". Never NULL. Pure. */
const char *rollout_result_name(enum rollout_result result);

#endif
