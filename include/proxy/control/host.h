/* What the rollouts ask of their host, answered from snapshots, shards and endpoint health.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_HOST_H
#define SERIN_PROXY_CONTROL_HOST_H

#include "proxy/control/control.h"

/* The ports of this control; host is c. */
struct rollout_ports host_ports(struct control *c);

/* What the file says of a route, as a rollout takes it. Borrows from the configuration and its manifests. */
struct rollout_setup host_setup(const struct config *config, const struct manifests *manifests,
                                const struct config_route *route);

/* Opens the rollout of every route that asks for one and has none yet. False with the reason where one cannot be
 * opened; those that were opened by this call are listed in opened (at most the routes of the file). */
bool host_open_rollouts(struct control *c, const struct config *config,
                        const struct manifests *manifests, struct why *why);

/* Ticks every rollout. What a thousand of them send to their canaries at once is one snapshot, published behind the last; what
 * one of them takes from its canary is published before the next is looked at. */
void host_tick(struct control *c);

/* Puts the split in the known route that is to be in force: its rollout's, or the file's static weight. */
void host_take_split(struct known_route *r);

#endif
