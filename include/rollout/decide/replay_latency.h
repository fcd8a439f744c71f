/* Slow requests under other thresholds than the recorded ones, read off recorded histograms.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_REPLAY_LATENCY_H
#define SERIN_ROLLOUT_DECIDE_REPLAY_LATENCY_H

#include "rollout/decide/replay.h"

/* Whether the recorded counts of slow requests serve under a configuration, or the histograms must.
 * settings: of that configuration. Pure. */
void replay_latency_start(struct replay_latency *l, const struct cJSON *recorded,
                          const struct cJSON *config, const struct judge_settings *settings);

/* Takes the histograms of a tick line (m) in, where it has any. *found: it has. The queue's last
 * tick is that of the line; the slow counts of the whole queue are filled in. ERR_INVALID: they are
 * none. Pure. O(cells + queue). */
enum err replay_latency_take(struct replay *r, const struct cJSON *m, bool *found,
                             struct why *why) MUST_USE;

/* Fills in the queue without histograms: nothing new is known. Pure. */
void replay_latency_pass(struct replay *r, bool is_known);

#endif
