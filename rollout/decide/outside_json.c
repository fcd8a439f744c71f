/* What a plan asks of others, to JSON and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/outside_json.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <string.h>

#define TEXT_MAX 4096 /* of a query or URL: a file of ours has none that is longer */
#define DAY_MS   86400000.0
#define DAYS_ALL 0x7fu

static const char *const kinds[] = {"prometheus", "webhook"};
static const char *const moments[] = {"before_start", "before_step", "before_promote", "after_end",
                                      "event"};

static bool add_text(cJSON *to, const char *name, const char *text)
{
    return !text || cJSON_AddStringToObject(to, name, text);
}

static bool add_check(cJSON *list, const struct outside_check *c)
{
    cJSON *item = cJSON_CreateObject();
    return item && cJSON_AddItemToArray(list, item) && add_text(item, "kind", kinds[c->kind]) &&
           add_text(item, "name", c->name) && add_text(item, "url", c->url) &&
           add_text(item, "query", c->query) && add_text(item, "min", c->min) &&
           add_text(item, "max", c->max) &&
           cJSON_AddNumberToObject(item, "interval_ms", (double)c->interval_ms) &&
           cJSON_AddNumberToObject(item, "failures", c->failures) &&
           cJSON_AddBoolToObject(item, "dry_run", c->dry_run);
}

static bool add_gate(cJSON *list, const struct outside_gate *g)
{
    cJSON *item = cJSON_CreateObject();
    return item && cJSON_AddItemToArray(list, item) && add_text(item, "on", moments[g->on]) &&
           add_text(item, "url", g->url) &&
           cJSON_AddNumberToObject(item, "timeout_ms", (double)g->timeout_ms);
}

static bool add_window(cJSON *list, const struct outside_window *w)
{
    cJSON *item = cJSON_CreateObject();
    return item && cJSON_AddItemToArray(list, item) &&
           cJSON_AddNumberToObject(item, "days", w->days) && add_text(item, "from", w->from) &&
           add_text(item, "to", w->to) && add_text(item, "tz", w->tz);
}

cJSON *outside_to_json(const struct outside *outside)
{
    static const struct outside none;
    const struct outside *o = outside ? outside : &none;
    cJSON *json = cJSON_CreateObject();
    cJSON *checks = cJSON_AddArrayToObject(json, "checks");
    cJSON *gates = cJSON_AddArrayToObject(json, "gates");
    cJSON *windows = cJSON_AddArrayToObject(json, "windows");
    bool whole = checks && gates && windows;
    for (size_t i = 0; whole && i < o->n_checks; i++)
        whole = add_check(checks, &o->checks[i]);
    for (size_t i = 0; whole && i < o->n_gates; i++)
        whole = add_gate(gates, &o->gates[i]);
    for (size_t i = 0; whole && i < o->n_windows; i++)
        whole = add_window(windows, &o->windows[i]);
    if (whole)
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* One object that is read: the first thing that is wrong with it stays. */
struct reader {
    const cJSON *from;
    const char *what; /* "outside.gates[]." */
    enum err error;
    struct why *why;
};

static void refuse(struct reader *r, const char *name, const char *expected)
{
    if (!r->error)
        r->error = why_set(r->why, ERR_INVALID, "%s%s: not %s", r->what, name, expected);
}

static const char *text(struct reader *r, const char *name, bool required)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->from, name);
    if (!item && !required)
        return NULL;
    if (cJSON_IsString(item) && strlen(item->valuestring) <= TEXT_MAX)
        return item->valuestring;
    refuse(r, name, "a text");
    return "";
}

static double number(struct reader *r, const char *name, double least, double most)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(r->from, name);
    if (cJSON_IsNumber(item) && item->valuedouble >= least && item->valuedouble <= most)
        return item->valuedouble;
    refuse(r, name, "a number in its range");
    return least;
}

static unsigned word(struct reader *r, const char *name, const char *const *words, unsigned n)
{
    const char *found = text(r, name, true);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(found, words[i]) == 0)
            return i;
    refuse(r, name, "a known word");
    return 0;
}

static void read_check(struct reader *r, struct outside_check *c)
{
    *c = (struct outside_check){
        .kind = (enum outside_kind)word(r, "kind", kinds, ARRAY_LEN(kinds)),
        .name = text(r, "name", true),
        .url = text(r, "url", true),
        .query = text(r, "query", false),
        .min = text(r, "min", false),
        .max = text(r, "max", false),
        .interval_ms = (int64_t)number(r, "interval_ms", 1000, DAY_MS),
        .failures = (uint32_t)number(r, "failures", 1, 1000),
        .dry_run = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r->from, "dry_run")),
    };
    if (c->kind == OUTSIDE_PROMETHEUS && !c->query)
        refuse(r, "query", "a text");
}

static void read_gate(struct reader *r, struct outside_gate *g)
{
    *g = (struct outside_gate){
        .on = (enum outside_moment)word(r, "on", moments, ARRAY_LEN(moments)),
        .url = text(r, "url", true),
        .timeout_ms = (int64_t)number(r, "timeout_ms", 1, DAY_MS),
    };
}

static bool is_time(const char *t)
{
    return strlen(t) == 5 && t[0] >= '0' && t[0] <= '2' && t[1] >= '0' && t[1] <= '9' &&
           t[2] == ':' && t[3] >= '0' && t[3] <= '5' && t[4] >= '0' && t[4] <= '9' &&
           strcmp(t, "24:00") <= 0;
}

static void read_window(struct reader *r, struct outside_window *w)
{
    *w = (struct outside_window){
        .days = (uint32_t)number(r, "days", 1, DAYS_ALL),
        .from = text(r, "from", true),
        .to = text(r, "to", true),
        .tz = text(r, "tz", true),
    };
    if (!is_time(w->from) || !is_time(w->to))
        refuse(r, "from or to", "a time of day");
}

/* The items of one list; their number in *n. */
static const cJSON *open_list(struct reader *r, const cJSON *from, const char *name, size_t most,
                              size_t *n)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(from, name);
    r->what = "outside.";
    *n = (size_t)cJSON_GetArraySize(list);
    if (cJSON_IsArray(list) && *n <= most)
        return list->child;
    refuse(r, name, "a list of at most 16");
    *n = 0;
    return NULL;
}

enum err outside_from_json(struct outside *outside, struct outside_room *room, const cJSON *from,
                           struct why *why)
{
    struct reader r = {.why = why};
    *outside =
        (struct outside){.checks = room->checks, .gates = room->gates, .windows = room->windows};
    r.from = open_list(&r, from, "checks", OUTSIDE_CHECKS_MAX, &outside->n_checks);
    r.what = "outside.checks[].";
    for (size_t i = 0; i < outside->n_checks; i++, r.from = r.from->next)
        read_check(&r, &room->checks[i]);
    r.from = open_list(&r, from, "gates", OUTSIDE_GATES_MAX, &outside->n_gates);
    r.what = "outside.gates[].";
    for (size_t i = 0; i < outside->n_gates; i++, r.from = r.from->next)
        read_gate(&r, &room->gates[i]);
    r.from = open_list(&r, from, "windows", OUTSIDE_WINDOWS_MAX, &outside->n_windows);
    r.what = "outside.windows[].";
    for (size_t i = 0; i < outside->n_windows; i++, r.from = r.from->next)
        read_window(&r, &room->windows[i]);
    return r.error;
}
