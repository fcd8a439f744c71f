/* Rules between the keys of a listener.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_LISTENERS_H
#define SERIN_PROXY_CONF_LISTENERS_H

#include "proxy/conf/config.h"
#include "proxy/conf/tree.h"

/* Adds an error for each rule that a listener breaks: who is trusted with PROXY headers must be named, and only where they
 * are asked for. root: the tree's. */
void listeners_check(const struct config *config, struct node *root, struct config_errors *errors);

#endif
