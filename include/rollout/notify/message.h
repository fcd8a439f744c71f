/* An event as the JSON that a receiver understands: generic, Slack's incoming webhooks, Alertmanager's alerts.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_MESSAGE_H
#define SERIN_ROLLOUT_NOTIFY_MESSAGE_H

#include "rollout/event.h"
#include "rollout/notify/kinds.h"

struct cJSON;

#define MESSAGE_SCHEMA  1
#define MESSAGE_ID_MAX  33   /* 128 random bits as hexadecimal digits, with the NUL */
#define MESSAGE_URL_MAX 2048 /* of a link: a browser's habit, and a bound on a message */

/* The event by which a receiver is tried out; it belongs to no route. */
#define MESSAGE_TEST "NotificationTest"

struct message {
    const struct rollout_event *event;
    const char *id;   /* the same however often it is sent: receivers tell copies by it */
    const char *page; /* where people reach the admin port's page; NULL = not known */
    uint32_t events;  /* sum of enum notify_kind that are wanted: of alerts, those that may fire */
};

/* The text to POST, JSON in UTF-8 whatever bytes the event has; the caller frees it. NULL when memory is short, or where an
 * alert is neither to fire nor to end (message_is_wanted). Pure. */
char *message_make(enum notify_format format, const struct message *m);

/* Whether there is anything to say of an event to a receiver of this form that wants these events. Pure. */
bool message_is_wanted(enum notify_format format, const struct rollout_event *event,
                       uint32_t events);

/* The address of the route's page, or NULL where none is known. Pure. */
const char *message_link(const struct message *m, char url[MESSAGE_URL_MAX]);

/* One line that a person reads first: "web: v2 is aborted, everyone goes back to v1". Returns text. Pure. */
#define MESSAGE_HEADLINE_MAX (3 * RECORD_NAME_MAX + 128)
const char *message_headline(const struct rollout_event *e, char text[MESSAGE_HEADLINE_MAX]);

/* Adds a member whose value is text, bytes that are no UTF-8 replaced by U+FFFD and control characters by spaces. False:
 * out of memory. Pure. */
bool message_add_text(struct cJSON *json, const char *name, const char *text);

#endif
