/* Draws what serin status --watch shows: a route with its sparklines, or several, each in a few
 * lines, as many as the terminal has room for (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_WATCH_RENDER_H
#define SERIN_ROLLOUT_CLI_WATCH_RENDER_H

#include "rollout/cli/rates_book.h"
#include "rollout/cli/style.h"
#include "rollout/cli/text.h"
#include <stdbool.h>

struct cJSON;
struct status_view;

struct watch_scene {
    const struct cJSON *status;     /* the last answer: of a route, or {"routes":[...]} */
    const struct rates_book *rates; /* of the routes that have some */
    const char *clock;              /* the time of day */
    const char *away_since;         /* the time since when the server is away; NULL: it is there */
    const char *trouble;            /* why; foreign. With away_since */
    bool waits;                     /* no rollout has been seen running yet */
    bool has_keys;                  /* q ends the watch */
    bool has_interrupt;             /* Ctrl-C does */
};

/* Adds a frame: lines, each ended and none wider than s->columns, at most s->height - 1 of them
 * where there is a height; what has no room is told. Pure. O(routes). */
void watch_render(struct text *t, const struct watch_scene *scene, const struct style *s);

/* Whether a route is drawn with its figures: it has a rollout, a weight or a trouble. Pure. */
bool watch_is_active(const struct status_view *v);

#endif
