/* Tests the small parts of what is shown: text in columns, numbers for people, frames on a
 * terminal.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/cli/numbers.h"
#include "rollout/cli/screen.h"
#include "rollout/cli/text.h"

#include <math.h>
#include <string.h>

static const struct {
    struct number_text (*format)(double);
    double value;
    const char *expected;
} numbers[] = {
    {number_count, 0, "0"},
    {number_count, 999, "999"},
    {number_count, 1000, "1,000"},
    {number_count, 1234567, "1,234,567"},
    {number_count, -1, "-"},
    {number_count, NAN, "-"},
    {number_count, INFINITY, "1,000,000,000,000,000"},
    {number_percent, 0, "0%"},
    {number_percent, 5, "5%"},
    {number_percent, 0.5, "0.5%"},
    {number_percent, 4.967, "4.97%"},
    {number_percent, 100, "100%"},
    {number_percent, 0.01, "0.01%"},
    {number_percent, NAN, "-"},
    {number_rate, 0, "0%"},
    {number_rate, 0.00001, "<0.01%"},
    {number_rate, 0.0002, "0.02%"},
    {number_rate, 0.0999, "9.99%"},
    {number_rate, 0.09999, "10.0%"},
    {number_rate, 0.5, "50.0%"},
    {number_rate, 0.9999, "100.0%"},
    {number_rate, 1, "100%"},
    {number_rate, NAN, "-"},
    {number_latency, 0, "0.00 ms"},
    {number_latency, 0.42, "0.42 ms"},
    {number_latency, 3.14, "3.1 ms"},
    {number_latency, 120.4, "120 ms"},
    {number_latency, 999.9, "1.00 s"},
    {number_latency, 1843, "1.84 s"},
    {number_latency, -3, "-"},
    {number_duration, 0.9, "0s"},
    {number_duration, 59.9, "59s"},
    {number_duration, 60, "1m 00s"},
    {number_duration, 3725, "1h 02m"},
    {number_duration, 86400 * 2 + 3 * 3600, "2d 03h"},
    {number_duration, -INFINITY, "-"},
    {number_odds, 1, "1.0"},
    {number_odds, 9.94, "9.9"},
    {number_odds, 19.6, "20"},
    {number_odds, 1234, "1,234"},
    {number_odds, 1e300, "over 1,000,000"},
    {number_points, 0.004, "0"},
    {number_points, -0.05, "-0.05"},
    {number_points, 0.526, "+0.53"},
    {number_points, 12.34, "+12.3"},
    {number_points, -100, "-100.0"},
    {number_odds, NAN, "-"},
};

static void numbers_are_short(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        struct number_text text = numbers[i].format(numbers[i].value);
        if (strcmp(text.at, numbers[i].expected) != 0)
            fail_msg("row %zu: %s, expected %s", i, text.at, numbers[i].expected);
    }
}

static const struct {
    const char *foreign, *clean;
} foreigners[] = {
    {"plain", "plain"},
    {"a\tb\r\n  c", "a b c"},
    {"\033[2J", "?[2J"},
    {"bell\a\177", "bell??"},
    {"naïve – €uro 😀", "naïve – €uro 😀"},
    {"\xc3", "?"},                /* cut off */
    {"\xc0\xaf", "??"},           /* overlong */
    {"\xed\xa0\x80", "???"},      /* surrogate */
    {"\xf5\x80\x80\x80", "????"}, /* beyond Unicode */
    {"\xc2\x9b"
     "2J",
     "??2J"}, /* CSI in eight bits */
    {"\xe2\x80\xae"
     "abc",
     "???abc"}, /* right to left override */
    {"\xe2\x81\xa6"
     "abc",
     "???abc"}, /* isolate */
    {"", ""},
};

static void foreign_text_becomes_harmless(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(foreigners); i++) {
        struct text t = {0};
        text_add_clean(&t, foreigners[i].foreign);
        assert_string_equal(text_str(&t), foreigners[i].clean);
        text_fini(&t);
    }
}

static void columns_are_counted_and_cut(void **state)
{
    (void)state;
    assert_int_equal(text_columns(""), 0);
    assert_int_equal(text_columns("naïve"), 5);
    assert_int_equal(text_columns("\033[1mab\033[0mc"), 3);
    assert_int_equal(text_cut("naïve", 3), 4);
    assert_int_equal(text_cut("\033[1mabc\033[0m", 2), 6);
    assert_int_equal(text_cut("\033[1mab\033[0m", 2), 10); /* the colour ends with it */
    assert_int_equal(text_cut("ab", 9), 2);
    assert_int_equal(text_columns("\033[2J"), 4); /* no colour: seen as it is */
}

static void words_are_wrapped(void **state)
{
    (void)state;
    struct text t = {0};
    text_add(&t, "> ");
    text_add_wrapped(&t, "one two three  four", 2, 10);
    assert_string_equal(text_str(&t), "> one two\n  three\n  four");
    text_clear(&t);
    text_add_wrapped(&t, "averylongwordindeed is long", 0, 8);
    assert_string_equal(text_str(&t), "averylongwordindeed\nis long");
    text_clear(&t);
    text_add_wrapped(&t, "", 4, 10);
    assert_string_equal(text_str(&t), "");
    text_fini(&t);
}

static void text_stops_at_its_ceiling(void **state)
{
    (void)state;
    struct text t = {0};
    static char block[65536];
    memset(block, 'x', sizeof block);
    for (int i = 0; i < 20; i++)
        text_add_bytes(&t, block, sizeof block);
    assert_true(t.failed);
    assert_string_equal(text_str(&t), "");
    text_clear(&t);
    text_add(&t, "%d", 7);
    assert_string_equal(text_str(&t), "7");
    text_fini(&t);
}

#define WRAP_OFF "\033[?7l" /* so that a wide character at the end begins no line */
#define WRAP_ON  "\033[?7h"

static void frames_replace_each_other(void **state)
{
    (void)state;
    struct style s = {.width = 5, .columns = 5, .height = 10};
    struct screen screen = {0};
    struct text out = {0};
    screen_add_frame(&out, &screen, "one\ntwo\n", &s);
    assert_string_equal(text_str(&out), WRAP_OFF "\rone\033[K\ntwo\033[K\n\033[J" WRAP_ON);
    text_clear(&out);
    screen_add_frame(&out, &screen, "longer than that\n", &s);
    assert_string_equal(text_str(&out), WRAP_OFF "\033[2A\rlonge\033[K\n\033[J" WRAP_ON);
    text_clear(&out);
    s.height = 3;
    screen_add_frame(&out, &screen, "1\n2\n3\n4\n", &s);
    assert_string_equal(text_str(&out), WRAP_OFF "\033[1A\r1\033[K\n2\033[K\n\033[J" WRAP_ON);
    text_clear(&out);
    s.has_colour = true;
    screen_add_frame(&out, &screen, "\033[1mlonger than that\033[0m\n", &s);
    assert_string_equal(text_str(&out),
                        WRAP_OFF "\033[2A\r\033[1mlonge\033[0m\033[K\n\033[J" WRAP_ON);
    text_clear(&out);
    screen_resized(&screen); /* where the last frame stands now, nobody knows */
    screen_add_frame(&out, &screen, "four\n", &s);
    assert_string_equal(text_str(&out), WRAP_OFF "\033[H\033[2J\rfour\033[K\n\033[J" WRAP_ON);
    text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_short),
        cmocka_unit_test(foreign_text_becomes_harmless),
        cmocka_unit_test(columns_are_counted_and_cut),
        cmocka_unit_test(words_are_wrapped),
        cmocka_unit_test(text_stops_at_its_ceiling),
        cmocka_unit_test(frames_replace_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
