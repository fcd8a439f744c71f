/* The rules between the keys that Kubernetes needs: what a version is, and whose replicas may be moved.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_WORKLOADS_H
#define SERIN_PROXY_CONF_WORKLOADS_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"
#include "proxy/conf/tree.h"

/* The rules of one version, and of the pair: endpoints or a workload; a port with a workload; replicas only where
 * both versions are workloads. node: the route's, in the file. Pure. */
void workloads_check(const struct config_route *route, struct node *node,
                     struct config_errors *errors);

/* The rules over all routes: a workload belongs to one version, and the lease lasts whole seconds. root: of the file.
 * O(versions^2) of the workloads. Pure. */
void workloads_check_all(const struct config *config, struct node *root,
                         struct config_errors *errors);

#endif
