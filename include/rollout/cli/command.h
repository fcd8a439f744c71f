/* The commands, one function each, and what they share: how a failure is told.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_COMMAND_H
#define SERIN_ROLLOUT_CLI_COMMAND_H

#include "rollout/cli/cli.h"
#include "rollout/cli/client.h"
#include "rollout/cli/options.h"

/* Each carries out a command whose options have been checked, and prints. */
enum cli_exit command_status(struct client *c, const struct cli_options *o);
enum cli_exit command_watch(struct client *c, const struct cli_options *o); /* status --watch */
enum cli_exit command_wait(struct client *c, const struct cli_options *o);
enum cli_exit command_history(struct client *c, const struct cli_options *o);
enum cli_exit command_verb(struct client *c, const struct cli_options *o);
enum cli_exit command_reload(struct client *c, const struct cli_options *o);
enum cli_exit command_notify(struct client *c, const struct cli_options *o);

/* Tells on standard error why a question failed; for an unknown route it asks for the known ones
 * and names them. Returns the exit code. */
enum cli_exit command_failed(struct client *c, const struct cli_options *o, enum err e,
                             const struct why *why);

/* Prints JSON on one line, or indented for a person. False: memory was short, or standard output is
 * closed. */
bool command_print_json(const struct cJSON *json, bool is_indented);

#endif
