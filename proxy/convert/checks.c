/* Writes more_checks and gates, and fills in the queries that they ask.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/checks.h"
#include "proxy/convert/route.h"
#include "proxy/convert/source.h"
#include "rollout/decide/outside.h"

#include <cjson/cJSON.h>
#include <string.h>

#define INTERVAL_MIN_MS 1000
#define INTERVAL_MAX_MS (24 * 3600 * 1000)
#define FAILURES_MAX    1000

/* --- names --- */

static const char *name_of(const struct cJSON *check)
{
    const char *name = source_text(source_get(check, "prometheus"), "name");
    return name ? name : source_text(source_get(check, "webhook"), "name");
}

static bool is_taken(const struct cJSON *list, const char *name)
{
    static const char *const own[] = {"errors", "client_errors", "ceiling", "latency"};
    const struct cJSON *check;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i], name) == 0)
            return true;
    cJSON_ArrayForEach(check, list)
    {
        const char *other = name_of(check);
        if (other && strcmp(other, name) == 0)
            return true;
    }
    return false;
}

/* "404s percentage" becomes "404s-percentage"; one that is taken gets a number. */
static void make_name(const struct cJSON *list, const char *wished, char out[ROUTE_NAME_ROOM])
{
    char base[ROUTE_NAME_ROOM];
    route_clean_name(wished, TEXT_NAME_MAX - 4, base);
    (void)snprintf(out, ROUTE_NAME_ROOM, "%s", base);
    for (unsigned n = 2; is_taken(list, out) && n <= OUTSIDE_CHECKS_MAX + 4; n++)
        (void)snprintf(out, ROUTE_NAME_ROOM, "%.*s-%u", TEXT_NAME_MAX - 4, base, n);
}

/* --- writing --- */

static bool is_good(enum text_form form, const char *text, struct why *why)
{
    return !text || text_check(form, slice_str(text), why) == OK;
}

static bool may_be_written(const struct checks_item *item, struct why *why)
{
    if (!item->url) {
        (void)why_set(why, ERR_INVALID, "it has no url");
        return false;
    }
    if (item->query && !item->min && !item->max) {
        (void)why_set(why, ERR_INVALID, "it has no bound that a value must keep to");
        return false;
    }
    return is_good(TEXT_URL, item->url, why) && is_good(TEXT_ANY, item->query, why) &&
           is_good(TEXT_NUMBER, item->min, why) && is_good(TEXT_NUMBER, item->max, why);
}

static int64_t within(int64_t value, int64_t least, int64_t most)
{
    return value < least ? least : value > most ? most : value;
}

void checks_put(struct draft *d, struct cJSON *rollout, const struct cJSON *at,
                const struct checks_item *item)
{
    char name[ROUTE_NAME_ROOM];
    struct why why;
    struct cJSON *list = cJSON_GetObjectItemCaseSensitive(rollout, "more_checks");
    if (!may_be_written(item, &why)) {
        draft_note(d, NOTE_LEFT, at, rollout, "%.300s", why.text);
        return;
    }
    if (cJSON_GetArraySize(list) >= OUTSIDE_CHECKS_MAX) {
        draft_note(d, NOTE_LEFT, at, rollout, "a rollout has at most %d checks by others",
                   OUTSIDE_CHECKS_MAX);
        return;
    }
    if (!list)
        list = draft_put_list(d, rollout, "more_checks");
    make_name(list, item->name ? item->name : "check", name);
    struct cJSON *whole = draft_put_object(d, list, NULL);
    if (item->near)
        draft_note(d, NOTE_NEAR, at, whole, "%s", item->near);
    struct cJSON *check = draft_put_object(d, whole, item->query ? "prometheus" : "webhook");
    draft_put_text(d, check, "name", name);
    draft_put_text(d, check, "url", item->url);
    if (item->query)
        draft_put_text(d, check, "query", item->query);
    if (item->min)
        draft_put_text(d, check, "min", item->min);
    if (item->max)
        draft_put_text(d, check, "max", item->max);
    if (item->interval_ms)
        draft_put_duration(d, check, "interval",
                           within(item->interval_ms, INTERVAL_MIN_MS, INTERVAL_MAX_MS));
    if (item->failures)
        draft_put_count(d, check, "failures", within(item->failures, 1, FAILURES_MAX));
}

void checks_put_gate(struct draft *d, struct cJSON *rollout, const struct cJSON *at,
                     const struct checks_gate *gate)
{
    struct why why;
    struct cJSON *list = cJSON_GetObjectItemCaseSensitive(rollout, "gates");
    if (!gate->url || !is_good(TEXT_URL, gate->url, &why)) {
        draft_note(d, NOTE_LEFT, at, rollout, "its url %s", gate->url ? why.text : "is missing");
        return;
    }
    if (cJSON_GetArraySize(list) >= OUTSIDE_GATES_MAX) {
        draft_note(d, NOTE_LEFT, at, rollout, "a rollout has at most %d gates", OUTSIDE_GATES_MAX);
        return;
    }
    if (!list)
        list = draft_put_list(d, rollout, "gates");
    struct cJSON *item = draft_put_object(d, list, NULL);
    if (gate->near)
        draft_note(d, NOTE_NEAR, at, item, "%s", gate->near);
    draft_put_text(d, item, "on", gate->moment);
    draft_put_text(d, item, "url", gate->url);
    if (gate->timeout_ms)
        draft_put_duration(d, item, "timeout", within(gate->timeout_ms, 1, INTERVAL_MAX_MS));
}

/* --- queries --- */

struct filler {
    char *out;
    size_t len;
    bool is_whole;
};

/* Runs of blanks and line ends become one space: the configuration has a query on one line. */
static void take(struct filler *f, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        char c = bytes.at[i];
        bool is_blank = c == ' ' || (c >= '\t' && c <= '\r');
        if (is_blank && (f->len == 0 || f->out[f->len - 1] == ' '))
            continue;
        if (f->len + 1 == CHECKS_QUERY_MAX) {
            f->is_whole = false;
            return;
        }
        f->out[f->len++] = is_blank ? ' ' : c;
    }
}

bool checks_fill(const char *query, checks_value_fn *value, const void *arg,
                 char out[CHECKS_QUERY_MAX])
{
    struct filler f = {out, 0, true};
    const char *end = query;
    for (const char *at; f.is_whole && (at = strstr(end, "{{")); end += 2) {
        const char *close = strstr(at, "}}"), *text = NULL;
        take(&f, slice_of(end, (size_t)(at - end)));
        if (close)
            text = value(arg, slice_trim(slice_of(at + 2, (size_t)(close - at - 2))));
        f.is_whole = f.is_whole && text;
        if (!text)
            break;
        take(&f, slice_str(text));
        end = close;
    }
    if (f.is_whole)
        take(&f, slice_str(end));
    while (f.len && out[f.len - 1] == ' ')
        f.len--;
    out[f.len] = '\0';
    return f.is_whole && f.len > 0;
}
