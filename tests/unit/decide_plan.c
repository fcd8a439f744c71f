/* Plans: the defaults of the file, every rule that refuses one, and the plan's JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/decide/plan_json.h"
#include "rollout/decide/words.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static void test_defaults(void **state)
{
    (void)state;
    static const uint32_t weights_bp[] = {100, 500, 1000, 2500, 5000, 10000};
    struct plan p;
    struct why why = {""};
    plan_default(&p);
    assert_int_equal(plan_check(&p, &why), OK);
    assert_int_equal(p.n_steps, ARRAY_LEN(weights_bp));
    for (size_t i = 0; i < p.n_steps; i++)
        assert_int_equal(p.steps[i].weight_bp, weights_bp[i]);
    assert_false(p.start_auto);
    assert_int_equal(p.hold_ms, 60000);
    assert_int_equal(p.max_hold_ms, 600000);
    assert_int_equal(p.min_requests, 50);
    assert_int_equal(p.on_low_evidence, LOW_EVIDENCE_ADVANCE);
    assert_int_equal(p.bake_ms, 300000);
    assert_int_equal(p.bake_weight_bp, 9900);
    assert_int_equal(p.progress_deadline_ms, 600000);
    assert_int_equal(p.max_pause_ms, 86400000);
    assert_true(fabs(p.false_abort - 0.01) < 1e-12 && fabs(p.harm_budget - 0.001) < 1e-12);
    assert_int_equal(p.n_quantiles, 3);
}

static void test_stages(void **state)
{
    (void)state;
    struct plan p;
    plan_default(&p);
    assert_int_equal(plan_judged_steps(&p), 5); /* 100 % is where it goes, not a step */
    assert_int_equal(plan_stage_weight_bp(&p, 4), 5000);
    assert_int_equal(plan_stage_weight_bp(&p, 5), 9900);
    assert_int_equal(plan_stage_hold_ms(&p, 0), 60000);
    assert_int_equal(plan_stage_hold_ms(&p, 5), 300000);
    assert_int_equal(plan_stage_min_requests(&p, 5), 50);
    p.n_steps = 5;
    assert_int_equal(plan_judged_steps(&p), 5); /* a list that does not end in 100 % */
    p.steps[1].hold_ms = 7000;
    p.steps[1].min_requests = 0;
    assert_int_equal(plan_stage_hold_ms(&p, 1), 7000);
    assert_int_equal(plan_stage_min_requests(&p, 1), 0);
    p.n_steps = 1;
    p.steps[0].weight_bp = 10000;
    assert_int_equal(plan_judged_steps(&p), 0); /* straight to the bake */
    assert_int_equal(plan_stage_weight_bp(&p, 0), 9900);
}

static void test_a_step_without_users(void **state)
{
    (void)state;
    struct plan p;
    struct why why;
    plan_default(&p); /* 1% 5% 10% 25% 50% 100% */
    assert_false(plan_begins_with_mirror(&p));
    assert_int_equal(plan_least_weight_bp(&p), 100);
    p.steps[0].weight_bp = 0;
    assert_int_equal(plan_check(&p, &why), OK);
    assert_true(plan_begins_with_mirror(&p));
    assert_int_equal(plan_least_weight_bp(&p), 500);
    plan_couple(&p, 4); /* nobody is sent to its pod */
    assert_int_equal(p.steps[0].weight_bp, 0);
    assert_int_equal(p.steps[1].weight_bp, 2500);
    p.n_steps = 1;
    assert_int_equal(plan_check(&p, &why), OK);
    assert_int_equal(plan_least_weight_bp(&p), p.bake_weight_bp);
}

static void test_the_way_back(void **state)
{
    (void)state;
    struct plan p;
    struct why why;
    plan_default(&p);
    assert_int_equal(plan_abort_weight_bp(&p, 5000), 0);
    p.n_abort_steps = 3;
    p.abort_steps[0] = 0.29; /* no binary fraction */
    p.abort_steps[1] = 0.1;
    p.abort_steps[2] = 0;
    assert_int_equal(plan_check(&p, &why), OK);
    assert_int_equal(plan_abort_weight_bp(&p, 5000), 2900);
    assert_int_equal(plan_abort_weight_bp(&p, 2900), 1000);
    assert_int_equal(plan_abort_weight_bp(&p, 1000), 0);
    assert_int_equal(plan_abort_weight_bp(&p, 100), 0);
    assert_true(plan_is_abort_step(&p, 2900) && !plan_is_abort_step(&p, 5000));
}

static void test_doubled_holds(void **state)
{
    (void)state;
    struct plan p;
    struct why why;
    plan_default(&p);
    p.hold_ms = 400000;
    p.steps[2].hold_ms = 5000;
    plan_double_holds(&p);
    assert_int_equal(p.hold_ms, 800000);
    assert_int_equal(p.max_hold_ms, 800000); /* never under hold */
    assert_int_equal(p.steps[2].hold_ms, 10000);
    assert_int_equal(p.steps[1].hold_ms, -1);
    p.hold_ms = p.max_hold_ms = INT64_C(364) * 86400000;
    plan_double_holds(&p);
    assert_int_equal(plan_check(&p, &why), OK);
}

#define REFUSE(name, change)                                                                       \
    static void name(struct plan *p)                                                               \
    {                                                                                              \
        change;                                                                                    \
    }

REFUSE(no_steps, p->n_steps = 0)
REFUSE(many_steps, p->n_steps = PLAN_STEPS_MAX + 1)
REFUSE(zero_weight, p->steps[1].weight_bp = 0)
REFUSE(above_full, p->steps[5].weight_bp = 12000)
REFUSE(not_rising, p->steps[2].weight_bp = 500)
REFUSE(step_hold, p->steps[2].hold_ms = INT64_MAX)
REFUSE(step_requests, p->steps[2].min_requests = INT64_MAX)
REFUSE(hold_negative, p->hold_ms = -1)
REFUSE(hold_over_max, p->hold_ms = 600001)
REFUSE(max_hold_zero, (p->hold_ms = 0, p->max_hold_ms = 0))
REFUSE(requests_negative, p->min_requests = -1)
REFUSE(abort_rises, (p->abort_steps[0] = 0.1, p->abort_steps[1] = 0.1, p->n_abort_steps = 2))
REFUSE(abort_stays, (p->abort_steps[0] = 0.1, p->n_abort_steps = 1))
REFUSE(abort_nan, (p->abort_steps[0] = NAN, p->n_abort_steps = 1))
REFUSE(abort_many, p->n_abort_steps = PLAN_ABORT_STEPS_MAX + 1)
REFUSE(abort_coupled, (p->n_abort_steps = 1, p->replicas_mode = PLAN_REPLICAS_COUPLED))
REFUSE(bake_negative, p->bake_ms = -1)
REFUSE(bake_full, p->bake_weight_bp = 10000)
REFUSE(bake_none, p->bake_weight_bp = 0)
REFUSE(bake_low, p->bake_weight_bp = 4999)
REFUSE(deadline_zero, p->progress_deadline_ms = 0)
REFUSE(pause_zero, p->max_pause_ms = 0)
REFUSE(pause_endless, p->max_pause_ms = INT64_MAX)
REFUSE(alpha_zero, p->false_abort = 0)
REFUSE(alpha_nan, p->false_abort = NAN)
REFUSE(alpha_big, p->false_abort = 0.6)
REFUSE(harm_zero, p->harm_budget = 0)
REFUSE(margin_negative, p->errors.margin = -0.1)
REFUSE(absolute_big, p->errors.margin_absolute = 1.5)
REFUSE(ceiling_negative, p->errors_ceiling = -0.01)
REFUSE(client_margin, p->client_errors.margin = NAN)
REFUSE(latency_margin, p->latency_margin = -1)
REFUSE(no_quantiles, p->n_quantiles = 0)
REFUSE(quantile_full, p->quantiles[2] = 1)
REFUSE(quantile_falls, p->quantiles[1] = 0.4)
REFUSE(no_mode, p->replicas_mode = PLAN_REPLICAS_MODES)
REFUSE(surge_share, p->surge = ((struct plan_amount){true, 10001}))
REFUSE(surge_count, p->surge = ((struct plan_amount){false, 10001}))
REFUSE(unavailable_share, p->unavailable = ((struct plan_amount){true, 20000}))
REFUSE(nothing_may_move, p->surge.value = 0)
REFUSE(headroom_small, p->headroom = 0.99)
REFUSE(headroom_nan, p->headroom = NAN)

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        void (*change)(struct plan *p);
        const char *names; /* the sentence begins with it */
    } rows[] = {
        {no_steps, "steps: "},
        {many_steps, "steps: "},
        {zero_weight, "steps[1].weight: 0% is allowed only as the first, with a mirror"},
        {above_full, "steps[5].weight: 120%"},
        {not_rising, "steps[2].weight: 5%"},
        {step_hold, "steps[2].hold: "},
        {step_requests, "steps[2].min_requests: "},
        {hold_negative, "hold: "},
        {hold_over_max, "max_hold: "},
        {max_hold_zero, "max_hold: "},
        {requests_negative, "min_requests: "},
        {bake_negative, "bake: "},
        {abort_rises, "abort_steps[1]: 10% does not fall below 10%"},
        {abort_stays, "abort_steps[0]: 10% is the last one (expected 0%)"},
        {abort_nan, "abort_steps[0]: "},
        {abort_many, "abort_steps: 17 are too many"},
        {abort_coupled, "abort_steps: not with replicas.mode coupled"},
        {bake_full, "bake_weight: 100%"},
        {bake_none, "bake_weight: 0%"},
        {bake_low, "bake_weight: 49.99%"},
        {deadline_zero, "progress_deadline: "},
        {pause_zero, "max_pause: "},
        {pause_endless, "max_pause: "},
        {alpha_zero, "false_abort: "},
        {alpha_nan, "false_abort: "},
        {alpha_big, "false_abort: "},
        {harm_zero, "harm_budget: "},
        {margin_negative, "checks.errors.margin: "},
        {absolute_big, "checks.errors.margin_absolute: "},
        {ceiling_negative, "checks.errors.ceiling: "},
        {client_margin, "checks.client_errors.margin: "},
        {latency_margin, "checks.latency.margin: "},
        {no_quantiles, "checks.latency.quantiles: "},
        {quantile_full, "checks.latency.quantiles[2]: "},
        {quantile_falls, "checks.latency.quantiles[1]: "},
        {no_mode, "replicas.mode: "},
        {surge_share, "replicas.max_surge: 100.01% is above 100%"},
        {surge_count, "replicas.max_surge: 10001 is above 10000"},
        {unavailable_share, "replicas.max_unavailable: 200%"},
        {nothing_may_move, "replicas.max_surge: 0 beside max_unavailable 0"},
        {headroom_small, "replicas.headroom: 99%"},
        {headroom_nan, "replicas.headroom: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct plan p;
        struct why why = {""};
        plan_default(&p);
        rows[i].change(&p);
        if (plan_check(&p, &why) != ERR_INVALID ||
            strncmp(why.text, rows[i].names, strlen(rows[i].names)) != 0)
            fail_msg("want %s, got \"%s\"", rows[i].names, why.text);
    }
}

static void test_json_round(void **state)
{
    (void)state;
    struct plan p, back;
    struct why why = {""};
    plan_default(&p);
    p.start_auto = true;
    p.steps[1] =
        (struct plan_step){.weight_bp = 500, .hold_ms = 9, .min_requests = 8, .pause = true};
    p.on_low_evidence = LOW_EVIDENCE_ABORT;
    p.on_failure = ON_FAILURE_PAUSE;
    p.on_new_version = ON_NEW_VERSION_REFUSE;
    p.false_abort = 0.012345678901234567;
    p.replicas_mode = PLAN_REPLICAS_CAPACITY;
    p.surge = (struct plan_amount){true, 2500};
    p.unavailable = (struct plan_amount){false, 2};
    p.headroom = 1.5;
    p.n_abort_steps = 2;
    p.abort_steps[0] = 0.1;
    p.abort_steps[1] = 0;
    cJSON *json = cJSON_CreateObject(), *again = cJSON_CreateObject();
    assert_int_equal(plan_to_json(&p, json), OK);
    assert_int_equal(plan_from_json(&back, json, &why), OK);
    assert_int_equal(plan_to_json(&back, again), OK);
    assert_true(cJSON_Compare(json, again, true));
    assert_true(back.steps[1].pause && back.steps[1].hold_ms == 9);
    assert_true(back.on_failure == ON_FAILURE_PAUSE && back.on_low_evidence == LOW_EVIDENCE_ABORT);
    assert_int_equal(back.replicas_mode, PLAN_REPLICAS_CAPACITY);
    assert_true(back.surge.is_share && back.surge.value == 2500);
    assert_true(!back.unavailable.is_share && back.unavailable.value == 2 && back.headroom == 1.5);
    assert_memory_equal(&p.false_abort, &back.false_abort, sizeof p.false_abort);

    /* a plan that would be refused in the file is refused in a record */
    cJSON_SetNumberValue(cJSON_GetObjectItem(json, "bake_weight_bp"), 10000);
    assert_int_equal(plan_from_json(&back, json, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "plan.bake_weight"));
    cJSON_Delete(json);
    cJSON_Delete(again);
}

/* A record that was written before there were abort_steps, or replicas, has none of their members. */
static void test_json_without_replicas(void **state)
{
    (void)state;
    struct plan p, back;
    struct why why = {""};
    plan_default(&p);
    cJSON *json = cJSON_CreateObject();
    assert_int_equal(plan_to_json(&p, json), OK);
    cJSON_DeleteItemFromObject(json, "abort_steps");
    assert_int_equal(plan_from_json(&back, json, &why), OK);
    assert_int_equal(back.n_abort_steps, 0);
    cJSON_DeleteItemFromObject(json, "replicas");
    assert_int_equal(plan_from_json(&back, json, &why), OK);
    assert_int_equal(back.replicas_mode, PLAN_REPLICAS_MATCH_WEIGHT);
    assert_true(!back.surge.is_share && back.surge.value == 1);
    assert_true(!back.unavailable.is_share && back.unavailable.value == 0);
    assert_true(back.headroom == p.headroom);
    assert_non_null(cJSON_AddStringToObject(json, "replicas", "x"));
    assert_int_equal(plan_from_json(&back, json, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "plan.replicas."));
    cJSON_Delete(json);
}

static void test_words(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ROLLOUT_VERB_COUNT; i++) {
        enum rollout_verb verb;
        assert_true(rollout_verb_parse(rollout_verb_name(i), &verb));
        assert_int_equal(verb, i);
    }
    enum rollout_verb verb;
    assert_false(rollout_verb_parse("", &verb));
    assert_false(rollout_verb_parse("Start", &verb));
    assert_null(rollout_verb_name(ROLLOUT_VERB_COUNT));
    assert_string_equal(rollout_phase_name(ROLLOUT_PHASE_DEGRADED), "Degraded");
    assert_string_equal(rollout_result_name(ROLLOUT_RESULT_REVERTED), "reverted");
}

static void couple(struct plan *p, int n, uint32_t surge, const uint32_t *want_bp, size_t n_want,
                   uint32_t bake_bp)
{
    struct why why;
    p->surge.value = surge;
    p->unavailable.value = !surge;
    plan_couple(p, n);
    assert_int_equal(p->n_steps, n_want);
    for (size_t i = 0; i < n_want; i++)
        assert_int_equal(p->steps[i].weight_bp, want_bp[i]);
    assert_int_equal(p->bake_weight_bp, bake_bp);
    assert_int_equal(plan_check(p, &why), OK);
}

static void test_coupled_weights_are_shares_of_pods(void **state)
{
    (void)state;
    struct plan p;
    plan_default(&p); /* 1% 5% 10% 25% 50% 100% */
    p.steps[2].pause = true;
    couple(&p, 4, 1, (const uint32_t[]){2500, 5000}, 2, 8000);
    assert_false(p.steps[0].pause); /* 25 % is later than 10 % */
    plan_default(&p);
    couple(&p, 3, 0, (const uint32_t[]){3333}, 1, 6667); /* two of three is the bake */
    plan_default(&p);
    couple(&p, 10, 1, (const uint32_t[]){1000, 3000, 5000}, 3, 9091);
    plan_default(&p);
    couple(&p, 1, 1, (const uint32_t[]){5000}, 1, 5000); /* one beside one */
    plan_default(&p);
    p.n_steps = 1;
    p.steps[0].weight_bp = 10000;
    couple(&p, 4, 1, (const uint32_t[]){10000}, 1, 9900); /* nothing is judged before the bake */
}

static void test_the_step_that_a_weight_has_reached(void **state)
{
    (void)state;
    struct plan p;
    plan_default(&p);
    assert_int_equal(plan_step_below(&p, 0), 0);
    assert_int_equal(plan_step_below(&p, 499), 0);
    assert_int_equal(plan_step_below(&p, 500), 1);
    assert_int_equal(plan_step_below(&p, 2000), 2);
    assert_int_equal(plan_step_below(&p, 10000), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_coupled_weights_are_shares_of_pods),
        cmocka_unit_test(test_the_step_that_a_weight_has_reached),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_a_step_without_users),
        cmocka_unit_test(test_the_way_back),
        cmocka_unit_test(test_doubled_holds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_json_round),
        cmocka_unit_test(test_json_without_replicas),
        cmocka_unit_test(test_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
