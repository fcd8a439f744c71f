/* The rules between keys of one configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_CHECK_H
#define SERIN_PROXY_CONF_CHECK_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Reports every broken rule at its place in the tree that config was filled from (schema_apply). A
 * value that is wrong by itself was reported there, and is left out of the rules here. Nothing
 * outside the two is looked at. O(keys * log keys), but O(n^2) in the number of routes. */
void config_check(const struct config *config, struct tree *tree, struct config_errors *errors);

#endif
