/* A rollout whose versions are workloads of a cluster: what it wants there, what it sees, and which
 * of several proxies decides. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLUSTER_H
#define SERIN_ROLLOUT_CLUSTER_H

#include "rollout/decide/record.h"

#include <stdbool.h>
#include <stdint.h>

struct cJSON;
struct rollout;

#define CLUSTER_NAME_MAX 288 /* "replicaset/" and an object's name; a leader's identity */
#define CLUSTER_WHY_MAX  320

enum cluster_goal {
    CLUSTER_REST,    /* nothing is under way: hands off */
    CLUSTER_LOOK,    /* may a rollout begin? Nothing is written */
    CLUSTER_STEP,    /* replicas for a weight */
    CLUSTER_RESTORE, /* stable as it was, the canary away */
    CLUSTER_FINISH,  /* the canary as large as stable was, stable away */
    CLUSTER_STAY, /* the promotion failed: hands off, but a canary without stable grows to its size */
};

struct cluster_want {
    enum cluster_goal goal;
    const char *stable, *canary; /* names of versions */
    const char *run;             /* the rollout's id */
    bool begins;                 /* the canary got nobody yet: its workload may be made */
    int replicas;                /* stable's when the rollout began */
    uint32_t target_bp;          /* the weight to come, or in force */
    uint32_t low_bp, high_bp;    /* what the workers have now: between these */
    const struct plan *plan;
};

/* Who decides. */
enum cluster_standing {
    CLUSTER_LEADS,
    CLUSTER_FOLLOWS, /* another proxy decides: its record is taken over as it comes */
    CLUSTER_STRANDED, /* the API is away, and nobody else is known to lead: only narrowing goes ahead */
};

struct cluster_version {
    char workload[CLUSTER_NAME_MAX]; /* "rc/my-web-v1"; "" = none */
    char revision[RECORD_NAME_MAX];  /* of its template; "" = not known */
    bool is_known;
    int wanted, ready, available;
};

struct cluster_seen {
    bool is_stale; /* the objects may say something else by now: nobody begins to lead */
    bool is_there; /* false: no cluster stands behind the route, and nothing else is filled */
    enum cluster_standing standing;
    bool canary_short, stable_short, unsettled, away, canary_lost,
        stable_lost; /* struct machine_input */
    struct cluster_version stable, canary;
    int update_of; /* an update from stable to the canary is under way on the objects: what it began with; 0 = none */
    char why[CLUSTER_WHY_MAX];     /* what it waits for, or what is wrong; "" = nothing */
    char leader[CLUSTER_NAME_MAX]; /* "" = nobody known */
};

/* --- of one rollout; nobody outside rollout/ calls these --- */

/* Versions became workloads by a reload, or are none any more: whether there is a cluster is asked anew. */
void cluster_take_file(struct rollout *r);

/* Tells the cluster what next wants of it and keeps what it sees. confirmed: every worker has the
 * weight. */
void cluster_look(struct rollout *r, const struct record *next, bool confirmed);

/* What it saw last, for the machine. Nothing where there is no cluster. */
void cluster_fill(const struct rollout *r, struct machine_input *in);

/* A record, and its text, goes to the cluster's objects as well. durable: at once. */
void cluster_store(const struct rollout *r, const struct record *record, const char *text,
                   bool durable);

/* Whether what next changes is the leader's word, which gets a sequence number of its own. Of two proxies that narrow
 * while they are alone, neither does: the leader's next record is newer than both. */
bool cluster_counts(const struct rollout *r, const struct record *next);

/* Keeps in next what the objects are known to have borne when it is made. */
void cluster_note_told(const struct rollout *r, struct record *next);

/* Whether this process may decide now; takes over, with a new epoch, where it may since just now. */
bool cluster_leads(struct rollout *r);

/* The weight that may be in force: a raise waits until the cluster's objects say it. */
uint32_t cluster_weight_bp(const struct rollout *r);

/* Stable's replicas for a rollout that begins, into next; 0 = none move with it. Coupled: next's plan has weights that
 * pods can be. ERR_CONFLICT with the reason where it may not begin. */
enum err cluster_begin(const struct rollout *r, struct record *next, struct why *why) MUST_USE;

/* The step that an update under way on the objects has reached: the rollout goes on from there. */
unsigned cluster_step(const struct rollout *r, const struct plan *plan);

/* Adds "cluster" to a status. False: out of memory. */
bool cluster_status(const struct rollout *r, struct cJSON *json);
bool cluster_status_version(const struct cluster_version *v, struct cJSON *json);

#endif
