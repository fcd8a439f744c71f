/* Units of the configuration: every unit, every border, exactness.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf_help.h"
#include "proxy/conf/units.h"

typedef enum err parse(struct slice text, int64_t *out, struct why *why);

struct row {
    const char *text;
    int64_t value;   /* where why is NULL */
    const char *why; /* the refusal's predicate */
};

static void run(parse *parse_text, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int64_t value = -7;
        struct why why = {{0}};
        enum err e = parse_text(slice_str(rows[i].text), &value, &why);
        if (rows[i].why) {
            if (e != ERR_INVALID || strcmp(why.text, rows[i].why) != 0)
                fail_msg("\"%s\": %d \"%s\"", rows[i].text, e, why.text);
        } else if (e != OK || value != rows[i].value) {
            fail_msg("\"%s\": %d \"%s\" %lld", rows[i].text, e, why.text, (long long)value);
        }
    }
}

static void test_integers(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", 0, NULL},
        {"7", 7, NULL},
        {"9223372036854775807", INT64_MAX, NULL},
        {"9223372036854775808", 0, "is too large"},
        {"18446744073709551616", 0, "is too large"},
        {"", 0, "is not an integer"},
        {"-1", 0, "is negative"},
        {"-", 0, "is not an integer"},
        {"+1", 0, "is not an integer"},
        {"1 ", 0, "is not an integer"},
        {" 1", 0, "is not an integer"},
        {"1.5", 0, "is not an integer"},
        {"1e3", 0, "is not an integer"},
        {"0x10", 0, "is not an integer"},
        {"010", 0, "begins with a zero"},
        {"1_000", 0, "is not an integer"},
    };
    run(units_parse_integer, rows, ARRAY_LEN(rows));
}

static void test_durations(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", 0, NULL},
        {"0s", 0, NULL},
        {"250ms", 250, NULL},
        {"10s", 10000, NULL},
        {"5m", 300000, NULL},
        {"1h", 3600000, NULL},
        {"2562047788015h", INT64_C(9223372036854000000), NULL},
        {"2562047788016h", 0, "is too large"},
        {"10", 0, "has no unit"},
        {"10 s", 0, "is not a duration"},
        {"1h30m", 0, "is not a duration"},
        {"1.5h", 0, "is not a duration"},
        {"1d", 0, "is not a duration"},
        {"1S", 0, "is not a duration"},
        {"s", 0, "is not a duration"},
        {"-1s", 0, "is negative"},
        {"05s", 0, "begins with a zero"},
    };
    run(units_parse_duration, rows, ARRAY_LEN(rows));
}

static void test_sizes(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", 0, NULL},
        {"240B", 240, NULL},
        {"16KiB", 16384, NULL},
        {"1MiB", 1048576, NULL},
        {"3GiB", INT64_C(3221225472), NULL},
        {"8589934591GiB", INT64_C(9223372035781033984), NULL},
        {"8589934592GiB", 0, "is too large"},
        {"16KB", 0, "is not a size"},
        {"16k", 0, "is not a size"},
        {"16", 0, "has no unit"},
        {"16kib", 0, "is not a size"},
    };
    run(units_parse_size, rows, ARRAY_LEN(rows));
}

static void test_shares(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"0", 0, NULL},
        {"0%", 0, NULL},
        {"0.00%", 0, NULL},
        {"0.01%", 1, NULL},
        {"0.1%", 10, NULL},
        {"0.10%", 10, NULL},
        {"0.29%", 29, NULL}, /* 0.29 * 100 in floating point is 28.999… */
        {"5%", 500, NULL},
        {"12.34%", 1234, NULL},
        {"100%", 10000, NULL},
        {"100.000%", 10000, NULL},
        {"120%", 12000, NULL}, /* the range is the field's affair */
        {"0.001%", 0, "is finer than 0.01%"},
        {"5", 0, "has no % sign"},
        {"0.5", 0, "has no % sign"},
        {"5 %", 0, "is not a share"},
        {".5%", 0, "is not a share"},
        {"5.%", 0, "is not a share"},
        {"5%%", 0, "is not a share"},
        {"-5%", 0, "is negative"},
        {"05%", 0, "begins with a zero"},
        {"92233720368547758.07%", INT64_MAX, NULL},
        {"92233720368547758.08%", 0, "is too large"},
        {"%", 0, "is not a share"},
    };
    run(units_parse_share, rows, ARRAY_LEN(rows));
}

/* What is printed parses back to the same value: no share of basis points is lost on the way. */
static void test_prints_what_it_parses(void **state)
{
    (void)state;
    char text[UNITS_TEXT_MAX];
    int64_t back;
    for (int64_t bp = 0; bp <= 10000; bp++) {
        assert_int_equal(units_parse_share(slice_str(units_format_share(bp, text)), &back, NULL),
                         OK);
        assert_int_equal(back, bp);
    }
    static const int64_t times_ms[] = {0, 1, 999, 1000, 1500, 60000, 90000, 3600000, 86400000};
    for (size_t i = 0; i < ARRAY_LEN(times_ms); i++) {
        struct slice printed = slice_str(units_format_duration(times_ms[i], text));
        assert_int_equal(units_parse_duration(printed, &back, NULL), OK);
        assert_int_equal(back, times_ms[i]);
    }
    assert_string_equal(units_format_duration(90000, text), "90s");
    assert_string_equal(units_format_duration(86400000, text), "24h");
    assert_string_equal(units_format_size(16384, text), "16KiB");
    assert_string_equal(units_format_size(1000, text), "1000B");
    assert_string_equal(units_format_share(50, text), "0.5%");
    assert_string_equal(units_format_share(1205, text), "12.05%");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_prints_what_it_parses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
