/* serin: the words after the program's name choose a command.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/nearest.h"
#include "proxy/check_command.h"
#include "proxy/convert_command.h"
#include "proxy/judge_command.h"
#include "proxy/replay_command.h"
#include "proxy/run_command.h"
#include "proxy/version_command.h"
#include "rollout/cli/cli.h"
#include "rollout/cli/rolling_update.h"
#include "rollout/cli/usage.h"
#include <stdio.h>
#include <string.h>

#define EXIT_USAGE 2
#define BEGUN_MIN  3 /* letters of a command that was perhaps cut short; fewer fit too many */

static int help_command(int argc, char **argv);

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"run", run_command, "the proxy, the controller and the admin port, in the foreground"},
    {"check", check_command,
     "read the configuration, print every error or the plan of each rollout"},
    {"judge", judge_command, "the judge alone, on standard input and output"},
    {"replay", replay_configured, "judge a recorded rollout again, under other thresholds"},
    {"convert", convert_command,
     "write a configuration out of that of ingress-nginx, Argo Rollouts or Flagger"},
    {"version", version_command, "version, libraries, build"},
    {"rolling-update", rolling_update_command,
     "replace a replication controller by another, pod by pod"},
    {"help", help_command, "this text, or that of a command: serin help start"},
};

static const char *command_name(size_t i)
{
    return i < ARRAY_LEN(commands) ? commands[i].name : cli_command_name(i - ARRAY_LEN(commands));
}

/* The command that was perhaps meant, or NULL. One that was begun comes before one that was mistyped. */
static const char *nearest_command(const char *word)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; command_name(i); i++) {
        struct slice name = slice_str(command_name(i));
        bool is_begun = strlen(word) >= BEGUN_MIN && slice_starts(name, slice_str(word));
        size_t distance = is_begun ? 0 : nearest_distance(slice_str(word), name);
        if (distance < best) {
            best = distance;
            nearest = command_name(i);
        }
    }
    return nearest;
}

static void print_usage(FILE *out)
{
    fprintf(out, "serin splits requests between a stable version and a canary, measures both, and "
                 "widens the\n"
                 "canary's share while it is healthy, or puts everybody back.\n"
                 "\n"
                 "Usage: serin COMMAND [options]          serin COMMAND --help says more\n"
                 "\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(out, "  %-14s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\nAbout a serin that runs (--admin URL or SERIN_ADMIN, default "
                 "http://127.0.0.1:9900):\n\n");
    cli_print_commands(out);
    fprintf(out, "\nExample: serin run -c serin.yaml\n");
}

/* Runs a command; argv[0] is its name. */
static int run(int argc, char **argv)
{
    const char *name = argv[0], *nearest;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc, argv);
    if (cli_is_command(name))
        return cli_run(name, argc, argv);
    nearest = nearest_command(name);
    if (name[0] == '-')
        return usage_error("", "unknown option %s", name);
    if (nearest)
        return usage_error("", "there is no command \"%s\" (did you mean \"%s\"?)", name, nearest);
    return usage_error("", "there is no command \"%s\"", name);
}

static int help_command(int argc, char **argv)
{
    static char help[] = "--help";
    if (argc > 2)
        return usage_error("", "help takes one command, not \"%s\" too", argv[2]);
    if (argc == 2 && argv[1][0] != '-' && strcmp(argv[1], "help") != 0) {
        char *words[] = {argv[1], help, NULL};
        return run(2, words);
    }
    print_usage(stdout);
    return 0;
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        return version_command(1, argv);
    if (*name)
        return run(argc - 1, argv + 1);
    print_usage(stderr);
    return EXIT_USAGE;
}
