/* The words of a rollout that people and scripts read: verbs, phases, results.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/words.h"

#include "base/check.h"
#include <string.h>

static const char *const verb_names[ROLLOUT_VERB_COUNT] = {
    [ROLLOUT_START] = "start",
    [ROLLOUT_PAUSE] = "pause",
    [ROLLOUT_RESUME] = "resume",
    [ROLLOUT_PROMOTE] = "promote",
    [ROLLOUT_PROMOTE_FULL] = "promote_full",
    [ROLLOUT_ABORT] = "abort",
    [ROLLOUT_RETRY] = "retry",
    [ROLLOUT_UNDO] = "undo",
    [ROLLOUT_RESET] = "reset",
};

const char *rollout_verb_name(enum rollout_verb verb)
{
    return (unsigned)verb < ROLLOUT_VERB_COUNT ? verb_names[verb] : NULL;
}

bool rollout_verb_parse(const char *name, enum rollout_verb *verb)
{
    for (unsigned i = 0; i < ROLLOUT_VERB_COUNT; i++) {
        if (strcmp(name, verb_names[i]) == 0) {
            *verb = (enum rollout_verb)i;
            return true;
        }
    }
    return false;
}

const char *rollout_phase_name(enum rollout_phase phase)
{
    static const char *const names[ROLLOUT_PHASE_COUNT] = {"Healthy", "Progressing", "Paused",
                                                           "Degraded"};
    CHECK((unsigned)phase < ROLLOUT_PHASE_COUNT);
    return names[phase];
}

const char *rollout_result_name(enum rollout_result result)
{
    static const char *const names[ROLLOUT_RESULT_COUNT] = {"none", "completed", "reverted",
                                                            "aborted", "superseded"};
    CHECK((unsigned)result < ROLLOUT_RESULT_COUNT);
    return names[result];
}
