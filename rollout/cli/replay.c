/* Options, the file line by line, and the answer.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/replay.h"

#include "metrics/hist.h"
#include "rollout/cli/cli.h"
#include "rollout/cli/command.h"
#include "rollout/cli/lines.h"
#include "rollout/cli/replay_render.h"
#include "rollout/cli/usage.h"
#include "rollout/decide/judge_config.h"
#include "rollout/decide/replay_config.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define SETS_MAX 64 /* more than there are keys */

_Static_assert(HIST_CELLS <= REPLAY_CELLS_MAX, "room for every cell");

static const char help[] =
    "Usage: serin replay FILE [-c FILE] [--route ROUTE] [--set KEY=VALUE]... [--json]\n"
    "\n"
    "Judges a recorded rollout again: what happened then, and what would have happened under "
    "other\n"
    "thresholds. serin records every rollout in state_dir, as ROUTE.ID.jsonl. Nothing is changed\n"
    "anywhere, and no serin needs to run.\n"
    "\n"
    "  -c, --config FILE    thresholds of this configuration (default: those recorded)\n"
    "      --route ROUTE    which of its routes (default: the recorded one)\n"
    "      --set KEY=VALUE  one threshold by its name in the record: alpha, budget, min_stage_s,\n"
    "                       fail.rho, lat.margin, lat.q=[0.5,0.95] ...; stronger than -c\n"
    "      --json           print one JSON document\n"
    "  -h, --help           this text\n"
    "\n"
    "Example, would the last bad canary still be caught?\n"
    "  serin replay /var/lib/serin/my-web.my-web-20260301T120000Z-7.jsonl -c new.yaml\n"
    "\n"
    "Exit codes: 0 judged, 1 the file cannot be read or line N of it is wrong, 2 usage,\n"
    "78 configuration.\n";

struct replay_options {
    const char *file, *config, *route;
    const char *sets[SETS_MAX];
    size_t n_sets;
    bool json, help;
};

static enum err parse(int argc, char **argv, struct replay_options *o, struct why *why)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"route", required_argument, NULL, 'r'},
        {"set", required_argument, NULL, 's'},    {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {0}};
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:h", options, NULL)) != -1) {
        if (option == 'c')
            o->config = optarg;
        else if (option == 'r')
            o->route = optarg;
        else if (option == 's' && o->n_sets < SETS_MAX)
            o->sets[o->n_sets++] = optarg;
        else if (option == 's')
            return why_set(why, ERR_INVALID, "--set: at most %d", SETS_MAX);
        else if (option == 'j')
            o->json = true;
        else if (option == 'h')
            o->help = true;
        else
            return usage_option(why, option, argv, options);
    }
    if (o->help)
        return OK;
    if (optind == argc)
        return why_set(why, ERR_INVALID, "the file is missing: serin replay FILE");
    o->file = argv[optind];
    if (optind + 1 < argc)
        return why_set(why, ERR_INVALID, "unexpected argument \"%s\"", argv[optind + 1]);
    return o->route && !o->config ? why_set(why, ERR_INVALID, "--route needs --config") : OK;
}

/* All that one run of the command holds. */
struct run {
    const struct replay_options *options;
    replay_plan_reader *read_plan;
    struct lines lines;
    struct replay replay;
    uint64_t tops[HIST_CELLS];
    cJSON *config;         /* given; NULL = the recorded one */
    cJSON *before, *after; /* with every key */
    struct replay_told told;
};

static int fail_line(const struct run *run, const struct why *why)
{
    struct text clean = {0}; /* it may show what the line says */
    text_add_clean(&clean, why->text);
    fprintf(stderr, "serin replay: %s: line %llu: %s\n", run->options->file, run->lines.number,
            text_str(&clean));
    text_fini(&clean);
    return CLI_ERROR;
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "serin replay: %s: %s\n", what, why);
    return CLI_ERROR;
}

/* Each key of the settings. The caller frees it. */
static cJSON *settings_json(const struct judge_settings *settings, double lat_margin)
{
    cJSON *json = cJSON_CreateObject();
    if (json && judge_config_write(settings, lat_margin, json) == OK)
        return json;
    cJSON_Delete(json);
    return NULL;
}

static int read_start(struct run *run)
{
    struct why why;
    if (!lines_next(&run->lines))
        return fail(run->options->file, ferror(run->lines.in) ? strerror(errno) : "it is empty");
    enum err e = run->lines.too_long
                     ? why_set(&why, ERR_LIMIT, "longer than %zu bytes", LINES_BYTES_MAX)
                     : replay_read_start(&run->replay, run->lines.line, &why);
    return e == OK ? CLI_OK : fail_line(run, &why);
}

static int take_config(struct run *run)
{
    const struct replay_options *o = run->options;
    const cJSON *recorded = cJSON_GetObjectItemCaseSensitive(run->replay.start, "route");
    struct plan plan;
    struct why why;
    bool same_steps;
    run->told.route = o->route ? o->route : cJSON_IsString(recorded) ? recorded->valuestring : NULL;
    run->told.config_file = o->config;
    if (!run->told.route)
        return usage_error("replay", "the record names no route: say --route ROUTE");
    int code = run->read_plan(o->config, run->told.route, &plan);
    if (code)
        return code;
    run->config = replay_config_of_plan(&run->replay, &plan, &same_steps, &why);
    if (!run->config) {
        (void)fail(o->config, why.text);
        return EX_CONFIG;
    }
    run->told.other_steps = !same_steps;
    return CLI_OK;
}

/* The configuration of the options, and the judge under it. */
static int begin(struct run *run)
{
    const struct replay_options *o = run->options;
    struct judge_settings recorded = run->replay.judge.judge.settings;
    struct why why;
    int code = o->config ? take_config(run) : CLI_OK;
    if (code)
        return code;
    if (!run->config)
        run->config = replay_config_recorded(&run->replay);
    for (size_t i = 0; i < o->n_sets; i++)
        if (replay_config_set(run->config, o->sets[i], &why) != OK)
            return usage_error("replay", "%s", why.text);
    if (replay_begin(&run->replay, run->config, &why) != OK)
        return o->n_sets ? usage_error("replay", "--set: %s", why.text) : fail_line(run, &why);
    const struct replay_latency *latency = &run->replay.latency;
    const struct judge_settings *used = &run->replay.judge.judge.settings;
    run->told.before = run->before = settings_json(&recorded, latency->recorded_margin);
    run->told.after = run->after = settings_json(used, latency->margin);
    return run->before && run->after ? CLI_OK : fail(o->file, "out of memory");
}

static int read_ticks(struct run *run)
{
    struct why why;
    while (lines_next(&run->lines)) {
        const struct lines *l = &run->lines;
        enum err e = l->too_long
                         ? why_set(&why, ERR_LIMIT, "longer than %zu bytes", LINES_BYTES_MAX)
                         : replay_line(&run->replay, l->line, &why);
        if (e != OK && !l->is_torn)
            return fail_line(run, &why);
        run->told.is_torn = e != OK; /* a crash, or it is being written */
    }
    if (ferror(run->lines.in))
        return fail(run->options->file, strerror(errno));
    if (run->replay.ticks == 0)
        return fail(run->options->file, "it has no tick: there is nothing to judge");
    replay_finish(&run->replay);
    return CLI_OK;
}

static int tell(struct run *run)
{
    bool written;
    if (run->options->json) {
        cJSON *json = replay_to_json(&run->told);
        written = json && command_print_json(json, true);
        cJSON_Delete(json);
    } else {
        struct text text = {0};
        replay_render(&text, &run->told);
        written = !text.failed && fputs(text_str(&text), stdout) >= 0;
        text_fini(&text);
    }
    return written && fflush(stdout) == 0 ? CLI_OK : CLI_ERROR;
}

static int run_all(struct run *run)
{
    for (unsigned i = 0; i < HIST_CELLS; i++)
        run->tops[i] = hist_cell_top_us(i);
    replay_init(&run->replay, &(struct replay_cells){run->tops, HIST_CELLS});
    run->told.replay = &run->replay;
    int code = read_start(run);
    if (code == CLI_OK)
        code = begin(run);
    if (code == CLI_OK)
        code = read_ticks(run);
    return code == CLI_OK ? tell(run) : code;
}

static int replay_file(const struct replay_options *o, replay_plan_reader *read_plan)
{
    FILE *in = fopen(o->file, "re");
    if (!in)
        return fail(o->file, strerror(errno));
    struct run *run = calloc(1, sizeof *run);
    if (!run) {
        (void)fclose(in);
        return fail(o->file, "out of memory");
    }
    run->options = o;
    run->read_plan = read_plan;
    lines_init(&run->lines, in);
    int code = run_all(run);
    replay_fini(&run->replay);
    cJSON_Delete(run->config);
    cJSON_Delete(run->before);
    cJSON_Delete(run->after);
    free(run);
    (void)fclose(in);
    return code;
}

int replay_command(int argc, char **argv, replay_plan_reader *read_plan)
{
    struct replay_options options = {.file = NULL};
    struct why why;
    if (parse(argc, argv, &options, &why) != OK)
        return usage_error("replay", "%s", why.text);
    if (options.help) {
        (void)fputs(help, stdout);
        return CLI_OK;
    }
    return replay_file(&options, read_plan);
}
