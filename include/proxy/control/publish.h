/* Builds the snapshot of what is configured and split now, and hands it to every worker.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_PUBLISH_H
#define SERIN_PROXY_CONTROL_PUBLISH_H

#include "proxy/control/control.h"

/* Builds a snapshot of the next generation and makes it the newest, for workers that run and for those that start.
 * ERR_MEMORY: the old one stays in force, and the next tick tries again. */
enum err publish(struct control *c) MUST_USE;

/* Publishes endpoints that have changed, and probes those that are new. Not within a reload. */
void publish_changes(struct control *c);

/* Takes the addresses of a dynamic version (known_take_endpoints) and, where that changes anything, publishes at once and probes
 * those that are new. Returns whether it did. Not within a reload. */
bool publish_endpoints(struct control *c, const char *route, const char *version,
                       const char *const *texts, size_t n);

/* True when every worker has adopted this generation. */
bool publish_is_adopted(const struct control *c, uint64_t generation);

#endif
