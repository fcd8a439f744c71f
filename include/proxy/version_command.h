/* The command version: which serin this is, and what it was built with.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_VERSION_COMMAND_H
#define SERIN_PROXY_VERSION_COMMAND_H

/* Runs the command; argv[0] is its name. Returns the exit code: 0, or 2 for wrong usage. */
int version_command(int argc, char **argv);

#endif
