/* The command line of the client's commands, checked and complete.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/options.h"
#include "base/check.h"
#include "base/slice.h"
#include "rollout/cli/usage.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Longest duration that an option takes: a year. */
#define DURATION_MAX_MS (366LL * 86400 * 1000)

enum {
    CHOICE_ADMIN = 1000,
    CHOICE_TOKEN_FILE,
    CHOICE_JSON,
    CHOICE_TIMEOUT,
    CHOICE_FULL,
    CHOICE_WHO
};

static const struct option long_options[] = {
    {"help", no_argument, NULL, 'h'},
    {"admin", required_argument, NULL, CHOICE_ADMIN},
    {"token-file", required_argument, NULL, CHOICE_TOKEN_FILE},
    {"json", no_argument, NULL, CHOICE_JSON},
    {"watch", no_argument, NULL, 'w'},
    {"timeout", required_argument, NULL, CHOICE_TIMEOUT},
    {"full", no_argument, NULL, CHOICE_FULL},
    {"who", required_argument, NULL, CHOICE_WHO},
    {NULL, 0, NULL, 0},
};

/* The set that a choice belongs to; 0 = every command takes it. */
static unsigned set_of(int choice)
{
    switch (choice) {
    case CHOICE_JSON:
        return OPTION_JSON;
    case 'w':
        return OPTION_WATCH;
    case CHOICE_TIMEOUT:
        return OPTION_TIMEOUT;
    case CHOICE_FULL:
        return OPTION_FULL;
    case CHOICE_WHO:
        return OPTION_WHO;
    default:
        return 0;
    }
}

static const char *name_of(int choice)
{
    const struct option *o = long_options;
    while (o->name && o->val != choice)
        o++;
    return o->name ? o->name : "";
}

enum err options_parse_duration(const char *text, int64_t *out_ms, struct why *why)
{
    static const struct {
        struct slice unit;
        uint64_t ms;
    } units[] = {{{"ms", 2}, 1}, {{"s", 1}, 1000}, {{"m", 1}, 60000}, {{"h", 1}, 3600000}};
    struct slice s = slice_str(text);
    size_t digits = strspn(text, "0123456789");
    struct slice unit = slice_of(s.at + digits, s.len - digits);
    uint64_t value = 0;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!slice_equal(unit, units[i].unit))
            continue;
        if (slice_parse_u64(slice_of(s.at, digits), &value) && value > 0 &&
            value <= (uint64_t)DURATION_MAX_MS / units[i].ms) {
            *out_ms = (int64_t)(value * units[i].ms);
            return OK;
        }
        break;
    }
    return why_set(why, ERR_INVALID, "%s is not a duration (expected 250ms, 10s, 5m or 1h)", text);
}

/* A token goes into a header field as it is. */
static enum err take_token(struct cli_options *o, struct slice token, const char *source,
                           struct why *why)
{
    while (token.len && strchr(" \t\r\n", token.at[token.len - 1]))
        token.len--;
    if (token.len == 0 || token.len > OPTIONS_TOKEN_MAX)
        return why_set(why, ERR_INVALID, "%s: a token has 1 to %d bytes", source,
                       OPTIONS_TOKEN_MAX);
    for (size_t i = 0; i < token.len; i++)
        if (token.at[i] <= ' ' || token.at[i] == 0x7f)
            return why_set(why, ERR_INVALID, "%s: a token is one word of printable characters",
                           source);
    memcpy(o->token, token.at, token.len);
    o->token[token.len] = '\0';
    return OK;
}

static enum err read_token_file(struct cli_options *o, const char *path, struct why *why)
{
    char text[OPTIONS_TOKEN_MAX + 16];
    FILE *file = fopen(path, "re");
    if (!file)
        return why_set(why, ERR_IO, "token file %s: %s", path, strerror(errno));
    size_t len = fread(text, 1, sizeof text, file);
    bool has_failed = ferror(file) != 0;
    fclose(file);
    if (has_failed)
        return why_set(why, ERR_IO, "token file %s cannot be read", path);
    return take_token(o, slice_of(text, len), path, why);
}

static enum err take_who(struct cli_options *o, const char *who, struct why *why)
{
    size_t len = strlen(who);
    if (len == 0 || len > OPTIONS_WHO_MAX)
        return why_set(why, ERR_INVALID, "--who takes 1 to %d bytes", OPTIONS_WHO_MAX);
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)who[i];
        if (byte < ' ' || byte == 0x7f || byte == '"' || byte == '\\')
            return why_set(why, ERR_INVALID,
                           "--who takes no control characters, quotes or backslashes");
    }
    memcpy(o->who, who, len + 1);
    return OK;
}

static enum err take_option(struct cli_options *o, int choice, const char *argument,
                            struct why *why)
{
    switch (choice) {
    case 'h':
        o->help = true;
        return OK;
    case CHOICE_ADMIN:
        o->admin = argument;
        return OK;
    case CHOICE_TOKEN_FILE:
        return read_token_file(o, argument, why);
    case CHOICE_JSON:
        o->json = true;
        return OK;
    case 'w':
        o->watch = true;
        return OK;
    case CHOICE_TIMEOUT:
        return options_parse_duration(argument, &o->timeout_ms, why);
    case CHOICE_FULL:
        o->full = true;
        return OK;
    case CHOICE_WHO:
        return take_who(o, argument, why);
    default:
        return why_set(why, ERR_INVALID, "unknown option");
    }
}

static enum err take_arguments(struct cli_options *o, const struct options_spec *spec, int n,
                               char **arguments, struct why *why)
{
    if (n > (spec->route == ROUTE_NONE ? 0 : 1))
        return why_set(why, ERR_INVALID, "too many arguments: %s",
                       arguments[spec->route == ROUTE_NONE ? 0 : 1]);
    if (n == 0)
        return spec->route == ROUTE_REQUIRED
                   ? why_set(why, ERR_INVALID, "the route is missing: serin %s ROUTE",
                             spec->command)
                   : OK;
    size_t len = strlen(arguments[0]);
    if (len == 0 || len > OPTIONS_ROUTE_MAX)
        return why_set(why, ERR_INVALID, "a route's name has 1 to %d bytes", OPTIONS_ROUTE_MAX);
    o->route = arguments[0];
    return OK;
}

/* The environment, and the user's name, for what the command line leaves open. */
static enum err take_defaults(struct cli_options *o, struct why *why)
{
    const char *admin = getenv("SERIN_ADMIN"), *token = getenv("SERIN_TOKEN");
    if (!o->admin)
        o->admin = admin && admin[0] ? admin : OPTIONS_ADMIN_DEFAULT;
    if (!o->who[0]) {
        const struct passwd *user = getpwuid(geteuid());
        if (!user || take_who(o, user->pw_name, NULL) != OK)
            o->who[0] = '\0';
    }
    if (!o->token[0] && token && token[0])
        return take_token(o, slice_str(token), "SERIN_TOKEN", why);
    return OK;
}

enum err options_parse(struct cli_options *o, const struct options_spec *spec, int argc,
                       char **argv, struct why *why)
{
    *o = (struct cli_options){.command = spec->command};
    optind = 0; /* the program may have used getopt before: start anew */
    opterr = 0;
    int choice;
    while ((choice = getopt_long(argc, argv, ":hw", long_options, NULL)) != -1) {
        unsigned set = set_of(choice);
        if (choice == ':' || choice == '?')
            return usage_option(why, choice, argv, long_options);
        if (set && !(spec->options & set))
            return why_set(why, ERR_INVALID, "unknown option --%s", name_of(choice));
        enum err e = take_option(o, choice, optarg, why);
        if (e || o->help)
            return e;
    }
    enum err e = take_arguments(o, spec, argc - optind, argv + optind, why);
    return e ? e : take_defaults(o, why);
}
