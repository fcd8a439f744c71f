/* What is read out of foreign objects: durations as Go writes them, numbers as annotations have them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/source.h"
#include "base/check.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static void durations(void **state)
{
    static const struct {
        const char *json;
        int64_t ms; /* -1: none */
    } rows[] = {
        {"90", 90000},
        {"\"90\"", 90000},
        {"\"10s\"", 10000},
        {"\"1h30m\"", 5400000},
        {"\"500ms\"", 500},
        {"\"1.5h\"", 5400000},
        {"\"0\"", 0},
        {"\"2m0s\"", 120000},
        {"\"1h90\"", -1},
        {"\"\"", -1},
        {"\"h\"", -1},
        {"\"5 m\"", -1},
        {"\"-5m\"", -1},
        {"-1", -1},
        {"\"9999h\"", -1},
        {"true", -1},
        {"\"1d\"", -1},
        {"\"...s\"", -1},
        {"\"1e3s\"", -1},
        {"null", -1},
        {"\"250us\"", 0},
        {"\"5m \"", -1},
        {"31536000", 31536000000},
        {"31536001", -1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cJSON *item = cJSON_Parse(rows[i].json);
        int64_t ms = -7;
        bool is_one = source_duration(item, &ms);
        if (is_one != (rows[i].ms >= 0) || (is_one && ms != rows[i].ms))
            fail_msg("%s: %d, %lld ms", rows[i].json, is_one, (long long)ms);
        cJSON_Delete(item);
    }
    int64_t ms;
    assert_false(source_duration(NULL, &ms));
}

static void counts(void **state)
{
    static const struct {
        const char *json;
        int64_t count; /* -1: none */
    } rows[] = {{"0", 0},      {"20", 20},   {"\"20\"", 20},  {"100", 100},  {"101", -1},
                {"-1", -1},    {"1.5", -1},  {"\"1.5\"", -1}, {"\"\"", -1},  {"\"20%\"", -1},
                {"1e300", -1}, {"true", -1}, {"[1]", -1},     {"\" 7\"", -1}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cJSON *item = cJSON_Parse(rows[i].json);
        int64_t count = -7;
        bool is_one = source_count(item, 100, &count);
        if (is_one != (rows[i].count >= 0) || (is_one && count != rows[i].count))
            fail_msg("%s: %d, %lld", rows[i].json, is_one, (long long)count);
        cJSON_Delete(item);
    }
}

static void places_and_kinds(void **state)
{
    (void)state;
    struct cJSON *o =
        cJSON_Parse("{\"apiVersion\":\"a.b/v1\",\"kind\":\"K\",\"metadata\":{\"name\":"
                    "\"n\"},\"spec\":{\"a\":{\"b\":7},\"yes\":\"true\",\"no\":1}}");
    assert_true(source_at(o, "spec.a.b")->valuedouble == 7);
    assert_null(source_at(o, "spec.a.b.c"));
    assert_null(source_at(o, "spec.x.b"));
    assert_null(source_at(NULL, "a"));
    assert_true(source_is_true(source_get(o, "spec"), "yes"));
    assert_false(source_is_true(source_get(o, "spec"), "no"));
    assert_string_equal(source_name(o), "n");
    assert_string_equal(source_namespace(o), "default");
    assert_true(source_is(o, "a.b", "K") && source_is(o, NULL, "K"));
    assert_false(source_is(o, "a", "K") || source_is(o, "", "K") || source_is(o, "a.b", "L"));
    cJSON_Delete(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(counts),
        cmocka_unit_test(places_and_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
