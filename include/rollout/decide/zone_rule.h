/* The rule of a time zone as POSIX writes it: an offset, and a summer time in every year.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_ZONE_RULE_H
#define SERIN_ROLLOUT_DECIDE_ZONE_RULE_H

#include "base/err.h"
#include "base/slice.h"

/* The longest in use has some 40 bytes; beyond this it is no rule. */
#define ZONE_RULE_BYTES_MAX 256
/* Offsets east of UTC, RFC 8536 section 3.2: what POSIX can write, an hour of summer time added. */
#define ZONE_OFFSET_MIN_S (-89999)
#define ZONE_OFFSET_MAX_S 93599
/* Moments beyond, some 18 thousand million years, are taken for this one, so that no sum with an
 * offset or a year can overflow. The first that zic writes is the negative one ("big bang"). */
#define ZONE_WALL_MAX_S (INT64_C(1) << 59)
/* A moment that never comes. */
#define ZONE_NEVER_S INT64_MAX

/* A day of the year: Jn counts 1..365 and never February 29, n counts 0..365 with it, Mm.w.d is a
 * weekday of a month. */
enum zone_day { ZONE_DAY_JULIAN, ZONE_DAY_COUNTED, ZONE_DAY_WEEKDAY };

struct zone_rule_date {
    enum zone_day kind;
    int month, week,
        day;        /* 1..12, 1..5 (5 = the last), 0..6 from Sunday; the others use day only */
    int32_t time_s; /* after that day's midnight; may be negative or beyond a day */
};

struct zone_rule {
    int32_t standard_s, summer_s; /* east of UTC */
    bool has_summer;              /* otherwise standard_s always */
    struct zone_rule_date start, end;
};

/* Reads a rule such as CET-1CEST,M3.5.0,M10.5.0/3 or <+03>-3. Strict; hours of a change -167..167
 * (RFC 8536 section 3.3.1). A summer time without its dates is refused: POSIX leaves them to the
 * system. ERR_INVALID, ERR_LIMIT. Pure. O(length). */
enum err zone_rule_read(struct slice text, struct zone_rule *rule, struct why *why) MUST_USE;

/* Seconds east of UTC. wall_s: since 1970, at most ZONE_WALL_MAX_S away. Where summer time ends and
 * starts again at the same moment it goes on (RFC 8536 section 3.3.1). Pure. O(1). */
int32_t zone_rule_offset_s(const struct zone_rule *rule, int64_t wall_s);

/* The first moment after wall_s at which the offset may change; ZONE_NEVER_S: there is none. Pure.
 * O(1). */
int64_t zone_rule_until_s(const struct zone_rule *rule, int64_t wall_s);

#endif
