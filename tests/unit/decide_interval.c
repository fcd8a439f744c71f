/* Intervals: the worked examples, what lies inside them, and their edges.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/interval.h"
#include "base/check.h"
#include "decide_vectors.h"

static void check_interval(const char *id, const cJSON *in, const cJSON *want)
{
    struct interval got = interval_rate(vectors_number(in, "x"), vectors_number(in, "n"),
                                        vectors_number(in, "alpha"));
    vectors_compare(id, "lo", got.low, vectors_number(want, "lo"));
    vectors_compare(id, "hi", got.high, vectors_number(want, "hi"));
}

static void check_difference(const char *id, const cJSON *in, const cJSON *want)
{
    double alpha = vectors_number(in, "alpha") / 2;
    struct interval canary =
        interval_rate(vectors_number(in, "xC"), vectors_number(in, "nC"), alpha);
    struct interval stable =
        interval_rate(vectors_number(in, "xS"), vectors_number(in, "nS"), alpha);
    struct interval points = interval_difference(canary, stable);
    struct interval times = interval_ratio(canary, stable);
    vectors_compare(id, "lo", points.low, vectors_number(want, "lo"));
    vectors_compare(id, "hi", points.high, vectors_number(want, "hi"));
    vectors_compare(id, "ratio_lo", times.low, vectors_number(want, "ratio_lo"));
    vectors_compare(id, "ratio_hi", times.high, vectors_number(want, "ratio_hi"));
}

static void test_vectors(void **state)
{
    (void)state;
    vectors_each("interval", 8, check_interval);
    vectors_each("diff", 3, check_difference);
}

static void test_holds_the_rate_and_narrows(void **state)
{
    (void)state;
    static const struct {
        double x, n;
    } rows[] = {{0, 1}, {1, 1}, {0, 1e6}, {1e6, 1e6}, {3, 1e9}, {5e8, 1e9}, {1, 0x1p53}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double p = rows[i].x / rows[i].n;
        struct interval wide = interval_rate(rows[i].x, rows[i].n, 0.001);
        struct interval narrow = interval_rate(rows[i].x, rows[i].n, 0.1);
        assert_true(0 <= wide.low && wide.low <= narrow.low && narrow.low <= p);
        assert_true(p <= narrow.high && narrow.high <= wide.high && wide.high <= 1);
    }
}

static void test_without_requests_anything_is_possible(void **state)
{
    (void)state;
    struct interval all = interval_rate(0, 0, 0.025);
    assert_true(all.low == 0 && all.high == 1);
    struct interval points = interval_difference(all, all);
    assert_true(points.low == -1 && points.high == 1);
    struct interval times = interval_ratio(all, all);
    assert_true(times.low == 0 && times.high == INFINITY);
}

static void test_ratio_of_nothing_to_nothing(void **state)
{
    (void)state;
    struct interval times = interval_ratio((struct interval){0, 0}, (struct interval){0, 0});
    assert_true(times.low == 0 && times.high == 0);
}

/* Looked at after every request, the interval may lose the true rate in at most alpha of the runs.
 */
static void test_always_valid(void **state)
{
    (void)state;
    enum { RUNS = 200, REQUESTS = 200 };
    struct vectors_random random = {7};
    int lost = 0;
    for (int run = 0; run < RUNS; run++) {
        double x = 0, p = 0.05;
        bool left = false;
        for (int n = 1; n <= REQUESTS; n++) {
            x += vectors_uniform(&random) < p;
            struct interval seen = interval_rate(x, n, 0.1);
            left |= p < seen.low || p > seen.high;
        }
        lost += left;
    }
    assert_true(lost > 0); /* it is not simply everything */
    assert_true(lost <= RUNS / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_holds_the_rate_and_narrows),
        cmocka_unit_test(test_without_requests_anything_is_possible),
        cmocka_unit_test(test_ratio_of_nothing_to_nothing),
        cmocka_unit_test(test_always_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
