/* How many replicas of each version, and which count to move next: the arithmetic of kubectl
 * rolling-update's both generations and of the replica ratio. Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_SCALE_PLAN_H
#define SERIN_ROLLOUT_KUBE_SCALE_PLAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* A count or a share of the desired replicas, "1" or "25%" (basis points; up to 10000 replicas, any share). */
struct scale_amount {
    bool is_share;
    uint32_t value;
};
enum err scale_amount_parse(const char *text, struct scale_amount *a, struct why *why) MUST_USE;

/* Fenceposts: surge rounds up, unavailable down; both 0 by shares → unavailable 1; explicit 0 and 0 with desired > 0:
 * ERR_INVALID "one of maxSurge or maxUnavailable must be specified". desired 0: everything old may go. */
struct scale_bounds {
    int desired, surge, unavailable;
    int keep, most; /* min available; most in total */
};
enum err scale_bounds_make(int desired, int old, struct scale_amount surge,
                           struct scale_amount unavailable, struct scale_bounds *b,
                           struct why *why) MUST_USE;

/* The second generation's two halves of a turn: the next wanted count of new, or of old; the same count: nothing to do. */
int scale_up(const struct scale_bounds *b, int old, int new);
int scale_down(const struct scale_bounds *b, int old, int new, int new_ready);

/* The first generation: one pod over, one pod gone. False when old is 0 or new has what it should. */
bool scale_classic(int desired, int *old, int *new);

/* How far it is, 0 to 100 (goal: the distance that new had at its start). */
int scale_percent(int desired, int new_at_start, int new);

/* The replica ratio that comes nearest to a weight: canary and stable with canary + stable <= replicas + surge; at
 * least one of each between the ends. */
struct scale_ratio {
    int canary, stable;
};
struct scale_ratio scale_ratio(int replicas, uint32_t weight_bp, int surge);

#endif
