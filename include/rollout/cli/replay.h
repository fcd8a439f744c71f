/* The command `serin replay`: a recorded rollout judged again under other thresholds.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_REPLAY_H
#define SERIN_ROLLOUT_CLI_REPLAY_H

#include "rollout/decide/plan.h"

/* Reads the plan of a route from a configuration file: the host's part, for this folder knows no
 * configuration. 0, or the exit code, when the errors have been printed. */
typedef int replay_plan_reader(const char *path, const char *route, struct plan *plan);

/* Runs the command; argv[0] is "replay". The exit code: 0 · 1 the file is bad, or could not be
 * read, or the answer not be written · 2 usage · what read_plan says. */
int replay_command(int argc, char **argv, replay_plan_reader *read_plan);

#endif
