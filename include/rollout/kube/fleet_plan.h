/* What to do next with two workloads so that their replicas suit a rollout: one look, one step.
 * Level-triggered: it knows no past, so that a crash between any two steps loses nothing. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_FLEET_PLAN_H
#define SERIN_ROLLOUT_KUBE_FLEET_PLAN_H

#include "rollout/cluster.h"
#include "rollout/kube/objects.h"

/* One workload as the API server last showed it. */
struct fleet_side {
    char name[CLUSTER_NAME_MAX]; /* as the configuration has it: "rc/my-web-v1" */
    bool
        is_unnamed; /* the file has no workload for the version, whose name is name: it is not there */
    bool is_known; /* the server was asked and has answered: otherwise nothing is known */
    bool exists;   /* and is not being deleted */
    struct kube_workload workload;
    int there;             /* pods, as many as may still be there: at least the wanted replicas */
    int available;         /* pods that may count, at most the wanted replicas */
    bool are_pods_unknown; /* they have not been listed yet: available is 0 and says nothing */
    char live_hash[KUBE_HASH_MAX]; /* of the template as the server has it now */
    char seen_hash[KUBE_HASH_MAX]; /* as it had it when the rollout began; "" = not noted */
};

struct fleet_view {
    struct fleet_side stable, canary;
    bool has_manifest;   /* the canary can be made */
    bool canary_differs; /* it is there, and runs another template than its manifest's */
    bool autoscalers_known;
    char autoscaler[CLUSTER_WHY_MAX]; /* a sentence on one that moves either workload; "" = none */
    char unreadable[CLUSTER_WHY_MAX]; /* why one that is there is not known; "" = none */
};

enum fleet_action {
    FLEET_NOTHING,
    FLEET_CREATE_CANARY, /* from its manifest, with 0 replicas and the marks */
    FLEET_DELETE_CANARY, /* without pods, and of another template than its manifest's: made anew */
    FLEET_MARK_CANARY,   /* source, desired replicas, and what its template is now */
    FLEET_MARK_STABLE,   /* original replicas */
    FLEET_SCALE_CANARY,
    FLEET_SCALE_STABLE,
    FLEET_CLEAN_CANARY, /* the marks go */
    FLEET_CLEAN_STABLE,
    FLEET_DELETE_STABLE,
};

/* "scale_canary" ... Never NULL. Pure. */
const char *fleet_action_name(enum fleet_action action);

struct fleet_step {
    enum fleet_action action;
    int replicas; /* of the scaling ones */
};

/* Who scales the canary from whom: the value of KUBE_SOURCE_ID. */
#define FLEET_SOURCE_MAX (KUBE_NAME_MAX + 64)
void fleet_source(const struct kube_workload *stable, char source[FLEET_SOURCE_MAX]);

/* The replicas with which an update from stable to the canary began that the marks say is under way; 0 = none. Pure. */
int fleet_update_of(const struct fleet_view *view);

/* Canary's and stable's replicas for a weight, of n. Pure. */
struct fleet_sizes {
    int canary, stable;
};
struct fleet_sizes fleet_sizes(const struct plan *plan, int n, uint32_t weight_bp);

/* Decides the step, and fills what the machine asks of the cluster in seen (canary_short ...
 * stable_lost, away, why); the rest of seen is the caller's. O(1). Pure. */
struct fleet_step fleet_plan(const struct fleet_view *view, const struct cluster_want *want,
                             struct cluster_seen *seen);

#endif
