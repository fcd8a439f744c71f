/* Draws a status for a person: what runs, how far it is, both versions side by side, and why
 * (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_STATUS_RENDER_H
#define SERIN_ROLLOUT_CLI_STATUS_RENDER_H

#include "rollout/cli/status_view.h"
#include "rollout/cli/style.h"

/* Adds one route, drawn on several lines. Pure. */
void status_render(struct text *t, const struct status_view *v, const struct style *s);

/* Adds how far a rollout is as one line, cut to the terminal's columns, ended. Pure. */
void status_render_progress(struct text *t, const struct status_view *v, const struct style *s);

/* Adds what GET /api/v1/routes answers: one route drawn in full, more as a table. Pure. */
void status_render_all(struct text *t, const struct cJSON *json, const struct style *s);

/* Adds the versions side by side, or below each other where the width is short. Pure. */
void status_render_versions(struct text *t, const struct status_view *v, const struct style *s);

#endif
