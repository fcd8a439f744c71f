/* What a route's traffic was like of late, kept in state_dir for `serin check`: how busy it is, how often stable fails
 * and how long it takes. Only ever shown: no rollout reads it, and losing it loses nothing.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_SEEN_H
#define SERIN_PROXY_CONTROL_SEEN_H

#include "base/err.h"
#include "metrics/totals.h"
#include <stdbool.h>
#include <stdint.h>

#define SEEN_STEP_MS 60000 /* how often a look is taken, and the file written */
#define SEEN_LOOKS   11    /* ten minutes between the oldest and the newest */

/* Cumulative counts at one moment. */
struct seen_look {
    int64_t at_ms; /* monotonic */
    uint64_t stable_requests, stable_failed, canary_requests;
};

/* The last ten minutes of a route. All zeros: nothing looked at yet. */
struct seen {
    const struct variant_metrics *stable, *canary; /* of whom; others begin anew */
    struct seen_look looks[SEEN_LOOKS];
    unsigned n, newest;
};

struct seen_figures {
    double seconds;            /* that they stand for */
    double requests_s;         /* of both versions together */
    uint64_t requests, failed; /* stable's */
    int64_t wall_ms;           /* when they were written */
    struct hist_sum durations; /* stable's, of about the same time; empty where nothing is known */
};

/* Takes a look where one is due: true then, and where figures can be had. canary may be NULL. now_ms: monotonic. */
bool seen_look_at(struct seen *s, const struct variant_metrics *stable,
                  const struct variant_metrics *canary, int64_t now_ms);

/* The figures of the looks so far, but for durations and wall_ms, which it leaves. After seen_look_at was true. Pure. */
void seen_figures(const struct seen *s, struct seen_figures *out);

/* Replaces the route's file in state_dir (NAME.seen beside the record's NAME.json): written aside, renamed, not synced.
 * ERR_IO, ERR_MEMORY: the old file is still there. */
enum err seen_write(const char *state_dir, const char *route, const struct seen_figures *figures,
                    struct why *why) MUST_USE;

/* Reads it back. ERR_NOT_FOUND: nothing was seen. ERR_IO, ERR_LIMIT, ERR_MEMORY, ERR_INVALID: with the reason, and *figures
 * is of no use. Any thread. */
enum err seen_read(const char *state_dir, const char *route, struct seen_figures *figures,
                   struct why *why) MUST_USE;

#endif
