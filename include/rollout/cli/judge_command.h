/* The command `serin judge`: the judge on standard input and output, for other programs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_JUDGE_COMMAND_H
#define SERIN_ROLLOUT_CLI_JUDGE_COMMAND_H

/* Runs the command; argv[0] is "judge". Reads JSON lines to the end of standard input and answers
 * each at once (judge_protocol.h). A bad line is answered with {"error":"line N: ..."} and the next
 * one is read. The exit code: 0 · 1 a line was bad, or input or output failed · 2 usage. */
int judge_command(int argc, char **argv);

#endif
