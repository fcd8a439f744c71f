/* Events as alerts that fire and end, for Alertmanager's API v2 (POST /api/v2/alerts).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_ALERTS_H
#define SERIN_ROLLOUT_NOTIFY_ALERTS_H

#include "rollout/notify/message.h"

/* How long an alert fires that nothing ends. Alertmanager would end one without a time within minutes, unless it came again
 * and again. */
#define ALERTS_FIRE_S 86400
#define ALERTS_TEST_S 60

/* Whether an event lets an alert fire (of the kinds in events) or ends some. Pure. */
bool alerts_has(const struct rollout_event *e, uint32_t events);

/* The array of alerts; as message_make, NULL also where alerts_has is false. Pure. */
char *alerts_make(const struct message *m);

#endif
