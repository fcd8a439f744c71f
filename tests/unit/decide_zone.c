/* Time zone files: handmade ones, broken ones, and real ones as the C library reads them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "zone_bytes.h"
#include "rollout/decide/zone.h"
#include <sys/stat.h>
#include <ftw.h>

#define HOUR_S        3600
#define FLIPS         20000
#define SECOND_HEADER (44 + 7) /* behind the first block that zone_make writes */

/* Among them: half hours, a summer time of 30 minutes, negative summer time, a skipped day, hours
 * beyond 24 and below 0 in the rule, months of Ramadan, no change at all. */
static const char *const names[] = {
    "Europe/Paris",
    "America/New_York",
    "America/Sao_Paulo",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Asia/Gaza",
    "Pacific/Apia",
    "America/Nuuk",
    "UTC",
    "Etc/GMT+5",
    "Europe/London",
    "Asia/Tehran",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "America/St_Johns",
    "Antarctica/Troll",
    "Africa/Cairo",
    "America/Santiago",
    "Europe/Istanbul",
    "Asia/Pyongyang",
    "Pacific/Kiritimati",
    "America/Caracas",
    "Europe/Volgograd",
    "Antarctica/Casey",
    "Pacific/Easter",
};

static const struct zone_recipe two_changes = {.version = 0,
                                               .n_changes = 2,
                                               .at_s = {-1000, 5000},
                                               .types = {1, 2},
                                               .n_types = 3,
                                               .offsets_s = {561, -HOUR_S, 2 * HOUR_S},
                                               .rule = ""};

static void test_version_1(void **state)
{
    (void)state;
    struct zone *z = zone_of(&two_changes);
    assert_int_equal(zone_offset_s(z, INT64_MIN), 561);
    assert_int_equal(zone_offset_s(z, -1001), 561);
    assert_int_equal(zone_offset_s(z, -1000), -HOUR_S);
    assert_int_equal(zone_offset_s(z, 4999), -HOUR_S);
    assert_int_equal(zone_offset_s(z, 5000), 2 * HOUR_S);
    assert_int_equal(zone_offset_s(z, INT64_MAX), 2 * HOUR_S);
    assert_int_equal(zone_until_s(z, INT64_MIN), -1000);
    assert_int_equal(zone_until_s(z, -1000), 5000);
    assert_true(zone_until_s(z, 5000) == ZONE_NEVER_S);
    assert_true(zone_until_s(z, INT64_MAX) == ZONE_NEVER_S);
    zone_free(z);
}

static void test_64_bits_and_a_rule(void **state)
{
    (void)state;
    struct zone_recipe recipe = two_changes;
    recipe.version = '3';
    recipe.at_s[0] = -ZONE_WALL_MAX_S;
    recipe.at_s[1] = utc("2100-01-01 00:00");
    recipe.rule = "EET-2EEST,M3.4.4/50,M10.4.4/50";
    struct zone *z = zone_of(&recipe);
    assert_int_equal(zone_offset_s(z, utc("2099-07-01 00:00")), -HOUR_S); /* not yet */
    assert_int_equal(zone_offset_s(z, recipe.at_s[1]), 2 * HOUR_S);
    assert_int_equal(zone_until_s(z, utc("1900-01-01 00:00")), recipe.at_s[1]);
    assert_int_equal(zone_until_s(z, recipe.at_s[1]), utc("2100-03-27 00:00"));
    assert_int_equal(zone_offset_s(z, utc("2100-03-27 00:00")), 3 * HOUR_S);
    assert_true(zone_until_s(z, INT64_MAX) == ZONE_NEVER_S);
    (void)zone_offset_s(z, INT64_MAX);
    zone_free(z);
    recipe.version = '4';
    recipe.rule = ""; /* the last change stays */
    z = zone_of(&recipe);
    assert_int_equal(zone_offset_s(z, utc("2200-07-01 00:00")), 2 * HOUR_S);
    zone_free(z);
    z = zone_of_rule("IST-5:30"); /* no change at all */
    assert_int_equal(zone_offset_s(z, INT64_MIN), 19800);
    assert_int_equal(zone_offset_s(z, 0), 19800);
    zone_free(z);
    z = zone_utc();
    assert_non_null(z);
    assert_int_equal(zone_offset_s(z, 1), 0);
    assert_true(zone_until_s(z, 1) == ZONE_NEVER_S);
    zone_free(z);
    zone_free(NULL);
}

static void expect(const struct zone_bytes *b, enum err wanted, const char *text)
{
    struct why why = {""};
    struct zone *zone;
    enum err e = zone_parse_copy(b->at, b->len, &zone, &why);
    if (e != wanted || !strstr(why.text, text))
        fail_msg("%s: %s; expected %s: %s", err_text(e), why.text, err_text(wanted), text);
    zone_free(zone);
}

/* One byte of the file above is another one. Of its header: the version is at 4, counts are from 20
 * on (ut, standard, leaps, times, types, chars); from 44 on times, at 52 types of the changes, at
 * 54 types, at 72 the abbreviation. */
static void test_broken_bytes(void **state)
{
    (void)state;
    static const struct {
        size_t at;
        int byte;
        enum err e;
        const char *text;
    } rows[] = {
        {0, 't', ERR_INVALID, "does not begin with TZif"},
        {4, '1', ERR_UNSUPPORTED, "version byte is 0x31"},
        {4, '5', ERR_UNSUPPORTED, "versions 1 to 4"},
        {4, 0xff, ERR_UNSUPPORTED, "version byte is 0xff"},
        {4, '2', ERR_INVALID, "the file ends in a header"},
        {20, 0xff, ERR_INVALID, "indicators"},
        {23, 2, ERR_INVALID, "indicators"},
        {23, 3, ERR_INVALID, "the file ends in its data"},
        {27, 4, ERR_INVALID, "indicators"},
        {31, 1, ERR_UNSUPPORTED, "leap seconds"},
        {28, 0xff, ERR_UNSUPPORTED, "leap seconds"},
        {32, 0xff, ERR_LIMIT, "4278190082 changes are more than 2000"},
        {34, 0x08, ERR_LIMIT, "2050 changes"},
        {35, 3, ERR_INVALID, "the file ends in its data"},
        {39, 0, ERR_INVALID, "0 types of local time"},
        {38, 1, ERR_INVALID, "259 types of local time"},
        {43, 0, ERR_INVALID, "0 bytes of abbreviations"},
        {42, 4, ERR_INVALID, "1028 bytes of abbreviations"},
        {43, 3, ERR_INVALID, "last abbreviation has no end"},
        {43, 5, ERR_INVALID, "the file ends in its data"},
        {44, 0x7f, ERR_INVALID, "change 1 is not later than the one before"},
        {52, 3, ERR_INVALID, "change 0 is to type 3 of 3"},
        {53, 0xff, ERR_INVALID, "change 1 is to type 255 of 3"},
        {54, 0x80, ERR_INVALID, "of type 0 is not in"},
        {58, 2, ERR_INVALID, "impossible mark"},
        {59, 4, ERR_INVALID, "impossible mark or abbreviation"},
        {75, 'Z', ERR_INVALID, "last abbreviation has no end"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct zone_bytes b;
        zone_make(&b, &two_changes);
        assert_int_equal(b.len, 76);
        b.at[rows[i].at] = (char)rows[i].byte;
        expect(&b, rows[i].e, rows[i].text);
    }
}

static void test_broken_footers(void **state)
{
    (void)state;
    static const char *const rules[] = {"UTC", "\n", "UTC0\nUTC0", "CET-1CEST", " ", "\1"};
    struct zone_recipe recipe = two_changes;
    struct zone_bytes b;
    recipe.version = '2';
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        recipe.rule = rules[i];
        zone_make(&b, &recipe);
        expect(&b, ERR_INVALID, "");
    }
    recipe.rule = "UTC0";
    zone_make(&b, &recipe);
    b.at[SECOND_HEADER + 4] = '3';
    expect(&b, ERR_INVALID, "versions 2 and 3");
    b.at[SECOND_HEADER + 4] = '\0';
    expect(&b, ERR_INVALID, "versions 2 and 1");
    zone_make(&b, &recipe);
    zone_put(&b, 0, 1);
    expect(&b, ERR_INVALID, "1 bytes follow its end");
    zone_make(&b, &recipe);
    b.at[b.len - 6] = 'x'; /* the first line end */
    expect(&b, ERR_INVALID, "between two line ends");
    b.len = 0;
    zone_make(&b, &two_changes);
    zone_put(&b, 0, 1);
    expect(&b, ERR_INVALID, "1 bytes follow its end");
}

static void test_broken_times(void **state)
{
    (void)state;
    static const struct {
        int64_t first_s, second_s;
        const char *text;
    } rows[] = {
        {0, ZONE_WALL_MAX_S + 1, "change 1 is at 576460752303423489 s, far beyond any calendar"},
        {0, INT64_MAX, "change 1 is at"},
        {INT64_MIN, 0, "change 0 is at"},
        {-ZONE_WALL_MAX_S - 1, 0, "change 0 is at"},
        {7, 7, "change 1 is not later than the one before"},
        {7, 6, "change 1 is not later than the one before"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct zone_recipe recipe = two_changes;
        struct zone_bytes b;
        recipe.version = '2';
        recipe.at_s[0] = rows[i].first_s;
        recipe.at_s[1] = rows[i].second_s;
        zone_make(&b, &recipe);
        expect(&b, ERR_INVALID, rows[i].text);
    }
}

static void test_indicators(void **state)
{
    (void)state;
    struct zone_bytes b;
    zone_make(&b, &two_changes);
    b.at[27] = 3; /* one of each type */
    zone_put(&b, 0x000101, 3);
    expect(&b, OK, "");
    b.at[b.len - 1] = 2;
    expect(&b, ERR_INVALID, "indicator 2 is neither 0 nor 1");
}

/* What a first block may claim to hold, and a file beyond the bound. */
static void test_sizes(void **state)
{
    (void)state;
    struct zone_bytes b = {.len = 0};
    zone_put_header(&b, '2', (const uint32_t[6]){~0u, ~0u, ~0u, ~0u, ~0u, ~0u});
    expect(&b, ERR_INVALID, "the file ends in its first data");
    b.len = 0; /* five times this is 4 in 32 bits */
    zone_put_header(&b, '2', (const uint32_t[6]){0, 0, 0, 0x33333334, 0, 0});
    zone_put(&b, 0, 4);
    zone_put_block(&b, &two_changes, 8);
    expect(&b, ERR_INVALID, "the file ends in its first data");
    b.len = 0;
    zone_put_header(&b, 0, (const uint32_t[6]){0, 0, 0, ZONE_CHANGES_MAX, ZONE_TYPES_MAX, 1});
    expect(&b, ERR_INVALID, "the file ends in its data");
    memset(b.at, 0, ZONE_BYTES_MAX + 1);
    b.len = ZONE_BYTES_MAX + 1;
    expect(&b, ERR_LIMIT, "65537 bytes are more than 65536");
    b.len--;
    expect(&b, ERR_INVALID, "TZif");
}

static void test_every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct zone_bytes b;
        struct zone *zone;
        struct why why;
        zone_read_real(&b, names[i]);
        for (size_t len = 0; len < b.len; len++)
            assert_int_equal(zone_parse_copy(b.at, len, &zone, &why), ERR_INVALID);
    }
}

/* Whatever a file says, the answers keep their bounds. */
static void check_bounds(const struct zone *z, int64_t at_s)
{
    for (int steps = 0; steps < 50; steps++) {
        int32_t offset_s = zone_offset_s(z, at_s);
        int64_t until_s = zone_until_s(z, at_s);
        assert_true(offset_s >= ZONE_OFFSET_MIN_S && offset_s <= ZONE_OFFSET_MAX_S);
        assert_true(until_s > at_s);
        assert_int_equal(zone_offset_s(z, until_s - 1), offset_s);
        if (until_s == ZONE_NEVER_S)
            return;
        at_s = until_s;
    }
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    uint64_t random = 8536;
    unsigned taken = 0;
    for (unsigned i = 0; i < FLIPS; i++) {
        struct zone_bytes b;
        struct zone *zone;
        struct why why;
        zone_read_real(&b, names[i % ARRAY_LEN(names)]);
        for (uint64_t flips = 1 + zone_random(&random) % 3; flips > 0; flips--)
            b.at[zone_random(&random) % b.len] ^= (char)(1u << zone_random(&random) % 8);
        if (zone_parse_copy(b.at, b.len, &zone, &why) != OK)
            continue;
        taken++;
        check_bounds(zone, INT64_MIN);
        check_bounds(zone, (int64_t)zone_random(&random));
        check_bounds(zone, utc("2026-01-01 00:00"));
        zone_free(zone);
    }
    assert_true(taken > FLIPS / 10 && taken < FLIPS);
}

static void check_moment(const char *name, const struct zone *z, int64_t wall_s)
{
    time_t moment = (time_t)wall_s;
    struct tm parts;
    assert_non_null(localtime_r(&moment, &parts));
    if (zone_offset_s(z, wall_s) != parts.tm_gmtoff)
        fail_msg("%s at %lld: %d, the C library says %ld", name, (long long)wall_s,
                 zone_offset_s(z, wall_s), parts.tm_gmtoff);
}

/* A second before each change, at it and behind it, and at every step between. */
static void check_years(const char *name, const struct zone *z, int64_t step_s)
{
    const int64_t from_s = utc("1990-01-01 00:00"), to_s = utc("2061-01-01 00:00");
    assert_int_equal(setenv("TZ", name, 1), 0);
    tzset();
    for (int64_t at_s = from_s; at_s < to_s; at_s += step_s)
        check_moment(name, z, at_s);
    for (int64_t at_s = zone_until_s(z, from_s); at_s < to_s; at_s = zone_until_s(z, at_s)) {
        check_moment(name, z, at_s - 1);
        check_moment(name, z, at_s);
        check_moment(name, z, at_s + 1);
    }
}

static void test_the_c_library_agrees(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        struct zone *z = zone_real(names[i]);
        check_years(names[i], z, 6 * HOUR_S);
        zone_free(z);
    }
}

static unsigned zones_read;

static int read_one(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    struct zone_bytes b;
    struct zone *zone;
    struct why why = {""};
    (void)info, (void)at;
    if (kind != FTW_F)
        return 0;
    zone_read_real(&b, path + strlen(ZONE_DATABASE "/"));
    if (b.len < 4 || memcmp(b.at, "TZif", 4) != 0)
        return 0;
    enum err e = zone_parse_copy(b.at, b.len, &zone, &why);
    bool has_leaps = strstr(path, "/right/") != NULL;
    if (e != (has_leaps ? ERR_UNSUPPORTED : OK))
        fail_msg("%s: %s", path, why.text);
    if (zone)
        check_years(path + strlen(ZONE_DATABASE "/"), zone, 10 * 24 * HOUR_S);
    zone_free(zone);
    zones_read++;
    return 0;
}

static void test_the_whole_database(void **state)
{
    (void)state;
    assert_int_equal(nftw(ZONE_DATABASE, read_one, 16, 0), 0);
    assert_true(zones_read > 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version_1),
        cmocka_unit_test(test_64_bits_and_a_rule),
        cmocka_unit_test(test_broken_bytes),
        cmocka_unit_test(test_broken_footers),
        cmocka_unit_test(test_broken_times),
        cmocka_unit_test(test_indicators),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_every_truncation_is_refused),
        cmocka_unit_test(test_flipped_bytes),
        cmocka_unit_test(test_the_c_library_agrees),
        cmocka_unit_test(test_the_whole_database),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
