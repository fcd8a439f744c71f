/* Tests the failure rates of a series, and the sparklines that they are drawn as.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/cli/rates.h"
#include "rollout/cli/spark.h"

#include <cjson/cJSON.h>
#include <math.h>

static void read_series(struct rates *r, const char *text)
{
    cJSON *json = cJSON_Parse(text);
    rates_read(r, json);
    cJSON_Delete(json);
}

#define COLUMNS                                                                                    \
    "\"columns\":[\"t\",\"stable_requests\",\"stable_failed\",\"canary_requests\",\"canary_"       \
    "failed\"]"

static void points_of_one_slot_are_one_value(void **state)
{
    (void)state;
    struct rates r;
    read_series(&r, "{" COLUMNS ",\"points\":[[1000.0,100,1,10,0],[1004.9,100,3,10,5],"
                    "[1005,50,0,0,0],[1010,50,0,4,4]]}");
    assert_true(r.at[RATES_STABLE][RATES_MAX - 3] == 4 / 200.0);
    assert_true(r.at[RATES_CANARY][RATES_MAX - 3] == 5 / 20.0);
    assert_true(r.at[RATES_STABLE][RATES_MAX - 2] == 0);
    assert_true(isnan(r.at[RATES_CANARY][RATES_MAX - 2])); /* no requests: not 0 */
    assert_true(r.at[RATES_CANARY][RATES_MAX - 1] == 1);
    assert_true(isnan(r.at[RATES_STABLE][RATES_MAX - 4]));
    assert_true(rates_largest(&r, RATES_MAX) == 1 && rates_newest(&r, RATES_CANARY, 1) == 1);
}

static void points_that_are_too_old_are_left_out(void **state)
{
    (void)state;
    struct rates r;
    read_series(&r, "{" COLUMNS ",\"points\":[[1000,10,10,0,0],[1005,10,5,0,0],[1600,10,0,0,0]]}");
    assert_true(r.at[RATES_STABLE][0] == 0.5);
    assert_true(rates_largest(&r, RATES_MAX) == 0.5);
    assert_true(rates_newest(&r, RATES_STABLE, RATES_MAX) == 0);
    assert_true(isnan(rates_newest(&r, RATES_CANARY, RATES_MAX)));
    assert_true(rates_largest(&r, 2) == 0);
}

/* What listens at the port may be anything. */
static void what_is_no_series_has_no_rates(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "null",
        "[]",
        "{}",
        "{\"points\":[[1,2,3]]}",
        "{" COLUMNS "}",
        "{" COLUMNS ",\"points\":7}",
        "{" COLUMNS ",\"points\":[7,null,[],{},[\"x\",1,1,1,1],[-5,1,1,1,1],[1e300,1,1,1,1]]}",
        "{" COLUMNS ",\"points\":[[1000,-1,1,1,-1],[1000,null,1],[1000]]}",
        "{\"columns\":[\"t\",7,null,\"stable_requests\"],\"points\":[[1000,0,0,10]]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct rates r;
        read_series(&r, texts[i]);
        if (rates_newest(&r, RATES_STABLE, RATES_MAX) >= 0 ||
            rates_newest(&r, RATES_CANARY, RATES_MAX) >= 0)
            fail_msg("%s has rates", texts[i]);
    }
}

static void more_failed_than_asked_is_all(void **state)
{
    (void)state;
    struct rates r;
    read_series(&r, "{" COLUMNS ",\"points\":[[1000,10,400,1,0]]}");
    assert_true(rates_largest(&r, RATES_MAX) == 1);
}

static void a_failure_is_higher_than_none(void **state)
{
    (void)state;
    static const double values[] = {0, NAN, 0.0001, 0.25, 0.5, 0.75, 1, 7};
    struct style utf8 = {.is_utf8 = true}, ascii = {.is_utf8 = false};
    struct text t = {0};
    spark_add(&t, &utf8, values, ARRAY_LEN(values), 1);
    assert_string_equal(text_str(&t), "▁ ▂▃▅▆██");
    text_clear(&t);
    spark_add(&t, &ascii, values, ARRAY_LEN(values), 1);
    assert_string_equal(text_str(&t), "_ .:=+##");
    text_clear(&t);
    spark_add(&t, &ascii, values, ARRAY_LEN(values), 0);
    assert_string_equal(text_str(&t), "_ ______");
    text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_of_one_slot_are_one_value),
        cmocka_unit_test(points_that_are_too_old_are_left_out),
        cmocka_unit_test(what_is_no_series_has_no_rates),
        cmocka_unit_test(more_failed_than_asked_is_all),
        cmocka_unit_test(a_failure_is_higher_than_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
