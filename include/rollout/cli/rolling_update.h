/* The command `serin rolling-update`.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_ROLLING_UPDATE_H
#define SERIN_ROLLOUT_CLI_ROLLING_UPDATE_H

#include "base/err.h"
#include "rollout/kube/rolling_update.h"

#include <stdbool.h>

struct cJSON;

/* Runs the command; argv[0] is "rolling-update". The exit code: 0 done · 1 error · 2 usage · 4 reverted · 6 no progress
 * · 130 interrupted, 143 terminated. */
int rolling_update_command(int argc, char **argv);

/* Its command line. Borrowed from argv, but for the manifest. */
struct rolling_line {
    struct rolling_options rolling;
    const char *file;                              /* -f */
    const char *name_space, *context, *kubeconfig; /* NULL = not given */
    const char *route, *admin, *token_file, *timeout;
    bool help;
    struct cJSON *objects; /* of the file; owned */
};

/* Reads it. ERR_INVALID: a usage error. The file has not been read. */
enum err rolling_line_parse(struct rolling_line *line, int argc, char **argv,
                            struct why *why) MUST_USE;

/* Hands the update to the proxy that serves line->route, and follows it. The exit code is that of serin wait. */
int rolling_route(struct rolling_line *line);

#endif
