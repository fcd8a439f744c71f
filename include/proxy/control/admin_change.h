/* Changes through the admin port: a verb on a route, or a reload, each with one audit line in the
 * log.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ADMIN_CHANGE_H
#define SERIN_PROXY_CONTROL_ADMIN_CHANGE_H

#include "proxy/control/admin.h"

struct evhttp_request;

/* Whether it is a verb of a route. Pure. */
bool admin_change_is_verb(const char *verb);

/* Carries out a verb that the guard has let through, and answers. The body, if any, is JSON:
 * {"full":true,"who":"name"}. */
void admin_change_route(const struct admin_host *host, struct evhttp_request *req,
                        const char *route, const char *verb);

/* Sends a test to the receivers of notifications and answers; the body likewise. */
void admin_change_notify(const struct admin_host *host, struct evhttp_request *req);

/* Reads the configuration anew and answers; the body as above, without full. */
void admin_change_reload(const struct admin_host *host, struct evhttp_request *req);

#endif
