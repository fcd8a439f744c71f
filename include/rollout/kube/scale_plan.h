/* How many replicas of each version, and which count to move next: the arithmetic of kubectl
 * rolling-update's both generations and of the replica ratio. Pure. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_SCALE_PLAN_H
#define SERIN_ROLLOUT_KUBE_SCALE_PLAN_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/* Largest count, and share in percent, that is taken: more are a mistake, not a wish. */
#define SCALE_AMOUNT_MAX 10000u

/* A count or a share of the desired replicas. */
struct scale_amount {
    bool is_share;
    uint32_t value; /* replicas, or basis points */
};

/* Parses "1", "25%", "0.5%". ERR_INVALID: another form, more than two decimals, or above SCALE_AMOUNT_MAX. Pure. */
enum err scale_amount_parse(const char *text, struct scale_amount *a, struct why *why) MUST_USE;

/* Fenceposts: surge rounds up, unavailable down; where both come out as 0, unavailable is 1. desired 0: everything
 * old may go. */
struct scale_bounds {
    int desired, surge, unavailable;
    int keep, most; /* fewest available; most in total */
};

/* Computes them. desired, old: 0 to a million. ERR_INVALID: both amounts are written as 0 and desired is not:
 * "one of maxSurge or maxUnavailable must be specified". Pure. */
enum err scale_bounds_make(int desired, int old, struct scale_amount surge,
                           struct scale_amount unavailable, struct scale_bounds *b,
                           struct why *why) MUST_USE;

/* The second generation's two halves of a turn: the next wanted count of new, or of old; the same count: nothing to
 * do. Old pods count as available, ready or not, so that a broken old version cannot block its replacement. More new
 * ones than desired (a person did that) come down to it. Pure. */
int scale_up(const struct scale_bounds *b, int old, int new);
int scale_down(const struct scale_bounds *b, int old, int new, int new_ready);

/* The first generation: one pod over, one pod gone. False, and nothing is changed, when old is 0 or new has what it
 * should. Pure. */
bool scale_classic(int desired, int *old, int *new);

/* How far it is, 0 to 100, of the way that new had before it at its start. Pure. */
int scale_percent(int desired, int new_at_start, int new);

struct scale_ratio {
    int canary, stable;
};

/* False: a weight between the ends needs a pod of each version, and there may be only one. Pure. */
bool scale_ratio_is_possible(int replicas, uint32_t weight_bp, int surge);

/* The replica ratio that comes nearest to a weight: canary + stable is replicas, or one more where surge allows it
 * and it comes nearer; at least one of each between the ends; of two as near, the one with more canary. Where it is
 * not possible: everything stable. replicas: up to a million. Pure. O(1). */
struct scale_ratio scale_ratio(int replicas, uint32_t weight_bp, int surge);

#endif
