/* Ingresses of ingress-nginx, with those that its canary annotations pair with them.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_INGRESS_H
#define SERIN_PROXY_CONVERT_INGRESS_H

#include "proxy/convert/draft.h"

/* Whether an object is an Ingress, of any API version that had one. Pure. */
bool ingress_is(const struct cJSON *object);

/* Writes a route for each pair of Services that the Ingresses of the file send users to. */
void ingress_convert(struct draft *d);

/* Adds the hosts and paths of the Ingress of this name to a route. False: the file does not have it. */
bool ingress_put_matches(struct draft *d, const char *name, const char *name_space,
                         struct cJSON *route);

/* The number of a Service's port, by its name, number or targetPort ("" = its first); 0: not known. *is_target: of the
 * pods rather than of the Service. */
int64_t ingress_service_port(const struct draft *d, const char *service, const char *name_space,
                             const char *port, bool is_target);

#endif
