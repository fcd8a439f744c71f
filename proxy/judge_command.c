/* serin judge: the judge over lines, with the thresholds and stages of a route where a file is named.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/judge_command.h"
#include "proxy/conf/load.h"
#include "rollout/cli/judge_lines.h"
#include "rollout/cli/usage.h"
#include "rollout/decide/judge_settings.h"
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

static const char help[] =
    "Usage: serin judge [-c FILE] [--route ROUTE]\n"
    "\n"
    "Judges a rollout from counts: reads one JSON object a line from standard input (cumulative\n"
    "counts of both versions, once a tick) and writes one decision a line. The same rule as in a\n"
    "running proxy; nothing is changed anywhere.\n"
    "\n"
    "  -c, --config FILE   thresholds and stages from this file instead of the defaults\n"
    "      --route ROUTE   of which route; needed where the file has more than one with a "
    "rollout.\n"
    "                      Without -c the default file is read\n"
    "  -h, --help          this text\n"
    "\n"
    "Lines in:   "
    "{\"op\":\"start\",\"stages\":[1,10,50,100],\"baseline\":{\"req\":600000,\"bad\":612},\n"
    "             \"config\":{\"alpha\":0.01}}\n"
    "            {\"op\":\"tick\",\"t\":1,\"stage\":0,\"weight\":1,\"stage_t\":1,\n"
    "             \"s\":{\"req\":990,\"bad\":1},\"c\":{\"req\":10,\"bad\":6}}\n"
    "            {\"op\":\"end\"}\n"
    "Lines out:  {\"ok\":true}, then "
    "{\"d\":\"continue|promote|hold|brake|revert\",\"loge\":..,\"logf\":..,\n"
    "            \"check\":\"errors\",\"why\":\"..\"} for each tick\n"
    "\n"
    "What a start line says stands over the file: \"stages\" (they may be left out with a file), "
    "and\n"
    "\"config\" with alpha beta hold_e cap brake_s budget min_stage_s max_stage_s min_req "
    "on_timeout\n"
    "epoch_s mass0 grid_r grid_psi grid_abs grid_b fail{w,rho,delta} c4{w,rho,delta} ceil{w,c}\n"
    "lat{w,q,margin,prior_n,half_s,warmup_s} incident{fast_s,slow_s,ratio,prior_n}. A recorded "
    "rollout says\n"
    "all of them: `serin replay` judges it under others.\n"
    "\n"
    "Example:\n"
    "  serin judge < rollout.jsonl\n"
    "  serin judge -c serin.yaml --route shop < rollout.jsonl\n"
    "\n"
    "Exit codes: 0 every line was judged, 1 a line was bad (it is answered with "
    "{\"error\":\"..\"}), 2 usage,\n"
    "70 out of memory, 78 wrong configuration.\n";

/* The route that is named, or the only one with a rollout. NULL with the reason. */
static const struct config_route *find_route(const struct config *config, const char *name,
                                             struct why *why)
{
    const struct config_route *found = NULL;
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct config_route *route = &config->routes[i];
        if (!route->has_rollout || (name && strcmp(route->name, name) != 0))
            continue;
        if (found) {
            (void)why_set(
                why, ERR_INVALID,
                "%s has several routes with a rollout: name one with --route (%s, %s ...)",
                config->file, found->name, route->name);
            return NULL;
        }
        found = route;
    }
    if (!found)
        (void)why_set(why, ERR_NOT_FOUND, "%s has no route%s%s with a rollout", config->file,
                      name ? " " : "", name ? name : "");
    return found;
}

/* The route's rollout as the judge takes it; what is wrong is printed. Returns the exit code, 0 = all is well. */
static int read_settings(const char *path, const char *route_name, struct judge_settings *settings)
{
    struct config_errors errors;
    struct why why;
    struct config *config = config_load(path ? path : config_default_path(), &errors);
    if (!config) {
        config_errors_print(&errors, stderr);
        return errors.code == ERR_MEMORY ? EX_SOFTWARE : EX_CONFIG;
    }
    int code = 0;
    const struct config_route *route = find_route(config, route_name, &why);
    if (!route)
        code = usage_error("judge", "%s", why.text);
    else if (judge_settings_from_plan(settings, &route->plan, &why) != OK) {
        fprintf(stderr, "serin judge: route %s: %s\n", route->name, why.text);
        code = EX_CONFIG;
    }
    config_free(config);
    return code;
}

int judge_command(int argc, char **argv)
{
    static const struct option options[] = {{"help", no_argument, NULL, 'h'},
                                            {"config", required_argument, NULL, 'c'},
                                            {"route", required_argument, NULL, 'r'},
                                            {0}};
    static struct judge_settings settings;
    const char *path = NULL, *route = NULL;
    struct why why;
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":hc:", options, NULL)) != -1) {
        if (option == 'h') {
            (void)fputs(help, stdout);
            return 0;
        }
        if (option == 'c')
            path = optarg;
        else if (option == 'r')
            route = optarg;
        else {
            (void)usage_option(&why, option, argv, options);
            return usage_error("judge", "%s", why.text);
        }
    }
    if (optind < argc)
        return usage_error("judge", "unexpected argument \"%s\" (lines come from standard input)",
                           argv[optind]);
    if (!path && !route)
        return judge_lines(NULL);
    int code = read_settings(path, route, &settings);
    return code ? code : judge_lines(&settings);
}
