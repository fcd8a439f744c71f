/* What the files of the known share. Nobody else includes this.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_KNOWN_INSIDE_H
#define SERIN_PROXY_CONTROL_KNOWN_INSIDE_H

#include "proxy/control/known.h"

/* Makes an endpoint of a known route, the last one. NULL when memory is short. O(1). */
struct known_endpoint *known_endpoint_new(struct known *k, struct known_route *r,
                                          const char *version, const char *text,
                                          const struct wire_addr *addr);

/* Forgets it; whoever waits for its address gets it. O(1), O(endpoints of the route) where anybody waits. */
void known_endpoint_forget(struct known *k, struct known_endpoint *e);

/* Finds or makes a dynamic version of a known route, the last one. NULL when memory is short. */
struct known_version *known_version_get(struct known *k, struct known_route *r,
                                        const char *version);
void known_version_forget(struct known_version *v);

/* The endpoint that has (is_barred: that wants) the same address for another version of the route, or NULL.
 * O(endpoints of the route). */
struct known_endpoint *known_find_rival(const struct known *k, const struct known_endpoint *e,
                                        bool is_barred);

/* Nobody goes there under this name while owner has the address; the log says so. */
void known_endpoint_bar(struct known *k, struct known_endpoint *e,
                        const struct known_endpoint *owner);
void known_endpoint_unbar(struct known *k, struct known_endpoint *e);

#endif
