/* Finds routes and versions by name, and what kind of version it is.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/config.h"
#include "proxy/conf/dns_name.h"

const struct config_route *config_find_route(const struct config *c, const char *name)
{
    for (size_t i = 0; i < c->n_routes; i++)
        if (c->routes[i].name && strcmp(c->routes[i].name, name) == 0)
            return &c->routes[i];
    return NULL;
}

const struct config_version *config_find_version(const struct config_route *r, const char *name)
{
    for (size_t i = 0; i < r->n_versions; i++)
        if (r->versions[i].name && strcmp(r->versions[i].name, name) == 0)
            return &r->versions[i];
    return NULL;
}

bool config_version_is_dynamic(const struct config_version *v)
{
    for (size_t i = 0; i < v->endpoints.n; i++)
        if (config_endpoint_is_name(v->endpoints.items[i]))
            return true;
    return v->workload != NULL;
}
