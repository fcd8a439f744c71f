/* Answers of others: what passes, what fails, and what only says that nobody knows.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "rollout/decide/answer.h"
#include <math.h>
#include <string.h>

#define VECTOR(samples)                                                                            \
    "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" samples "]}}"
#define SAMPLE(value) "{\"metric\":{},\"value\":[1700000000.1,\"" value "\"]}"

static const struct outside_check cpu = {.kind = OUTSIDE_PROMETHEUS, .min = "0", .max = "0.8"};

static void queries(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
        enum answer_verdict verdict;
        const char *why;
    } rows[] = {
        {200, VECTOR(SAMPLE("0.5")), ANSWER_PASS, "0.5 is good"},
        {200, VECTOR(SAMPLE("0.8")), ANSWER_PASS, "0.8 is good"},
        {200, VECTOR(SAMPLE("0.81")), ANSWER_FAIL, "0.81 is above 0.8"},
        {200, VECTOR(SAMPLE("-1e-3")), ANSWER_FAIL, "-0.001 is below 0"},
        {200, VECTOR(SAMPLE("+Inf")), ANSWER_FAIL, "inf is above 0.8"},
        {200, VECTOR(SAMPLE("NaN")), ANSWER_NO_DATA, "the value is not a number"},
        {200, VECTOR(""), ANSWER_NO_DATA, "the query found nothing"},
        {200, VECTOR(SAMPLE("1") "," SAMPLE("2")), ANSWER_ERROR,
         "the query found 2 series (expected one)"},
        {200, VECTOR(SAMPLE("")), ANSWER_ERROR, "the answer's value cannot be read"},
        {200, VECTOR(SAMPLE("0.5x")), ANSWER_ERROR, "the answer's value cannot be read"},
        {200, VECTOR("{}"), ANSWER_ERROR, "the answer's value cannot be read"},
        {200, VECTOR("7"), ANSWER_ERROR, "the answer's value cannot be read"},
        {200,
         "{\"status\":\"success\",\"data\":{\"resultType\":\"scalar\",\"result\":[1,\"0.25\"]}}",
         ANSWER_PASS, "0.25 is good"},
        {200, "{\"status\":\"success\",\"data\":{\"resultType\":\"matrix\",\"result\":[]}}",
         ANSWER_ERROR, "the answer is not one value but a matrix (expected a vector or scalar)"},
        {200, "{\"status\":\"success\"}", ANSWER_ERROR,
         "the answer is not one value but a result of no type (expected a vector or scalar)"},
        {400, "{\"status\":\"error\",\"errorType\":\"bad_data\",\"error\":\"parse error\"}",
         ANSWER_ERROR, "it answered 400: parse error"},
        {200, "{\"status\":\"error\",\"error\":\"timeout\"}", ANSWER_ERROR,
         "it answered 200: timeout"},
        {200, "<html>", ANSWER_ERROR, "it answered 200"},
        {200, "", ANSWER_ERROR, "it answered 200"},
        {503, "", ANSWER_ERROR, "it answered 503"},
        {0, "", ANSWER_ERROR, "no answer: refused"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a;
        answer_of_query(&a, &cpu, rows[i].status, "refused", slice_str(rows[i].body));
        if (a.verdict != rows[i].verdict || strcmp(a.why, rows[i].why) != 0)
            fail_msg("row %zu: %s \"%s\"", i, answer_verdict_name(a.verdict), a.why);
    }
}

static void one_bound_is_enough(void **state)
{
    (void)state;
    struct answer a;
    struct outside_check most = {.max = "10"}, least = {.min = "99.9"};
    answer_of_query(&a, &most, 200, "", slice_str(VECTOR(SAMPLE("-1e9"))));
    assert_int_equal(a.verdict, ANSWER_PASS);
    answer_of_query(&a, &least, 200, "", slice_str(VECTOR(SAMPLE("1e9"))));
    assert_int_equal(a.verdict, ANSWER_PASS);
    answer_of_query(&a, &least, 200, "", slice_str(VECTOR(SAMPLE("99"))));
    assert_int_equal(a.verdict, ANSWER_FAIL);
}

/* Every beginning of an answer, and bytes that are none: an error, never a pass. */
static void half_an_answer_never_passes(void **state)
{
    (void)state;
    static const char whole[] = VECTOR(SAMPLE("0.5"));
    struct answer a;
    for (size_t len = 0; len + 1 < sizeof whole - 1; len++) {
        answer_of_query(&a, &cpu, 200, "", slice_of(whole, len));
        assert_int_equal(a.verdict, ANSWER_ERROR);
    }
    answer_of_query(&a, &cpu, 200, "", slice_of("\0\xff[[[[", 6));
    assert_int_equal(a.verdict, ANSWER_ERROR);
}

static void webhooks(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *body;
        enum answer_verdict verdict;
        const char *why;
    } rows[] = {
        {200, "", ANSWER_PASS, "it answered 200"},
        {204, "", ANSWER_PASS, "it answered 204"},
        {200, "ok", ANSWER_PASS, "it answered 200"},
        {200, "{\"verdict\":\"pass\"}", ANSWER_PASS, "it says pass"},
        {200, "{\"verdict\":\"fail\",\"why\":\"3 of 9 broken\"}", ANSWER_FAIL,
         "it says fail: 3 of 9 broken"},
        {200, "{\"verdict\":\"inconclusive\"}", ANSWER_INCONCLUSIVE, "it says inconclusive"},
        {202, "{\"verdict\":\"no_data\"}", ANSWER_NO_DATA, "it says no_data"},
        {200, "{\"verdict\":\"perhaps\"}", ANSWER_PASS, "it answered 200"},
        {404, "{\"verdict\":\"pass\"}", ANSWER_FAIL, "it answered 404"},
        {302, "", ANSWER_FAIL, "it answered 302"},
        {429, "", ANSWER_ERROR, "it answered 429"},
        {500, "{\"verdict\":\"fail\"}", ANSWER_ERROR, "it answered 500"},
        {0, "", ANSWER_ERROR, "no answer: timed out"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct answer a;
        answer_of_webhook(&a, rows[i].status, "timed out", slice_str(rows[i].body));
        if (a.verdict != rows[i].verdict || strcmp(a.why, rows[i].why) != 0)
            fail_msg("row %zu: %s \"%s\"", i, answer_verdict_name(a.verdict), a.why);
    }
}

static void gates(void **state)
{
    (void)state;
    char why[ANSWER_WHY_MAX];
    assert_int_equal(answer_of_gate(200, "", why), ANSWER_GATE_OPEN);
    assert_int_equal(answer_of_gate(204, "", why), ANSWER_GATE_OPEN);
    assert_int_equal(answer_of_gate(403, "", why), ANSWER_GATE_CLOSED);
    assert_string_equal(why, "it answered 403");
    assert_int_equal(answer_of_gate(301, "", why), ANSWER_GATE_CLOSED);
    assert_int_equal(answer_of_gate(429, "", why), ANSWER_GATE_AGAIN);
    assert_int_equal(answer_of_gate(503, "", why), ANSWER_GATE_AGAIN);
    assert_int_equal(answer_of_gate(0, "refused", why), ANSWER_GATE_AGAIN);
    assert_string_equal(why, "no answer: refused");
}

static void urls(void **state)
{
    (void)state;
    char url[ANSWER_URL_MAX];
    static const struct answer_names names = {"my-web", "v1", "v 2"};
    struct outside_check check = {.url = "http://prom:9090/",
                                  .query = "x{a=\"$canary\",b=\"$stable\"}/$route $can $"};
    assert_true(answer_query_url(&check, &names, url));
    assert_string_equal(url, "http://prom:9090/api/v1/query?query="
                             "x%7Ba%3D%22v%202%22%2Cb%3D%22v1%22%7D%2Fmy-web%20%24can%20%24");
    check = (struct outside_check){.url = "https://p/base//", .query = "$canaryx + 1"};
    assert_true(answer_query_url(&check, &names, url));
    assert_string_equal(url, "https://p/base/api/v1/query?query=%24canaryx%20%2B%201");
    static char query[ANSWER_URL_MAX];
    memset(query, 'x', sizeof query - 1);
    check.query = query;
    assert_false(answer_query_url(&check, &names, url));
    assert_int_equal(strlen(url), ANSWER_URL_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries),
        cmocka_unit_test(one_bound_is_enough),
        cmocka_unit_test(half_an_answer_never_passes),
        cmocka_unit_test(webhooks),
        cmocka_unit_test(gates),
        cmocka_unit_test(urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
