/* Steps that rise, and queries that are filled in. SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/steps.h"
#include "proxy/convert/checks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static void they_rise_to_the_end(void **state)
{
    struct steps s;
    struct why why = {""};
    (void)state;
    steps_init(&s);
    assert_false(steps_wait(&s, 5));              /* nothing is open */
    assert_false(steps_open(&s, 0, false, &why)); /* nobody would see it */
    assert_true(steps_open(&s, 0, true, &why) && steps_wait(&s, 5));
    assert_true(steps_open(&s, 500, false, &why));
    assert_true(steps_open(&s, 500, false, &why) && steps_wait(&s, 7) && steps_wait(&s, 8));
    assert_false(steps_open(&s, 400, false, &why));
    assert_non_null(strstr(why.text, "only rise"));
    assert_true(steps_open(&s, 10000, false, &why) && steps_wait(&s, 9));
    assert_false(steps_open(&s, 10000, false, &why));
    assert_int_equal(s.n, 2);
    assert_true(s.at[0].hold_ms == 5 && s.at[1].hold_ms == 15 && s.bake_ms == 9);
}

static void they_are_bounded(void **state)
{
    struct steps s;
    struct why why = {""};
    int64_t bp = 1;
    (void)state;
    steps_init(&s);
    while (steps_open(&s, bp, false, &why))
        bp++;
    assert_int_equal(s.n, PLAN_STEPS_MAX - 1); /* 100% is one too */
    assert_true(steps_open(&s, bp - 1, false, &why));
    assert_true(steps_open(&s, 10000, false, &why));
}

static const char *value(const void *arg, struct slice name)
{
    return slice_equal(name, SLICE("x")) ? arg : NULL;
}

static void queries_are_filled(void **state)
{
    char out[CHECKS_QUERY_MAX], large[CHECKS_QUERY_MAX + 8];
    (void)state;
    assert_true(checks_fill(" a{{x}}b \n\t {{ x }}\n", value, "1", out));
    assert_string_equal(out, "a1b 1");
    assert_false(checks_fill("a{{y}}", value, "1", out));
    assert_false(checks_fill("a{{x", value, "1", out));
    assert_false(checks_fill("a{{x} }", value, "1", out));
    assert_false(checks_fill("  ", value, "1", out));
    assert_true(checks_fill("a}}{b", value, "1", out));
    assert_string_equal(out, "a}}{b");
    memset(large, 'a', sizeof large);
    large[CHECKS_QUERY_MAX - 1] = '\0';
    assert_true(checks_fill(large, value, "1", out));
    large[CHECKS_QUERY_MAX - 1] = 'a';
    large[CHECKS_QUERY_MAX] = '\0';
    assert_false(checks_fill(large, value, "1", out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_rise_to_the_end),
        cmocka_unit_test(they_are_bounded),
        cmocka_unit_test(queries_are_filled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
