/* Where a node stands in the file, for whoever finds fault with its value later.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_PLACE_H
#define SERIN_PROXY_CONF_PLACE_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Line 0 where there is no node. Pure. */
static inline struct config_place place_of(const struct node *node)
{
    return node ? (struct config_place){node->line, node->column} : (struct config_place){0, 0};
}

#endif
