/* Events as alerts: SerinRolloutHeld, SerinRolloutFailed and SerinRolloutAborted of a route's canary.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing is remembered of what fires: an event ends every alert that it can have ended, by the labels that it would have.
 * To Alertmanager the end of an alert that it does not know is no news.
 */
#include "rollout/notify/alerts.h"

#include "base/check.h"
#include "rollout/moment.h"
#include <cjson/cJSON.h>
#include <string.h>

enum alert { ALERT_HELD = 1, ALERT_FAILED = 2, ALERT_ABORTED = 4, ALERT_TEST = 8 };

static const struct {
    enum alert alert;
    const char *name, *severity;
} alerts[] = {
    {ALERT_HELD, "SerinRolloutHeld", "warning"},
    {ALERT_FAILED, "SerinRolloutFailed", "critical"},
    {ALERT_ABORTED, "SerinRolloutAborted", "critical"},
    {ALERT_TEST, "SerinNotificationTest", "info"},
};

#define ALL (ALERT_HELD | ALERT_FAILED | ALERT_ABORTED)

struct change {
    unsigned fires, ends; /* sums of enum alert */
};

static struct change change_of(const struct rollout_event *e)
{
    if (strcmp(e->name, MESSAGE_TEST) == 0)
        return (struct change){.fires = ALERT_TEST};
    switch (notify_kind_of(e->name)) {
    case NOTIFY_HELD:
        return (struct change){.fires = ALERT_HELD};
    case NOTIFY_PAUSED: /* by the failure of the canary, or by a person's will */
        return (struct change){.fires = e->is_failure ? ALERT_FAILED : 0, .ends = ALERT_HELD};
    case NOTIFY_FAILED:
        return (struct change){.fires = ALERT_FAILED, .ends = ALERT_HELD};
    case NOTIFY_ABORTED:
        return (struct change){.fires = ALERT_ABORTED, .ends = ALERT_HELD | ALERT_FAILED};
    case NOTIFY_STARTED:
    case NOTIFY_STEP:
    case NOTIFY_RESUMED:
    case NOTIFY_COMPLETED:
    case NOTIFY_RESET:
        return (struct change){.ends = ALL};
    default:
        return (struct change){.fires = 0};
    }
}

/* Of what would fire, what is wanted. */
static struct change wanted(const struct rollout_event *e, uint32_t events)
{
    struct change c = change_of(e);
    if (!(notify_kind_of(e->name) & events) && c.fires != ALERT_TEST)
        c.fires = 0;
    return c;
}

bool alerts_has(const struct rollout_event *e, uint32_t events)
{
    struct change c = wanted(e, events);
    return c.fires || c.ends;
}

static bool add_labels(cJSON *alert, size_t which, const char *route, const char *version)
{
    cJSON *labels = cJSON_AddObjectToObject(alert, "labels");
    return labels && message_add_text(labels, "alertname", alerts[which].name) &&
           (!route[0] || message_add_text(labels, "route", route)) &&
           (!version[0] || message_add_text(labels, "version", version)) &&
           message_add_text(labels, "severity", alerts[which].severity);
}

static bool add_annotations(cJSON *alert, const struct rollout_event *e)
{
    char line[MESSAGE_HEADLINE_MAX];
    cJSON *annotations = cJSON_AddObjectToObject(alert, "annotations");
    return annotations && message_add_text(annotations, "summary", message_headline(e, line)) &&
           message_add_text(annotations, "description", e->why);
}

/* One that fires begins with the event and ends by itself one day; one that ends has a beginning that only Alertmanager
 * knows. */
static bool add_times(cJSON *alert, const struct rollout_event *e, size_t which, bool fires)
{
    char from[MOMENT_TEXT_MAX], to[MOMENT_TEXT_MAX];
    int64_t lasts_s = alerts[which].alert == ALERT_TEST ? ALERTS_TEST_S : ALERTS_FIRE_S;
    moment_rfc3339(e->wall_ms, from);
    moment_rfc3339(e->wall_ms + (fires ? lasts_s * 1000 : 0), to);
    return (!fires || message_add_text(alert, "startsAt", from)) &&
           message_add_text(alert, "endsAt", to);
}

static bool add(cJSON *list, const struct message *m, size_t which, const char *version, bool fires)
{
    char url[MESSAGE_URL_MAX];
    const char *link = message_link(m, url);
    cJSON *alert = cJSON_CreateObject();
    if (!alert || !cJSON_AddItemToArray(list, alert)) {
        cJSON_Delete(alert);
        return false;
    }
    return add_labels(alert, which, m->event->route, version) && add_annotations(alert, m->event) &&
           add_times(alert, m->event, which, fires) &&
           (!link || message_add_text(alert, "generatorURL", link));
}

/* What a run before left firing is over when another begins, whatever version it was of. */
static bool add_all(cJSON *list, const struct message *m, const struct change *c)
{
    const struct rollout_event *e = m->event;
    enum notify_kind kind = notify_kind_of(e->name);
    bool ends_before = (kind == NOTIFY_STARTED || kind == NOTIFY_RESET) && e->canary_before[0] &&
                       strcmp(e->canary_before, e->canary) != 0;
    bool whole = true;
    for (size_t i = 0; i < ARRAY_LEN(alerts); i++) {
        if (c->fires & alerts[i].alert)
            whole = whole && add(list, m, i, e->canary, true);
        if (c->ends & alerts[i].alert)
            whole = whole && add(list, m, i, e->canary, false);
        if (ends_before && (c->ends & alerts[i].alert))
            whole = whole && add(list, m, i, e->canary_before, false);
    }
    return whole;
}

char *alerts_make(const struct message *m)
{
    struct change c = wanted(m->event, m->events);
    if (!c.fires && !c.ends)
        return NULL;
    cJSON *list = cJSON_CreateArray();
    char *text = list && add_all(list, m, &c) ? cJSON_PrintUnformatted(list) : NULL;
    cJSON_Delete(list);
    return text;
}
