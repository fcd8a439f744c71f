/* The command line of the client's commands, checked and complete.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_OPTIONS_H
#define SERIN_ROLLOUT_CLI_OPTIONS_H

#include "base/err.h"
#include <stdbool.h>
#include <stdint.h>

#define OPTIONS_ADMIN_DEFAULT "http://127.0.0.1:9900"
#define OPTIONS_TOKEN_MAX     4096 /* bytes of a token; more is the wrong file */
#define OPTIONS_WHO_MAX       64   /* bytes; the server takes no more */
#define OPTIONS_ROUTE_MAX     256  /* bytes */

/* Which options a command takes beside --admin, --token-file and --help. */
enum option_set {
    OPTION_JSON = 1,
    OPTION_WATCH = 2,
    OPTION_TIMEOUT = 4,
    OPTION_FULL = 8,
    OPTION_WHO = 16,
};

enum route_need { ROUTE_NONE, ROUTE_OPTIONAL, ROUTE_REQUIRED };

/* What a command takes. */
struct options_spec {
    const char *command;
    unsigned options; /* set of enum option_set */
    enum route_need route;
};

struct cli_options {
    const char *command;
    const char *route; /* borrowed from argv; NULL = none */
    const char *admin; /* borrowed from argv or the environment */
    bool help, json, watch, full;
    int64_t timeout_ms;                /* 0 = none */
    char token[OPTIONS_TOKEN_MAX + 1]; /* "" = none */
    char who[OPTIONS_WHO_MAX + 1];     /* --who, else the user's name; "" = unknown */
};

/* Reads argv (argv[0] is the command), then the environment for what argv leaves open: SERIN_ADMIN,
 * SERIN_TOKEN. ERR_INVALID: a usage error, with the reason; ERR_IO: the token file cannot be read.
 * With help set nothing else has been checked. */
enum err options_parse(struct cli_options *o, const struct options_spec *spec, int argc,
                       char **argv, struct why *why) MUST_USE;

/* Parses 250ms 10s 5m 1h; digits and one unit, above 0. Pure. */
enum err options_parse_duration(const char *text, int64_t *out_ms, struct why *why) MUST_USE;

#endif
