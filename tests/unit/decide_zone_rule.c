/* Rules of time zones: what is read, what is refused, and changes as the C library has them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "zone_bytes.h"
#include "rollout/decide/zone_rule.h"

#define HOUR_S 3600

static void test_offsets_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t standard_s, summer_s;
        bool has_summer;
    } rows[] = {
        {"UTC0", 0, 0, false},
        {"<+03>-3", 3 * HOUR_S, 0, false},
        {"<-03>3", -3 * HOUR_S, 0, false},
        {"<-00>0", 0, 0, false},
        {"IST-5:30", 19800, 0, false},
        {"LMT+0:09:21", -561, 0, false},
        {"AAA-24:59:59", ZONE_OFFSET_MIN_S * -1, 0, false},
        {"CET-1CEST,M3.5.0,M10.5.0/3", HOUR_S, 2 * HOUR_S, true},
        {"<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", 37800, 39600, true},
        {"IST-1GMT0,M10.5.0,M3.5.0/1", HOUR_S, 0, true}, /* Dublin's summer time is in winter */
        {"EET-2EEST,M3.4.4/50,M10.4.4/50", 2 * HOUR_S, 3 * HOUR_S, true},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", -2 * HOUR_S, -HOUR_S, true},
        {"abc-24:59:59DEF,0/-167:59:59,J365/167", 89999, ZONE_OFFSET_MAX_S, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct zone_rule rule;
        struct why why = {""};
        if (zone_rule_read(slice_str(rows[i].text), &rule, &why) != OK)
            fail_msg("%s: %s", rows[i].text, why.text);
        assert_int_equal(rule.standard_s, rows[i].standard_s);
        assert_int_equal(rule.has_summer, rows[i].has_summer);
        assert_int_equal(rule.summer_s, rows[i].summer_s);
    }
}

static void test_dates_are_read(void **state)
{
    (void)state;
    struct zone_rule rule;
    assert_int_equal(zone_rule_read(SLICE("A<B"), &rule, NULL), ERR_INVALID);
    assert_int_equal(zone_rule_read(SLICE("AAA3BBB,J60/-1:02:03,M12.4.6"), &rule, NULL), OK);
    assert_int_equal(rule.start.kind, ZONE_DAY_JULIAN);
    assert_int_equal(rule.start.day, 60);
    assert_int_equal(rule.start.time_s, -3723);
    assert_int_equal(rule.end.kind, ZONE_DAY_WEEKDAY);
    assert_int_equal(rule.end.month, 12);
    assert_int_equal(rule.end.week, 4);
    assert_int_equal(rule.end.day, 6);
    assert_int_equal(rule.end.time_s, 2 * HOUR_S);
    assert_int_equal(zone_rule_read(SLICE("AAA3BBB,0/0,365"), &rule, NULL), OK);
    assert_int_equal(rule.start.kind, ZONE_DAY_COUNTED);
    assert_int_equal(rule.end.day, 365);
}

static void test_anything_else_is_refused(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "UTC",
        "UT0",
        "0",
        ":Europe/Paris",
        " UTC0",
        "UTC0 ",
        "UTC0\n",
        "<>0",
        "<+3>0",
        "<+03-3",
        "<+0 3>-3",
        "+03-3",
        "<abcdefghijklmnopqrstuvwxyzabcdefghij>0",
        "abcdefghijklmnopqrstuvwxyzabcdefghij0",
        "UTC25",
        "UTC0000",
        "UTC--1",
        "UTC+-1",
        "UTC1:60",
        "UTC1:00:60",
        "UTC1:",
        "UTC1:00:",
        "UTC1:00:00:00",
        "UTC99999999999999999999",
        "CET-1CEST", /* which days? */
        "CET-1CEST,",
        "CET-1CEST,M3.5.0",
        "CET-1CEST,M3.5.0,",
        "CET-1CEST,M3.5.0,M10.5.0,",
        "CET-1CEST,M3.5.0,M10.5.0/",
        "CET-1CEST,M3.5.0,M10.5.0/168",
        "CET-1CEST,M3.5.0,M10.5.0/-168",
        "CET-1CEST,M3.5.0,M10.5.0/3x",
        "CET-1CEST,M0.5.0,M10.5.0",
        "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.0.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0",
        "CET-1CEST,M3.5.7,M10.5.0",
        "CET-1CEST,M3.5,M10.5.0",
        "CET-1CEST,M-3.5.0,M10.5.0",
        "CET-1CEST,J0,J300",
        "CET-1CEST,J366,J300",
        "CET-1CEST,366,J300",
        "CET-1CEST,j60,J300",
        "CET-1CE,M3.5.0,M10.5.0",
        "CET-1CEST-25,M3.5.0,M10.5.0",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct zone_rule rule;
        struct why why = {""};
        enum err e = zone_rule_read(slice_str(rows[i]), &rule, &why);
        if (e != ERR_INVALID || !strstr(why.text, "rule breaks off at byte"))
            fail_msg("\"%s\": %s, %s", rows[i], err_text(e), why.text);
    }
    char text[ZONE_RULE_BYTES_MAX + 1];
    struct zone_rule rule;
    memset(text, 'A', sizeof text);
    assert_int_equal(zone_rule_read(slice_of(text, sizeof text), &rule, NULL), ERR_LIMIT);
    assert_int_equal(zone_rule_read(slice_of("UTC0\0", 5), &rule, NULL), ERR_INVALID);
}

static struct zone_rule read_good(const char *text)
{
    struct zone_rule rule;
    struct why why = {""};
    if (zone_rule_read(slice_str(text), &rule, &why) != OK)
        fail_msg("%s: %s", text, why.text);
    return rule;
}

static void check_moment(const char *text, const struct zone_rule *rule, int64_t wall_s)
{
    time_t moment = (time_t)wall_s;
    struct tm parts;
    assert_non_null(localtime_r(&moment, &parts));
    if (zone_rule_offset_s(rule, wall_s) != parts.tm_gmtoff)
        fail_msg("%s at %lld: %d, the C library says %ld", text, (long long)wall_s,
                 zone_rule_offset_s(rule, wall_s), parts.tm_gmtoff);
}

/* Every change of 500 years, a second before and after it, and the days between. The C library
 * knows no rule before 1971. */
static void test_the_c_library_agrees(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "CET-1CEST,M3.5.0,M10.5.0/3",
        "EST5EDT,M3.2.0,M11.1.0",
        "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
        "IST-1GMT0,M10.5.0,M3.5.0/1",
        "EET-2EEST,M3.4.4/50,M10.4.4/50",
        "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
        "AAA3BBB,J59/0,J300/24",
        "AAA3BBB,J60/-30,J61/160",
        "AAA-3BBB,58/5,59",
        "AAA-3BBB,59/5,300/-100",
        "AAA-3:30BBB-5,200,60/1:30:30",
        "AAA-3BBB,M2.5.6/3,M3.1.0/72",
        "AAA-3BBB,M9.5.3,M2.4.2/12",
    };
    const int64_t from_s = utc("1971-01-20 00:00"), to_s = utc("2470-12-01 00:00");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct zone_rule rule = read_good(rows[i]);
        assert_int_equal(setenv("TZ", rows[i], 1), 0);
        tzset();
        size_t n = 0;
        for (int64_t at_s = from_s; at_s < to_s; n++) {
            int64_t until_s = zone_rule_until_s(&rule, at_s);
            assert_true(until_s > at_s);
            check_moment(rows[i], &rule, until_s - 1);
            check_moment(rows[i], &rule, until_s);
            check_moment(rows[i], &rule, until_s + 1);
            for (; at_s < until_s; at_s += 9 * 86400 + 1)
                check_moment(rows[i], &rule, at_s);
            at_s = until_s;
        }
        assert_true(n >= 998 && n <= 1003);
    }
}

/* RFC 8536 section 3.3.1: summer time that ends when it starts is there all year. */
static void test_summer_all_year(void **state)
{
    (void)state;
    struct zone_rule rule = read_good("EST5EDT,0/0,J365/25");
    for (int64_t at_s = utc("2019-12-25 00:30"); at_s < utc("2025-01-05 00:00"); at_s += HOUR_S)
        assert_int_equal(zone_rule_offset_s(&rule, at_s), -4 * HOUR_S);
    assert_int_equal(zone_rule_offset_s(&rule, utc("2024-01-01 05:00:00")), -4 * HOUR_S);
    rule = read_good("AAA0BBB,J9/0,J9/1"); /* and one that takes no time is never there */
    for (int64_t at_s = utc("2024-01-08 00:00"); at_s < utc("2024-01-11 00:00"); at_s += 600)
        assert_int_equal(zone_rule_offset_s(&rule, at_s), 0);
}

/* Both changes of a year may lie in the next. */
static void test_changes_beyond_their_year(void **state)
{
    (void)state;
    struct zone_rule rule = read_good("AAA0BBB,J365/30,J365/167");
    assert_int_equal(zone_rule_offset_s(&rule, utc("2024-01-01 05:59:59")), 0);
    assert_int_equal(zone_rule_offset_s(&rule, utc("2024-01-01 06:00")), HOUR_S);
    assert_int_equal(zone_rule_offset_s(&rule, utc("2024-01-06 21:59:59")), HOUR_S);
    assert_int_equal(zone_rule_offset_s(&rule, utc("2024-01-06 22:00")), 0);
    assert_int_equal(zone_rule_until_s(&rule, utc("2023-12-31 23:00")), utc("2024-01-01 06:00"));
    rule = read_good("AAA0BBB,J1/-167,J1/-30");
    assert_int_equal(zone_rule_until_s(&rule, utc("2023-06-01 00:00")), utc("2023-12-25 01:00"));
    assert_int_equal(zone_rule_offset_s(&rule, utc("2023-12-25 01:00")), HOUR_S);
    assert_int_equal(zone_rule_offset_s(&rule, utc("2023-12-30 17:00")), 0);
    assert_int_equal(zone_rule_until_s(&rule, utc("2023-12-30 17:00")), utc("2024-12-25 01:00"));
}

/* The calendar repeats after 400 years, up to the last moment and before the first year. */
static void test_far_away(void **state)
{
    (void)state;
    const int64_t cycle_s = INT64_C(146097) * 86400;
    struct zone_rule rule = read_good("CET-1CEST,M3.5.0,M10.5.0/3");
    for (int64_t at_s = utc("2024-01-01 00:00"); at_s < utc("2025-01-01 00:00"); at_s += 86400) {
        int32_t offset_s = zone_rule_offset_s(&rule, at_s);
        int64_t until_s = zone_rule_until_s(&rule, at_s);
        for (int64_t cycles = 1; cycles < ZONE_WALL_MAX_S / cycle_s - 10; cycles *= 3) {
            assert_int_equal(zone_rule_offset_s(&rule, at_s + cycles * cycle_s), offset_s);
            assert_int_equal(zone_rule_offset_s(&rule, at_s - cycles * cycle_s), offset_s);
            assert_int_equal(zone_rule_until_s(&rule, at_s - cycles * cycle_s),
                             until_s - cycles * cycle_s);
        }
    }
    assert_true(zone_rule_until_s(&rule, ZONE_WALL_MAX_S) > ZONE_WALL_MAX_S);
    assert_true(zone_rule_until_s(&rule, -ZONE_WALL_MAX_S) > -ZONE_WALL_MAX_S);
    rule = read_good("UTC0");
    assert_int_equal(zone_rule_until_s(&rule, 0), ZONE_NEVER_S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offsets_are_read),
        cmocka_unit_test(test_dates_are_read),
        cmocka_unit_test(test_anything_else_is_refused),
        cmocka_unit_test(test_the_c_library_agrees),
        cmocka_unit_test(test_summer_all_year),
        cmocka_unit_test(test_changes_beyond_their_year),
        cmocka_unit_test(test_far_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
