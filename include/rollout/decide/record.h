/* All that one route's rollout must remember over a restart, and its JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_RECORD_H
#define SERIN_ROLLOUT_DECIDE_RECORD_H

#include "rollout/decide/judge.h"
#include "rollout/decide/machine.h"

struct cJSON;

#define RECORD_SCHEMA   1
#define RECORD_NAME_MAX 128 /* names of routes and versions, revisions */
#define RECORD_ID_MAX   96
#define RECORD_WHO_MAX  64
#define RECORD_WHY_MAX  320
#define RECORD_QUARANTINE_MAX                                                                      \
    8 /* the oldest is forgotten: a file names only one canary at a time */
#define RECORD_REPLICAS_MAX 100000 /* more are a mistake, not a wish */
#define RECORD_HISTORY_MAX  9      /* with the newest run ten */
#define RECORD_STEPS_MAX    (PLAN_STEPS_MAX + 1)

/* Name and revision are a version's identity; "" = none. */
struct record_version {
    char name[RECORD_NAME_MAX];
    char revision[RECORD_NAME_MAX];
};

struct record_pair {
    struct record_version stable, canary;
};

/* One step of a run, as history shows it. */
struct record_step {
    uint32_t weight_bp;
    int64_t entered_ms;         /* wall clock */
    enum machine_cause verdict; /* how it was left; NONE = not yet */
    char why[RECORD_WHY_MAX];
};

/* One rollout from start to end. */
struct record_run {
    char id[RECORD_ID_MAX]; /* "" = there was none yet */
    char stable[RECORD_NAME_MAX], canary[RECORD_NAME_MAX];
    int64_t started_ms, ended_ms; /* wall clock; 0 = not yet */
    enum rollout_result result;
    enum rollout_verb verb; /* start, retry or undo */
    char why[RECORD_WHY_MAX];
    char who[RECORD_WHO_MAX];
    struct record_step steps[RECORD_STEPS_MAX];
    size_t n_steps;
};

struct record_quarantine {
    char name[RECORD_NAME_MAX];
    char revision[RECORD_NAME_MAX];
    int64_t at_ms;
    char why[RECORD_WHY_MAX];
};

struct record {
    uint64_t epoch; /* +1 at each open: who wrote it */
    uint64_t seq;   /* +1 at each write */
    uint64_t told_epoch,
        told_seq; /* of the last one that a cluster's objects are known to have borne; 0 = none */
    uint64_t serial; /* of the newest run, for its id */
    char route[RECORD_NAME_MAX];
    int64_t written_ms;      /* wall clock of the last write */
    struct record_pair file; /* the file's pair that this state belongs to */
    struct record_pair pair; /* in force: who is stable, who is or was the canary */
    bool promoted;           /* pair.stable became it by a rollout, and the file names another */
    bool settled; /* the pair had its rollout, or a person must ask for one: `auto` does nothing */
    char alert[RECORD_WHY_MAX]; /* what a person must know before anything starts, whatever pair the
                                 * file names; a verb that begins a run, and reset, clear it; "" =
                                 * nothing */
    char
        actor[RECORD_WHO_MAX]; /* who gave the last verb that was obeyed; "" = nobody, or unknown */
    struct machine machine;
    int replicas; /* of the run on a cluster: stable's when it began, the canary's at its end; 0 = none */
    struct plan plan; /* frozen at the start of the run */
    struct cJSON
        *outside; /* what the run asks of others, frozen likewise; owned, never NULL after init */
    struct record_run run;
    struct record_quarantine quarantine[RECORD_QUARANTINE_MAX]; /* oldest first */
    size_t n_quarantine;
    uint64_t slow_us[JUDGE_LATENCY_MAX]; /* stable's quantiles that the run compares with; 0 = not
                                            known yet */
    bool judged;                         /* judge holds the evidence of the run */
    struct judge judge;
    struct cJSON *history; /* runs before this one, newest first; owned, never NULL after init */
};

/* A route that knows nothing yet. ERR_MEMORY. */
enum err record_init(struct record *r, const char *route) MUST_USE;

/* A copy for the time being: owned members stay from's. Steps and quarantined versions that there are none of, which is most
 * of a record, are not copied. Pure. */
void record_copy(struct record *to, const struct record *from);

/* Frees the history. */
void record_fini(struct record *r);

/* The JSON text; the caller frees it. NULL when memory is short. O(size). */
char *record_encode(const struct record *r);

/* Reads a text back. ERR_INVALID names the first member that is missing, of the wrong type, out of
 * range, or that contradicts another; ERR_UNSUPPORTED: a newer release wrote it; then *r holds
 * nothing. On OK the caller owns *r
 * (record_fini). */
enum err record_decode(struct record *r, const char *text, size_t len, struct why *why) MUST_USE;

/* One run to and from JSON; what the elements of history are. */
enum err record_run_to_json(const struct record_run *run, struct cJSON *into) MUST_USE;
enum err record_run_from_json(struct record_run *run, const struct cJSON *from,
                              struct why *why) MUST_USE;

/* Name and revision are equal. Pure. */
bool record_version_equal(const struct record_version *a, const struct record_version *b);
bool record_pair_equal(const struct record_pair *a, const struct record_pair *b);

/* Index of a version in the quarantine, or -1. Pure. */
int record_find_quarantine(const struct record *r, const struct record_version *v);

/* Puts a version there, or refreshes it. Pure. */
void record_quarantine(struct record *r, const struct record_version *v, int64_t at_ms,
                       const char *why);

/* Lets one go; unknown ones are ignored. Pure. */
void record_release(struct record *r, const struct record_version *v);

#endif
