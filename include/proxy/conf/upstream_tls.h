/* TLS to the endpoints of a version: the rules between its keys, and whose certificate is expected there.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_UPSTREAM_TLS_H
#define SERIN_PROXY_CONF_UPSTREAM_TLS_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Notes where the keys stand that name files. */
void upstream_tls_note_places(struct config *config, const struct tree *tree);

/* Sets tls.name of every version that has tls: its server_name, an address in it without brackets, else the one name that
 * all its endpoints are (dns:NAME), without a final dot. False: out of memory. O(endpoints). */
bool upstream_tls_settle(struct config *config);

/* Reports what is wrong with the tls of a route's versions. node: the route's. O(endpoints). */
void upstream_tls_check(const struct config_route *route, struct node *node,
                        struct config_errors *errors);

#endif
