/* What the files of a fleet share. Nobody outside them includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_FLEET_INSIDE_H
#define SERIN_ROLLOUT_KUBE_FLEET_INSIDE_H

#include "rollout/kube/client.h"
#include "rollout/kube/fleet.h"
#include "rollout/kube/fleet_plan.h"
#include "rollout/kube/watch.h"

#define FLEET_VERSIONS_MAX 16u
#define FLEET_EVENTS_MAX   8u

struct event;

/* Which record it is: of a leader, and which of its. */
struct fleet_stamp {
    uint64_t epoch, seq; /* 0: none of this route */
};

struct fleet_version {
    struct fleet *fleet;
    char name[RECORD_NAME_MAX];
    char workload[CLUSTER_NAME_MAX];
    struct kube_ref ref;
    uint16_t port;
    struct cJSON *manifest; /* NULL = none */
    char manifest_hash[KUBE_HASH_MAX];
    struct kube_watch *object, *pods; /* pods: NULL until the selector is known */
    char selector[KUBE_SELECTOR_MAX]; /* of pods */
    bool exists;                      /* object is true, or is stale */
    bool is_told;                     /* who of its pods may serve was told once */
    struct kube_workload state;       /* as the object was read last */
    char live_hash[KUBE_HASH_MAX];
    char unreadable[WHY_MAX];  /* why the object is not as it should be; "" = it is */
    struct fleet_stamp stored; /* of the record that it bears */
    char *record;              /* that record; NULL = none */
};

/* A write under way; one at a time. */
struct fleet_write {
    struct kube_call *call;
    struct fleet_version *version;
    struct fleet_step step;
    struct fleet_stamp stamp; /* of the record in it; 0 = none */
    bool is_move;             /* that record is more than evidence */
};

/* The step that was begun last. */
struct fleet_last {
    const struct fleet_version *version;
    struct fleet_step step;
    int64_t at_ms; /* monotonic */
};

struct fleet_event_call {
    struct fleet *fleet;
    struct kube_call *call;
};

struct fleet {
    struct kube *kube;
    struct kube_lease *lease;
    struct fleet_setup setup; /* route and versions are not used beyond the start */
    struct fleet_version versions[FLEET_VERSIONS_MAX];
    size_t n_versions;
    struct event *turn; /* something changed: looked at once, after all of it */

    /* What the rollout wants. */
    struct cluster_want want; /* its names are below, its plan too */
    char stable[RECORD_NAME_MAX], canary[RECORD_NAME_MAX], run[RECORD_ID_MAX];
    struct plan plan;
    bool is_wanted;
    char *record;             /* to be stored; NULL = nothing ever was */
    struct fleet_stamp stamp; /* the record's */
    bool is_durable;
    int64_t stored_ms; /* monotonic: when a record was stored last */
    int64_t moved_ms;  /* and one of a change, after which the others follow */

    struct fleet_write write;
    struct fleet_last last;
    int64_t next_write_ms;        /* monotonic */
    unsigned failures, conflicts; /* of writes, in a row */
    char error[WHY_MAX];          /* of the last one; "" = it was obeyed */

    struct kube_call *autoscalers_call;
    int64_t autoscalers_ms; /* monotonic, of the answer */
    bool autoscalers_known;
    char autoscaler[CLUSTER_WHY_MAX];

    struct fleet_event_call events[FLEET_EVENTS_MAX];
    bool events_fail; /* and the log says so */
};

/* --- fleet.c --- */
/* Whether an object bears the record that is to be stored, or a newer one of the same leader. */
bool fleet_is_stored(const struct fleet *f, const struct fleet_version *v);
struct fleet_version *fleet_find(const struct fleet *f, const char *name); /* NULL: no such one */
/* The two sides of what is wanted, as they were seen last. */
void fleet_view(const struct fleet *f, struct fleet_view *view);
bool fleet_leads(const struct fleet *f);

/* --- fleet_pods.c --- */
/* Watches the pods of the selector that the object has now; tells who may serve. */
void fleet_pods_follow(struct fleet_version *v);
void fleet_pods_tell(struct fleet_version *v);
int fleet_pods_available(const struct fleet_version *v);
bool fleet_pods_are_known(const struct fleet_version *v);      /* they have been listed once */
const char *fleet_pods_trouble(const struct fleet_version *v); /* why they may be others by now */

/* --- fleet_write.c --- */
/* Begins the next write, if one is due: the record first, then the step. */
void fleet_drive(struct fleet *f);
void fleet_write_end(struct fleet *f);

/* --- fleet_autoscaler.c --- */
/* Asks who else moves the workloads, when that is older than it should be. */
void fleet_ask_autoscalers(struct fleet *f);
bool fleet_knows_autoscalers(const struct fleet *f); /* since a short while ago */

#define FLEET_SEEN_HASH "serin.io/live-hash" /* of the canary's template when its rollout began */

#endif
