/* A decision goes out: the split into the data plane, one line into the log, events to whoever
 * listens. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_SINK_H
#define SERIN_ROLLOUT_SINK_H

#include "rollout/decide/record.h"
#include "rollout/ports.h"

struct rollout;

/* The last split that was applied. */
struct sink {
    bool applied;       /* since the process started */
    int64_t applied_ms; /* monotonic */
    uint32_t weight_bp;
    bool active;
    struct judge_seen at_weight; /* what the run had counted when that weight was applied */
    uint64_t slow_us[ROLE_COUNT][JUDGED_QUANTILES];
    char stable[RECORD_NAME_MAX], canary[RECORD_NAME_MAX], salt[ROLLOUT_ID_MAX];
};

/* Puts the record's split in force if it is not the last one already. */
void sink_apply(struct rollout *r);

/* Whether every worker has the record's split. One that is not confirmed in time is applied again,
 * with an event. */
bool sink_confirmed(struct rollout *r);

/* The one line of a move in the log. */
void sink_log(const struct rollout *r, const struct machine_move *move, const char *why);

/* Logs a move and tells its events. why: one sentence. */
void sink_tell(struct rollout *r, const struct machine_move *move, const char *why);

/* One event with the route, the rollout and a sentence. */
void sink_event(struct rollout *r, const char *name, const char *why);

#endif
