/* The admin token: read from its file, never logged, wiped when it is let go.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_TOKEN_H
#define SERIN_PROXY_CONF_TOKEN_H

#include "base/err.h"

#define TOKEN_BYTES_MAX 4096 /* of the file */

/* The first line of the file without white space around it; the caller frees it with token_free.
 * NULL with why a predicate to stand behind the file's name: unreadable, no regular file, empty,
 * longer than TOKEN_BYTES_MAX. */
char *token_read(const char *path, struct why *why);

/* NULL is allowed. */
void token_free(char *token);

#endif
