/* Windows as spans of time: each of their days gives one, however the clock is set meanwhile.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/window.h"

#include "base/check.h"
#include "base/slice.h"

#define MINUTE_S    60
#define DAY_S       86400
#define DAY_MINUTES (24 * 60)
#define ALL_DAYS    0x7fu
/* Days of the zone's clock that an opening within the search may lie ahead: a clock can be set by
 * two days and some hours (ZONE_OFFSET_MAX_S - ZONE_OFFSET_MIN_S). */
#define DAYS_AHEAD (WINDOW_SEARCH_DAYS + 3)

struct span {
    int64_t open_s, close_s;
};

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* 1970-01-01 was a Thursday. */
static unsigned weekday_of(int64_t day)
{
    return (unsigned)(day + 3 - floor_div(day + 3, 7) * 7);
}

static int64_t clamp(int64_t wall_s)
{
    if (wall_s < -ZONE_WALL_MAX_S)
        return -ZONE_WALL_MAX_S;
    return wall_s > ZONE_WALL_MAX_S ? ZONE_WALL_MAX_S : wall_s;
}

static int64_t local_s(const struct zone *zone, int64_t wall_s)
{
    return wall_s + zone_offset_s(zone, wall_s);
}

/* The first moment at which the zone's clock reads local_s or later. Walks from one change of the
 * clock to the next, for a clock that is set back may read it again. */
static int64_t first_at(const struct zone *zone, int64_t wanted_s)
{
    int64_t at_s = wanted_s - ZONE_OFFSET_MAX_S; /* no clock reads it before */
    for (;;) {
        int64_t reads_s = wanted_s - zone_offset_s(zone, at_s);
        int64_t until_s = zone_until_s(zone, at_s);
        if (reads_s <= at_s)
            return at_s;
        if (reads_s < until_s)
            return reads_s;
        at_s = until_s;
    }
}

static struct span span_of(const struct window *w, int64_t day)
{
    int64_t from_s = day * DAY_S + (int64_t)w->from_minute * MINUTE_S;
    int64_t to_s = day * DAY_S + (int64_t)w->to_minute * MINUTE_S;
    return (struct span){first_at(w->zone, from_s), first_at(w->zone, to_s)};
}

/* The span that is open at wall_s, or else the next one that opens within the search. */
static bool find_span(const struct window *w, int64_t wall_s, struct span *found)
{
    int64_t today = floor_div(local_s(w->zone, wall_s), DAY_S);
    for (int64_t day = today - 1; day <= today + DAYS_AHEAD; day++) {
        if (!(w->days >> weekday_of(day) & 1))
            continue;
        struct span span = span_of(w, day);
        if (span.open_s - wall_s > (int64_t)WINDOW_SEARCH_DAYS * DAY_S)
            return false;
        if (span.open_s == span.close_s || span.close_s <= wall_s)
            continue;
        *found = span;
        return true;
    }
    return false;
}

bool window_is_open(const struct window *windows, size_t n, int64_t wall_s)
{
    struct span span;
    wall_s = clamp(wall_s);
    for (size_t i = 0; i < n; i++)
        if (find_span(&windows[i], wall_s, &span) && span.open_s <= wall_s)
            return true;
    return n == 0;
}

int64_t window_next_open_s(const struct window *windows, size_t n, int64_t wall_s, size_t *which)
{
    struct span span;
    int64_t next_s = n ? WINDOW_NEVER_S : wall_s;
    int64_t now_s = clamp(wall_s);
    for (size_t i = 0; i < n; i++) {
        if (!find_span(&windows[i], now_s, &span))
            continue;
        int64_t open_s = span.open_s > now_s ? span.open_s : wall_s;
        if (open_s >= next_s)
            continue;
        next_s = open_s;
        if (which)
            *which = i;
    }
    return next_s;
}

/* Two digits, a colon, two digits. */
static bool read_minutes(const char *text, int *minutes)
{
    struct slice hour, minute;
    uint64_t h, m;
    if (!text || !slice_cut(slice_str(text), ':', &hour, &minute) || hour.len != 2 ||
        minute.len != 2 || !slice_parse_u64(hour, &h) || !slice_parse_u64(minute, &m) || m > 59)
        return false;
    *minutes = (int)(h * 60 + m);
    return *minutes <= DAY_MINUTES;
}

enum err window_read(struct window *w, const struct outside_window *outside,
                     const struct zone *zone, struct why *why)
{
    CHECK(zone && outside->tz);
    *w = (struct window){.days = outside->days, .zone = zone, .tz = outside->tz};
    if (w->days == 0 || w->days & ~ALL_DAYS)
        return why_set(why, ERR_INVALID, "days: 0x%x are not days of a week", (unsigned)w->days);
    if (!read_minutes(outside->from, &w->from_minute) || w->from_minute == DAY_MINUTES)
        return why_set(why, ERR_INVALID, "from: \"%.16s\" is not a time from 00:00 to 23:59",
                       outside->from ? outside->from : "");
    if (!read_minutes(outside->to, &w->to_minute))
        return why_set(why, ERR_INVALID, "to: \"%.16s\" is not a time from 00:00 to 24:00",
                       outside->to ? outside->to : "");
    if (w->to_minute <= w->from_minute)
        w->to_minute += DAY_MINUTES;
    return OK;
}

void window_text(const struct window *w, int64_t wall_s, char text[WINDOW_TEXT_MAX])
{
    static const char days[7][4] = {"Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"};
    int64_t local = local_s(w->zone, clamp(wall_s));
    int64_t day = floor_div(local, DAY_S);
    int minute = (int)(local - day * DAY_S) / MINUTE_S;
    (void)snprintf(text, WINDOW_TEXT_MAX, "%s %02d:%02d %s", days[weekday_of(day)], minute / 60,
                   minute % 60, w->tz);
}
