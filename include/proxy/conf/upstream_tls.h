/* TLS to the endpoints of a version: the rules between its keys, and whose certificate is expected there.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_UPSTREAM_TLS_H
#define SERIN_PROXY_CONF_UPSTREAM_TLS_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Notes where the keys stand that name files. */
void upstream_tls_note_places(struct config *config, const struct tree *tree);

/* Reports what is wrong with the tls of a route's versions. node: the route's. O(endpoints). */
void upstream_tls_check(const struct config_route *route, struct node *node,
                        struct config_errors *errors);

/* Whom the endpoints of a version must prove to be: its server_name, an address in it without brackets, else the one name
 * that they all are (dns:NAME), without a final dot. len 0: each its own IP address, or, without verification, anyone.
 * Borrowed from v. Pure. O(endpoints). */
struct slice upstream_tls_name(const struct config_version *v);

#endif
