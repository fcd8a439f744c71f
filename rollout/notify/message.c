/* An event as the generic JSON, and what all forms share: headline, link, safe texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/message.h"

#include "base/utf8.h"
#include "rollout/moment.h"
#include "rollout/notify/alerts.h"
#include "rollout/notify/slack.h"
#include <cjson/cJSON.h>
#include <stdlib.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

bool message_add_text(cJSON *json, const char *name, const char *text)
{
    struct slice rest = slice_str(text);
    char *clean = malloc(rest.len * (sizeof REPLACEMENT - 1) + 1);
    size_t len = 0;
    uint32_t c;
    while (clean && rest.len) {
        unsigned n = utf8_next(rest, &c);
        bool is_control = n > 0 && (c < 0x20 || (c >= 0x7f && c < 0xa0));
        const char *from = n == 0 ? REPLACEMENT : is_control ? " " : rest.at;
        size_t bytes = n == 0 ? sizeof REPLACEMENT - 1 : is_control ? 1 : n;
        memcpy(clean + len, from, bytes);
        len += bytes;
        rest = slice_of(rest.at + (n ? n : 1), rest.len - (n ? n : 1));
    }
    if (clean)
        clean[len] = '\0';
    bool is_added = clean && cJSON_AddStringToObject(json, name, clean);
    free(clean);
    return is_added;
}

const char *message_link(const struct message *m, char url[MESSAGE_URL_MAX])
{
    static const char hex[] = "0123456789ABCDEF";
    const char *route = m->event->route;
    size_t len = m->page ? strlen(m->page) : 0;
    if (len == 0 || len + 3 * strlen(route) + sizeof "/#/" > MESSAGE_URL_MAX)
        return NULL;
    memcpy(url, m->page, len);
    len -= url[len - 1] == '/';
    len += (size_t)snprintf(url + len, MESSAGE_URL_MAX - len, "%s", route[0] ? "/#/" : "/");
    for (; *route; route++) {
        unsigned char c = (unsigned char)*route;
        bool is_plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                        (c >= '0' && c <= '9') || strchr("-._~", c);
        if (!is_plain)
            url[len++] = '%', url[len++] = hex[c >> 4];
        url[len++] = is_plain ? (char)c : hex[c & 15];
    }
    url[len] = '\0';
    return url;
}

static double percent(uint32_t bp)
{
    return bp / 100.0;
}

/* The sentence of one event; NULL: its name says it. */
static const char *about(const struct rollout_event *e, char *text, size_t room)
{
    const char *v2 = e->canary, *v1 = e->stable;
    double now = percent(e->weight_bp);
    switch (notify_kind_of(e->name)) {
    case NOTIFY_STARTED:
        (void)snprintf(text, room, "the rollout of %s begins", v2);
        return text;
    case NOTIFY_STEP:
        (void)snprintf(text, room, "%s goes to %g%% (step %u of %u)", v2, percent(e->step_bp),
                       e->step, e->steps);
        return text;
    case NOTIFY_WEIGHT:
        (void)snprintf(text, room, "%s from %g%% to %g%%", v2, percent(e->weight_from_bp), now);
        return text;
    case NOTIFY_HELD:
        (void)snprintf(text, room, "%s is held at %g%%", v2, now);
        return text;
    case NOTIFY_PAUSED:
        (void)snprintf(text, room, "the rollout of %s is paused at %g%%", v2, now);
        return text;
    case NOTIFY_RESUMED:
        (void)snprintf(text, room, "the rollout of %s goes on at %g%%", v2, now);
        return text;
    case NOTIFY_FAILED:
        (void)snprintf(text, room, "the promotion of %s has failed", v2);
        return text;
    case NOTIFY_ABORTED:
        (void)snprintf(text, room, "%s is aborted, everyone goes back to %s", v2, v1);
        return text;
    case NOTIFY_RESTORED:
        (void)snprintf(text, room, "%s serves everyone again, %s stays out", v1, v2);
        return text;
    case NOTIFY_COMPLETED:
        (void)snprintf(text, room, "%s serves everyone", v2);
        return text;
    default:
        return e->name;
    }
}

const char *message_headline(const struct rollout_event *e, char text[MESSAGE_HEADLINE_MAX])
{
    char sentence[MESSAGE_HEADLINE_MAX - RECORD_NAME_MAX - 2];
    (void)snprintf(text, MESSAGE_HEADLINE_MAX, "%s%s%s", e->route, e->route[0] ? ": " : "",
                   about(e, sentence, sizeof sentence));
    return text;
}

static bool add_counts(cJSON *list, const char *version, const struct rollout_event_counts *c)
{
    cJSON *json = cJSON_AddObjectToObject(list, version);
    if (!json || !cJSON_AddNumberToObject(json, "requests", (double)c->requests) ||
        !cJSON_AddNumberToObject(json, "failed", (double)c->failed))
        return false;
    return c->requests ? cJSON_AddNumberToObject(json, "error_rate",
                                                 (double)c->failed / (double)c->requests) != NULL
                       : cJSON_AddNullToObject(json, "error_rate") != NULL;
}

static bool add_shares(cJSON *json, const struct rollout_event *e)
{
    cJSON *weight = cJSON_AddObjectToObject(json, "weight");
    cJSON *rates = cJSON_AddObjectToObject(json, "rates");
    return weight && rates && cJSON_AddNumberToObject(weight, "from", percent(e->weight_from_bp)) &&
           cJSON_AddNumberToObject(weight, "to", percent(e->weight_bp)) &&
           cJSON_AddNumberToObject(weight, "step", percent(e->step_bp)) &&
           add_counts(rates, "stable", &e->of_stable) && add_counts(rates, "canary", &e->of_canary);
}

static bool fill(cJSON *json, const struct message *m)
{
    const struct rollout_event *e = m->event;
    char time[MOMENT_TEXT_MAX], url[MESSAGE_URL_MAX], line[MESSAGE_HEADLINE_MAX];
    const char *link = message_link(m, url);
    moment_rfc3339(e->wall_ms, time);
    return cJSON_AddNumberToObject(json, "schema", MESSAGE_SCHEMA) &&
           message_add_text(json, "id", m->id) && message_add_text(json, "time", time) &&
           message_add_text(json, "event", e->name) &&
           message_add_text(json, "kind", notify_kind_name(notify_kind_of(e->name))) &&
           message_add_text(json, "route", e->route) &&
           message_add_text(json, "rollout_id", e->rollout_id) &&
           message_add_text(json, "stable", e->stable) &&
           message_add_text(json, "canary", e->canary) &&
           message_add_text(json, "phase", e->phase) && message_add_text(json, "state", e->state) &&
           cJSON_AddNumberToObject(json, "step", e->step) &&
           cJSON_AddNumberToObject(json, "steps", e->steps) &&
           message_add_text(json, "verdict", e->verdict) &&
           message_add_text(json, "headline", message_headline(e, line)) &&
           message_add_text(json, "why", e->why) && add_shares(json, e) &&
           (link ? message_add_text(json, "url", link)
                 : cJSON_AddNullToObject(json, "url") != NULL);
}

static char *make_generic(const struct message *m)
{
    cJSON *json = cJSON_CreateObject();
    char *text = json && fill(json, m) ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return text;
}

char *message_make(enum notify_format format, const struct message *m)
{
    switch (format) {
    case NOTIFY_SLACK:
        return slack_make(m);
    case NOTIFY_ALERTMANAGER:
        return alerts_make(m);
    case NOTIFY_GENERIC:
        break;
    }
    return make_generic(m);
}

bool message_is_wanted(enum notify_format format, const struct rollout_event *event,
                       uint32_t events)
{
    if (strcmp(event->name, MESSAGE_TEST) == 0)
        return true;
    return format == NOTIFY_ALERTMANAGER ? alerts_has(event, events)
                                         : (notify_kind_of(event->name) & events) != 0;
}
