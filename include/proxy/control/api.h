/* What the admin port asks of its host: status, verbs, reload, metrics.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_API_H
#define SERIN_PROXY_CONTROL_API_H

#include "proxy/control/admin.h"
#include "proxy/control/control.h"

/* The status of a route of the present file. The caller frees it; NULL when memory is short. */
struct cJSON *api_status(const struct control *c, const struct known_route *r);

/* The callbacks of this control; host is c. */
struct admin_host api_host(struct control *c);

/* What /readyz says; host is c. */
bool api_is_ready(void *host);

#endif
