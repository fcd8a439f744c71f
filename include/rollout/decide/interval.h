/* Always-valid intervals of a failure rate, of a difference and of a ratio. For show only.
 * They assume a steady rate; no decision uses them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_INTERVAL_H
#define SERIN_ROLLOUT_DECIDE_INTERVAL_H

struct interval {
    double low, high; /* high is +inf where a ratio has no upper bound */
};

/* x of n marked (whole numbers, 0 <= x <= n <= 2^53): all p that a beta(1/2, 1/2) mixture does not
 * exclude at 1/alpha, however often it is looked at. 0 < alpha < 1. n = 0: 0 to 1. Pure. */
struct interval interval_rate(double x, double n, double alpha);

/* canary - stable, each side at half of alpha. Pure. */
struct interval interval_difference(struct interval canary, struct interval stable);

/* canary / stable. A stable bound of 0 gives +inf (0 where the canary's is 0 too). Pure. */
struct interval interval_ratio(struct interval canary, struct interval stable);

#endif
