/* The workloads behind one route: who of their pods may serve, the record on their objects, and the
 * steps of a rollout, one write at a time. Control thread. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_FLEET_H
#define SERIN_ROLLOUT_KUBE_FLEET_H

#include "rollout/cluster.h"
#include "rollout/kube/objects.h"

struct cJSON;
struct fleet;
struct kube;
struct kube_lease;

/* Guards memory and snapshots against a selector that matches a whole cluster. */
#define FLEET_ENDPOINTS_MAX 1024u
#define FLEET_ENDPOINT_MAX  72 /* "[v6]:port" */

/* One version. Everything is copied. */
struct fleet_version_setup {
    const char *name, *workload;  /* "v1", "rc/my-web-v1" */
    uint16_t port;                /* of its pods */
    const struct cJSON *manifest; /* what it is made from; NULL = none */
};

struct fleet_setup {
    const char *route;
    const struct fleet_version_setup *versions;
    size_t n_versions;
    /* The pods of a version that may serve changed: "10.1.2.3:80", sorted. Borrowed. */
    void (*on_endpoints)(void *arg, const char *version, const char *const *endpoints, size_t n);
    /* An object bears another record than before. Borrowed. OK: it was taken over, and what was to be stored until now is
     * not any more. ERR_CONFLICT: it is not newer. Other errors: it is none, and will be written over. */
    enum err (*on_record)(void *arg, const char *record, size_t len);
    /* An object has taken the record that was to be stored. */
    void (*on_stored)(void *arg);
    void *arg;
};

/* Reads a manifest for a workload: one object of its kind and name, with a template that its selector matches. The
 * caller owns it. NULL with the reason. */
struct cJSON *fleet_manifest(const char *path, const char *workload, struct why *why) MUST_USE;

/* Begins to watch. The client and the lease must outlive it. NULL with the reason. */
struct fleet *fleet_new(struct kube *k, struct kube_lease *lease, const struct fleet_setup *setup,
                        struct why *why) MUST_USE;
void fleet_free(struct fleet *f);

/* Whether the workloads were read once, with the record on them, and who of their pods may serve was told. Stays true
 * when the server goes away. */
bool fleet_is_known(const struct fleet *f);

/* Why the API server cannot be asked now, objects, pods or lease; "" = it can. */
const char *fleet_trouble(const struct fleet *f);

/* The cluster port of a rollout (rollout/ports.h): keeps the want, begins the next step towards it where this process
 * leads, and says what is seen. */
void fleet_look(struct fleet *f, const struct cluster_want *want, struct cluster_seen *seen);

/* Whether a rollout under way needs a workload that the versions of a new file do not have: until it has ended, nothing
 * else can bring its pods back. */
bool fleet_must_stay(const struct fleet *f, const struct fleet_version_setup *versions, size_t n);

/* The record for the objects, and the newest of an epoch that one of them is known to bear. */
void fleet_store(struct fleet *f, const char *record, uint64_t seq, bool durable);
uint64_t fleet_stored(const struct fleet *f, uint64_t epoch);

/* Posts an Event on the canary's object, or stable's. Nobody waits for it; a few at a time, more are dropped. */
void fleet_event(struct fleet *f, const char *name, const char *why);

/* What /metrics shows of a version. False: not known. */
struct fleet_counts {
    int wanted, current, ready, available;
};
bool fleet_counts(const struct fleet *f, const char *version, struct fleet_counts *counts);

#endif
