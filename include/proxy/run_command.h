/* The command run: the proxy, the controller and the admin port, in the foreground.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_RUN_COMMAND_H
#define SERIN_PROXY_RUN_COMMAND_H

/* Runs the command; argv[0] is "run". Returns the exit code: 0 ended by a signal, 1 something could not be opened,
 * 2 usage, 70 out of memory, 78 wrong configuration. */
int run_command(int argc, char **argv);

#endif
