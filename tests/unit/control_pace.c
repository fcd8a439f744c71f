/* When a name is asked for again: bounds, growth, chance.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/control/pace.h"

static void test_after_an_answer(void **state)
{
    (void)state;
    static const struct {
        uint32_t ttl_s, random, ms;
    } rows[] = {
        {0, 0, 1000},   {0, UINT32_MAX, 1124},         {1, 0, 1000},
        {5, 0, 5000},   {5, UINT32_MAX / 2 + 1, 5312}, {60, 0, 60000},
        {61, 0, 60000}, {61, UINT32_MAX, 67499},       {UINT32_MAX, 0, 60000},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(pace_after_answer_ms(rows[i].ttl_s, rows[i].random), rows[i].ms);
}

static void test_after_failures(void **state)
{
    (void)state;
    static const struct {
        unsigned n;
        bool is_unknown;
        uint32_t least_ms, most_ms;
    } rows[] = {
        {1, false, 500, 999},
        {2, false, 1000, 1999},
        {3, false, 2000, 3999},
        {5, false, 8000, 15999},
        {6, false, 15000, 29999},
        {7, false, 15000, 29999},
        {4000000000u, false, 15000, 29999},
        {1, true, 500, 999},
        {3, true, 2000, 3999},
        {4, true, 2000, 3999},
        {4000000000u, true, 2000, 3999},
        {0, false, 500, 999},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(pace_after_failure_ms(rows[i].n, rows[i].is_unknown, 0), rows[i].least_ms);
        assert_int_equal(pace_after_failure_ms(rows[i].n, rows[i].is_unknown, UINT32_MAX),
                         rows[i].most_ms);
    }
}

/* A clock that is turned by hand: an outage of an hour, and one at the start. */
static void test_questions_of_an_outage(void **state)
{
    (void)state;
    const uint64_t hour_ms = 3600000;
    for (unsigned is_unknown = 0; is_unknown < 2; is_unknown++) {
        uint64_t now_ms = 0;
        unsigned n = 0;
        while (now_ms < hour_ms)
            now_ms += pace_after_failure_ms(++n, is_unknown, UINT32_MAX / 2);
        assert_in_range(n, is_unknown ? 1190 : 150, is_unknown ? 1210 : 175);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_after_an_answer),
        cmocka_unit_test(test_after_failures),
        cmocka_unit_test(test_questions_of_an_outage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
