/* How every command says that its command line is wrong.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/usage.h"
#include "rollout/cli/cli.h"

int usage_error(const char *command, const char *fmt, ...)
{
    va_list ap;
    const char *gap = command[0] ? " " : "";
    fprintf(stderr, "serin%s%s: ", gap, command);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fprintf(stderr, "\nTry `serin%s%s --help`.\n", gap, command);
    return CLI_USAGE;
}

enum err usage_option(struct why *why, int choice, char **argv, const struct option *known)
{
    if (choice == ':')
        return why_set(why, ERR_INVALID, "%s needs a value", argv[optind - 1]);
    if (optopt == 0)
        return why_set(why, ERR_INVALID, "unknown option %s", argv[optind - 1]);
    for (; known->name; known++) /* one that is known is refused only for its value */
        if (known->val == optopt)
            return why_set(why, ERR_INVALID, "--%s takes no value", known->name);
    return why_set(why, ERR_INVALID, "unknown option -%c", optopt);
}
