/* What it takes to notice: how many requests until the evidence is expected to be enough.
 *
 * An approximation, for people and for `serin check`; no decision uses it. A block of one second is
 * taken as it is on average: the canary's marks are binomial (so that the cap cuts each block as it
 * will), stable's are their mean. The log evidence of every alternative of the grid then grows by
 * its expected increment a block, and the answer is when their mixture meets the limit, less what
 * the mixture costs: ln K for the grid, ln(1/weight) for the check, ln(1/mass0) for the start times.
 * The evidence really is a random walk about that line; its median lies within a factor of 1.6 of
 * the answer in the simulated rollouts of tests/decision (tests/unit/decide_power.c compares them).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_POWER_H
#define SERIN_ROLLOUT_DECIDE_POWER_H

#include "rollout/decide/judge_settings.h"

/* Traffic that is steady, and split as a stage says. */
struct power_traffic {
    double requests_s; /* of both versions together, above 0 */
    double error_rate; /* stable's, 0 to 1 */
};

/* INFINITY in both: not to be expected at any number. */
struct power_answer {
    double canary_requests;
    double seconds;
};

/* Until the errors check alone is expected to revert a canary that fails times as often as stable
 * (at most every request). INFINITY where that lies inside the margin. stage: one with a weight
 * above 0 and below 100 %. Pure. */
struct power_answer power_errors(const struct judge_settings *settings,
                                 const struct power_traffic *traffic, unsigned stage, double times);

/* The shares of slow requests that a latency check would see, each 0 to 1. */
struct power_slow {
    double stable; /* above the threshold */
    double canary; /* above the threshold and its margin */
};

/* Until the check of one quantile alone is expected to revert, counted from the end of the warm-up.
 * quantile: below settings->latency.n. stage as in power_errors. Pure. */
struct power_answer power_latency(const struct judge_settings *settings,
                                  const struct power_traffic *traffic, unsigned stage,
                                  size_t quantile, const struct power_slow *slow);

/* What is known of a stage that is to be left. */
struct power_stage {
    double canary_rate, stable_rate; /* of failures, from here on */
    double per_stable;               /* canary requests for each of stable, above 0 */
    const double *log_safe;          /* evidence by point of the safe grid; NULL = none yet */
};

/* Canary requests that are still needed until the stage is expected to be left on proof; INFINITY
 * where no number suffices at these rates. min_requests are not looked at. stage + 1 must be below
 * n_stages. Pure. */
double power_widen(const struct judge_settings *settings, unsigned stage,
                   const struct power_stage *now);

/* The share of a histogram above x: whole cells, and of the cell that holds x the part above it, as
 * if its counts lay evenly. tops: rising upper bounds of the n cells, in x's unit. 0 when empty.
 * Pure. O(n). */
double power_share_above(const uint64_t *cells, const double *tops, size_t n, double x);

#endif
