/* The judge's sentences about what it still takes: word for word.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_why.h"
#include "base/check.h"
#include "decide_vectors.h"

struct run {
    struct judge judge;
    struct judge_input in;
    struct judge_decision out;
};

static void start(struct run *run, unsigned stage, enum plan_low_evidence rule)
{
    struct plan plan;
    struct judge_settings settings;
    struct why why;
    plan_default(&plan);
    plan.on_low_evidence = rule;
    assert_int_equal(judge_settings_from_plan(&settings, &plan, &why), OK);
    memset(run, 0, sizeof *run);
    judge_start(&run->judge, &settings, false, NULL);
    run->in.elapsed_s = 1;
    run->in.stage = stage;
    run->in.weight_bp = settings.stages[stage].weight_bp;
}

/* Requests a minute of both versions, and how many of them fail. */
struct traffic {
    unsigned canary, canary_failed, stable, stable_failed;
};

static void pass(struct run *run, unsigned seconds, struct traffic traffic)
{
    for (unsigned i = 0; i < seconds; i++) {
        run->in.t_ms += 1000;
        run->in.stage_t_ms += 1000;
        uint64_t t = (uint64_t)run->in.stage_t_ms / 1000;
        run->in.canary.requests = t * traffic.canary / 60;
        run->in.canary.failed = t * traffic.canary_failed / 60;
        run->in.stable.requests = t * traffic.stable / 60;
        run->in.stable.failed = t * traffic.stable_failed / 60;
        judge_tick(&run->judge, &run->in, &run->out);
    }
}

static void test_what_proof_takes(void **state)
{
    (void)state;
    static const struct {
        unsigned stage, seconds;
        struct traffic traffic;
        enum plan_low_evidence rule;
        const char *why;
    } rows[] = {
        /* on time, without proof */
        {0,
         600,
         {6, 0, 600, 0},
         LOW_EVIDENCE_ADVANCE,
         "low evidence after 600 s at 1%: canary failed 0 of 60 requests (0%), stable 0 of 6000 "
         "(0%); an excess of up to 9.98 points is still possible; proof takes about 190 more "
         "canary requests, 31 min at 6 a minute; it advances on time"},
        {2,
         700,
         {57, 0, 513, 0},
         LOW_EVIDENCE_HOLD,
         "low evidence after 700 s at 10%: canary failed 0 of 665 requests (0%), stable 0 of 5985 "
         "(0%); an excess of up to 1.12 points is still possible; proof takes about 550 more "
         "canary requests, 10 min at 57 a minute; it holds"},
        {4,
         800,
         {3, 0, 3, 0},
         LOW_EVIDENCE_PAUSE,
         "low evidence after 800 s at 50%: canary failed 0 of 40 requests (0%), stable 0 of 40 "
         "(0%); an excess of up to 14.2 points is still possible; proof takes about 4800 more "
         "canary requests, 26 h at 3 a minute; the plan says pause"},
        /* no number of requests proves it, when one side is small and both fail often */
        {5,
         700,
         {5940, 594, 60, 6},
         LOW_EVIDENCE_ABORT,
         "low evidence after 700 s at 99%: canary failed 6930 of 69300 requests (10%), stable 70 "
         "of 700 (10%); an excess of up to 4.26 points is still possible; proof is out of reach "
         "while stable fails this often; the plan says abort"},
        /* still waiting: for requests, for proof; before the hold is over nothing is said */
        {0,
         100,
         {6, 0, 600, 0},
         LOW_EVIDENCE_ADVANCE,
         "waiting for requests at 1% (10 of 50): canary failed 0 of 10 requests (0%), stable 0 of "
         "1000 (0%); evidence to widen 1.1:1 (needs 20:1), against 0.96:1 (reverts at 100:1); "
         "proof "
         "takes about 240 more canary requests, 39 min at 6 a minute"},
        {4,
         70,
         {3000, 3, 3000, 3},
         LOW_EVIDENCE_ADVANCE,
         "waiting for proof at 50%: canary failed 3 of 3500 requests (0.086%), stable 3 of 3500 "
         "(0.086%); evidence to widen 1.4:1 (needs 20:1), against 0.62:1 (reverts at 100:1); proof "
         "takes about 13000 more canary requests, 4 min at 50 a second"},
        {0,
         59,
         {6, 0, 600, 0},
         LOW_EVIDENCE_ADVANCE,
         "59 of 60 s at 1%: canary failed 0 of 5 requests (0%), stable 0 of 590 (0%); evidence "
         "to widen 1:1 (needs 20:1), against 0.98:1 (reverts at 100:1)"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct run run;
        start(&run, rows[i].stage, rows[i].rule);
        pass(&run, rows[i].seconds, rows[i].traffic);
        assert_string_equal(run.out.why, rows[i].why);
        assert_true(strlen(run.out.why) < JUDGE_WHY_MAX - 1);
    }
}

/* min_requests that the proof does not need are asked for all the same. */
static void test_the_plan_may_ask_for_more(void **state)
{
    (void)state;
    struct run run;
    start(&run, 0, LOW_EVIDENCE_ADVANCE);
    run.judge.settings.stages[0].min_requests = 5000;
    pass(&run, 120, (struct traffic){600, 0, 59400, 0});
    if (!strstr(run.out.why, "waiting for requests at 1% (1200 of 5000)") ||
        !strstr(run.out.why, "; proof takes about 3800 more canary requests, 6 min at 10 a second"))
        fail_msg("%s", run.out.why);
}

static void test_no_data(void **state)
{
    (void)state;
    struct run run;
    start(&run, 0, LOW_EVIDENCE_ADVANCE);
    run.in.canary.requests = 2;
    run.in.stable.requests = 500;
    run.in.stage_t_ms = 86400000;
    judge_tick(&run.judge, &run.in, &run.out);
    assert_string_equal(run.out.why,
                        "no data: 2 canary requests in 24.0 h at 1%; below 5 it neither widens nor "
                        "reverts; proof takes about 250 more canary requests, 121 days at 2 a day");
}

/* The number that is told is the number that it takes, at every moment of a wait. */
static void test_the_promise_is_kept(void **state)
{
    (void)state;
    struct run run;
    struct traffic traffic = {60, 0, 540, 0};
    start(&run, 2, LOW_EVIDENCE_HOLD);
    pass(&run, 60, traffic);
    while (run.out.verdict != JUDGE_PROMOTE) {
        const char *told = strstr(run.out.why, "proof takes about ");
        assert_non_null(told);
        double more = strtod(told + strlen("proof takes about "), NULL);
        uint64_t then = run.out.stage_requests;
        struct run ahead = run;
        pass(&ahead, (unsigned)more, traffic);
        assert_int_equal(ahead.out.verdict, JUDGE_PROMOTE);
        pass(&run, 97, traffic);
        if (run.out.verdict == JUDGE_PROMOTE)
            assert_true(more <= (double)(run.out.stage_requests - then) * 1.1 + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_proof_takes),
        cmocka_unit_test(test_the_plan_may_ask_for_more),
        cmocka_unit_test(test_no_data),
        cmocka_unit_test(test_the_promise_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
