/* Draws the past rollouts of a route: steps, times, verdicts, who (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_HISTORY_RENDER_H
#define SERIN_ROLLOUT_CLI_HISTORY_RENDER_H

#include "rollout/cli/style.h"
#include "rollout/cli/text.h"
#include <stdint.h>

struct cJSON;

/* Adds what GET .../history answers, the newest first. Pure. */
void history_render(struct text *t, const struct cJSON *json, const struct style *s);

/* Parses a time of the API: 2026-03-01T12:00:00Z (RFC 3339, UTC, whole seconds). False: it is none.
 * Pure. */
bool history_parse_time(const char *text, int64_t *seconds);

#endif
