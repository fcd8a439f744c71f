/* Finds routes and versions by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/config.h"

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
