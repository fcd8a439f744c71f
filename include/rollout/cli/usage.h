/* How every command says that its command line is wrong: one line, and where help is.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_USAGE_H
#define SERIN_ROLLOUT_CLI_USAGE_H

#include "base/err.h"
#include <getopt.h>

/* Prints "serin COMMAND: what is wrong" and "Try `serin COMMAND --help`." to standard error.
 * command "" = serin itself. Returns CLI_USAGE. */
int usage_error(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Puts into words what getopt_long has refused, right after it gave choice '?' or ':' (short
 * options beginning with
 * ':', opterr 0). Returns ERR_INVALID. */
enum err usage_option(struct why *why, int choice, char **argv, const struct option *known);

#endif
