/* An event for Slack's incoming webhooks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/slack.h"

#include <cjson/cJSON.h>
#include <string.h>

#define GREEN  "#2e7d32"
#define YELLOW "#f9a825"
#define RED    "#c62828"
#define BLUE   "#1565c0"

#define ZERO_WIDTH_SPACE "\xe2\x80\x8b" /* U+200B */

/* What stands for a byte, given the one behind it; NULL: itself. */
static const char *escape_of(char c, char next)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '@':
        return "@" ZERO_WIDTH_SPACE;
    case ']':
        return next == '(' ? "]" ZERO_WIDTH_SPACE : NULL;
    default:
        return NULL;
    }
}

const char *slack_safe(const char *text, char *out, size_t room)
{
    size_t len = 0;
    for (; *text; text++) {
        char self[2] = {*text, '\0'};
        const char *escape = escape_of(text[0], text[1]);
        const char *as = escape ? escape : self;
        size_t n = strlen(as);
        if (len + n >= room)
            break;
        memcpy(out + len, as, n);
        len += n;
    }
    out[len] = '\0';
    return out;
}

static const char *color_of(const struct rollout_event *e)
{
    switch (notify_kind_of(e->name)) {
    case NOTIFY_FAILED:
    case NOTIFY_ABORTED:
        return RED;
    case NOTIFY_PAUSED:
        return e->is_failure ? RED : YELLOW;
    case NOTIFY_HELD:
    case NOTIFY_WARNING:
        return YELLOW;
    case NOTIFY_COMPLETED:
    case NOTIFY_RESTORED:
        return GREEN;
    default:
        return BLUE;
    }
}

static bool add_field(cJSON *fields, const char *version, const struct rollout_event_counts *c)
{
    char title[SLACK_SAFE_MAX(RECORD_NAME_MAX)], value[96];
    cJSON *json = cJSON_CreateObject();
    if (!json || !cJSON_AddItemToArray(fields, json)) {
        cJSON_Delete(json);
        return false;
    }
    (void)snprintf(value, sizeof value, "%llu of %llu requests failed (%.3g%%)",
                   (unsigned long long)c->failed, (unsigned long long)c->requests,
                   100 * (double)c->failed / (double)c->requests);
    return message_add_text(json, "title", slack_safe(version, title, sizeof title)) &&
           message_add_text(json, "value", value) && cJSON_AddTrueToObject(json, "short");
}

static bool add_fields(cJSON *attachment, const struct rollout_event *e)
{
    cJSON *fields = cJSON_AddArrayToObject(attachment, "fields");
    bool whole = fields != NULL;
    if (e->of_canary.requests)
        whole = whole && add_field(fields, e->canary, &e->of_canary);
    if (e->of_canary.requests && e->of_stable.requests)
        whole = whole && add_field(fields, e->stable, &e->of_stable);
    return whole;
}

static bool add_attachment(cJSON *json, const struct message *m)
{
    char why[SLACK_SAFE_MAX(RECORD_WHY_MAX)], url[MESSAGE_URL_MAX];
    const char *link = message_link(m, url);
    cJSON *list = cJSON_AddArrayToObject(json, "attachments"), *item = cJSON_CreateObject();
    if (!list || !item || !cJSON_AddItemToArray(list, item)) {
        cJSON_Delete(item);
        return false;
    }
    (void)slack_safe(m->event->why, why, sizeof why);
    return message_add_text(item, "color", color_of(m->event)) &&
           message_add_text(item, "fallback", why) && message_add_text(item, "text", why) &&
           (!link || (message_add_text(item, "title", "The page of this rollout") &&
                      message_add_text(item, "title_link", link))) &&
           add_fields(item, m->event);
}

char *slack_make(const struct message *m)
{
    char line[MESSAGE_HEADLINE_MAX], text[SLACK_SAFE_MAX(MESSAGE_HEADLINE_MAX)];
    cJSON *json = cJSON_CreateObject();
    (void)slack_safe(message_headline(m->event, line), text, sizeof text);
    bool whole = json && message_add_text(json, "text", text) && add_attachment(json, m);
    char *made = whole ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    return made;
}
