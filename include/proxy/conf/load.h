/* Loads a configuration file: all of it, or every reason why not.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_LOAD_H
#define SERIN_PROXY_CONF_LOAD_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"

/* Reads and checks a file, fills in the defaults, resolves `workers: auto`. The caller owns the
 * result (config_free). NULL: errors->code says ERR_INVALID, ERR_IO or ERR_MEMORY and errors holds
 * every reason. path NULL: there is none to read, which is said. It is borrowed for the life of
 * errors only. Relative paths in the file are taken from the file's own folder. Blocks on the file;
 * any thread. */
struct config *config_load(const char *path, struct config_errors *errors) MUST_USE;

/* The same from text; name stands where the file's name would. Files that the text names are looked
 * at. */
struct config *config_load_text(const char *name, const char *bytes, size_t len,
                                struct config_errors *errors) MUST_USE;

/* Frees a configuration and all that it points to. NULL is fine. */
void config_free(struct config *config);

/* The file that is read where none is named: /etc/serin/serin.yaml, else ./serin.yaml; NULL:
 * neither exists. */
const char *config_default_path(void);

#endif
