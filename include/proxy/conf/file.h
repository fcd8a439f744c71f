/* Opens files that people name: without waiting, and regular ones only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_FILE_H
#define SERIN_PROXY_CONF_FILE_H

#include "base/err.h"

/* For reading; the caller closes it. NULL with why a predicate to stand behind the name: "cannot be
 * read: ...", "is a pipe ...". A pipe would block the control thread until somebody writes, and
 * could not be read again by a reload. */
FILE *file_open(const char *path, struct why *why);

/* The first bytes of a file, at most most of them, with a NUL behind them; the caller frees it. NULL with why as above. */
char *file_read(const char *path, size_t most, size_t *len, struct why *why);

#endif
