/* Settings: what a plan becomes, and what the arithmetic refuses.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_settings.h"
#include "base/check.h"
#include "decide_vectors.h"

static void test_defaults_are_the_vectors(void **state)
{
    (void)state;
    struct judge_settings s;
    judge_settings_default(&s);
    cJSON *all = vectors_load();
    const cJSON *defaults = vectors_member(all, "defaults");
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"alpha", s.alpha},
        {"beta", s.beta},
        {"hold_e", s.hold_evidence},
        {"cap", s.cap},
        {"budget", s.harm_budget},
        {"min_stage_s", s.stages[0].hold_s},
        {"max_stage_s", s.stages[0].max_hold_s},
        {"min_req", (double)s.stages[0].min_requests},
        {"brake_s", s.brake_s},
        {"epoch_s", s.epoch_s},
        {"mass0", s.mass0},
        {"rho", 1 + s.errors.margin},
        {"delta", s.errors.margin_absolute},
        {"w_fail", s.errors.weight},
        {"w_c4", s.client_errors.weight},
        {"rho4", 1 + s.client_errors.margin},
        {"delta4", s.client_errors.margin_absolute},
        {"w_ceil", s.ceiling.weight},
        {"ceil", s.ceiling.ceiling},
        {"prior_n", s.latency.prior_requests},
        {"half_s", s.latency.half_life_s},
        {"warmup_s", s.latency.warmup_s},
        {"fast_s", s.incident.fast_s},
        {"slow_s", s.incident.slow_s},
        {"inc_ratio", s.incident.ratio},
        {"inc_prior", s.incident.prior_requests},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        vectors_compare("defaults", rows[i].name, rows[i].value,
                        vectors_number(defaults, rows[i].name));
    const struct {
        const char *name;
        const struct evidence_grid *grid;
    } grids[] = {
        {"r", &s.ratio_grid}, {"psi", &s.odds_grid}, {"a", &s.ceiling_grid}, {"b", &s.safe_grid}};
    for (size_t i = 0; i < ARRAY_LEN(grids); i++) {
        const cJSON *grid = vectors_member(vectors_member(all, "grids"), grids[i].name);
        assert_int_equal(cJSON_GetArraySize(grid), (int)grids[i].grid->n);
        for (size_t k = 0; k < grids[i].grid->n; k++)
            vectors_compare("grids", grids[i].name, grids[i].grid->at[k],
                            cJSON_GetArrayItem(grid, (int)k)->valuedouble);
    }
    for (int k = 0; k < JUDGE_LATENCY_MAX; k++) {
        const cJSON *weights = vectors_member(defaults, "w_lat"),
                    *q = vectors_member(defaults, "q");
        assert_true(s.latency.weight[k] == cJSON_GetArrayItem(weights, k)->valuedouble);
        assert_true(s.latency.quantile[k] == cJSON_GetArrayItem(q, k)->valuedouble);
    }
    cJSON_Delete(all);
    struct why why = {""};
    assert_int_equal(judge_settings_check(&s, &why), OK);
}

static void test_from_the_default_plan(void **state)
{
    (void)state;
    struct plan plan;
    struct judge_settings s;
    struct why why;
    plan_default(&plan);
    assert_int_equal(judge_settings_from_plan(&s, &plan, &why), OK);
    static const uint32_t weights_bp[] = {100, 500, 1000, 2500, 5000, 9900, 10000};
    assert_int_equal(s.n_stages, ARRAY_LEN(weights_bp));
    for (size_t i = 0; i < ARRAY_LEN(weights_bp); i++)
        assert_int_equal(s.stages[i].weight_bp, weights_bp[i]);
    assert_int_equal(judge_settings_bake(&s), 5);
    assert_true(s.stages[4].hold_s == 60 && s.stages[4].max_hold_s == 600);
    assert_true(s.stages[5].hold_s == 300 && s.stages[5].max_hold_s == 600);
    assert_true(s.stages[0].min_requests == 50 && s.no_data_requests == 5);
    assert_true(s.errors.enabled && s.client_errors.enabled && s.ceiling.enabled &&
                s.latency.enabled);
}

static void test_what_a_plan_switches_off(void **state)
{
    (void)state;
    struct plan plan;
    struct judge_settings s;
    struct why why;
    plan_default(&plan);
    plan.client_errors_judged = plan.latency_judged = false;
    plan.errors_ceiling = 0;
    assert_int_equal(judge_settings_from_plan(&s, &plan, &why), OK);
    assert_true(s.errors.enabled);
    assert_false(s.client_errors.enabled || s.ceiling.enabled || s.latency.enabled);
    assert_true(s.ceiling.ceiling == 0.01); /* still tells an incident of stable */
}

static void test_from_a_plan_of_its_own(void **state)
{
    (void)state;
    struct plan plan;
    struct judge_settings s;
    struct why why;
    plan_default(&plan);
    plan.n_steps = 2; /* no 100 % at the end: it is reached all the same */
    plan.steps[0] = (struct plan_step){.weight_bp = 2000, .hold_ms = 1500, .min_requests = 7};
    plan.steps[1] = (struct plan_step){.weight_bp = 4000, .hold_ms = 900000, .min_requests = -1};
    plan.false_abort = 0.05;
    plan.harm_budget = 0.01;
    plan.on_low_evidence = LOW_EVIDENCE_PAUSE;
    plan.errors = (struct plan_check){0.2, 0.001};
    plan.n_quantiles = 1;
    plan.quantiles[0] = 0.95;
    assert_int_equal(judge_settings_from_plan(&s, &plan, &why), OK);
    assert_int_equal(s.n_stages, 4);
    assert_true(s.stages[0].hold_s == 1.5 && s.stages[0].min_requests == 7);
    assert_true(s.stages[1].hold_s == 900 && s.stages[1].max_hold_s == 900);
    assert_int_equal(s.stages[2].weight_bp, 9900);
    assert_int_equal(s.stages[3].weight_bp, 10000);
    assert_true(s.alpha == 0.05 && s.harm_budget == 0.01);
    assert_true(s.errors.margin == 0.2 && s.errors.margin_absolute == 0.001);
    assert_int_equal(s.on_low_evidence, LOW_EVIDENCE_PAUSE);
    assert_true(s.latency.n == 1 && s.latency.quantile[0] == 0.95);
    assert_true(fabs(s.latency.weight[0] - 0.4) < 1e-15);
    assert_true(fabs(judge_settings_excess(&s, 0) - 0.01 / 0.4) < 1e-15);
}

static void test_excess(void **state)
{
    (void)state;
    struct judge_settings s;
    judge_settings_default(&s);
    assert_true(fabs(judge_settings_excess(&s, 0) - 0.02) < 1e-15);  /* 0.1 % spread over 5 % */
    assert_true(fabs(judge_settings_excess(&s, 4) - 0.001) < 1e-15); /* over 100 % */
    s.errors.margin_absolute = 0.01;
    assert_true(fabs(judge_settings_excess(&s, 4) - 0.02) < 1e-15); /* twice the margin */
    s.harm_budget = 0.9;
    assert_true(judge_settings_excess(&s, 0) == 1);
}

/* Any plan that plan_check lets through must be judged. */
static void test_extreme_plans(void **state)
{
    (void)state;
    struct plan plan;
    struct judge_settings s;
    struct why why = {""};
    plan_default(&plan);
    plan.hold_ms = 0;
    plan.bake_ms = 0;
    plan.max_hold_ms = 1;
    plan.min_requests = 0;
    plan.false_abort = 0.5;
    plan.harm_budget = 1;
    plan.errors = (struct plan_check){100, 1};
    plan.client_errors = (struct plan_check){0, 0};
    plan.errors_ceiling = 1;
    plan.quantiles[0] = 1e-9;
    plan.quantiles[2] = 0.999999999;
    assert_int_equal(plan_check(&plan, &why), OK);
    assert_int_equal(judge_settings_from_plan(&s, &plan, &why), OK);
    plan_default(&plan);
    plan.n_steps = PLAN_STEPS_MAX;
    for (size_t i = 0; i < PLAN_STEPS_MAX; i++)
        plan.steps[i] = (struct plan_step){(uint32_t)i + 1, -1, -1, false};
    assert_int_equal(plan_check(&plan, &why), OK);
    assert_int_equal(judge_settings_from_plan(&s, &plan, &why), OK);
    assert_int_equal(s.n_stages, JUDGE_STAGES_MAX);
}

static void test_refuses(void **state)
{
    (void)state;
    struct judge_settings good, s;
    judge_settings_default(&good);
    const struct {
        double *field;
        double value;
        const char *says;
    } rows[] = {
        {&s.alpha, 0, "false_abort"},
        {&s.alpha, NAN, "false_abort"},
        {&s.beta, 1, "beta"},
        {&s.harm_budget, -1, "harm_budget"},
        {&s.cap, INFINITY, "cap"},
        {&s.mass0, 0, "mass0"},
        {&s.mass0, 1.5, "mass0"},
        {&s.epoch_s, 0, "epoch"},
        {&s.errors.margin, -0.1, "checks.errors.margin"},
        {&s.errors.margin_absolute, 1.1, "checks.errors.margin_absolute"},
        {&s.errors.weight, 0.9, "weights of the checks"},
        {&s.errors.weight, 0, "checks.errors.weight"},
        {&s.ceiling.ceiling, 0, "checks.errors.ceiling"},
        {&s.latency.quantile[1], 1, "latency quantile"},
        {&s.latency.weight[2], NAN, "latency weight"},
        {&s.incident.slow_s, 0, "incident slow"},
        {&s.ratio_grid.at[0], 1, "grid of ratios[0]"},
        {&s.ratio_grid.at[7], 1e9, "grid of ratios[7]"},
        {&s.odds_grid.at[2], NAN, "grid of odds[2]"},
        {&s.ceiling_grid.at[0], 0, "grid of ceiling bets[0]"},
        {&s.safe_grid.at[6], 1, "grid of bets on safety[6]"},
        {&s.stages[3].hold_s, -1, "hold"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct why why = {""};
        s = good;
        *rows[i].field = rows[i].value;
        assert_int_equal(judge_settings_check(&s, &why), ERR_INVALID);
        if (!strstr(why.text, rows[i].says))
            fail_msg("\"%s\" does not say \"%s\"", why.text, rows[i].says);
    }
    s = good;
    s.n_stages = 0;
    assert_int_equal(judge_settings_check(&s, NULL), ERR_INVALID);
    s = good;
    s.stages[2].weight_bp = 0;
    assert_int_equal(judge_settings_check(&s, NULL), ERR_INVALID);
    s = good;
    s.ratio_grid.n = EVIDENCE_GRID_MAX + 1;
    assert_int_equal(judge_settings_check(&s, NULL), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_are_the_vectors),
        cmocka_unit_test(test_from_the_default_plan),
        cmocka_unit_test(test_what_a_plan_switches_off),
        cmocka_unit_test(test_from_a_plan_of_its_own),
        cmocka_unit_test(test_excess),
        cmocka_unit_test(test_extreme_plans),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
