/* Whether the share of requests that a version got is the share that it was meant to get. A mismatch says that the
 * experiment is broken, not that a version is bad.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_SAMPLE_RATIO_H
#define SERIN_ROLLOUT_DECIDE_SAMPLE_RATIO_H

#include <stdbool.h>
#include <stdint.h>

/* Standard deviations of a fair coin: a working split, which is exact, never comes near. */
#define SAMPLE_RATIO_SIGMAS 4.5
/* Fewer expected requests than this on the smaller side say nothing. */
#define SAMPLE_RATIO_LEAST 30

/* canary of total requests, at a share in (0, 1). Pure. */
bool sample_ratio_is_off(uint64_t canary, uint64_t total, double share);

#endif
