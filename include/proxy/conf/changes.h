/* What a new configuration changes, in the words of the file: one line a key.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_CHANGES_H
#define SERIN_PROXY_CONF_CHANGES_H

#include "proxy/conf/config.h"

/* Takes one line, borrowed for the call. */
typedef void changes_line_fn(void *arg, const char *line);

/* Tells what is different: "timeouts.drain: 5s (before: 30s)", "route web: versions.v2: added",
 * "route old: removed". Keys that need a restart are left out. O(routes^2 + keys * routes). Pure
 * but for tell. */
void changes_tell(const struct config *old, const struct config *new, changes_line_fn *tell,
                  void *arg);

/* Tells each key that differs and that only a restart applies, with its place in the new file:
 * "serin.yaml:1:10: workers: 2 needs a restart (1 is in force)". Returns their number. Pure but for
 * tell. */
size_t changes_tell_fixed(const struct config *old, const struct config *new, changes_line_fn *tell,
                          void *arg);

#endif
