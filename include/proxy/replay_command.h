/* The command `serin replay`: a recorded rollout judged again, under a configuration's thresholds.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_REPLAY_COMMAND_H
#define SERIN_PROXY_REPLAY_COMMAND_H

/* Runs the command; argv[0] is "replay". The exit code: 0 judged, 1 bad file or not written, 2 wrong
 * usage, 70 out of memory, 78 wrong configuration. */
int replay_configured(int argc, char **argv);

#endif
