/* The client's commands: what serin does about a running serin, by its admin API.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_CLI_H
#define SERIN_ROLLOUT_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Exit codes, part of the API: continuous integration acts on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_ERROR = 1,
    CLI_USAGE = 2,
    CLI_PROGRESSING = 3,
    CLI_ABORTED = 4, /* also a promotion that failed */
    CLI_PAUSED = 5,
    CLI_TIMED_OUT = 6,
};

/* Whether the word is one of the client's commands: status wait history start pause resume promote
 * abort retry undo reset reload. Pure. */
bool cli_is_command(const char *word);

/* Runs a command; argv[0] is the command itself. Returns the exit code. Prints results to standard
 * output, errors to standard error. command must satisfy cli_is_command; another one is a usage
 * error. */
int cli_run(const char *command, int argc, char **argv);

/* The name of each command, from 0; NULL behind the last. Pure. */
const char *cli_command_name(size_t i);

/* Prints one line for each command, for the usage text of the program. */
void cli_print_commands(FILE *out);

#endif
