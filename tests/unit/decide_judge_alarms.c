/* False alarms and misses of the judge, measured on simulated rollouts with fixed seeds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge.h"
#include "base/check.h"
#include "decide_vectors.h"

/* A world: constant failure probabilities, the exact split of the proxy, one tick a second. */
struct world {
    const char *name;
    int rollouts, ticks;
    unsigned requests; /* a second, both versions */
    double stable, canary;
    double alpha;
    unsigned first_stage;
    bool stays; /* it never widens: the whole time at the first stage */
};

struct outcome {
    int reverted;
    int promoted; /* to 100 % */
    double bad_mean, bad_most;
    int ticks_most;
};

/* Failures among n requests: the gaps between them are geometric. */
static uint64_t failures(struct vectors_random *random, uint64_t n, double p)
{
    uint64_t failed = 0;
    double at = 0;
    if (p <= 0)
        return 0;
    for (;;) {
        at += 1 + floor(log1p(-vectors_uniform(random)) / log1p(-p));
        if (at > (double)n)
            return failed;
        failed++;
    }
}

/* One second at the weight in force; the remainder of the split is carried over. */
static void second(const struct world *w, struct vectors_random *random, uint64_t *carried_bp,
                   struct judge_input *in)
{
    *carried_bp += (uint64_t)w->requests * in->weight_bp;
    uint64_t canary = *carried_bp / 10000, stable = w->requests - canary;
    *carried_bp %= 10000;
    in->t_ms += 1000;
    in->stage_t_ms += 1000;
    in->canary.requests += canary;
    in->canary.failed += failures(random, canary, w->canary);
    in->stable.requests += stable;
    in->stable.failed += failures(random, stable, w->stable);
}

static void rollout(const struct world *w, struct vectors_random *random, struct outcome *outcome)
{
    struct judge judge;
    struct judge_decision decision = {.verdict = JUDGE_CONTINUE};
    struct judge_settings settings;
    struct plan plan;
    struct why why;
    plan_default(&plan);
    plan.false_abort = w->alpha;
    assert_int_equal(judge_settings_from_plan(&settings, &plan, &why), OK);
    judge_start(&judge, &settings, false, &(struct judge_baseline){600000, 600});
    struct judge_input in = {.elapsed_s = 1, .stage = w->first_stage};
    uint64_t carried_bp = 0;
    for (int t = 1; t <= w->ticks; t++) {
        in.weight_bp = settings.stages[decision.verdict == JUDGE_BRAKE ? 0 : in.stage].weight_bp;
        second(w, random, &carried_bp, &in);
        judge_tick(&judge, &in, &decision);
        if (decision.verdict == JUDGE_REVERT) {
            outcome->reverted++;
            outcome->ticks_most = t > outcome->ticks_most ? t : outcome->ticks_most;
            break;
        }
        if (decision.verdict == JUDGE_PROMOTE && !w->stays) {
            in.stage++;
            in.stage_t_ms = 0;
            if (in.stage + 1 == settings.n_stages) {
                outcome->promoted++;
                break;
            }
        }
    }
    outcome->bad_mean += (double)in.canary.failed / w->rollouts;
    outcome->bad_most = fmax(outcome->bad_most, (double)in.canary.failed);
}

static struct outcome simulate(const struct world *w)
{
    struct outcome outcome = {0};
    struct vectors_random random = {0x5eed};
    for (int i = 0; i < w->rollouts; i++)
        rollout(w, &random, &outcome);
    print_message("%s: of %d rollouts %d reverted (the last after %d s), %d promoted; bad canary "
                  "requests %.1f on average, %.0f at most\n",
                  w->name, w->rollouts, outcome.reverted, outcome.ticks_most, outcome.promoted,
                  outcome.bad_mean, outcome.bad_most);
    return outcome;
}

static void test_false_reverts(void **state)
{
    (void)state;
    static const struct world worlds[] = {
        {"both fail 0.5 %, 200 requests/s", 400, 600, 200, 0.005, 0.005, 0.01, 0, false},
        {"both fail 5 %, 20 requests/s", 200, 600, 20, 0.05, 0.05, 0.01, 1, false},
        {"both fail 1 %, at 10 % throughout, alpha 20 %", 200, 600, 100, 0.01, 0.01, 0.2, 2, true},
        {"at the margin's edge, 50 % throughout, alpha 20 %", 200, 600, 100, 0.01, 0.0112, 0.2, 4,
         true},
    };
    for (size_t i = 0; i < ARRAY_LEN(worlds); i++) {
        struct outcome outcome = simulate(&worlds[i]);
        assert_true(outcome.reverted <= worlds[i].alpha * worlds[i].rollouts);
    }
}

static void test_a_healthy_rollout_finishes(void **state)
{
    (void)state;
    static const struct world world = {
        "both fail 0.1 %, 500 requests/s", 10, 3600, 500, 0.001, 0.001, 0.01, 0, false};
    assert_int_equal(simulate(&world).promoted, world.rollouts);
}

static void test_bad_canaries_are_reverted(void **state)
{
    (void)state;
    static const struct {
        struct world world;
        double mean_most, bad_most;
    } rows[] = {
        {{"canary fails 5 %, 100 requests/s, 5 %", 300, 900, 100, 0.001, 0.05, 0.01, 1, true},
         7,
         25},
        {{"canary fails 50 %, 100 requests/s, 1 %", 300, 900, 100, 0.001, 0.5, 0.01, 0, true},
         7,
         15},
        {{"canary fails always, 1000 requests/s, 1 %", 50, 900, 1000, 0.001, 1, 0.01, 0, true},
         45,
         45},
        {{"canary fails always, 10 requests/s, 10 %", 50, 900, 10, 0.001, 1, 0.01, 2, true}, 6, 8},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outcome outcome = simulate(&rows[i].world);
        assert_int_equal(outcome.reverted, rows[i].world.rollouts);
        assert_true(outcome.bad_mean <= rows[i].mean_most);
        assert_true(outcome.bad_most <= rows[i].bad_most);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_false_reverts),
        cmocka_unit_test(test_a_healthy_rollout_finishes),
        cmocka_unit_test(test_bad_canaries_are_reverted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
