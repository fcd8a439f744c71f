/* The judge on standard input and output, for other programs.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_JUDGE_LINES_H
#define SERIN_ROLLOUT_CLI_JUDGE_LINES_H

struct judge_settings;

/* Reads JSON lines to the end of standard input and answers each at once (judge_protocol.h). A bad
 * line is answered with {"error":"line N: ..."} and the next one is read. base: what a start line
 * leaves open, copied; NULL = the defaults. The exit code: 0 · 1 a line was bad, or input or output
 * failed. */
int judge_lines(const struct judge_settings *base);

#endif
