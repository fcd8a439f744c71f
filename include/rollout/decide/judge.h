/* The judge: counts of both versions in; one verdict and one sentence out, once a tick.
 * Its state is plain data: copy it, store it, replay it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_JUDGE_H
#define SERIN_ROLLOUT_DECIDE_JUDGE_H

#include "rollout/decide/judge_settings.h"

struct cJSON;

#define JUDGE_WHY_MAX 320

/* Counts above this are cut: every whole number up to it is exact in a double. */
#define JUDGE_COUNT_MAX (UINT64_C(1) << 53)

/* The unforced first attempts of one version, cumulative. A counter that goes down was reset: its
 * new value is taken as the difference. */
struct judge_side {
    uint64_t requests, failed;        /* failed: 5xx, resets, timeouts */
    uint64_t client_errors;           /* 4xx */
    uint64_t slow[JUDGE_LATENCY_MAX]; /* above the threshold of each quantile */
    uint64_t key_requests,
        key_failed; /* sticky only: of keys that had not failed; first failures */
};

struct judge_input {
    int64_t t_ms;       /* since the rollout's start; runs on in PAUSED */
    int64_t stage_t_ms; /* in this stage; stands still in PAUSED */
    double elapsed_s;   /* since the tick before */
    unsigned stage;     /* index of judge_settings.stages, below n_stages */
    uint32_t weight_bp; /* in force now; for the sentence only */
    bool latency_known; /* slow was counted since the tick before; false: latency says nothing */
    struct judge_side stable, canary;
};

enum judge_verdict {
    JUDGE_CONTINUE,
    JUDGE_PROMOTE,
    JUDGE_HOLD,
    JUDGE_BRAKE, /* back to the first stage's weight; the stage stays */
    JUDGE_REVERT,
    JUDGE_VERDICT_COUNT
};

struct judge_decision {
    enum judge_verdict verdict;
    const char *check; /* the check with the most evidence: errors, client_errors, ceiling, latency;
                          static, never NULL */
    bool low_evidence; /* PROMOTE or HOLD because max_hold_s passed, not because it was proved */
    bool no_data;      /* HOLD: max_hold_s passed with fewer than no_data_requests at this stage */
    bool incident;     /* the stable version itself is failing */
    bool suspicious;   /* evidence above hold_evidence */
    double log_evidence, log_revert_at; /* nats: canary is worse; reverts at or above */
    double log_safe, log_promote_at;    /* nats: safe to widen; promotes at or above */
    uint64_t stage_requests;            /* canary requests in this stage */
    char why[JUDGE_WHY_MAX];            /* one plain sentence for a person */
};

/* Both versions' counts at one moment, or between two. */
struct judge_seen {
    struct judge_side stable, canary;
};

/* The e-processes. The ceiling's evidence is the smaller one of CEILING and RELATIVE, so that an
 * outage of both versions cannot trip it. */
enum judge_process {
    JUDGE_PROCESS_ERRORS,
    JUDGE_PROCESS_CLIENT_ERRORS,
    JUDGE_PROCESS_CEILING,
    JUDGE_PROCESS_RELATIVE, /* errors without any margin */
    JUDGE_PROCESS_LATENCY,  /* and the next ones: one for each quantile */
    JUDGE_PROCESS_COUNT = JUDGE_PROCESS_LATENCY + JUDGE_LATENCY_MAX
};

/* How often the stable version fails: decayed sums. */
struct judge_rate {
    double failed, requests;
};

/* The whole state. Read it only to show it; the functions below keep its parts together. */
struct judge {
    struct judge_settings settings;
    bool sticky;     /* key_requests and key_failed stand for requests and failed */
    bool warm;       /* latency still warms up */
    bool ceiling_on; /* the stable version kept the ceiling before the rollout */
    unsigned stage;
    uint64_t epoch; /* start times that have entered the mixture */

    struct evidence evidence[JUDGE_PROCESS_COUNT];
    struct evidence_block
        open[JUDGE_PROCESS_COUNT];          /* waiting for a request of the other version */
    double log_uncapped[EVIDENCE_GRID_MAX]; /* errors again without the cap: for the brake */
    double log_safe[EVIDENCE_GRID_MAX];     /* since the stage began */
    struct evidence_block open_safe;
    double brake_left_s;                                    /* 0 = no brake */
    double slow_stable[JUDGE_LATENCY_MAX], requests_stable; /* decayed sums behind theta */
    struct judge_rate fast, slow;                           /* of the stable version */

    struct judge_seen last;                 /* the counters of the tick before */
    struct judge_seen in_stage, in_rollout; /* summed differences */
};

/* The stable version's counts over the ten minutes before the rollout; zeros when not known. */
struct judge_baseline {
    uint64_t requests, failed;
};

/* Begins a rollout. Counters are taken to stand at 0 (see judge_rebase). settings must pass
 * judge_settings_check: CHECKed, copied. baseline may be NULL. Pure. */
void judge_start(struct judge *j, const struct judge_settings *settings, bool sticky,
                 const struct judge_baseline *baseline);

/* Says where the counters stand: only what comes on top counts. For counters that began before the
 * rollout, and after a restart of the process that counts. Pure. */
void judge_rebase(struct judge *j, const struct judge_side *stable,
                  const struct judge_side *canary);

/* Judges one tick. stage must be below n_stages; it may stay, rise or fall: a change begins the
 * evidence to widen anew. No allocation; never NaN, whatever the counts. Pure. O(1). */
void judge_tick(struct judge *j, const struct judge_input *input, struct judge_decision *decision);

/* Checks by number, in the order of the mean. */
enum judge_check {
    JUDGE_CHECK_ERRORS,
    JUDGE_CHECK_CLIENT_ERRORS,
    JUDGE_CHECK_CEILING,
    JUDGE_CHECK_LATENCY, /* and the next ones: one for each quantile */
    JUDGE_CHECK_COUNT = JUDGE_CHECK_LATENCY + JUDGE_LATENCY_MAX
};

/* "errors", "client_errors", "ceiling", "latency". Never NULL. Pure. */
const char *judge_check_name(enum judge_check check);

/* ln E of one check by itself, 0 where it is disabled or not yet possible. Pure. */
double judge_check_log(const struct judge *j, enum judge_check check);

/* "continue" "promote" "hold" "brake" "revert". Never NULL. Pure. */
const char *judge_verdict_name(enum judge_verdict verdict);

/* Adds the state, without its settings, to the object into. Numbers are written with 17 digits, so
 * that they come back exact; -inf is null. ERR_MEMORY. */
enum err judge_to_json(const struct judge *j, struct cJSON *into) MUST_USE;

/* The state as judge_to_json wrote it, under the same settings (the plan is frozen at start). Every
 * number must be there, finite and in its range; otherwise ERR_INVALID with the member's name in
 * why and *j untouched. */
enum err judge_from_json(struct judge *j, const struct judge_settings *settings,
                         const struct cJSON *from, struct why *why) MUST_USE;

#endif
