/* POSIX rules of time zones: read strictly, and asked for the offset at a moment.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/zone_rule.h"

#define MINUTE_S 60
#define HOUR_S   3600
#define DAY_S    86400
/* A number of a rule has at most so many digits: hours to 167, days to 365. */
#define DIGITS_MAX 3
/* Of a zone's name. POSIX asks for three at least; no name in use is longer than six. */
#define NAME_MIN         3
#define NAME_MAX_BYTES   32
#define OFFSET_HOURS_MAX 24
#define CHANGE_HOURS_MAX 167
#define CHANGE_DEFAULT_S (2 * HOUR_S)
/* A change may lie a week and two days outside its year, so that both of the year before may still
 * be to come; and year_near may be one off. So many years around it hold the changes next to a
 * moment. */
#define YEARS_AROUND 3

static bool take(struct slice *s, char c)
{
    if (s->len == 0 || s->at[0] != c)
        return false;
    *s = slice_of(s->at + 1, s->len - 1);
    return true;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
}

static bool read_number(struct slice *s, int min, int max, int *value)
{
    size_t n = 0;
    int v = 0;
    for (; n < s->len && n < DIGITS_MAX && is_digit(s->at[n]); n++)
        v = v * 10 + (s->at[n] - '0');
    *s = slice_of(s->at + n, s->len - n);
    *value = v;
    return n > 0 && v >= min && v <= max;
}

/* [+-]hh[:mm[:ss]] */
static bool read_time(struct slice *s, int hours_max, int32_t *seconds)
{
    int hours, minutes = 0, rest = 0;
    bool is_negative = take(s, '-');
    if (!is_negative)
        (void)take(s, '+');
    if (!read_number(s, 0, hours_max, &hours))
        return false;
    if (take(s, ':')) {
        if (!read_number(s, 0, 59, &minutes))
            return false;
        if (take(s, ':') && !read_number(s, 0, 59, &rest))
            return false;
    }
    *seconds = hours * HOUR_S + minutes * MINUTE_S + rest;
    if (is_negative)
        *seconds = -*seconds;
    return true;
}

/* Letters, or letters, digits and signs in angle brackets. */
static bool read_name(struct slice *s)
{
    bool is_quoted = take(s, '<');
    size_t n = 0;
    for (; n < s->len && n < NAME_MAX_BYTES; n++) {
        char c = s->at[n];
        bool is_sign = is_digit(c) || c == '+' || c == '-';
        if (!is_letter(c) && !(is_quoted && is_sign))
            break;
    }
    *s = slice_of(s->at + n, s->len - n);
    return n >= NAME_MIN && (!is_quoted || take(s, '>'));
}

/* West is positive in POSIX. */
static bool read_offset(struct slice *s, int32_t *east_s)
{
    if (!read_time(s, OFFSET_HOURS_MAX, east_s))
        return false;
    *east_s = -*east_s;
    return true;
}

static bool read_day(struct slice *s, struct zone_rule_date *date)
{
    if (take(s, 'J')) {
        date->kind = ZONE_DAY_JULIAN;
        return read_number(s, 1, 365, &date->day);
    }
    if (!take(s, 'M')) {
        date->kind = ZONE_DAY_COUNTED;
        return read_number(s, 0, 365, &date->day);
    }
    date->kind = ZONE_DAY_WEEKDAY;
    return read_number(s, 1, 12, &date->month) && take(s, '.') &&
           read_number(s, 1, 5, &date->week) && take(s, '.') && read_number(s, 0, 6, &date->day);
}

static bool read_date(struct slice *s, struct zone_rule_date *date)
{
    date->time_s = CHANGE_DEFAULT_S;
    return take(s, ',') && read_day(s, date) &&
           (!take(s, '/') || read_time(s, CHANGE_HOURS_MAX, &date->time_s));
}

static bool read_summer(struct slice *s, struct zone_rule *rule)
{
    rule->has_summer = true;
    rule->summer_s = rule->standard_s + HOUR_S;
    if (!read_name(s))
        return false;
    if (s->len > 0 && s->at[0] != ',' && !read_offset(s, &rule->summer_s))
        return false;
    return read_date(s, &rule->start) && read_date(s, &rule->end);
}

enum err zone_rule_read(struct slice text, struct zone_rule *rule, struct why *why)
{
    if (text.len > ZONE_RULE_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "its rule has %zu bytes, at most %d are read", text.len,
                       ZONE_RULE_BYTES_MAX);
    *rule = (struct zone_rule){.has_summer = false};
    struct slice rest = text;
    bool is_good = read_name(&rest) && read_offset(&rest, &rule->standard_s) &&
                   (rest.len == 0 || read_summer(&rest, rule));
    if (is_good && rest.len == 0)
        return OK;
    return why_set(why, ERR_INVALID,
                   "its rule breaks off at byte %zu of %zu: expected is one of POSIX, such as "
                   "CET-1CEST,M3.5.0,M10.5.0/3",
                   text.len - rest.len + 1, text.len);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

static int floor_mod7(int64_t a)
{
    return (int)(a - floor_div(a, 7) * 7);
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Days from 1970-01-01 to January 1 of a year. */
static int64_t year_start(int64_t year)
{
    int64_t before = year - 1;
    int64_t leap_days = floor_div(before, 4) - floor_div(before, 100) + floor_div(before, 400);
    return 365 * (year - 1970) + leap_days - 477; /* 477 of them lie before 1970 */
}

/* The year, by UTC, of a moment, or the one before or after it: 400 years have 146097 days. */
static int64_t year_near(int64_t wall_s)
{
    return 1970 + floor_div(floor_div(wall_s, DAY_S) * 400, 146097);
}

static int64_t weekday_of_month(const struct zone_rule_date *date, int64_t year)
{
    static const int before[13] = {0,   31,  59,  90,  120, 151, 181,
                                   212, 243, 273, 304, 334, 365}; /* days before each month */
    int month = date->month - 1, leap = is_leap(year);
    int64_t first = year_start(year) + before[month] + (month > 1 ? leap : 0);
    int length = before[month + 1] - before[month] + (month == 1 ? leap : 0);
    int weekday = floor_mod7(first + 4); /* 1970-01-01 was a Thursday */
    int at = floor_mod7(date->day - weekday) + (date->week - 1) * 7;
    return first + (at < length ? at : at - 7);
}

/* Days from 1970-01-01. */
static int64_t day_of(const struct zone_rule_date *date, int64_t year)
{
    switch (date->kind) {
    case ZONE_DAY_JULIAN: /* 60 is March 1 */
        return year_start(year) + date->day - 1 + (date->day >= 60 && is_leap(year));
    case ZONE_DAY_COUNTED:
        return year_start(year) + date->day;
    case ZONE_DAY_WEEKDAY:
        break;
    }
    return weekday_of_month(date, year);
}

/* A change's time is one of the clock that it ends. */
static int64_t change_s(const struct zone_rule *rule, int64_t year, bool is_end)
{
    const struct zone_rule_date *date = is_end ? &rule->end : &rule->start;
    int32_t offset_s = is_end ? rule->summer_s : rule->standard_s;
    return day_of(date, year) * DAY_S + date->time_s - offset_s;
}

int32_t zone_rule_offset_s(const struct zone_rule *rule, int64_t wall_s)
{
    if (!rule->has_summer)
        return rule->standard_s;
    int64_t last_s = INT64_MIN, year = year_near(wall_s);
    int32_t offset_s = rule->standard_s;
    for (int64_t y = year - YEARS_AROUND; y <= year + YEARS_AROUND; y++) {
        for (int is_end = 0; is_end <= 1; is_end++) {
            int64_t at_s = change_s(rule, y, is_end);
            if (at_s > wall_s || at_s < last_s)
                continue;
            last_s = at_s; /* of two at one moment the later in this order: see the header */
            offset_s = is_end ? rule->standard_s : rule->summer_s;
        }
    }
    return offset_s;
}

int64_t zone_rule_until_s(const struct zone_rule *rule, int64_t wall_s)
{
    int64_t next_s = ZONE_NEVER_S, year = year_near(wall_s);
    if (!rule->has_summer)
        return next_s;
    for (int64_t y = year - YEARS_AROUND; y <= year + YEARS_AROUND; y++) {
        for (int is_end = 0; is_end <= 1; is_end++) {
            int64_t at_s = change_s(rule, y, is_end);
            if (at_s > wall_s && at_s < next_s)
                next_s = at_s;
        }
    }
    return next_s;
}
