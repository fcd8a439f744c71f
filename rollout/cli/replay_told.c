/* What words and JSON of a replay share: the changed keys, the caveats; and the JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/replay_render.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <string.h>

/* --- changed keys --- */

static void add_value(struct text *t, const cJSON *value)
{
    if (cJSON_IsNumber(value)) {
        text_add(t, "%.10g", value->valuedouble); /* 1.1, not 1.1000000000000001 */
        return;
    }
    if (!cJSON_IsArray(value)) {
        text_add(t, "%s",
                 cJSON_IsBool(value) ? (cJSON_IsTrue(value) ? "true" : "false")
                                     : (value->valuestring ? value->valuestring : "-"));
        return;
    }
    text_add(t, "[");
    const cJSON *item;
    cJSON_ArrayForEach(item, value)
    {
        add_value(t, item);
        text_add(t, "%s", item->next ? "," : "]");
    }
}

static void add_change(struct text *t, const char *group, const cJSON *before, const cJSON *after)
{
    if (!before || cJSON_Compare(before, after, true))
        return;
    text_add(t, "%s%s%s%s ", t->len ? "; " : "", group, group[0] ? "." : "", after->string);
    add_value(t, before);
    text_add(t, " -> ");
    add_value(t, after);
}

void replay_add_changes(struct text *t, const cJSON *before, const cJSON *after)
{
    const cJSON *item, *key;
    cJSON_ArrayForEach(item, after)
    {
        const cJSON *other = cJSON_GetObjectItemCaseSensitive(before, item->string);
        if (!cJSON_IsObject(item)) {
            add_change(t, "", other, item);
            continue;
        }
        cJSON_ArrayForEach(key, item)
            add_change(t, item->string, cJSON_GetObjectItemCaseSensitive(other, key->string), key);
    }
}

/* --- caveats --- */

static const char *latency_caveat(const struct replay *r)
{
    const struct replay_latency *l = &r->latency;
    if (!l->by_hist)
        return NULL;
    if (l->histograms == 0)
        return "The record has no histograms: latency under another margin or other quantiles was "
               "not "
               "judged at all.";
    if (l->limit_us[0][0] == 0)
        return "Stable has fewer than 1000 requests in the recorded histograms: latency was not "
               "judged.";
    if (l->same_quantiles)
        return "Latency is counted anew from histograms of every ten seconds or more, whose cells "
               "are "
               "3 % wide: only requests that were answered are in them, and forced ones too.";
    return "Latency is counted anew from histograms of every ten seconds or more, whose cells are "
           "3 % "
           "wide: only requests that were answered are in them, and forced ones too. Quantiles are "
           "those of stable in the rollout's first thousand requests or more, not of the ten "
           "minutes "
           "before it.";
}

static const char *coarse_caveat(const struct replay *r, struct text *t)
{
    const cJSON *tick_s = cJSON_GetObjectItemCaseSensitive(r->start, "tick_s");
    if (!cJSON_IsNumber(tick_s) || !(tick_s->valuedouble > 1))
        return NULL;
    text_clear(t);
    text_add(t, "The record is thinned to one tick in %g seconds: moments are as coarse as that.",
             tick_s->valuedouble);
    return text_str(t);
}

const char *replay_caveat(const struct replay_told *told, unsigned i, struct text *t)
{
    const struct replay *r = told->replay;
    const char *const all[] = {
        "The traffic is the recorded one, at the recorded weights. From the first difference on it "
        "is "
        "what other thresholds would not have let happen: a canary that is reverted gets no more "
        "requests, one that is widened earlier gets more.",
        "Only the judge is asked again: pauses, gates, the breaker, lost endpoints and what people "
        "did "
        "stay as they were.",
        latency_caveat(r),
        told->other_steps
            ? "The configuration has other steps than the record: its thresholds were "
              "put on the recorded weights."
            : NULL,
        coarse_caveat(r, t),
        told->is_torn ? "The last line is not whole and was left out." : NULL,
        r->state != REPLAY_ENDED
            ? "The record has no end: the rollout still runs, or serin stopped in "
              "the middle of it."
            : NULL,
    };
    for (size_t k = 0; k < ARRAY_LEN(all); k++)
        if (all[k] && i-- == 0)
            return all[k];
    return NULL;
}

/* --- JSON --- */

static bool add_moment(cJSON *into, const char *name, const struct replay_moment *m)
{
    if (!m->is_set)
        return cJSON_AddNullToObject(into, name);
    cJSON *json = cJSON_AddObjectToObject(into, name);
    return json && cJSON_AddNumberToObject(json, "t", (double)m->t_ms / 1000) &&
           cJSON_AddNumberToObject(json, "stage_t", (double)m->stage_t_ms / 1000) &&
           cJSON_AddNumberToObject(json, "stage", m->stage) &&
           cJSON_AddNumberToObject(json, "stage_requests", (double)m->stage_requests) &&
           cJSON_AddNumberToObject(json, "requests", (double)m->requests) &&
           cJSON_AddNumberToObject(json, "failed", (double)m->failed) &&
           cJSON_AddStringToObject(json, "check", m->check) &&
           cJSON_AddBoolToObject(json, "low_evidence", m->low_evidence);
}

static bool add_view(cJSON *into, const char *name, const struct replay_view *view, unsigned stage)
{
    cJSON *json = cJSON_AddObjectToObject(into, name);
    return json && add_moment(json, "widened", &view->widens[stage]) &&
           add_moment(json, "held", &view->holds[stage]) &&
           add_moment(json, "braked", &view->brakes[stage]);
}

static bool add_stages(cJSON *json, const struct replay *r)
{
    const struct judge_settings *settings = &r->judge.judge.settings;
    cJSON *stages = cJSON_AddArrayToObject(json, "stages");
    for (unsigned i = 0; stages && i < settings->n_stages; i++) {
        const struct replay_stage *s = &r->stages[i];
        if (!s->is_seen)
            continue;
        cJSON *stage = cJSON_CreateObject();
        if (!stage || !cJSON_AddItemToArray(stages, stage) ||
            !cJSON_AddNumberToObject(stage, "weight", settings->stages[i].weight_bp / 100.0) ||
            !cJSON_AddNumberToObject(stage, "entered", (double)s->entered_ms / 1000) ||
            !cJSON_AddNumberToObject(stage, "left", (double)s->left_ms / 1000) ||
            !cJSON_AddNumberToObject(stage, "requests", (double)replay_stage_requests(r, i)) ||
            !add_view(stage, "then", &r->then, i) || !add_view(stage, "now", &r->now, i))
            return false;
    }
    return stages;
}

static bool add_caveats(cJSON *json, const struct replay_told *told)
{
    struct text room = {0};
    cJSON *list = cJSON_AddArrayToObject(json, "cannot_know");
    const char *caveat;
    bool added = list;
    for (unsigned i = 0; added && (caveat = replay_caveat(told, i, &room)); i++) {
        cJSON *item = cJSON_CreateString(caveat);
        added = item && cJSON_AddItemToArray(list, item);
    }
    text_fini(&room);
    return added;
}

static bool add_course(cJSON *json, const struct replay_told *told)
{
    const struct replay *r = told->replay;
    cJSON *then = cJSON_AddObjectToObject(json, "then");
    bool added = then && add_moment(then, "reverted", &r->then.reverts) &&
                 cJSON_AddNumberToObject(then, "requests", (double)r->canary.requests) &&
                 cJSON_AddNumberToObject(then, "failed", (double)r->canary.failed) &&
                 cJSON_AddStringToObject(then, "result", r->result) &&
                 cJSON_AddStringToObject(then, "why", r->why);
    cJSON *now = added ? cJSON_AddObjectToObject(json, "now") : NULL;
    return now && add_moment(now, "reverted", &r->now.reverts) &&
           cJSON_AddStringToObject(now, "why", r->now.reverts.is_set ? r->now.why : "");
}

cJSON *replay_to_json(const struct replay_told *told)
{
    const struct replay *r = told->replay;
    const cJSON *route = cJSON_GetObjectItemCaseSensitive(r->start, "route");
    struct text changes = {0};
    replay_add_changes(&changes, told->before, told->after);
    cJSON *json = cJSON_CreateObject();
    bool added =
        json &&
        cJSON_AddStringToObject(json, "route", cJSON_IsString(route) ? route->valuestring : "") &&
        cJSON_AddNumberToObject(json, "seconds", (double)r->t_ms / 1000) &&
        cJSON_AddNumberToObject(json, "ticks", (double)r->ticks) &&
        cJSON_AddStringToObject(json, "changes", text_str(&changes)) && add_stages(json, r) &&
        add_course(json, told) && cJSON_AddNumberToObject(json, "compared", (double)r->compared) &&
        cJSON_AddNumberToObject(json, "same", (double)r->same) &&
        add_moment(json, "first_difference", &r->differs) && add_caveats(json, told);
    text_fini(&changes);
    if (added)
        return json;
    cJSON_Delete(json);
    return NULL;
}
