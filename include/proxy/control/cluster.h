/* The Kubernetes side of the host: one client, one lease, and a fleet for each route whose versions are workloads.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_CLUSTER_H
#define SERIN_PROXY_CONTROL_CLUSTER_H

#include "proxy/control/control.h"

struct cluster;
struct fleet;

/* Whether a version of the file is a workload. */
bool cluster_is_asked(const struct config *config);

/* Whether a file that a reload brings can be taken. ERR_INVALID as cluster_take, where the first workload comes with it. */
enum err cluster_may_take(const struct control *c, const struct config *config,
                          struct why *why) MUST_USE;

/* At the start and after a reload: watches what the configuration names, nothing where no version is a workload. Fleets
 * whose workloads changed begin anew, those of routes that are gone end; one that a rollout under way needs stays until
 * that has ended. ERR_INVALID: credentials that cannot be read, with file and reason. */
enum err cluster_take(struct control *c, struct why *why) MUST_USE;

/* Lets another proxy lead, before this one ends. */
void cluster_release(struct control *c);

void cluster_stop(struct control *c);

/* Takes what the cluster tells of replicas, for /metrics; logs why the API server cannot be asked. Once a tick. */
void cluster_tick(struct control *c);

/* Whether who serves is known of every route: before, a request would find nobody. True where no version is a workload. */
bool cluster_is_known(const struct control *c);

/* The fleet of a route; NULL where it has none. */
struct fleet *cluster_fleet(const struct control *c, const char *route);

#endif
