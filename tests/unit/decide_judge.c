/* The judge: the worked examples tick by tick, its guards, and its sentences.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge.h"
#include "base/check.h"
#include "decide_vectors.h"
#include "rollout/decide/judge_protocol.h"

static struct judge_protocol protocol;

static cJSON *ask(const cJSON *message)
{
    char reply[JUDGE_REPLY_MAX];
    struct why why = {""};
    char *line = cJSON_PrintUnformatted(message);
    assert_non_null(line);
    if (judge_protocol_line(&protocol, slice_str(line), reply, &why) != OK)
        fail_msg("%s: %s", line, why.text);
    free(line);
    return cJSON_Parse(reply);
}

static void vector_start(const cJSON *in)
{
    static const char *const names[] = {"stages", "config", "sticky", "baseline"};
    cJSON *message = cJSON_CreateObject();
    assert_non_null(cJSON_AddStringToObject(message, "op", "start"));
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_true(cJSON_AddItemToObject(message, names[i],
                                          cJSON_Duplicate(vectors_member(in, names[i]), true)));
    cJSON *reply = ask(message);
    assert_true(cJSON_IsTrue(vectors_member(reply, "ok")));
    cJSON_Delete(reply);
    cJSON_Delete(message);
}

static void check_final(const char *id, const cJSON *final)
{
    static const char *const names[JUDGE_PROCESS_COUNT] = {"fail", "c4",   "abs", "rel",
                                                           "lat0", "lat1", "lat2"};
    const struct judge *j = &protocol.judge;
    for (unsigned i = 0; i < JUDGE_PROCESS_COUNT; i++) {
        size_t n = i >= JUDGE_PROCESS_LATENCY ? j->settings.odds_grid.n : j->settings.ratio_grid.n;
        vectors_compare(id, names[i], evidence_log(&j->evidence[i], n),
                        vectors_number(final, names[i]));
    }
}

static void check_judge(const char *id, const cJSON *in, const cJSON *want)
{
    const cJSON *log_e = vectors_member(want, "loge")->child;
    const cJSON *log_f = vectors_member(want, "logf")->child;
    const cJSON *verdict = vectors_member(want, "d")->child;
    const cJSON *tick;
    vector_start(in);
    cJSON_ArrayForEach(tick, vectors_member(in, "ticks"))
    {
        cJSON *reply = ask(tick);
        vectors_compare(id, "loge", vectors_number(reply, "loge"), log_e->valuedouble);
        vectors_compare(id, "logf", vectors_number(reply, "logf"), log_f->valuedouble);
        assert_string_equal(vectors_member(reply, "d")->valuestring, verdict->valuestring);
        assert_true(strlen(vectors_member(reply, "why")->valuestring) > 20);
        cJSON_Delete(reply);
        log_e = log_e->next, log_f = log_f->next, verdict = verdict->next;
    }
    assert_null(verdict);
    assert_null(log_e);
    assert_null(log_f);
    check_final(id, vectors_member(want, "final_e"));
}

static void test_vectors(void **state)
{
    (void)state;
    judge_protocol_init(&protocol, NULL);
    vectors_each("judge", 14, check_judge);
}

/* The judge as the product feeds it: errors only, cumulative counts, one tick a second. */
struct run {
    struct judge judge;
    struct judge_input in;
    struct judge_decision out;
};

static void run_start(struct run *run, const struct judge_settings *settings)
{
    memset(run, 0, sizeof *run);
    run->in.elapsed_s = 1;
    judge_start(&run->judge, settings, false, NULL);
}

static void run_start_plan(struct run *run)
{
    struct plan plan;
    struct judge_settings settings;
    struct why why;
    plan_default(&plan);
    assert_int_equal(judge_settings_from_plan(&settings, &plan, &why), OK);
    run_start(run, &settings);
}

static enum judge_verdict run_tick(struct run *run, uint64_t canary, uint64_t canary_failed,
                                   uint64_t stable, uint64_t stable_failed)
{
    run->in.t_ms += 1000;
    run->in.stage_t_ms += 1000;
    unsigned at = run->out.verdict == JUDGE_BRAKE ? 0 : run->in.stage;
    run->in.weight_bp = run->judge.settings.stages[at].weight_bp;
    run->in.canary.requests += canary;
    run->in.canary.failed += canary_failed;
    run->in.stable.requests += stable;
    run->in.stable.failed += stable_failed;
    judge_tick(&run->judge, &run->in, &run->out);
    return run->out.verdict;
}

static void run_enter(struct run *run, unsigned stage)
{
    run->in.stage = stage;
    run->in.stage_t_ms = 0;
}

static void expect_why(const struct run *run, const char *part)
{
    if (!strstr(run->out.why, part))
        fail_msg("\"%s\" does not say \"%s\"", run->out.why, part);
}

static void test_revert(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    int ticks = 1;
    while (run_tick(&run, 10, 5, 990, 1) != JUDGE_REVERT)
        assert_true(++ticks < 10);
    assert_true(ticks >= 4); /* the cap: no shorter burst reverts */
    assert_true(run.out.log_evidence >= log(100) && run.out.log_revert_at == log(100));
    assert_string_equal(run.out.check, "errors");
    expect_why(&run, "canary failed 20 of 40 requests (50%), stable 4 of 3960 (0.1%), after 4 s "
                     "at 1%; difference +24.5 to +75 points; evidence 589");
    expect_why(&run, ":1 against being no worse than stable + 10% + 0.02 points (limit 100:1)");
}

static void test_an_outage_of_both_is_not_the_canarys(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    const struct judge_settings settings = run.judge.settings;
    judge_start(&run.judge, &settings, false, &(struct judge_baseline){600000, 600});
    for (int i = 0; i < 60; i++)
        (void)run_tick(&run, 100, 0, 900, 1);
    for (int i = 0; i < 60; i++)
        assert_int_not_equal(run_tick(&run, 100, 100, 900, 900), JUDGE_REVERT);
    assert_int_equal(run.out.verdict, JUDGE_HOLD);
    assert_true(run.out.incident && !run.out.suspicious);
    expect_why(&run, "the stable version itself is failing");
}

static void test_promote_on_proof(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    for (int i = 1; i < 60; i++)
        assert_int_equal(run_tick(&run, 50, 0, 950, 1), JUDGE_CONTINUE);
    expect_why(&run, "59 of 60 s at 1%: canary failed 0 of 2950 requests (0%)");
    assert_int_equal(run_tick(&run, 50, 0, 950, 1), JUDGE_PROMOTE);
    assert_false(run.out.low_evidence);
    expect_why(&run, "an excess of 2 points or more is ruled out");
    run_enter(&run, 1);
    assert_int_equal(run_tick(&run, 50, 0, 950, 1), JUDGE_CONTINUE);
    assert_true(run.out.stage_requests == 50 && run.out.log_safe < 1); /* proof begins anew */
}

static void test_min_requests_hold_back_the_proof(void **state)
{
    (void)state;
    struct run run;
    struct judge_settings settings;
    judge_settings_default(&settings);
    settings.stages[0].min_requests = 5000;
    run_start(&run, &settings);
    for (int i = 1; i <= 99; i++)
        assert_int_equal(run_tick(&run, 50, 0, 950, 1), JUDGE_CONTINUE);
    expect_why(&run, "waiting for requests at 1% (4950 of 5000)");
    assert_int_equal(run_tick(&run, 50, 0, 950, 1), JUDGE_PROMOTE);
}

static void test_low_evidence(void **state)
{
    (void)state;
    static const struct {
        enum plan_low_evidence rule;
        enum judge_verdict verdict;
        const char *says;
    } rows[] = {{LOW_EVIDENCE_ADVANCE, JUDGE_PROMOTE, "it advances on time"},
                {LOW_EVIDENCE_HOLD, JUDGE_HOLD, "it holds"},
                {LOW_EVIDENCE_PAUSE, JUDGE_HOLD, "the plan says pause"},
                {LOW_EVIDENCE_ABORT, JUDGE_HOLD, "the plan says abort"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct run run;
        struct judge_settings settings;
        judge_settings_default(&settings);
        settings.on_low_evidence = rows[i].rule;
        run_start(&run, &settings);
        for (int t = 1; t < 600; t++)
            assert_int_equal(run_tick(&run, t % 10 == 0, 0, 9, 0), JUDGE_CONTINUE);
        assert_int_equal(run_tick(&run, 1, 0, 9, 0), rows[i].verdict);
        assert_true(run.out.low_evidence && !run.out.no_data);
        expect_why(&run, "low evidence after 600 s at 1%: canary failed 0 of 60 requests (0%)");
        expect_why(&run, rows[i].says);
    }
}

static void test_no_data_never_widens(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    for (int t = 1; t < 1000; t++)
        (void)run_tick(&run, t <= 4, 0, 100, 0);
    assert_int_equal(run.out.verdict, JUDGE_HOLD);
    assert_true(run.out.no_data && !run.out.low_evidence);
    expect_why(&run, "no data: 4 canary requests");
    assert_int_equal(run_tick(&run, 1, 0, 100, 0), JUDGE_PROMOTE);
    assert_true(run.out.low_evidence);
}

static void test_brake_at_a_late_stage(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    run_enter(&run, 3);
    for (int t = 0; t < 50; t++)
        (void)run_tick(&run, 250, 0, 750, 1);
    assert_int_equal(run_tick(&run, 250, 100, 750, 1), JUDGE_BRAKE); /* within one tick */
    expect_why(&run, "sudden failures at 25%: canary failed 100 of 12750 requests (0.78%)");
    expect_why(&run, "; back to 1% for 29 s");
    for (int t = 0; t < 29; t++)
        assert_int_equal(run_tick(&run, 10, 0, 990, 1), JUDGE_BRAKE);
    expect_why(&run, "the brake is let go");
    assert_int_equal(run_tick(&run, 250, 0, 750, 1), JUDGE_CONTINUE);
}

/* Failures that go on under the brake: they are those of the stage, not of the brake's weight. */
static void test_revert_under_the_brake(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    run_enter(&run, 3);
    for (int t = 0; t < 20; t++)
        (void)run_tick(&run, 250, 0, 750, 1);
    assert_int_equal(run_tick(&run, 250, 100, 750, 1), JUDGE_BRAKE);
    int ticks = 1;
    while (run_tick(&run, 10, 9, 990, 1) != JUDGE_REVERT)
        assert_true(++ticks < 20);
    expect_why(&run, " s at 25%; difference");
}

static void test_no_brake_at_the_first_stage(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    assert_int_not_equal(run_tick(&run, 250, 250, 750, 0), JUDGE_BRAKE);
}

static void test_counters_that_began_before(void **state)
{
    (void)state;
    struct run fresh, old;
    run_start_plan(&fresh);
    run_start_plan(&old);
    old.in.canary = (struct judge_side){.requests = 5000, .failed = 4000};
    old.in.stable = (struct judge_side){.requests = 9000, .failed = 10};
    judge_rebase(&old.judge, &old.in.stable, &old.in.canary);
    for (int t = 0; t < 20; t++) {
        (void)run_tick(&fresh, 10, 1, 990, 2);
        (void)run_tick(&old, 10, 1, 990, 2);
        assert_true(fresh.out.log_evidence == old.out.log_evidence);
        assert_true(fresh.out.log_safe == old.out.log_safe);
    }
}

static void test_counters_that_were_reset(void **state)
{
    (void)state;
    struct run whole, reset;
    run_start_plan(&whole);
    run_start_plan(&reset);
    for (int t = 0; t < 20; t++) {
        if (t == 10) {
            reset.in.canary = (struct judge_side){0};
            reset.in.stable = (struct judge_side){0};
        }
        (void)run_tick(&whole, 10, t == 0 || t == 15, 990, 2);
        (void)run_tick(&reset, 10, t == 0 || t == 15, 990, 2);
        assert_true(whole.out.log_evidence == reset.out.log_evidence);
    }
}

static void test_disabled_checks_keep_their_weight(void **state)
{
    (void)state;
    struct run run;
    struct judge_settings settings;
    run_start_plan(&run);
    settings = run.judge.settings;
    settings.client_errors.enabled = settings.ceiling.enabled = settings.latency.enabled = false;
    run_start(&run, &settings);
    run.in.latency_known = true;
    for (int t = 0; t < 30; t++) {
        run.in.canary.client_errors += 10;
        run.in.canary.slow[0] += 10;
        (void)run_tick(&run, 10, 0, 990, 0);
    }
    for (unsigned check = JUDGE_CHECK_CLIENT_ERRORS; check < JUDGE_CHECK_COUNT; check++)
        assert_true(judge_check_log(&run.judge, check) == 0);
    double errors = exp(judge_check_log(&run.judge, JUDGE_CHECK_ERRORS));
    assert_true(fabs(exp(run.out.log_evidence) - (0.45 * errors + 0.55)) < 1e-12);
}

static void test_a_quiet_second_changes_nothing(void **state)
{
    (void)state;
    struct run run;
    run_start_plan(&run);
    for (int t = 0; t < 30; t++)
        assert_int_equal(run_tick(&run, 0, 0, 0, 0), JUDGE_CONTINUE);
    assert_true(fabs(run.out.log_evidence) < 1e-15 && fabs(run.out.log_safe) < 1e-15);
    expect_why(&run, "canary had no requests, stable had no requests");
}

/* Counts of every size, resets, clocks that jump, stages in any order: always a number, and never
 * more evidence in one tick than the cap allows. */
static void test_never_nan(void **state)
{
    (void)state;
    struct vectors_random random = {99};
    for (int round = 0; round < 60; round++) {
        struct run run;
        struct judge_settings settings;
        judge_settings_default(&settings);
        settings.latency.warmup_s = 0;
        struct judge_baseline baseline = {vectors_next(&random) >> 1, vectors_next(&random) >> 20};
        run_start(&run, &settings);
        judge_start(&run.judge, &settings, round % 2, round % 3 ? &baseline : NULL);
        run.in.latency_known = true;
        run.in.t_ms = 1; /* the end of the warm-up starts latency anew */
        judge_tick(&run.judge, &run.in, &run.out);
        double before = run.out.log_evidence;
        for (int t = 0; t < 300; t++) {
            uint64_t *counts = (uint64_t *)&run.in.stable;
            size_t n = (sizeof run.in.stable + sizeof run.in.canary) / sizeof *counts;
            for (size_t i = 0; i < n; i++)
                counts[i] = vectors_next(&random) % 4
                                ? counts[i] + vectors_next(&random) % 100
                                : vectors_next(&random) >> (vectors_next(&random) % 64);
            static const double elapsed_s[] = {1, 0, -5, 1e300, NAN, INFINITY};
            run.in.elapsed_s = elapsed_s[vectors_next(&random) % ARRAY_LEN(elapsed_s)];
            run.in.t_ms = (int64_t)(vectors_next(&random) >> (vectors_next(&random) % 64));
            run.in.stage = (unsigned)(vectors_next(&random) % settings.n_stages);
            run.in.stage_t_ms = (int64_t)(vectors_next(&random) >> 1);
            judge_tick(&run.judge, &run.in, &run.out);
            assert_true(isfinite(run.out.log_evidence) && isfinite(run.out.log_safe));
            assert_true(run.out.log_evidence <= before + settings.cap + 1e-9);
            before = run.out.log_evidence;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_revert),
        cmocka_unit_test(test_an_outage_of_both_is_not_the_canarys),
        cmocka_unit_test(test_promote_on_proof),
        cmocka_unit_test(test_min_requests_hold_back_the_proof),
        cmocka_unit_test(test_low_evidence),
        cmocka_unit_test(test_no_data_never_widens),
        cmocka_unit_test(test_brake_at_a_late_stage),
        cmocka_unit_test(test_revert_under_the_brake),
        cmocka_unit_test(test_no_brake_at_the_first_stage),
        cmocka_unit_test(test_counters_that_began_before),
        cmocka_unit_test(test_counters_that_were_reset),
        cmocka_unit_test(test_disabled_checks_keep_their_weight),
        cmocka_unit_test(test_a_quiet_second_changes_nothing),
        cmocka_unit_test(test_never_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
