/* The command judge: the judge alone, with the thresholds of a route where one is named.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_JUDGE_COMMAND_H
#define SERIN_PROXY_JUDGE_COMMAND_H

/* Runs the command; argv[0] is "judge". The exit code: 0 · 1 a line was bad, or input or output failed · 2 usage ·
 * 70 out of memory · 78 wrong configuration. */
int judge_command(int argc, char **argv);

#endif
