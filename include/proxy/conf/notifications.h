/* The rules between the keys of notifications.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_NOTIFICATIONS_H
#define SERIN_PROXY_CONF_NOTIFICATIONS_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"
#include "proxy/conf/tree.h"

/* Notes where the files that they name stand in the configuration. */
void notifications_note_places(struct config *config, const struct tree *tree);

/* Every name once, one of url and url_file, routes that there are. No message has a URL in it. Pure. */
void notifications_check(const struct config *config, struct tree *tree,
                         struct config_errors *errors);

#endif
