/* The access log as the configuration wants it: opened, changed, opened again, closed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_ACCESS_H
#define SERIN_PROXY_CONTROL_ACCESS_H

#include "proxy/control/control.h"

/* Before a configuration is in force whose requests are written: opens its file. Nothing happens where it wants no access
 * log. ERR_IO, ERR_MEMORY with the reason: the present file stays. */
enum err access_prepare(struct control *c, const struct config *config, struct why *why) MUST_USE;

/* The present configuration is in force: where it wants no access log any more, the file is closed. */
void access_settle(struct control *c);

/* USR1: opens the file anew, or keeps the old one and says why. */
void access_reopen(struct control *c);

#endif
