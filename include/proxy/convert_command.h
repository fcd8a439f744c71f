/* serin convert. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_COMMAND_H
#define SERIN_PROXY_CONVERT_COMMAND_H

/* Reads a file of Kubernetes objects and writes a configuration to standard output, notes about what was left out to
 * standard error. argv[0] is the command. Returns the exit code. Blocks on the file. */
int convert_command(int argc, char **argv);

#endif
