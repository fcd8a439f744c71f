/* Walks the tree by the table of fields: fills the configuration, collects every error.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_SCHEMA_H
#define SERIN_PROXY_CONF_SCHEMA_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Fills config, which is zero but for its arena, with defaults and with what the tree says. A value
 * that is wrong is reported and leaves its default; a required text that is missing or wrong stays
 * NULL. Nodes of lists keep their place: routes[i] of config is item i of the tree's list.
 * ERR_MEMORY: out of memory, config is then unfinished; OK: ask errors whether the file is right.
 * The tree is changed where short forms are used. */
enum err schema_apply(struct tree *tree, struct config *config,
                      struct config_errors *errors) MUST_USE;

#endif
