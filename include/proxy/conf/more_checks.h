/* The items of rollout.more_checks: one of two kinds each, brought into one list.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_MORE_CHECKS_H
#define SERIN_PROXY_CONF_MORE_CHECKS_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"
#include "proxy/conf/tree.h"

/* Brings the items of a route into route->outside.checks, memory from arena. ERR_MEMORY. */
enum err more_checks_settle(struct config_route *route, struct arena *arena) MUST_USE;

/* The rules between their keys: one kind an item, a name once, a bound for each query. node: the
 * route's, in the file. Pure. */
void more_checks_check(const struct config_route *route, struct node *node,
                       struct config_errors *errors);

#endif
