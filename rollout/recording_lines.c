/* Start, tick and end: written by hand where it happens each second, by cJSON where it does not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/recording_lines.h"

#include "rollout/decide/judge_config.h"
#include "rollout/decide/plan_json.h"
#include "rollout/moment.h"
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A thinned file has a tick every 2^n seconds; more than this is not ours. */
#define TICK_S_MAX (1u << 20)

static void add(struct recording_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(struct recording_text *t, const char *fmt, ...)
{
    va_list ap;
    if (t->failed)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(t->at + t->len, sizeof t->at - t->len, fmt, ap);
    va_end(ap);
    if (n < 0 || (size_t)n >= sizeof t->at - t->len)
        t->failed = true;
    else
        t->len += (size_t)n;
}

/* Takes the object. */
static void add_json(struct recording_text *t, cJSON *json, bool whole)
{
    char *text = whole ? cJSON_PrintUnformatted(json) : NULL;
    if (!text || strlen(text) + 1 >= RECORDING_LINE_MAX)
        t->failed = true;
    else
        add(t, "%s\n", text);
    cJSON_free(text);
    cJSON_Delete(json);
}

/* --- start --- */

/* Before the first tick the slow rate of stable is what the judge was told as the baseline. */
static bool add_baseline(cJSON *json, const struct judge *judge)
{
    cJSON *baseline = cJSON_AddObjectToObject(json, "baseline");
    return baseline && cJSON_AddNumberToObject(baseline, "req", judge->slow.requests) &&
           cJSON_AddNumberToObject(baseline, "bad", judge->slow.failed);
}

static bool add_stages(cJSON *json, const struct judge_settings *settings)
{
    cJSON *stages = cJSON_AddArrayToObject(json, "stages");
    for (size_t i = 0; stages && i < settings->n_stages; i++) {
        cJSON *weight = cJSON_CreateNumber(settings->stages[i].weight_bp / 100.0);
        if (!weight || !cJSON_AddItemToArray(stages, weight))
            return false;
    }
    return stages;
}

static bool add_run(cJSON *json, const struct record *record)
{
    char started[MOMENT_TEXT_MAX];
    moment_rfc3339(record->run.started_ms, started);
    return cJSON_AddStringToObject(json, "route", record->route) &&
           cJSON_AddStringToObject(json, "rollout", record->run.id) &&
           cJSON_AddStringToObject(json, "started", started) &&
           cJSON_AddStringToObject(json, "stable", record->run.stable) &&
           cJSON_AddStringToObject(json, "canary", record->run.canary);
}

void recording_add_start(struct recording_text *t, const struct record *record)
{
    const struct judge *judge = &record->judge;
    cJSON *json = cJSON_CreateObject();
    bool whole = json && cJSON_AddStringToObject(json, "op", "start") &&
                 add_stages(json, &judge->settings) && cJSON_AddNumberToObject(json, "tick_s", 1) &&
                 cJSON_AddBoolToObject(json, "sticky", judge->sticky) && add_baseline(json, judge);
    cJSON *config = whole ? cJSON_AddObjectToObject(json, "config") : NULL;
    whole = config &&
            judge_config_write(&judge->settings, record->plan.latency_margin, config) == OK &&
            add_run(json, record);
    cJSON *plan = whole ? cJSON_AddObjectToObject(json, "plan") : NULL;
    add_json(t, json, plan && plan_to_json(&record->plan, plan) == OK);
}

unsigned recording_tick_s(const char *start)
{
    cJSON *json = cJSON_Parse(start);
    const cJSON *tick_s = cJSON_GetObjectItemCaseSensitive(json, "tick_s");
    double value = cJSON_IsNumber(tick_s) ? tick_s->valuedouble : 0;
    cJSON_Delete(json);
    return value >= 1 && value <= TICK_S_MAX ? (unsigned)value : 0;
}

char *recording_restart_text(const char *start, unsigned tick_s)
{
    cJSON *json = cJSON_Parse(start), *item = cJSON_CreateNumber(tick_s);
    bool replaced = json && item && cJSON_ReplaceItemInObjectCaseSensitive(json, "tick_s", item);
    if (!replaced)
        cJSON_Delete(item);
    char *text = replaced ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

/* --- tick --- */

static void add_side(struct recording_text *t, const char *name, const struct judge_side *side,
                     const struct recording_tick *tick)
{
    add(t, ",\"%s\":{\"req\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"c4\":%" PRIu64, name, side->requests,
        side->failed, side->client_errors);
    /* Without "lat" the judge takes latency for unknown, as it was. */
    for (size_t i = 0; tick->input.latency_known && i < tick->quantiles; i++)
        add(t, "%s%" PRIu64, i ? "," : ",\"lat\":[", side->slow[i]);
    add(t, "%s", tick->input.latency_known && tick->quantiles ? "]" : "");
    if (tick->sticky)
        add(t, ",\"ureq\":%" PRIu64 ",\"ubad\":%" PRIu64, side->key_requests, side->key_failed);
    add(t, "}");
}

static void add_hist(struct recording_text *t, const char *name, const struct hist_sum *hist)
{
    const char *gap = "";
    add(t, "\"%s\":[", name);
    for (unsigned i = 0; i < HIST_CELLS; i++) {
        if (!hist->cells[i])
            continue;
        add(t, "%s[%u,%" PRIu64 "]", gap, i, hist->cells[i]);
        gap = ",";
    }
    add(t, "]");
}

static void add_hists(struct recording_text *t, const struct recording_tick *tick)
{
    add(t, "," RECORDING_HIST);
    add_hist(t, "s", tick->hist[ROLE_STABLE]);
    add(t, ",");
    add_hist(t, "c", tick->hist[ROLE_CANARY]);
    add(t, "},\"slow_us\":[");
    for (size_t i = 0; i < tick->quantiles; i++)
        add(t, "%s%" PRIu64, i ? "," : "", tick->slow_us[i]);
    add(t, "]");
}

static void add_seconds(struct recording_text *t, int64_t ms)
{
    add(t, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
}

void recording_add_tick(struct recording_text *t, const struct recording_tick *tick)
{
    const struct judge_input *input = &tick->input;
    add(t, RECORDING_TICK);
    add_seconds(t, input->t_ms);
    if (tick->dt_ms >= 0) {
        add(t, ",\"dt\":");
        add_seconds(t, tick->dt_ms);
    }
    add(t, ",\"stage\":%u,\"weight\":%g,\"stage_t\":", input->stage, input->weight_bp / 100.0);
    add_seconds(t, input->stage_t_ms);
    add_side(t, "s", &input->stable, tick);
    add_side(t, "c", &input->canary, tick);
    add(t, ",\"d\":\"%s\",\"check\":\"%s\"", judge_verdict_name(tick->verdict), tick->check);
    if (tick->moved)
        add(t, "," RECORDING_MOVED ",\"state\":\"%s\",\"cause\":\"%s\"",
            machine_state_name(tick->state), machine_cause_name(tick->cause));
    if (tick->hist[ROLE_STABLE])
        add_hists(t, tick);
    add(t, "}\n");
}

/* A cell that is none, or a count that is none, spoils the whole. */
static bool read_cells(const cJSON *list, struct hist_sum *hist)
{
    const cJSON *pair;
    if (!cJSON_IsArray(list))
        return false;
    memset(hist, 0, sizeof *hist);
    cJSON_ArrayForEach(pair, list)
    {
        const cJSON *cell = cJSON_GetArrayItem(pair, 0), *n = cJSON_GetArrayItem(pair, 1);
        if (!cJSON_IsNumber(cell) || !cJSON_IsNumber(n) ||
            !(cell->valuedouble >= 0 && cell->valuedouble < HIST_CELLS) ||
            !(n->valuedouble >= 0 && n->valuedouble <= (double)JUDGE_COUNT_MAX))
            return false;
        hist->cells[(unsigned)cell->valuedouble] = (uint64_t)n->valuedouble;
    }
    return true;
}

bool recording_read_hist(const char *line, struct hist_sum hist[ROLE_COUNT])
{
    cJSON *json = cJSON_Parse(line);
    const cJSON *both = cJSON_GetObjectItemCaseSensitive(json, "hist");
    bool whole = read_cells(cJSON_GetObjectItemCaseSensitive(both, "s"), &hist[ROLE_STABLE]) &&
                 read_cells(cJSON_GetObjectItemCaseSensitive(both, "c"), &hist[ROLE_CANARY]);
    cJSON_Delete(json);
    return whole;
}

/* --- end --- */

void recording_add_end(struct recording_text *t, const char *result, const char *why)
{
    cJSON *json = cJSON_CreateObject();
    add_json(t, json,
             json && cJSON_AddStringToObject(json, "op", "end") &&
                 cJSON_AddStringToObject(json, "result", result) &&
                 cJSON_AddStringToObject(json, "why", why));
}
