/* The line protocol: replies, configuration names, and lines that are refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_protocol.h"
#include "base/check.h"
#include "decide_vectors.h"

#define START "{\"op\":\"start\",\"stages\":[1,10,100]}"
#define SIDES "\"s\":{\"req\":99,\"bad\":0},\"c\":{\"req\":1,\"bad\":0}"
#define TICK  "{\"op\":\"tick\",\"t\":1,\"stage\":0,\"weight\":1,\"stage_t\":1," SIDES "}"

static struct judge_protocol protocol;
static char reply[JUDGE_REPLY_MAX];
static struct why why;

static enum err line(const char *text)
{
    why.text[0] = '\0';
    /* In a block of exactly its size, so that a read beyond its end is seen. */
    size_t len = strlen(text);
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, text, len);
    enum err e = judge_protocol_line(&protocol, slice_of(copy, len), reply, &why);
    free(copy);
    return e;
}

static int setup(void **state)
{
    (void)state;
    judge_protocol_init(&protocol, NULL);
    return 0;
}

static void test_replies(void **state)
{
    (void)state;
    assert_int_equal(line(START), OK);
    assert_string_equal(reply, "{\"ok\":true}");
    assert_int_equal(line(TICK "  \r"), OK);
    cJSON *answer = cJSON_Parse(reply);
    assert_string_equal(vectors_member(answer, "d")->valuestring, "continue");
    assert_string_equal(vectors_member(answer, "check")->valuestring, "errors");
    assert_true(vectors_number(answer, "loge") < 0.01);
    assert_true(vectors_number(answer, "logf") > 0);
    cJSON_Delete(answer);
    assert_int_equal(line("{\"op\":\"end\"}"), OK);
    assert_string_equal(reply, "");
    assert_int_equal(line(TICK), ERR_INVALID); /* it has ended */
}

static void test_config(void **state)
{
    (void)state;
    assert_int_equal(
        line("{\"op\":\"start\",\"stages\":[0.1,12.34,100],\"tick_s\":5,\"sticky\":true,"
             "\"baseline\":{\"req\":2000,\"bad\":3},\"config\":{\"alpha\":0.05,\"cap\":1,"
             "\"min_stage_s\":5,\"max_stage_s\":50,\"min_req\":9,\"on_timeout\":\"abort\","
             "\"grid_r\":[2,5],\"fail\":{\"w\":0.4,\"rho\":1.5,\"delta\":0.01},"
             "\"ceil\":{\"c\":0.2},\"lat\":{\"q\":[0.5],\"w\":[0.3],\"margin\":0.1},"
             "\"incident\":{\"ratio\":5}}}"),
        OK);
    const struct judge_settings *s = &protocol.judge.settings;
    assert_int_equal(s->n_stages, 3);
    assert_int_equal(s->stages[0].weight_bp, 10);
    assert_int_equal(s->stages[1].weight_bp, 1234);
    assert_true(s->stages[1].hold_s == 5 && s->stages[1].max_hold_s == 50);
    assert_true(s->stages[1].min_requests == 9);
    assert_int_equal(s->on_low_evidence, LOW_EVIDENCE_ABORT);
    assert_true(s->alpha == 0.05 && s->cap == 1 && s->ratio_grid.n == 2);
    assert_true(s->errors.weight == 0.4 && s->errors.margin == 0.5);
    assert_true(s->errors.margin_absolute == 0.01 && s->ceiling.ceiling == 0.2);
    assert_true(s->latency.n == 1 && s->latency.weight[0] == 0.3 && s->incident.ratio == 5);
    assert_true(protocol.tick_s == 5 && protocol.judge.sticky && protocol.judge.ceiling_on);
}

/* A base as `serin judge -c FILE` has it: a step with its own hold, client errors and latency off. */
static void start_with_base(void)
{
    struct plan plan;
    struct judge_settings base;
    plan_default(&plan);
    plan.steps[1] = (struct plan_step){.weight_bp = 2000, .hold_ms = 7000, .min_requests = 9};
    plan.n_steps = 2;
    plan.false_abort = 0.05;
    plan.errors.margin = 0.3;
    plan.client_errors_judged = plan.latency_judged = false;
    plan.errors_ceiling = 0;
    assert_int_equal(judge_settings_from_plan(&base, &plan, &why), OK);
    judge_protocol_init(&protocol, &base);
}

static void test_a_base_stands_where_the_line_is_silent(void **state)
{
    (void)state;
    const struct judge_settings *s = &protocol.judge.settings;
    start_with_base();
    assert_int_equal(line("{\"op\":\"start\"}"), OK);
    assert_int_equal(s->n_stages, 4); /* 1, 20, the bake at 99, 100 */
    assert_true(s->stages[1].weight_bp == 2000 && s->stages[1].hold_s == 7);
    assert_true(s->stages[2].weight_bp == 9900 && s->stages[2].hold_s == 300);
    assert_true(s->alpha == 0.05 && fabs(s->errors.margin - 0.3) < 1e-12);
    assert_true(!s->client_errors.enabled && !s->latency.enabled && !s->ceiling.enabled);
    assert_int_equal(s->no_data_requests, 5);
}

static void test_the_line_stands_over_its_base(void **state)
{
    (void)state;
    const struct judge_settings *s = &protocol.judge.settings;
    start_with_base();
    assert_int_equal(line("{\"op\":\"start\",\"stages\":[5,20,100],\"config\":{\"alpha\":0.001,"
                          "\"ceil\":{\"c\":0.2},\"min_req\":77}}"),
                     OK);
    assert_int_equal(s->n_stages, 3);
    assert_true(s->stages[0].hold_s == 60 && s->stages[1].hold_s == 7); /* of the same weight */
    assert_true(s->stages[0].min_requests == 77 && s->stages[1].min_requests == 77);
    assert_true(s->alpha == 0.001 && s->ceiling.enabled && s->ceiling.ceiling == 0.2);
    assert_true(!s->client_errors.enabled && fabs(s->errors.margin - 0.3) < 1e-12);
    assert_int_equal(line("{\"op\":\"start\",\"config\":{\"min_stage_s\":3}}"), OK); /* not kept */
    assert_true(s->alpha == 0.05 && s->stages[0].hold_s == 3 && s->stages[1].hold_s == 3);
    assert_int_equal(line("{\"op\":\"start\",\"stages\":null}"), ERR_INVALID);
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "not one JSON object"},
        {"[]", "not one JSON object"},
        {"{\"op\":\"tick\"", "not one JSON object"},
        {START START, "not one JSON object"},
        {"{}", "op"},
        {"{\"op\":3}", "op"},
        {"{\"op\":\"stop\"}", "op: expected start, tick or end"},
        {"{\"op\":\"start\"}", "stages"},
        {"{\"op\":\"start\",\"stages\":[]}", "stages"},
        {"{\"op\":\"start\",\"stages\":[1,101]}", "stages[1]"},
        {"{\"op\":\"start\",\"stages\":[1.005,100]}", "stages[0]"},
        {"{\"op\":\"start\",\"stages\":[\"1%\"]}", "stages[0]"},
        {"{\"op\":\"start\",\"stages\":[1],\"sticky\":1}", "sticky"},
        {"{\"op\":\"start\",\"stages\":[1],\"tick_s\":-1}", "tick_s"},
        {"{\"op\":\"start\",\"stages\":[1],\"baseline\":{\"req\":1}}", "baseline.bad"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":[]}", "config: expected an object"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"alfa\":1}}", "config.alfa: no such key"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"fail\":{\"q\":1}}}", "config.fail.q"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"fail\":1}}", "config.fail"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"alpha\":\"1\"}}", "config.alpha"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"alpha\":2}}", "false_abort"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"min_req\":-1}}", "config.min_req"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"grid_r\":[]}}", "config.grid_r"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"grid_r\":[1]}}", "grid of ratios"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"grid_r\":[2,null]}}", "config.grid_r"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"lat\":{\"w\":[1,1,1,1]}}}",
         "config.lat.w"},
        {"{\"op\":\"start\",\"stages\":[1],\"config\":{\"on_timeout\":\"go\"}}", "on_timeout"},
        {"{\"op\":\"tick\",\"stage\":0,\"stage_t\":1," SIDES "}", "t:"},
        {"{\"op\":\"tick\",\"t\":1,\"stage_t\":1," SIDES "}", "stage:"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":3,\"stage_t\":1," SIDES "}", "stage:"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0.5,\"stage_t\":1," SIDES "}", "stage:"},
        {"{\"op\":\"tick\",\"t\":-1,\"stage\":0,\"stage_t\":1," SIDES "}", "t:"},
        {"{\"op\":\"tick\",\"t\":1e300,\"stage\":0,\"stage_t\":1," SIDES "}", "t:"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"weight\":200,\"stage_t\":1," SIDES "}", "weight"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"stage_t\":1}", "req"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"stage_t\":1,\"s\":{\"req\":1,\"bad\":0.5}}",
         "bad"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"stage_t\":1,\"s\":{\"req\":-1,\"bad\":0}}", "req"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"stage_t\":1,\"s\":{\"req\":1e16,\"bad\":0}}",
         "req"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"stage_t\":1,\"s\":{\"req\":1,\"bad\":0,\"lat\":3}"
         "}",
         "lat"},
        {"{\"op\":\"tick\",\"t\":1,\"stage\":0,\"stage_t\":1,"
         "\"s\":{\"req\":1,\"bad\":0,\"lat\":[1,2,3,4]}}",
         "lat"},
    };
    assert_int_equal(line(START), OK);
    const struct judge before = protocol.judge;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (line(rows[i].text) != ERR_INVALID || !strstr(why.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].text, why.text, rows[i].says);
        assert_string_equal(reply, "");
    }
    assert_memory_equal(&protocol.judge, &before, sizeof before);
    assert_int_equal(line(TICK), OK); /* the rollout goes on */
}

static void test_sticky_needs_keys(void **state)
{
    (void)state;
    assert_int_equal(line("{\"op\":\"start\",\"stages\":[1,100],\"sticky\":true}"), OK);
    assert_int_equal(line(TICK), ERR_INVALID);
    assert_non_null(strstr(why.text, "ureq"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_replies, setup),
        cmocka_unit_test_setup(test_config, setup),
        cmocka_unit_test_setup(test_a_base_stands_where_the_line_is_silent, setup),
        cmocka_unit_test_setup(test_the_line_stands_over_its_base, setup),
        cmocka_unit_test_setup(test_refuses, setup),
        cmocka_unit_test_setup(test_sticky_needs_keys, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
