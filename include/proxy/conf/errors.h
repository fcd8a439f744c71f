/* Everything that is wrong with one configuration file, in the order of the file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_ERRORS_H
#define SERIN_PROXY_CONF_ERRORS_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

#define CONFIG_ERRORS_MAX                                                                          \
    64                      /* kept of one file: more is a wrong file, not a list to work through */
#define CONFIG_PATH_MAX 192 /* bytes of a key's path in a message; a longer one is cut */
#define CONFIG_TEXT_MAX 384 /* bytes of what is wrong; a longer text is cut */

struct config_error {
    uint32_t line, column;      /* from 1; line 0 = the file as a whole */
    char path[CONFIG_PATH_MAX]; /* "routes[0].rollout.steps[2].weight"; "" = the root */
    char text[CONFIG_TEXT_MAX]; /* "120% is above 100% (a share from 0% to 100%)" */
};

/* About 40 KiB, embedded in whoever loads. */
struct config_errors {
    const char *file; /* as named by the user; borrowed from the caller of config_load */
    enum err code; /* OK, ERR_INVALID (the file is wrong), ERR_IO (it cannot be read), ERR_MEMORY */
    size_t n, dropped;
    struct config_error items[CONFIG_ERRORS_MAX]; /* sorted by line and column */
};

/* No errors yet. file: borrowed for the life of e. */
void config_errors_init(struct config_errors *e, const char *file);

/* Puts one error at its place; of too many the last ones in the file are dropped and counted. A
 * code that is set already stays, but ERR_MEMORY replaces any other. O(CONFIG_ERRORS_MAX). Never
 * fails. */
void config_errors_add(struct config_errors *e, enum err code, const struct config_error *error);

/* One line "file:line:col: path: text" without line end, cut at room. Never fails. Pure. */
void config_error_format(const struct config_errors *e, size_t i, char *out, size_t room);

/* Prints one line for each error, and "file: ... and N more" where some were dropped. */
void config_errors_print(const struct config_errors *e, FILE *to);

#endif
