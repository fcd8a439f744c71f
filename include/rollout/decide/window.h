/* Times at which a rollout may widen: whether one of them is open, and when the next one opens.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_WINDOW_H
#define SERIN_ROLLOUT_DECIDE_WINDOW_H

#include "base/err.h"
#include "rollout/decide/outside.h"
#include "rollout/decide/zone.h"

/* How far ahead an opening is looked for: a week, and a day for what a clock's change takes away.
 */
#define WINDOW_SEARCH_DAYS 8
/* A weekday, a time and a zone's name. */
#define WINDOW_TEXT_MAX 96
/* None opens within the search. */
#define WINDOW_NEVER_S INT64_MAX

/* A window, ready to be asked. On each of its days it opens once, when the clock of its zone first
 * reads from_minute or later, and closes once, when it first reads to_minute or later. So an hour
 * that is set back is not open twice, and a time that the clock jumps over counts as the first
 * moment after the jump: a window that lies in the jump as a whole does not open that day. */
struct window {
    uint32_t days;              /* bit 0 = Monday ... bit 6 = Sunday: the day of from_minute */
    int from_minute, to_minute; /* of the day; to > from, beyond 24 * 60: of the day after */
    const struct zone *zone;    /* borrowed */
    const char *tz;             /* its name, borrowed */
};

/* Reads what a plan says. zone: the one named by outside->tz; it and the name are borrowed as long
 * as the window is used. ERR_INVALID: no or unknown days, a time that is not HH:MM. Pure. */
enum err window_read(struct window *w, const struct outside_window *outside,
                     const struct zone *zone, struct why *why) MUST_USE;

/* Whether one of n windows is open; none at all: always. wall_s: since 1970, any. Never fails.
 * Pure. O(n), times the zone's changes within two days. */
bool window_is_open(const struct window *windows, size_t n, int64_t wall_s);

/* The next moment at which one opens: wall_s itself where one is open already, or where there are
 * none. WINDOW_NEVER_S: none does within WINDOW_SEARCH_DAYS, since its only day fell into a jump of
 * the clock; ask again later. which: the index of the one that opens, untouched where there is
 * none; NULL is allowed. Never fails. Pure. O(n), as above. */
int64_t window_next_open_s(const struct window *windows, size_t n, int64_t wall_s, size_t *which);

/* Writes a moment by the clock of a window's zone: "Mon 09:00 Europe/Paris". Pure. */
void window_text(const struct window *w, int64_t wall_s, char text[WINDOW_TEXT_MAX]);

#endif
