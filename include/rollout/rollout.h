/* One route's rollout: opened once, ticked every second, commanded by people. Control thread only.
 * It owns the state on disk (one file a route in state_dir) and calls the host through its ports.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_ROLLOUT_H
#define SERIN_ROLLOUT_ROLLOUT_H

#include "base/err.h"
#include "rollout/decide/judge.h"
#include "rollout/decide/outside.h"
#include "rollout/decide/plan.h"
#include "rollout/decide/words.h"
#include "rollout/ports.h"

struct cJSON;
struct rollout;

#define ROLLOUT_TICK_MS 1000

/* A version's identity: its name and, where the file gives one, its revision. */
struct rollout_version {
    const char *name;     /* NULL = none (canary only) */
    const char *revision; /* NULL = none */
};

/* What the file says of one route. Borrowed until return. */
struct rollout_setup {
    const char *route;
    const char *state_dir; /* NULL is allowed only without a canary */
    struct rollout_version stable, canary;
    bool is_sticky;   /* users, not requests, are assigned: keys are counted by first failure */
    bool has_cluster; /* its versions are workloads: the ports say who leads */
    const struct plan *plan;       /* NULL = every default */
    const struct outside *outside; /* NULL = nothing is asked of others */
};

/* Reads the state of the route, or starts one. Takes a lock on it, so that one process acts.
 * Nothing is applied yet: the host builds its first snapshot from rollout_split. NULL with the
 * reason: state_dir not writable, locked by another process, a pair that does not start from the
 * promoted version, memory. A route without a canary and without a state file touches no disk, unless
 * other proxies may have left a run on its workloads. */
struct rollout *rollout_open(const struct rollout_setup *setup, const struct rollout_ports *ports,
                             struct why *why);

/* Writes the state once more and lets the lock go. Weights stay as they are; the rollout goes on at
 * the next open. NULL is allowed. */
void rollout_close(struct rollout *r);

/* What rollout_configure would answer, with nothing changed: a reload asks every route first. */
enum err rollout_may_configure(const struct rollout *r, const struct rollout_setup *setup,
                               struct why *why) MUST_USE;

/* Takes over what a reload says. Same pair: the plan is for the next rollout. Another pair in mid-rollout: as on_new_version
 * says (ERR_CONFLICT for refuse). No canary (or a static weight): the running rollout is aborted. On OK *why says what changes
 * and when ("" = nothing). route and state_dir must be those of open. */
enum err rollout_configure(struct rollout *r, const struct rollout_setup *setup,
                           struct why *why) MUST_USE;

/* The file has no such route any more: a running rollout is aborted and ends at the next open; what
 * was promoted stays so. The host closes it after that. */
void rollout_drop(struct rollout *r);

/* Takes over what another proxy, which leads, has stored, where it is newer than what is known here.
 * ERR_INVALID: it is no record of this route, with the reason; ERR_CONFLICT: it is not newer, or the
 * run that it goes on with was proven bad here. */
enum err rollout_follow(struct rollout *r, const char *record, size_t len,
                        struct why *why) MUST_USE;

/* What the cluster's objects say by now may be in force: applies it without waiting for the tick. */
void rollout_apply(struct rollout *r);

/* Gather, judge, move, persist, act. Every ROLLOUT_TICK_MS; other intervals are only less fine. */
void rollout_tick(struct rollout *r);

/* One verb of a person, in force on return. who: for the audit line and the history, NULL =
 * unknown. ERR_CONFLICT: not possible in this state, with the reason and the verb that is. ERR_IO:
 * the state could not be written and nothing was done (abort and pause act all the same and answer
 * OK; *why says then that it is not on disk yet). */
enum err rollout_command(struct rollout *r, enum rollout_verb verb, const char *who,
                         struct why *why) MUST_USE;

/* The split that should be in force. Strings are borrowed until the next call that changes the
 * rollout. */
void rollout_split(const struct rollout *r, struct rollout_split *split);

/* What `serin status` prints. Its intervals (of each version's error rate, and of the canary's
 * against stable's: "difference" in points, "ratio" in times, each [low, high] or null, a bound that
 * is none null) are for eyes only. The caller frees it; NULL when memory is short. */
struct cJSON *rollout_status(const struct rollout *r);

/* Past rollouts, the newest first; a running one comes first, with result null. The caller frees
 * it. */
struct cJSON *rollout_history(const struct rollout *r);

/* One check as serin_rollout_check_value, _limit and _evidence show it. */
struct rollout_check_metrics {
    char check[24];      /* "errors", "client_errors", "ceiling", "latency_p50" ... */
    double value, limit; /* the canary's rate at this step, and what the margin allows; NaN without
                            requests */
    double evidence;     /* likelihood ratio, N to 1, that the canary is worse */
};

/* The rollout's families of /metrics as numbers. Counters count since the process started. */
struct rollout_metrics {
    const char *route; /* borrowed, lives as long as the rollout */
    enum rollout_phase phase;
    unsigned step, steps;                    /* step: 1 to steps while one runs, else 0 */
    double weight_intended, weight_observed; /* ratios, 0 to 1; observed NaN without requests */
    const char *check;                       /* the check that decided last; "errors" ... */
    double evidence_against, revert_at;      /* likelihood ratios, N to 1 */
    double evidence_safe, widen_at;
    double decided_against,
        decided_at; /* the first two as they last were, also once the run has ended; NaN before any */
    double error_rate_stable, error_rate_canary; /* at this step; NaN without requests */
    uint64_t verdicts[JUDGE_VERDICT_COUNT];      /* by judge_verdict_name */
    uint64_t results[ROLLOUT_RESULT_COUNT];      /* by rollout_result_name */
    double reverted_seconds; /* last revert: first failed canary request to weight 0; NaN before */
};

void rollout_metrics(const struct rollout *r, struct rollout_metrics *out);

/* The enabled checks; returns how many. Dearer than the rest. */
size_t rollout_metrics_checks(const struct rollout *r,
                              struct rollout_check_metrics checks[JUDGE_CHECK_COUNT]);

#endif
