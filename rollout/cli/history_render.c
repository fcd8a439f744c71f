/* Draws the past rollouts of a route: steps, times, verdicts, who.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/history_render.h"
#include "rollout/cli/numbers.h"
#include "base/check.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>
#include <time.h>

#define STEP_INDENT 4u

static const char *string_of(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return s ? s : "";
}

bool history_parse_time(const char *text, int64_t *seconds)
{
    static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
    struct tm tm = {0}, parsed;
    int fields[6] = {0}, field = 0;
    if (strlen(text) != strlen(form))
        return false;
    for (size_t i = 0; form[i]; i++) {
        if (form[i] == 'd' && text[i] >= '0' && text[i] <= '9')
            fields[field] = fields[field] * 10 + (text[i] - '0');
        else if (form[i] == 'd' || text[i] != form[i])
            return false;
        else
            field++;
    }
    tm.tm_year = fields[0] - 1900;
    tm.tm_mon = fields[1] - 1;
    tm.tm_mday = fields[2];
    tm.tm_hour = fields[3];
    tm.tm_min = fields[4];
    tm.tm_sec = fields[5];
    parsed = tm;
    time_t at = timegm(&parsed); /* moves the 31st of June on to July: then it was no date */
    if (parsed.tm_mon != tm.tm_mon || parsed.tm_mday != tm.tm_mday ||
        parsed.tm_hour != tm.tm_hour || parsed.tm_min != tm.tm_min)
        return false;
    *seconds = at;
    return true;
}

/* Seconds from one time to another; NaN where one is missing. */
static double seconds_between(const char *from, const char *to)
{
    int64_t start, end;
    if (!history_parse_time(from, &start) || !history_parse_time(to, &end) || end < start)
        return NAN;
    return (double)(end - start);
}

/* 2026-03-01 12:00:00 UTC, or the text as it came. */
static void add_moment(struct text *t, const char *text)
{
    int64_t seconds;
    if (history_parse_time(text, &seconds))
        text_add(t, "%.10s %.8s UTC", text, text + 11);
    else
        text_add_clean(t, text[0] ? text : "-");
}

static enum colour result_colour(const char *result)
{
    if (strcmp(result, "completed") == 0)
        return COLOUR_GREEN;
    return result[0] ? COLOUR_RED : COLOUR_CYAN;
}

static void add_sentence(struct text *t, const struct style *s, size_t indent, const char *sentence)
{
    struct text clean = {0};
    text_add_clean(&clean, sentence);
    text_add_wrapped(t, text_str(&clean), indent, s->width);
    text_fini(&clean);
}

/* Takes the time of its beginning from the step itself, that of its end from the next one. */
static void add_step(struct text *t, const cJSON *step, const char *end, const struct style *s)
{
    const cJSON *weight = cJSON_GetObjectItemCaseSensitive(step, "weight");
    double percent = cJSON_IsNumber(weight) ? weight->valuedouble : NAN;
    text_add(t, "%*s%-7s", (int)STEP_INDENT, "", number_percent(percent).at);
    text_add(t, "%-8s", number_duration(seconds_between(string_of(step, "entered_at"), end)).at);
    text_add_clean(t, string_of(step, "verdict"));
    if (string_of(step, "why")[0]) {
        text_pad(t, STEP_INDENT + 25);
        text_add(t, "%s", style_begin(s, COLOUR_DIM));
        add_sentence(t, s, STEP_INDENT + 25, string_of(step, "why"));
        text_add(t, "%s", style_end(s, COLOUR_DIM));
    }
    text_add(t, "\n");
}

/* "   undo by ann": how it began, where that was no plain start, and by whom. */
static void add_origin(struct text *t, const char *verb, const char *who)
{
    bool is_plain = verb[0] == '\0' || strcmp(verb, "start") == 0;
    if (!is_plain || who[0])
        text_add(t, "  ");
    if (!is_plain) {
        text_add(t, " ");
        text_add_clean(t, verb);
    }
    if (who[0]) {
        text_add(t, " by ");
        text_add_clean(t, who);
    }
}

static void add_rollout(struct text *t, const cJSON *rollout, const struct style *s)
{
    const char *result = string_of(rollout, "result");
    const char *started = string_of(rollout, "started_at"), *ended = string_of(rollout, "ended_at");
    const char *who = string_of(rollout, "who"), *why = string_of(rollout, "why");
    const cJSON *step;
    text_add(t, "%s", style_begin(s, COLOUR_BOLD));
    text_add_clean(t, string_of(rollout, "stable"));
    text_add(t, " %s ", style_glyph(s, GLYPH_ARROW));
    text_add_clean(t, string_of(rollout, "canary"));
    text_add(t, "%s   %s", style_end(s, COLOUR_BOLD), style_begin(s, result_colour(result)));
    text_add_clean(t, result[0] ? result : "running");
    text_add(t, "%s   ", style_end(s, result_colour(result)));
    add_moment(t, started);
    if (ended[0])
        text_add(t, "   took %s", number_duration(seconds_between(started, ended)).at);
    add_origin(t, string_of(rollout, "verb"), who);
    text_add(t, "\n");
    if (why[0]) {
        text_add(t, "  ");
        add_sentence(t, s, 2, why);
        text_add(t, "\n");
    }
    cJSON_ArrayForEach(step, cJSON_GetObjectItemCaseSensitive(rollout, "steps"))
    {
        if (cJSON_IsObject(step))
            add_step(t, step, step->next ? string_of(step->next, "entered_at") : ended, s);
    }
}

void history_render(struct text *t, const struct cJSON *json, const struct style *s)
{
    const cJSON *rollout, *history = cJSON_GetObjectItemCaseSensitive(json, "history");
    cJSON_ArrayForEach(rollout, history)
    {
        if (!cJSON_IsObject(rollout))
            continue;
        if (rollout != history->child)
            text_add(t, "\n");
        add_rollout(t, rollout, s);
    }
    if (cJSON_GetArraySize(history) == 0)
        text_add(t, "no rollout yet\n");
}
