/* What it takes to notice: beside the simulated rollouts, and at its edges.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/power.h"
#include "base/check.h"
#include "decide_vectors.h"

/* Between the answer and the median of the simulation: what the approximation promises. */
#define FACTOR 1.6

static struct judge_settings settings;

static int setup(void **state)
{
    (void)state;
    judge_settings_default(&settings);
    return 0;
}

/* Canary requests of a whole rollout with a bad canary until the revert: every stage lasts until it
 * may be left, and adds its share of what a revert takes at its weight. */
static double journey(double requests_s, double error_rate, double added)
{
    struct power_traffic traffic = {requests_s, error_rate};
    double progress = 0, served = 0;
    for (unsigned stage = 0; stage + 1 < settings.n_stages; stage++) {
        double share = settings.stages[stage].weight_bp / 10000.0;
        struct power_stage now = {error_rate + added, error_rate, share / (1 - share), NULL};
        double needed =
            power_errors(&settings, &traffic, stage, 1 + added / error_rate).canary_requests;
        double proof_s = power_widen(&settings, stage, &now) / (requests_s * share);
        double lasts_s =
            fmin(fmax(settings.stages[stage].hold_s, proof_s), settings.stages[stage].max_hold_s);
        double here = fmin(requests_s * share * lasts_s, (1 - progress) * needed);
        served += here;
        progress += here / needed;
    }
    return progress >= 1 - 1e-9 ? served : INFINITY;
}

/* Median canary requests before the revert in 1000 simulated rollouts: tests/decision/simulate.py
 * --rule ev, stable failing 0.1 %. Without 100 requests a second and +0.1 points, where only two of
 * five are reverted. */
static void test_beside_the_simulation(void **state)
{
    (void)state;
    static const struct {
        double requests_s, added, median;
    } rows[] = {{1000, 0.001, 59676}, {1000, 0.005, 1746}, {1000, 0.01, 582},  {1000, 0.05, 108},
                {1000, 0.5, 41},      {1000, 0.999, 37},   {100, 0.005, 1500}, {100, 0.01, 533},
                {100, 0.05, 77},      {100, 0.5, 10},      {100, 0.999, 6}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double expected = journey(rows[i].requests_s, 0.001, rows[i].added);
        print_message("%g requests/s, +%g points: %.0f, simulated %.0f (x%.2f)\n",
                      rows[i].requests_s, rows[i].added * 100, expected, rows[i].median,
                      expected / rows[i].median);
        assert_true(expected <= rows[i].median * FACTOR && expected >= rows[i].median / FACTOR);
    }
}

static void test_worse_is_noticed_sooner(void **state)
{
    (void)state;
    struct power_traffic traffic = {1000, 0.001};
    double before = INFINITY;
    for (double times = 1.5; times < 1000; times *= 1.5) {
        struct power_answer a = power_errors(&settings, &traffic, 1, times);
        assert_true(a.canary_requests <= before * 1.0001);
        before = a.canary_requests;
    }
    assert_true(before >= 4); /* the cap: at least four blocks */
}

/* Where it lies inside the margin no number of requests is enough. */
static void test_inside_the_margin(void **state)
{
    (void)state;
    static const struct {
        double error_rate, times;
    } never[] = {{0.001, 1}, {0.001, 1.1}, {0.0001, 2}, {0, 5}, {0.00005, 5}};
    for (size_t i = 0; i < ARRAY_LEN(never); i++) {
        struct power_traffic traffic = {1000, never[i].error_rate};
        struct power_answer a = power_errors(&settings, &traffic, 0, never[i].times);
        assert_true(isinf(a.canary_requests) && isinf(a.seconds));
    }
}

/* With less than a canary request a second a block is one request, and lasts until it comes. */
static void test_little_traffic(void **state)
{
    (void)state;
    struct power_traffic much = {1000, 0.01}, little = {0.01, 0.01};
    struct power_answer a = power_errors(&settings, &much, 0, 5);
    struct power_answer b = power_errors(&settings, &little, 0, 5);
    assert_true(b.canary_requests < a.canary_requests * 1.5 &&
                b.canary_requests > a.canary_requests / 1.5);
    assert_true(fabs(b.seconds / b.canary_requests - 10000) < 100);
}

static void test_extremes_are_numbers(void **state)
{
    (void)state;
    static const double rates[] = {1e-9, 1e-3, 1, 1e3, 1e6, 1e9, 1e12};
    static const double errors[] = {0, 1e-12, 1e-4, 0.3, 0.6, 1};
    for (size_t i = 0; i < ARRAY_LEN(rates); i++) {
        for (size_t k = 0; k < ARRAY_LEN(errors); k++) {
            struct power_traffic traffic = {rates[i], errors[k]};
            struct power_slow slow = {errors[k], fmin(1, 2 * errors[k])};
            for (unsigned stage = 0; stage + 1 < settings.n_stages; stage++) {
                struct power_answer a = power_errors(&settings, &traffic, stage, 2);
                struct power_answer b = power_latency(&settings, &traffic, stage, 2, &slow);
                assert_true(a.canary_requests > 0 && a.seconds > 0);
                assert_true(b.canary_requests > 0 && b.seconds > 0);
            }
        }
    }
}

/* Twice as many above the p99, and none more. */
static void test_latency(void **state)
{
    (void)state;
    struct power_traffic traffic = {1000, 0.001};
    struct power_slow same = {0.01, 0.01}, twice = {0.01, 0.02}, half = {0.5, 0.75};
    assert_true(isinf(power_latency(&settings, &traffic, 1, 2, &same).seconds));
    struct power_answer p99 = power_latency(&settings, &traffic, 1, 2, &twice);
    struct power_answer p50 = power_latency(&settings, &traffic, 1, 0, &half);
    assert_true(p99.canary_requests > 500 && p99.canary_requests < 5000);
    assert_true(p50.canary_requests < p99.canary_requests / 4);
    assert_true(fabs(p99.seconds - p99.canary_requests / 50) < 1); /* 5 % of 1000 a second */
}

/* The best bet alone would take (ln 20 + ln 7) / 0.95 = 5.2 of the excess that must be ruled out; the
 * others of the grid help it a little. */
static void test_widen_without_failures(void **state)
{
    (void)state;
    for (unsigned stage = 0; stage + 1 < settings.n_stages; stage++) {
        struct power_stage now = {0, 0, 0.01, NULL};
        double needed = power_widen(&settings, stage, &now);
        double excess = judge_settings_excess(&settings, stage);
        assert_true(needed * excess > 4.7 && needed * excess < 5.2);
        now.stable_rate = 0.001; /* stable's failures speak for the canary */
        assert_true(power_widen(&settings, stage, &now) < needed);
        now.canary_rate = 0.001;
        assert_true(power_widen(&settings, stage, &now) > needed);
        now.canary_rate = 0.5;
        assert_true(isinf(power_widen(&settings, stage, &now)));
    }
}

static void test_share_above(void **state)
{
    (void)state;
    const uint64_t cells[] = {10, 0, 20, 10};
    const double tops[] = {1, 2, 4, 8};
    static const struct {
        double x, share;
    } rows[] = {{0, 1},    {0.5, 0.875}, {1, 0.75}, {2, 0.75}, {3, 0.5},
                {4, 0.25}, {6, 0.125},   {8, 0},    {99, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(fabs(power_share_above(cells, tops, 4, rows[i].x) - rows[i].share) < 1e-12);
    assert_true(power_share_above((uint64_t[]){0, 0}, tops, 2, 1) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_beside_the_simulation, setup),
        cmocka_unit_test_setup(test_worse_is_noticed_sooner, setup),
        cmocka_unit_test_setup(test_inside_the_margin, setup),
        cmocka_unit_test_setup(test_little_traffic, setup),
        cmocka_unit_test_setup(test_extremes_are_numbers, setup),
        cmocka_unit_test_setup(test_latency, setup),
        cmocka_unit_test_setup(test_widen_without_failures, setup),
        cmocka_unit_test_setup(test_share_above, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
