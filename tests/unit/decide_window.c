/* Windows: rows of moments, the days on which a clock is set, and a clock that is walked minute by
 * minute. SPDX-License-Identifier: Apache-2.0 */
#include "zone_bytes.h"
#include "rollout/decide/window.h"

#define PARIS     "CET-1CEST,M3.5.0,M10.5.0/3"
#define LORD_HOWE "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0" /* half an hour of summer time */
#define NUUK      "<-02>2<-01>,M3.5.0/-1,M10.5.0/0"      /* set at 23:00, into the next day */
#define MON       0x01u
#define TUE       0x02u
#define FRI       0x10u
#define SAT       0x20u
#define SUN       0x40u
#define WORKDAYS  0x1fu
#define DAILY     0x7fu
#define DAY_S     86400

static struct window window_of(uint32_t days, const char *from, const char *to,
                               const struct zone *zone)
{
    struct outside_window outside = {days, from, to, "Europe/Paris"};
    struct window w;
    struct why why = {""};
    if (window_read(&w, &outside, zone, &why) != OK)
        fail_msg("%s", why.text);
    return w;
}

/* opens: NULL where it is open at now. */
struct row {
    const char *rule;
    uint32_t days;
    const char *from, *to, *now, *opens, *text;
};

static void check_row(size_t i, const struct row *row)
{
    char text[WINDOW_TEXT_MAX];
    struct zone *zone = zone_of_rule(row->rule);
    struct window w = window_of(row->days, row->from, row->to, zone);
    int64_t now_s = utc(row->now), next_s = window_next_open_s(&w, 1, now_s, NULL);
    int64_t wanted_s = row->opens ? utc(row->opens) : now_s;
    window_text(&w, next_s, text);
    if (window_is_open(&w, 1, now_s) != !row->opens || next_s != wanted_s)
        fail_msg("row %zu: opens at %lld, %s; expected %lld", i, (long long)next_s, text,
                 (long long)wanted_s);
    if (row->text)
        assert_string_equal(text, row->text);
    zone_free(zone);
}

static void check_rows(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        check_row(i, &rows[i]);
}

/* 2026-06-01 is a Monday; Paris is two hours ahead. */
static void test_days_and_hours(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {PARIS, WORKDAYS, "09:00", "17:00", "2026-06-01 06:59:59", "2026-06-01 07:00",
         "Mon 09:00 Europe/Paris"},
        {PARIS, WORKDAYS, "09:00", "17:00", "2026-06-01 07:00", NULL, "Mon 09:00 Europe/Paris"},
        {PARIS, WORKDAYS, "09:00", "17:00", "2026-06-01 14:59:59", NULL, NULL},
        {PARIS, WORKDAYS, "09:00", "17:00", "2026-06-01 15:00", "2026-06-02 07:00",
         "Tue 09:00 Europe/Paris"},
        {PARIS, WORKDAYS, "09:00", "17:00", "2026-06-05 15:00", "2026-06-08 07:00",
         "Mon 09:00 Europe/Paris"},
        {PARIS, MON, "09:00", "17:00", "2026-06-01 15:00", "2026-06-08 07:00", NULL},
        {PARIS, SUN, "23:59", "24:00", "2026-06-01 15:00", "2026-06-07 21:59",
         "Sun 23:59 Europe/Paris"},
        {PARIS, SUN, "23:59", "24:00", "2026-06-07 22:00", "2026-06-14 21:59", NULL},
        {PARIS, MON, "00:00", "24:00", "2026-05-31 21:59:59", "2026-05-31 22:00",
         "Mon 00:00 Europe/Paris"},
        {PARIS, MON, "00:00", "24:00", "2026-06-01 21:59:59", NULL, NULL},
        {PARIS, MON, "00:00", "24:00", "2026-06-01 22:00", "2026-06-07 22:00", NULL},
        {PARIS, MON, "00:00", "00:00", "2026-06-01 21:59:59", NULL, NULL},
        {PARIS, MON, "00:00", "00:00", "2026-06-01 22:00", "2026-06-07 22:00", NULL},
        {"UTC0", FRI, "12:00", "13:00", "1969-12-31 12:30", "1970-01-02 12:00", NULL},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

static void test_over_midnight(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {PARIS, FRI, "22:00", "02:00", "2026-06-05 19:59:59", "2026-06-05 20:00",
         "Fri 22:00 Europe/Paris"},
        {PARIS, FRI, "22:00", "02:00", "2026-06-05 20:00", NULL, NULL},
        {PARIS, FRI, "22:00", "02:00", "2026-06-05 23:59:59", NULL, "Sat 01:59 Europe/Paris"},
        {PARIS, FRI, "22:00", "02:00", "2026-06-06 00:00", "2026-06-12 20:00", NULL},
        {PARIS, FRI, "22:00", "02:00", "2026-06-04 23:00", "2026-06-05 20:00", NULL},
        {PARIS, SUN, "22:00", "02:00", "2026-06-07 23:59", NULL, "Mon 01:59 Europe/Paris"},
        {PARIS, SUN, "12:00", "12:00", "2026-06-08 09:59:59", NULL, NULL},
        {PARIS, SUN, "12:00", "12:00", "2026-06-08 10:00", "2026-06-14 10:00", NULL},
        {PARIS, SUN, "22:00", "00:00", "2026-06-07 21:59:59", NULL, NULL},
        {PARIS, SUN, "22:00", "00:00", "2026-06-07 22:00", "2026-06-14 20:00", NULL},
        {PARIS, DAILY, "17:00", "16:59", "2026-06-08 14:59", "2026-06-08 15:00", NULL},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* Paris 2026-03-29 (a Sunday): 02:00 to 03:00 are not there, 01:00 UTC is 03:00. */
static void test_hours_that_are_skipped(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {PARIS, SUN, "02:30", "06:00", "2026-03-29 00:59:59", "2026-03-29 01:00",
         "Sun 03:00 Europe/Paris"},
        {PARIS, SUN, "02:30", "06:00", "2026-03-29 01:00", NULL, NULL},
        {PARIS, SUN, "02:30", "06:00", "2026-03-29 04:00", "2026-04-05 00:30", NULL},
        {PARIS, SUN, "02:00", "03:00", "2026-03-29 00:30", "2026-04-05 00:00", NULL},
        {PARIS, SUN, "01:00", "02:30", "2026-03-29 00:59:59", NULL, NULL},
        {PARIS, SUN, "01:00", "02:30", "2026-03-29 01:00", "2026-04-04 23:00", NULL},
        {PARIS, SUN, "03:00", "04:00", "2026-03-29 00:59:59", "2026-03-29 01:00", NULL},
        {PARIS, SAT, "23:00", "02:15", "2026-03-29 00:59:59", NULL, NULL},
        {PARIS, SAT, "23:00", "02:15", "2026-03-29 01:00", "2026-04-04 21:00", NULL},
        {PARIS, MON, "09:00", "10:00", "2026-03-28 12:00", "2026-03-30 07:00", NULL},
        {LORD_HOWE, DAILY, "02:15", "05:00", "2026-10-03 15:29:59", "2026-10-03 15:30",
         "Sun 02:30 Europe/Paris"},
        {NUUK, SUN, "00:00", "01:00", "2026-03-29 00:59:59", "2026-03-29 01:00",
         "Sun 00:00 Europe/Paris"},
        {NUUK, SAT, "23:30", "24:00", "2026-03-29 00:30", "2026-04-05 00:30", NULL},
        {NUUK, SAT, "23:30", "00:30", "2026-03-29 00:30", "2026-03-29 01:00",
         "Sun 00:00 Europe/Paris"},
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* Paris 2026-10-25 (a Sunday): 02:00 to 03:00 come twice, 01:00 UTC is 02:00 again. */
static void test_hours_that_come_twice(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {PARIS, SUN, "02:30", "06:00", "2026-10-25 00:29:59", "2026-10-25 00:30",
         "Sun 02:30 Europe/Paris"},
        {PARIS, SUN, "02:30", "06:00", "2026-10-25 00:30", NULL, NULL},
        {PARIS, SUN, "02:30", "06:00", "2026-10-25 01:00", NULL, NULL}, /* 02:00 again: stays */
        {PARIS, SUN, "02:30", "06:00", "2026-10-25 04:59:59", NULL, NULL},
        {PARIS, SUN, "02:30", "06:00", "2026-10-25 05:00", "2026-11-01 01:30", NULL},
        {PARIS, SUN, "01:00", "02:30", "2026-10-25 00:29:59", NULL, NULL},
        {PARIS, SUN, "01:00", "02:30", "2026-10-25 00:30", "2026-11-01 00:00", NULL},
        {PARIS, SUN, "01:00", "02:30", "2026-10-25 01:15", "2026-11-01 00:00", NULL}, /* closed */
        {PARIS, SUN, "02:00", "03:00", "2026-10-25 00:59:59", NULL, NULL},
        {PARIS, SUN, "02:00", "03:00", "2026-10-25 01:30", NULL, NULL},
        {PARIS, SUN, "02:00", "03:00", "2026-10-25 02:00", "2026-11-01 01:00", NULL},
        {PARIS, DAILY, "00:00", "24:00", "2026-10-25 01:30", NULL, NULL},
        {NUUK, SUN, "00:00", "01:00", "2026-10-25 00:59:59", "2026-10-25 02:00",
         "Sun 00:00 Europe/Paris"}, /* at 24:00 of Saturday it was 23:00 again */
    };
    check_rows(rows, ARRAY_LEN(rows));
}

/* Samoa had no 2011-12-30, a Friday: the clock went from 24:00 of Thursday to 00:00 of Saturday. */
static void test_a_day_that_was_skipped(void **state)
{
    (void)state;
    static const struct zone_recipe recipe = {.version = '2',
                                              .n_changes = 1,
                                              .at_s = {1325239200}, /* 2011-12-30 10:00 UTC */
                                              .types = {1},
                                              .n_types = 2,
                                              .offsets_s = {-10 * 3600, 14 * 3600},
                                              .rule = ""};
    struct zone *zone = zone_of(&recipe);
    struct window w = window_of(FRI, "09:00", "17:00", zone);
    int64_t before_s = utc("2011-12-29 22:00");
    assert_true(window_next_open_s(&w, 1, before_s, NULL) == utc("2012-01-05 19:00"));
    assert_true(window_next_open_s(&w, 1, utc("2011-12-24 04:00"), NULL) == WINDOW_NEVER_S);
    w = window_of(FRI, "22:00", "02:00", zone);
    assert_true(window_next_open_s(&w, 1, before_s, NULL) == recipe.at_s[0]);
    assert_true(window_is_open(&w, 1, recipe.at_s[0] + 7199));
    assert_false(window_is_open(&w, 1, recipe.at_s[0] + 7200));
    w = window_of(FRI, "00:00", "24:00", zone);
    assert_false(window_is_open(&w, 1, recipe.at_s[0]));
    assert_false(window_is_open(&w, 1, recipe.at_s[0] - 1));
    zone_free(zone);
}

static void test_several(void **state)
{
    (void)state;
    struct zone *paris = zone_of_rule(PARIS), *utc_zone = zone_utc();
    struct window w[] = {
        window_of(TUE, "09:00", "17:00", paris),
        window_of(MON, "16:00", "18:00", utc_zone),
        window_of(MON, "09:00", "17:00", paris),
        window_of(MON, "20:00", "22:00", utc_zone),
    };
    size_t which = 99;
    assert_true(window_is_open(w, 4, utc("2026-06-01 07:00")));
    assert_true(window_next_open_s(w, 4, utc("2026-06-01 07:00"), &which) ==
                utc("2026-06-01 07:00"));
    assert_int_equal(which, 2);
    assert_false(window_is_open(w, 4, utc("2026-06-01 15:00")));
    assert_true(window_next_open_s(w, 4, utc("2026-06-01 15:00"), &which) ==
                utc("2026-06-01 16:00"));
    assert_int_equal(which, 1);
    assert_true(window_next_open_s(w, 4, utc("2026-06-01 22:00"), &which) ==
                utc("2026-06-02 07:00"));
    assert_int_equal(which, 0);
    w[1] = w[0]; /* of two that open together the first */
    (void)window_next_open_s(w, 4, utc("2026-06-01 22:00"), &which);
    assert_int_equal(which, 0);
    zone_free(paris);
    zone_free(utc_zone);
}

static void test_no_window_is_always_open(void **state)
{
    (void)state;
    size_t which = 99;
    static const int64_t moments_s[] = {INT64_MIN, -1, 0, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(moments_s); i++) {
        assert_true(window_is_open(NULL, 0, moments_s[i]));
        assert_true(window_next_open_s(NULL, 0, moments_s[i], &which) == moments_s[i]);
    }
    assert_int_equal(which, 99);
}

/* Any number may come for the time. */
static void test_moments_at_the_ends(void **state)
{
    (void)state;
    char text[WINDOW_TEXT_MAX];
    struct zone *zone = zone_of_rule(PARIS);
    struct window w = window_of(DAILY, "00:00", "24:00", zone);
    static const int64_t moments_s[] = {INT64_MIN, -ZONE_WALL_MAX_S, ZONE_WALL_MAX_S, INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(moments_s); i++) {
        assert_true(window_is_open(&w, 1, moments_s[i]));
        assert_true(window_next_open_s(&w, 1, moments_s[i], NULL) == moments_s[i]);
        window_text(&w, moments_s[i], text);
    }
    zone_free(zone);
}

static void test_what_is_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t days;
        const char *from, *to, *text;
    } rows[] = {
        {0, "09:00", "17:00", "days"},
        {0x80, "09:00", "17:00", "days"},
        {MON, "9:00", "17:00", "from: \"9:00\" is not a time"},
        {MON, "24:00", "24:00", "from"},
        {MON, "09:60", "17:00", "from"},
        {MON, "09:00 ", "17:00", "from"},
        {MON, "", "17:00", "from"},
        {MON, NULL, "17:00", "from"},
        {MON, "09.00", "17:00", "from"},
        {MON, "-9:00", "17:00", "from"},
        {MON, "09:00:00", "17:00", "from"},
        {MON, "09:00", "24:01", "to: \"24:01\" is not a time"},
        {MON, "09:00", "25:00", "to"},
        {MON, "09:00", "1:700", "to"},
        {MON, "09:00", NULL, "to"},
        {MON, "09:00", "+1:00", "to"},
    };
    struct zone *zone = zone_utc();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outside_window outside = {rows[i].days, rows[i].from, rows[i].to, "UTC"};
        struct window w;
        struct why why = {""};
        assert_int_equal(window_read(&w, &outside, zone, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, rows[i].text));
    }
    zone_free(zone);
}

/* The definition, walked: the latest that a clock has read so far says which day's window is open,
 * for what it read once it has reached. Three weeks around a day on which it is set. */
static void walk(const struct window *w, int64_t from_s)
{
    enum { MINUTES = 21 * 24 * 60 };
    static bool open[MINUTES];
    int64_t latest_s = INT64_MIN;
    for (int i = -3 * 24 * 60; i < MINUTES; i++) {
        int64_t wall_s = from_s + i * 60, local_s = wall_s + zone_offset_s(w->zone, wall_s);
        latest_s = local_s > latest_s ? local_s : latest_s;
        if (i < 0)
            continue;
        int64_t today = latest_s / DAY_S; /* all of it after 1970 */
        int64_t minute = latest_s % DAY_S / 60;
        bool first = w->days >> (today + 3) % 7 & 1, second = w->days >> (today + 2) % 7 & 1;
        open[i] = (first && minute >= w->from_minute && minute < w->to_minute) ||
                  (second && minute + 24 * 60 < w->to_minute);
    }
    int64_t next_s = 0;
    for (int i = MINUTES - 1; i >= 0; i--) {
        int64_t wall_s = from_s + i * 60;
        next_s = open[i] ? wall_s : next_s;
        if (i % 29 && open[i] == open[i - 1]) /* every edge, and some between */
            continue;
        assert_int_equal(window_is_open(w, 1, wall_s), open[i]);
        int64_t found_s = window_next_open_s(w, 1, wall_s, NULL);
        if (i < MINUTES - 9 * 24 * 60) {
            bool in_reach = next_s - wall_s <= WINDOW_SEARCH_DAYS * DAY_S;
            assert_true(found_s == (in_reach ? next_s : WINDOW_NEVER_S));
        }
    }
}

static void test_as_a_clock_that_is_walked(void **state)
{
    (void)state;
    static const char *const rules[] = {
        PARIS,
        LORD_HOWE,
        NUUK,
        "AAA-12BBB12,J100,J200", /* a day back and forth */
        "EET-2EEST,M3.4.4/50,M10.4.4/50",
    };
    uint64_t random = 2026;
    for (unsigned i = 0; i < 60; i++) {
        char from[8], to[8];
        struct zone *zone = zone_of_rule(rules[i % ARRAY_LEN(rules)]);
        int64_t set_s = zone_until_s(zone, utc("2026-01-01 00:00"));
        if (zone_random(&random) % 2)
            set_s = zone_until_s(zone, set_s);
        (void)snprintf(from, sizeof from, "%02u:%02u", (unsigned)(zone_random(&random) % 24),
                       (unsigned)(zone_random(&random) % 4 * 15));
        (void)snprintf(to, sizeof to, "%02u:%02u", (unsigned)(zone_random(&random) % 24),
                       (unsigned)(zone_random(&random) % 4 * 15));
        uint32_t days = (uint32_t)(1 + zone_random(&random) % DAILY);
        struct window w = window_of(days, from, to, zone);
        walk(&w, set_s - 10 * DAY_S - (int64_t)(zone_random(&random) % 60) * 60);
        zone_free(zone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days_and_hours),
        cmocka_unit_test(test_over_midnight),
        cmocka_unit_test(test_hours_that_are_skipped),
        cmocka_unit_test(test_hours_that_come_twice),
        cmocka_unit_test(test_a_day_that_was_skipped),
        cmocka_unit_test(test_several),
        cmocka_unit_test(test_no_window_is_always_open),
        cmocka_unit_test(test_moments_at_the_ends),
        cmocka_unit_test(test_what_is_refused),
        cmocka_unit_test(test_as_a_clock_that_is_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
