/* The judge's settings as the protocol's configuration: there and back, and what a plan needs of
 * it. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_config.h"
#include "base/check.h"
#include "decide_vectors.h"

static struct why why;

/* The stages of the settings as the protocol's array; the caller frees it. */
static cJSON *stages_of(const struct judge_settings *settings)
{
    cJSON *stages = cJSON_CreateArray();
    for (size_t i = 0; i < settings->n_stages; i++)
        assert_true(cJSON_AddItemToArray(
            stages, cJSON_CreateNumber(settings->stages[i].weight_bp / 100.0)));
    return stages;
}

/* Through text, as in a file. The caller frees it. */
static cJSON *written(const struct judge_settings *settings, double lat_margin)
{
    cJSON *config = cJSON_CreateObject();
    assert_int_equal(judge_config_write(settings, lat_margin, config), OK);
    char *text = cJSON_PrintUnformatted(config);
    cJSON_Delete(config);
    config = cJSON_Parse(text);
    assert_non_null(config);
    cJSON_free(text);
    return config;
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= 1e-15;
}

static void check_equal(const struct judge_settings *a, const struct judge_settings *b)
{
    assert_int_equal(a->n_stages, b->n_stages);
    for (size_t i = 0; i + 1 < a->n_stages; i++)
        assert_memory_equal(&a->stages[i], &b->stages[i], sizeof a->stages[i]);
    assert_int_equal(a->on_low_evidence, b->on_low_evidence);
    assert_int_equal(a->no_data_requests, b->no_data_requests);
    assert_true(a->alpha == b->alpha && a->harm_budget == b->harm_budget);
    assert_true(is_near(a->errors.margin, b->errors.margin));
    assert_true(is_near(a->client_errors.margin, b->client_errors.margin));
    assert_true(a->errors.margin_absolute == b->errors.margin_absolute);
    assert_int_equal(a->client_errors.enabled, b->client_errors.enabled);
    assert_int_equal(a->ceiling.enabled, b->ceiling.enabled);
    assert_true(a->ceiling.ceiling == b->ceiling.ceiling);
    assert_memory_equal(&a->latency, &b->latency, sizeof a->latency);
    assert_memory_equal(&a->incident, &b->incident, sizeof a->incident);
    assert_memory_equal(&a->ratio_grid, &b->ratio_grid, sizeof a->ratio_grid);
}

static void test_a_plan_comes_back(void **state)
{
    (void)state;
    struct plan plan;
    plan_default(&plan);
    plan.steps[1].hold_ms = 2500;
    plan.steps[2].min_requests = 7;
    plan.on_low_evidence = LOW_EVIDENCE_PAUSE;
    plan.client_errors_judged = false;
    plan.errors_ceiling = 0;
    plan.n_quantiles = 2;
    plan.latency_warmup_ms = 1500;
    for (int latency = 0; latency < 2; latency++) {
        struct judge_settings settings, read;
        plan.latency_judged = latency;
        assert_int_equal(judge_settings_from_plan(&settings, &plan, &why), OK);
        memset(&settings.latency.weight[2], 0, sizeof settings.latency.weight[2]);
        memset(&settings.latency.quantile[2], 0, sizeof settings.latency.quantile[2]);
        cJSON *stages = stages_of(&settings), *config = written(&settings, 0.05);
        if (judge_config_read(&read, NULL, stages, config, &why) != OK)
            fail_msg("%s", why.text);
        memset(&read.latency.weight[2], 0, sizeof read.latency.weight[2]);
        memset(&read.latency.quantile[2], 0, sizeof read.latency.quantile[2]);
        check_equal(&read, &settings);
        const cJSON *lat = vectors_member(config, "lat");
        assert_true(vectors_number(lat, "margin") == 0.05);
        assert_int_equal(cJSON_GetArraySize(vectors_member(config, "min_stage_s")), 6);
        assert_true(cJSON_IsNumber(vectors_member(config, "max_stage_s"))); /* all the same */
        cJSON_Delete(stages);
        cJSON_Delete(config);
    }
}

static enum err read(struct judge_settings *settings, const char *stages, const char *config)
{
    cJSON *s = cJSON_Parse(stages), *c = cJSON_Parse(config);
    assert_true(s && c);
    why.text[0] = '\0';
    enum err e = judge_config_read(settings, NULL, s, c, &why);
    cJSON_Delete(s);
    cJSON_Delete(c);
    return e;
}

static void test_numbers_of_stages(void **state)
{
    (void)state;
    struct judge_settings s;
    assert_int_equal(read(&s, "[1,5,10,100]",
                          "{\"min_stage_s\":[3,4],\"min_req\":[9,0,1],"
                          "\"max_stage_s\":50,\"no_data_req\":5}"),
                     OK);
    assert_true(s.stages[0].hold_s == 3 && s.stages[1].hold_s == 4 && s.stages[2].hold_s == 4);
    assert_int_equal(s.stages[0].min_requests, 9);
    assert_int_equal(s.stages[2].min_requests, 1);
    assert_true(s.stages[2].max_hold_s == 50);
    assert_int_equal(s.no_data_requests, 5);
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *config, *says;
    } rows[] = {
        {"{\"min_stage_s\":[]}", "config.min_stage_s"},
        {"{\"min_stage_s\":[\"1\"]}", "config.min_stage_s"},
        {"{\"min_stage_s\":\"1\"}", "config.min_stage_s: expected a number"},
        {"{\"min_req\":[1,-1]}", "config.min_req"},
        {"{\"min_req\":1e300}", "config.min_req"},
        {"{\"no_data_req\":0.5}", "config.no_data_req"},
        {"{\"no_data_req\":-1}", "config.no_data_req"},
        {"{\"no_data_req\":[1]}", "config.no_data_req"},
        {"{\"c4\":{\"on\":1}}", "config.c4.on: expected true or false"},
        {"{\"fail\":{\"on\":false}}", "config.fail.on: no such key"},
    };
    struct judge_settings s;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (read(&s, "[1,100]", rows[i].config) != ERR_INVALID || !strstr(why.text, rows[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i].config, why.text, rows[i].says);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_plan_comes_back),
        cmocka_unit_test(test_numbers_of_stages),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
