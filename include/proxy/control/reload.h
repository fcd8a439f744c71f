/* A new configuration file in place of the old one: all of it, or nothing and the reason.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_RELOAD_H
#define SERIN_PROXY_CONTROL_RELOAD_H

#include "proxy/control/control.h"

struct cJSON;

/* Reads the file anew and takes it over. OK: *why says how much changed, and lines what. ERR_INVALID, ERR_CONFLICT ...:
 * the old one stays in force untouched, *why has the first reason and lines all. lines: an array, one string a change
 * or an error; NULL = to the log alone, which always has them. */
enum err reload(struct control *c, struct cJSON *lines, struct why *why) MUST_USE;

/* Says in the log what config_keep_warn finds, one line each. */
void reload_warn(const struct config_keep *keep);

/* Opens the log as a configuration says. */
enum err reload_log(const struct config *config, struct why *why) MUST_USE;

#endif
