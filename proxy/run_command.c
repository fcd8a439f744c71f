/* The command run: the proxy, the controller and the admin port, in the foreground.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/run_command.h"

#include "proxy/conf/load.h"
#include "proxy/control/control.h"
#include "rollout/cli/usage.h"
#include <stdio.h>

#define EXIT_INTERNAL 70
#define EXIT_CONFIG   78

static void print_help(void)
{
    printf(
        "Usage: serin run [-c FILE]\n"
        "\n"
        "Runs the proxy, the rollout controller and the admin port in the foreground.\n"
        "\n"
        "  -c, --config FILE   the configuration (default /etc/serin/serin.yaml, then "
        "./serin.yaml)\n"
        "  -h, --help          this text\n"
        "\n"
        "Signals: TERM, INT  finish the requests under way, then stop; a second one stops at once\n"
        "         HUP        read the configuration anew: all of it, or none and the reason in the "
        "log\n"
        "         USR2       hand over to a new process of this program, without losing a "
        "connection\n"
        "\n"
        "As a service of systemd it says when it is ready, reloading and stopping (NOTIFY_SOCKET), "
        "answers the\n"
        "watchdog (WATCHDOG_USEC), and takes the sockets that a bind of fd:NAME names "
        "(LISTEN_FDS).\n"
        "\n"
        "Example: serin run -c serin.yaml\n");
}

/* NULL with the errors printed. */
static struct config_keep *load(const char *path, int *exit_code)
{
    struct config_errors *errors = calloc(1, sizeof *errors);
    if (!errors) {
        *exit_code = EXIT_INTERNAL;
        return NULL;
    }
    struct config_keep *keep = config_keep_read(path, NULL, errors);
    if (!keep)
        config_errors_print(errors, stderr);
    *exit_code = errors->code == ERR_MEMORY ? EXIT_INTERNAL : EXIT_CONFIG;
    free(errors);
    return keep;
}

int run_command(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    const char *path = NULL;
    int option, exit_code = 0;
    struct why why;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option != 'c') {
            (void)usage_option(&why, option, argv, options);
            return usage_error("run", "%s", why.text);
        }
        path = optarg;
    }
    if (optind < argc)
        return usage_error("run", "unexpected argument \"%s\" (the file is named by -c)",
                           argv[optind]);
    if (!path)
        path = config_default_path();
    struct config_keep *keep = load(path, &exit_code);
    return keep ? control_run(keep, path) : exit_code;
}
