/* serin: the words after the program's name choose a command.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/check_command.h"
#include "proxy/run_command.h"
#include "proxy/version_command.h"
#include "rollout/cli/cli.h"
#include "rollout/cli/judge_command.h"
#include <stdio.h>
#include <string.h>

#define EXIT_USAGE 2

static const struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
} commands[] = {
    {"run", run_command, "the proxy, the controller and the admin port, in the foreground"},
    {"check", check_command, "read the configuration, print every error or the plan of each rollout"},
    {"judge", judge_command, "the judge alone, on standard input and output"},
    {"version", version_command, "version, libraries, build"},
};

static void print_usage(FILE *out)
{
    fprintf(out, "serin splits requests between a stable version and a canary, measures both, and widens the\n"
                 "canary's share while it is healthy, or puts everybody back.\n"
                 "\n"
                 "Usage: serin COMMAND [options]          serin COMMAND --help says more\n"
                 "\n");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\nAbout a serin that runs (--admin URL or SERIN_ADMIN, default http://127.0.0.1:9900):\n\n");
    cli_print_commands(out);
    fprintf(out, "\nExample: serin run -c serin.yaml\n");
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "";
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(name, commands[i].name) == 0)
            return commands[i].run(argc - 1, argv + 1);
    if (cli_is_command(name))
        return cli_run(name, argc - 1, argv + 1);
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(name, "--version") == 0)
        return version_command(1, argv);
    if (*name)
        fprintf(stderr, "serin: there is no command \"%s\"\n\n", name);
    print_usage(stderr);
    return EXIT_USAGE;
}
