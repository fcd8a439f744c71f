/* The command `serin check`: prints all errors of the configuration, or the plan of each rollout.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CHECK_COMMAND_H
#define SERIN_PROXY_CHECK_COMMAND_H

/* Runs the command; argv[0] is "check". Prints to stdout, errors to stderr (with --json everything
 * to stdout). Returns the exit code: 0 right, 1 not written, 2 wrong usage, 70 out of memory, 78
 * wrong configuration. */
int check_command(int argc, char **argv);

#endif
