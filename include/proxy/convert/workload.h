/* What Argo Rollouts and Flagger have in common: workloads of one namespace, with a port of their pods.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_WORKLOAD_H
#define SERIN_PROXY_CONVERT_WORKLOAD_H

#include "proxy/convert/draft.h"

/* Makes the namespace of an object that of the configuration, where it says one. False: the configuration has another
 * already, which is noted. */
bool workload_take_namespace(struct draft *d, const struct cJSON *object);

/* The port of a pod template's first container; 0: it says none. Pure. */
int64_t workload_container_port(const struct cJSON *template);

/* Hosts by which a Service is asked for within the cluster, where the route has none and the file has several objects
 * of this kind, which could not share every host. */
void workload_put_hosts(struct draft *d, const struct cJSON *object, const char *service,
                        struct cJSON *route);

/* max_surge and max_unavailable, each a number of pods or a share of them ("25%"), as a Deployment and a Rollout have
 * them; notes where they are neither, or let no pod move. */
void workload_put_amounts(struct draft *d, const struct cJSON *surge,
                          const struct cJSON *unavailable, struct cJSON *replicas);

/* What everybody should know who has had another controller: a comment at the head of a rollout. */
void workload_put_start(struct draft *d, struct cJSON *rollout);

#endif
