/* Sequential evidence: betting increments of a block of requests, and a mixture of them over time.
 * It may be looked at any number of times: P(it ever reaches N to 1 | null) <= 1/N (Ville).
 * Sources: Lindon and Malek (2022), Waudby-Smith and Ramdas (2023), Shin et al. (2023).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_EVIDENCE_H
#define SERIN_ROLLOUT_DECIDE_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>

/* Guards the size of the state and the time of a tick; the default grids have 7 or 8 points. */
#define EVIDENCE_GRID_MAX 16

/* Alternatives that are mixed with equal weights. */
struct evidence_grid {
    size_t n; /* 1 to EVIDENCE_GRID_MAX */
    double at[EVIDENCE_GRID_MAX];
};

/* One block: requests of both versions and how many of each are marked (failed, slow ...). Whole
 * numbers, 0 to 2^53, marked <= requests. */
struct evidence_block {
    double canary, canary_marked;
    double stable, stable_marked;
};

/* Null: p_canary <= rho * p_stable + delta. */
struct evidence_margin {
    double rho;   /* >= 1 */
    double delta; /* 0 to below 1 */
};

/* The bet of the ratio test against the alternative "r times worse", r > 1, k canary requests per
 * stable one. 0 < a, a * k * rho < 1, a * delta <= 0.5. Pure. */
double evidence_ratio_bet(double r, struct evidence_margin margin, double k);

/* Log evidence of a block that the canary fails more than the margin allows. Needs canary >= 1 and
 * stable >= 1. Finite. Pure. */
double evidence_ratio(double r, struct evidence_margin margin, const struct evidence_block *block);

/* Log evidence that the canary's odds of a mark are psi times stable's, against equal rates. theta:
 * stable's predicted rate, inside (0, 1). Needs canary >= 1 and stable >= 1. Finite. Pure. */
double evidence_pair(double psi, double theta, const struct evidence_block *block);

/* Log evidence that the canary is above a ceiling in (0, 1), with bet a > 0 (cut so that
 * a * ceiling < 1). Only the canary's half of the block counts. Finite. Pure. */
double evidence_ceiling(double a, double ceiling, const struct evidence_block *block);

/* Log evidence against harm; null: p_canary >= rho * p_stable + delta, delta in (0, 1], bet b in
 * (0, 1). Needs stable >= 1. Finite. Pure. */
double evidence_safe(double b, struct evidence_margin harm, const struct evidence_block *block);

/* ln(sum exp(x[i])) with the maximum taken out; -inf for n = 0 or all -inf. No x[i] is NaN or +inf.
 * Pure. O(n). */
double evidence_log_sum(const double *x, size_t n);

/* One e-process: a mixture over a grid and over start times. Plain data. */
struct evidence {
    double log_r[EVIDENCE_GRID_MAX]; /* -inf until its first block */
    double remaining;                /* prior mass of the start times to come */
    double pending;                  /* mass that enters with the next block */
};

/* mass0: prior mass of a start at once, in (0, 1]. Pure. */
void evidence_start(struct evidence *e, double mass0);

/* Adds start mass that enters with the next block. Pure. */
void evidence_pend(struct evidence *e, double mass);

/* Takes in the increments of one block (n of them, the grid's length), each cut at cap nats. Pure.
 * O(n). */
void evidence_fold(struct evidence *e, const double *increments, size_t n, double cap);

/* ln E. Never NaN; finite while mass remains. Pure. O(n). */
double evidence_log(const struct evidence *e, size_t n);

#endif
