/* What a rollout tells at the moment of a change: a value that outlives the rollout, for whoever passes it on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_EVENT_H
#define SERIN_ROLLOUT_EVENT_H

#include "rollout/decide/record.h"

/* Of one version, since the step began. */
struct rollout_event_counts {
    uint64_t requests, failed;
};

struct rollout_event {
    int64_t wall_ms;                     /* since 1970 */
    const char *name;                    /* "RolloutStarted", "WeightChanged" ...; static */
    const char *phase, *state, *verdict; /* as in the status; static */
    bool is_failure;                     /* the canary failed, or could not serve */
    char route[RECORD_NAME_MAX];
    char rollout_id[RECORD_ID_MAX]; /* "" = none yet */
    char stable[RECORD_NAME_MAX], canary[RECORD_NAME_MAX];
    char canary_before[RECORD_NAME_MAX]; /* of the run before this one; "" = there was none */
    char why[RECORD_WHY_MAX];            /* one sentence */
    unsigned step, steps;                /* from 1 */
    uint32_t step_bp;                    /* the share that this step is about */
    uint32_t weight_from_bp, weight_bp;  /* the canary's before and now */
    struct rollout_event_counts of_stable, of_canary;
};

#endif
