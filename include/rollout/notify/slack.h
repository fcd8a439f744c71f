/* An event for Slack's incoming webhooks, and the servers that understand the same (Mattermost, Discord's /slack).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_SLACK_H
#define SERIN_ROLLOUT_NOTIFY_SLACK_H

#include "rollout/notify/message.h"

/* Room for a text of n bytes once it is safe: one byte becomes five at most ("&amp;"). */
#define SLACK_SAFE_MAX(n) (5 * (n) + 1)

/* Makes a text safe inside mrkdwn: & < > as Slack asks, so that nothing in it is a link or a mention of its own; a "@" and
 * the "](" of Markdown's links, which other servers know, lose their meaning by a zero-width space. room:
 * SLACK_SAFE_MAX(strlen(text)). Returns out. Pure. */
const char *slack_safe(const char *text, char *out, size_t room);

/* {"text","attachments"}; as message_make. Pure. */
char *slack_make(const struct message *m);

#endif
