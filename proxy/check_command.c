/* serin check: all errors of a file at once, or what its rollouts will do; the list of all keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/check_command.h"
#include <cjson/cJSON.h>
#include <sysexits.h>
#include "base/check.h"
#include "proxy/conf/describe.h"
#include "proxy/conf/load.h"
#include "proxy/conf/units.h"
#include "proxy/control/keep.h"
#include "proxy/notice.h"
#include "rollout/cli/usage.h"

#define EXIT_NOT_WRITTEN 1
#define COLUMNS          7
#define LINE_MAX_BYTES   1024 /* of one warning */

static const char help[] =
    "Usage: serin check [-c FILE] [--json]\n"
    "       serin check --defaults [--json]\n"
    "\n"
    "Reads the configuration and prints every error in it, or what each rollout will do: its "
    "steps,\n"
    "and how many canary requests each takes to notice 2x and 5x errors and a p99 that is 30%\n"
    "slower, and to widen. A running serin keeps the traffic of the last ten minutes in state_dir\n"
    "for that; without it the figures are for an example. They are expectations: half of all bad\n"
    "canaries take longer. Each is by its own check alone; latency counts from the end of its "
    "warm-up.\n"
    "A certificate that expires within 14 days is a warning.\n"
    "\n"
    "  -c, --config FILE  the file (default: /etc/serin/serin.yaml, else ./serin.yaml)\n"
    "      --defaults     print every key: type, range, default, unit, whether a reload applies "
    "it\n"
    "      --json         print one JSON document\n"
    "  -h, --help         print this\n"
    "\n"
    "Example:\n"
    "  serin check -c serin.yaml && serin reload\n"
    "\n"
    "Exit codes: 0 right, 2 wrong usage, 70 out of memory, 78 wrong configuration.\n";

struct check_options {
    const char *path;
    bool defaults, json, help;
};

/* --- workloads --- */

static const char *mode_name(enum plan_replicas mode)
{
    const struct config_field *f = config_field_find("routes[].rollout.replicas.", SLICE("mode"));
    const struct config_choice *choice = f->choices;
    while (choice->value != mode)
        choice++;
    return choice->name;
}

/* The pair where there is one: what else the file names serves nobody. */
static bool is_in_use(const struct config_route *r, const struct config_version *v)
{
    return strcmp(v->name, r->stable) == 0 || (r->canary && strcmp(v->name, r->canary) == 0);
}

static bool has_workload(const struct config_route *r)
{
    for (size_t i = 0; i < r->n_versions; i++)
        if (r->versions[i].workload && is_in_use(r, &r->versions[i]))
            return true;
    return false;
}

static void print_replicas(const struct plan *plan)
{
    char surge[DESCRIBE_MAX], unavailable[DESCRIBE_MAX];
    if (plan->replicas_mode == PLAN_REPLICAS_NONE) {
        printf("  replicas: none are moved\n");
        return;
    }
    printf("  replicas: %s, at most %s more and %s fewer than wanted",
           mode_name(plan->replicas_mode), describe_amount(plan->surge, surge),
           describe_amount(plan->unavailable, unavailable));
    if (plan->replicas_mode == PLAN_REPLICAS_CAPACITY)
        printf(", headroom %g%%", plan->headroom * 100);
    printf("\n");
}

/* Versions that are workloads; a route that has none says nothing here. */
static void print_workloads(const struct config_route *r)
{
    if (!has_workload(r))
        return;
    for (size_t i = 0; i < r->n_versions; i++) {
        const struct config_version *v = &r->versions[i];
        if (!v->workload || !is_in_use(r, v))
            continue;
        printf("  %s: pods of %s, port %u", v->name, v->workload, v->port);
        if (v->manifest)
            printf(", created from %s where it is not there", v->manifest);
        printf("\n");
    }
    if (r->has_rollout)
        print_replicas(&r->plan);
}

/* --- the plan of a rollout --- */

/* Earliest end of a rollout: every step and the bake at their shortest; pauses not counted. */
static int64_t earliest_ms(const struct plan *plan)
{
    int64_t total = 0;
    for (size_t i = 0; i <= plan_judged_steps(plan); i++)
        total += plan_stage_hold_ms(plan, i);
    return total;
}

/* "25m", and "1h 5m" where one unit does not say it. */
static const char *format_time(int64_t ms, char out[2 * UNITS_TEXT_MAX])
{
    static const int64_t units_ms[] = {60 * 60 * 1000, 60 * 1000, 1000, 1};
    char part[UNITS_TEXT_MAX];
    size_t at = (size_t)snprintf(out, 2 * UNITS_TEXT_MAX, "%s", ms ? "" : "0s");
    for (size_t i = 0; i < ARRAY_LEN(units_ms); i++) {
        int64_t whole = ms - ms % units_ms[i];
        if (!whole || at + UNITS_TEXT_MAX > 2 * UNITS_TEXT_MAX)
            continue;
        /* 60m would print as 1h; whole hours are gone by then, so each part keeps its unit */
        at += (size_t)snprintf(out + at, 2 * UNITS_TEXT_MAX - at, "%s%s", at ? " " : "",
                               units_format_duration(whole, part));
        ms -= whole;
    }
    return out;
}

static void print_plan(const struct config *config, const struct config_route *r)
{
    struct notice notice;
    char weight[UNITS_TEXT_MAX], time[2 * UNITS_TEXT_MAX];
    const struct plan *plan = &r->plan;
    size_t n = plan_judged_steps(plan);
    printf("route %s: %s → %s, ", r->name, r->stable, r->canary);
    if (plan->start_auto)
        printf("starts by itself\n");
    else
        printf("waits for `serin start %s`\n", r->name);
    for (size_t i = 0; i <= n; i++) {
        printf("  %6s  %s%s", units_format_share(plan_stage_weight_bp(plan, i), weight),
               format_time(plan_stage_hold_ms(plan, i), time), i == n ? ", bake" : "");
        if (plan_stage_weight_bp(plan, i) == 0)
            printf(", judged by copies of %s of the requests",
                   units_format_share(r->mirror_bp, weight));
        if (i < n && plan->steps[i].pause)
            printf(", then waits for `serin promote %s`", r->name);
        printf("\n");
    }
    printf("    100%%  after %s at the earliest\n", format_time(earliest_ms(plan), time));
    print_workloads(r);
    notice_read(&notice, config, r);
    notice_print(&notice);
}

static void print_routes(const struct config *config)
{
    char weight[UNITS_TEXT_MAX];
    printf("%s: ok\n", config->file);
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct config_route *r = &config->routes[i];
        if (r->has_rollout) {
            print_plan(config, r);
            continue;
        }
        if (r->has_weight)
            printf("route %s: %s of requests to %s, without a controller\n", r->name,
                   units_format_share(r->weight_bp, weight), r->canary);
        else if (has_workload(r))
            printf("route %s: %s serves everyone\n", r->name, r->stable);
        print_workloads(r);
    }
}

/* --- JSON --- */

static int write_json(cJSON *document)
{
    char *text = document ? cJSON_Print(document) : NULL;
    cJSON_Delete(document);
    if (!text) {
        fputs("serin check: out of memory\n", stderr);
        return EX_SOFTWARE;
    }
    puts(text);
    cJSON_free(text);
    return 0;
}

static void add_amount(cJSON *json, const char *name, struct plan_amount amount)
{
    char text[DESCRIBE_MAX];
    cJSON_AddStringToObject(json, name, describe_amount(amount, text));
}

static void add_workloads(cJSON *route, const struct config_route *r)
{
    const struct plan *plan = &r->plan;
    if (!has_workload(r))
        return;
    cJSON *workloads = cJSON_AddObjectToObject(route, "workloads");
    for (size_t i = 0; i < r->n_versions; i++) {
        const struct config_version *v = &r->versions[i];
        if (!v->workload || !is_in_use(r, v))
            continue;
        cJSON *one = cJSON_AddObjectToObject(workloads, v->name);
        cJSON_AddStringToObject(one, "workload", v->workload);
        cJSON_AddNumberToObject(one, "port", v->port);
        if (v->manifest)
            cJSON_AddStringToObject(one, "manifest", v->manifest);
    }
    cJSON *replicas = cJSON_AddObjectToObject(route, "replicas");
    cJSON_AddStringToObject(replicas, "mode", mode_name(plan->replicas_mode));
    add_amount(replicas, "max_surge", plan->surge);
    add_amount(replicas, "max_unavailable", plan->unavailable);
    cJSON_AddNumberToObject(replicas, "headroom", plan->headroom);
}

static cJSON *json_of_plan(const struct config *config, const struct config_route *r)
{
    struct notice notice;
    const struct plan *plan = &r->plan;
    cJSON *route = cJSON_CreateObject();
    cJSON_AddStringToObject(route, "name", r->name);
    cJSON_AddStringToObject(route, "stable", r->stable);
    cJSON_AddStringToObject(route, "canary", r->canary);
    cJSON_AddStringToObject(route, "start", plan->start_auto ? "auto" : "manual");
    cJSON *stages = cJSON_AddArrayToObject(route, "stages");
    size_t n = plan_judged_steps(plan);
    for (size_t i = 0; i <= n; i++) {
        cJSON *stage = cJSON_CreateObject();
        cJSON_AddNumberToObject(stage, "weight_bp", plan_stage_weight_bp(plan, i));
        cJSON_AddNumberToObject(stage, "hold_ms", (double)plan_stage_hold_ms(plan, i));
        cJSON_AddNumberToObject(stage, "min_requests", (double)plan_stage_min_requests(plan, i));
        cJSON_AddBoolToObject(stage, "pause", i < n && plan->steps[i].pause);
        cJSON_AddBoolToObject(stage, "bake", i == n);
        cJSON_AddItemToArray(stages, stage);
    }
    cJSON_AddNumberToObject(route, "earliest_finish_ms", (double)earliest_ms(plan));
    add_workloads(route, r);
    notice_read(&notice, config, r);
    cJSON_AddItemToObject(route, "notice", notice_json(&notice));
    return route;
}

static void add_messages(cJSON *document, const char *name, const struct config_errors *messages)
{
    cJSON *list = cJSON_AddArrayToObject(document, name);
    for (size_t i = 0; i < messages->n; i++) {
        const struct config_error *e = &messages->items[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "line", e->line);
        cJSON_AddNumberToObject(item, "column", e->column);
        cJSON_AddStringToObject(item, "key", e->path);
        cJSON_AddStringToObject(item, "message", e->text);
        cJSON_AddItemToArray(list, item);
    }
}

static int write_config_json(const struct config *config, const struct config_errors *warnings)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "file", config->file);
    cJSON_AddBoolToObject(document, "ok", true);
    cJSON *rollouts = cJSON_AddArrayToObject(document, "rollouts");
    for (size_t i = 0; i < config->n_routes; i++)
        if (config->routes[i].has_rollout)
            cJSON_AddItemToArray(rollouts, json_of_plan(config, &config->routes[i]));
    add_messages(document, "warnings", warnings);
    return write_json(document);
}

static int write_errors_json(const struct config_errors *errors)
{
    cJSON *document = cJSON_CreateObject();
    cJSON_AddStringToObject(document, "file", errors->file);
    cJSON_AddBoolToObject(document, "ok", false);
    add_messages(document, "errors", errors);
    cJSON_AddNumberToObject(document, "more_errors", (double)errors->dropped);
    return write_json(document);
}

/* --- the list of keys --- */

static void key_columns(const struct config_field *f, const char *columns[COLUMNS],
                        char range[DESCRIBE_MAX])
{
    columns[0] = f->path;
    columns[1] = describe_type(f);
    columns[2] = describe_range(f, range);
    columns[3] = describe_standard(f);
    columns[4] = describe_unit(f);
    columns[5] = describe_reload(f);
    columns[6] = f->help;
}

static void print_keys(void)
{
    static const char *const heads[COLUMNS] = {"KEY",  "TYPE",   "RANGE",     "DEFAULT",
                                               "UNIT", "RELOAD", "WHAT IT IS"};
    const char *columns[COLUMNS];
    char range[DESCRIBE_MAX];
    int widths[COLUMNS];
    for (size_t k = 0; k < COLUMNS; k++)
        widths[k] = (int)strlen(heads[k]);
    for (size_t i = 0; i < config_fields_n; i++) {
        key_columns(&config_fields[i], columns, range);
        for (size_t k = 0; k + 1 < COLUMNS; k++) {
            int width = (int)strlen(columns[k]);
            if (width > widths[k])
                widths[k] = width;
        }
    }
    for (size_t k = 0; k < COLUMNS; k++)
        printf("%-*s%s", k + 1 < COLUMNS ? widths[k] : 0, heads[k], k + 1 < COLUMNS ? "  " : "\n");
    for (size_t i = 0; i < config_fields_n; i++) {
        key_columns(&config_fields[i], columns, range);
        for (size_t k = 0; k + 1 < COLUMNS; k++)
            printf("%-*s  ", widths[k], columns[k]);
        printf("%s\n", columns[COLUMNS - 1]);
    }
}

static int write_keys_json(void)
{
    static const char *const names[COLUMNS] = {"key",  "type",   "range", "default",
                                               "unit", "reload", "help"};
    const char *columns[COLUMNS];
    char range[DESCRIBE_MAX];
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < config_fields_n; i++) {
        cJSON *item = cJSON_CreateObject();
        key_columns(&config_fields[i], columns, range);
        for (size_t k = 0; k < COLUMNS; k++)
            cJSON_AddStringToObject(item, names[k], columns[k]);
        cJSON_AddBoolToObject(item, "required", config_fields[i].flags & FIELD_REQUIRED);
        cJSON_AddItemToArray(list, item);
    }
    return write_json(list);
}

/* --- the command --- */

static enum err parse_options(int argc, char **argv, struct check_options *o, struct why *why)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"defaults", no_argument, NULL, 'd'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
        if (option == 'c')
            o->path = optarg;
        else if (option == 'd')
            o->defaults = true;
        else if (option == 'j')
            o->json = true;
        else if (option == 'h')
            o->help = true;
        else
            return usage_option(why, option, argv, options);
    }
    if (optind < argc)
        return why_set(why, ERR_INVALID, "unexpected argument \"%s\" (the file is named by -c)",
                       argv[optind]);
    return OK;
}

static void print_warnings(const struct config_errors *warnings)
{
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < warnings->n; i++) {
        config_error_format(warnings, i, line, sizeof line);
        fprintf(stderr, "warning: %s\n", line);
    }
}

static int check_file(const struct check_options *o)
{
    struct config_errors errors; /* or warnings, where there are none */
    int code = 0;
    struct config_keep *keep =
        config_keep_read(o->path ? o->path : config_default_path(), NULL, &errors);
    const struct config *config = keep ? keep->config : NULL;
    if (keep)
        config_keep_warn(keep, &errors);
    if (config && o->json) {
        code = write_config_json(config, &errors);
    } else if (config) {
        print_routes(config);
        print_warnings(&errors);
    } else if (o->json)
        code = write_errors_json(&errors);
    else
        config_errors_print(&errors, stderr);
    if (!config && code == 0)
        code = errors.code == ERR_MEMORY ? EX_SOFTWARE : EX_CONFIG;
    config_keep_unref(keep);
    return code;
}

int check_command(int argc, char **argv)
{
    struct check_options o = {.path = NULL};
    struct why why;
    int code = 0;
    if (parse_options(argc, argv, &o, &why))
        return usage_error("check", "%s", why.text);
    if (o.help)
        fputs(help, stdout);
    else if (o.defaults && o.json)
        code = write_keys_json();
    else if (o.defaults)
        print_keys();
    else
        code = check_file(&o);
    if (fflush(stdout) != 0 && code == 0)
        return EXIT_NOT_WRITTEN;
    return code;
}
