/* Evidence: the worked examples, the bounds of the bets, and that no count makes a NaN.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/evidence.h"
#include "base/check.h"
#include "decide_vectors.h"
#include "rollout/decide/threshold.h"

static struct evidence_block block_of(const cJSON *in)
{
    const cJSON *stable = cJSON_GetObjectItem(in, "nS");
    return (struct evidence_block){vectors_number(in, "nC"), vectors_number(in, "xC"),
                                   stable ? stable->valuedouble : 0,
                                   stable ? vectors_number(in, "xS") : 0};
}

static void check_ratio(const char *id, const cJSON *in, const cJSON *want)
{
    struct evidence_block block = block_of(in);
    struct evidence_margin margin = {vectors_number(in, "rho0"), vectors_number(in, "delta")};
    double r = vectors_number(in, "r");
    vectors_compare(id, "a", evidence_ratio_bet(r, margin, block.canary / block.stable),
                    vectors_number(want, "a"));
    vectors_compare(id, "inc", evidence_ratio(r, margin, &block), vectors_number(want, "inc"));
}

static void check_pair(const char *id, const cJSON *in, const cJSON *want)
{
    struct evidence_block block = block_of(in);
    vectors_compare(id, "inc",
                    evidence_pair(vectors_number(in, "psi"), vectors_number(in, "theta"), &block),
                    vectors_number(want, "inc"));
}

static void check_ceiling(const char *id, const cJSON *in, const cJSON *want)
{
    struct evidence_block block = block_of(in);
    vectors_compare(id, "inc",
                    evidence_ceiling(vectors_number(in, "a"), vectors_number(in, "c"), &block),
                    vectors_number(want, "inc"));
}

static void check_safe(const char *id, const cJSON *in, const cJSON *want)
{
    struct evidence_block block = block_of(in);
    struct evidence_margin harm = {vectors_number(in, "rho1"), vectors_number(in, "delta1")};
    vectors_compare(id, "inc", evidence_safe(vectors_number(in, "b"), harm, &block),
                    vectors_number(want, "inc"));
}

static size_t numbers(const cJSON *array, double *out, size_t most)
{
    size_t n = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, array)
    {
        assert_true(n < most && cJSON_IsNumber(item));
        out[n++] = item->valuedouble;
    }
    return n;
}

static void check_fold(const char *id, const cJSON *in, const cJSON *want)
{
    struct evidence e;
    double increments[EVIDENCE_GRID_MAX], log_r[EVIDENCE_GRID_MAX];
    const cJSON *step, *log_e = vectors_member(want, "loge")->child;
    size_t n = 0;
    evidence_start(&e, 0);
    cJSON_ArrayForEach(step, vectors_member(in, "steps"))
    {
        n = numbers(vectors_member(step, "inc"), increments, EVIDENCE_GRID_MAX);
        evidence_pend(&e, vectors_number(step, "pend"));
        evidence_fold(&e, increments, n, vectors_number(in, "cap"));
        assert_non_null(log_e);
        vectors_compare(id, "loge", evidence_log(&e, n), log_e->valuedouble);
        log_e = log_e->next;
    }
    assert_int_equal(numbers(vectors_member(want, "R"), log_r, EVIDENCE_GRID_MAX), n);
    for (size_t i = 0; i < n; i++)
        vectors_compare(id, "R", e.log_r[i], log_r[i]);
    vectors_compare(id, "rem", e.remaining, vectors_number(want, "rem"));
}

static void check_threshold(const char *id, const cJSON *in, const cJSON *want)
{
    enum { CELLS_MAX = 512 };
    double bounds[CELLS_MAX], counts[CELLS_MAX], quantiles[8];
    uint64_t cells[CELLS_MAX], above;
    size_t n = numbers(vectors_member(in, "bounds"), bounds, CELLS_MAX);
    assert_int_equal(numbers(vectors_member(in, "hist"), counts, CELLS_MAX), n);
    for (size_t i = 0; i < n; i++)
        cells[i] = (uint64_t)counts[i];
    size_t n_quantiles = numbers(vectors_member(in, "q"), quantiles, ARRAY_LEN(quantiles));
    const cJSON *answer = vectors_member(want, "thr")->child;
    for (size_t i = 0; i < n_quantiles; i++, answer = answer->next) {
        size_t cell = threshold_cell(cells, n, quantiles[i], &above);
        assert_int_equal(cell, (size_t)vectors_number(answer, "i"));
        vectors_compare(id, "tau_s", bounds[cell], vectors_number(answer, "tau_s"));
        vectors_compare(id, "tau_c", bounds[cell] * (1 + vectors_number(in, "margin")),
                        vectors_number(answer, "tau_c"));
        assert_int_equal(above, (uint64_t)vectors_number(answer, "over_s"));
    }
}

static void test_vectors(void **state)
{
    (void)state;
    vectors_each("ratio", 14, check_ratio);
    vectors_each("pair", 8, check_pair);
    vectors_each("abs", 5, check_ceiling);
    vectors_each("safe", 6, check_safe);
    vectors_each("fold", 3, check_fold);
    vectors_each("threshold", 2, check_threshold);
}

/* What the unit tests compare, by kind; the ones of other files have their number here too, so that a
 * vector that is added to the fixture cannot stay unread. */
static void test_no_vector_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *kind;
        int n;
    } kinds[] = {{"ratio", 14},   {"pair", 8}, {"abs", 5},       {"safe", 6},  {"fold", 3},
                 {"interval", 8}, {"diff", 3}, {"threshold", 2}, {"judge", 14}};
    cJSON *all = vectors_load();
    const cJSON *vectors = vectors_member(all, "vectors"), *vector;
    int total = 0;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        int n = 0;
        cJSON_ArrayForEach(vector, vectors)
        {
            n += strcmp(vectors_member(vector, "kind")->valuestring, kinds[i].kind) == 0;
        }
        assert_int_equal(n, kinds[i].n);
        total += n;
    }
    assert_int_equal(cJSON_GetArraySize(vectors), total);
    assert_int_equal(total, 63);
    assert_string_equal(vectors_member(all, "tolerance")->valuestring,
                        "abs(got-want) <= 1e-9*max(1,abs(want))");
    cJSON_Delete(all);
}

/* Counts of every size: whole numbers from 0 to 2^53, marked at most as many. */
static double random_count(struct vectors_random *random)
{
    return floor(exp2(vectors_uniform(random) * 53.999) - 1);
}

static double random_marked(struct vectors_random *random, double requests)
{
    double share[] = {0, 1, vectors_uniform(random), exp2(-40 * vectors_uniform(random))};
    return floor(requests * share[vectors_next(random) % ARRAY_LEN(share)]);
}

static void test_never_nan(void **state)
{
    (void)state;
    static const double ratios[] = {1.0001, 1.25, 40, 200, 999999};
    struct vectors_random random = {20240229};
    for (int i = 0; i < 200000; i++) {
        double canary = fmax(1, random_count(&random)), stable = fmax(1, random_count(&random));
        struct evidence_block block = {canary, random_marked(&random, canary), stable,
                                       random_marked(&random, stable)};
        struct evidence_margin margin = {1 + vectors_uniform(&random),
                                         i % 3 ? vectors_uniform(&random) * 0.999 : 0};
        double r = ratios[vectors_next(&random) % ARRAY_LEN(ratios)];
        double k = canary / stable;
        double a = evidence_ratio_bet(r, margin, k);
        assert_true(a > 0 && a * margin.delta <= 0.5 + 1e-9 && a * k * margin.rho < 1);
        assert_true(isfinite(evidence_ratio(r, margin, &block)));
        double theta = 1e-4 + (1 - 2e-4) * vectors_uniform(&random);
        assert_true(isfinite(evidence_pair(r, theta, &block)));
        assert_true(isfinite(evidence_ceiling(64 * vectors_uniform(&random) + 0.01,
                                              vectors_uniform(&random) * 0.999 + 0.001, &block)));
        struct evidence_margin harm = {margin.rho, 1 - vectors_uniform(&random)};
        assert_true(
            isfinite(evidence_safe(0.001 + 0.998 * vectors_uniform(&random), harm, &block)));
    }
}

/* A fair game: the mean factor of a block is 1 at the worst point of the null, summed out exactly
 * over every outcome of a few requests. */
static double mean_factor(double p_canary, double p_stable, struct evidence_margin margin, double r)
{
    enum { CANARY = 3, STABLE = 9 };
    static const double choose3[] = {1, 3, 3, 1};
    static const double choose9[] = {1, 9, 36, 84, 126, 126, 84, 36, 9, 1};
    double mean = 0;
    for (int x = 0; x <= CANARY; x++) {
        for (int y = 0; y <= STABLE; y++) {
            double chance = choose3[x] * pow(p_canary, x) * pow(1 - p_canary, CANARY - x) *
                            choose9[y] * pow(p_stable, y) * pow(1 - p_stable, STABLE - y);
            struct evidence_block block = {CANARY, x, STABLE, y};
            mean += chance * exp(evidence_ratio(r, margin, &block));
        }
    }
    return mean;
}

static void test_ratio_is_a_fair_game(void **state)
{
    (void)state;
    static const double stable[] = {0, 0.001, 0.05, 0.3, 0.8};
    static const double ratios[] = {1.25, 3.5, 40, 200};
    struct evidence_margin margin = {1.1, 0.01};
    for (size_t i = 0; i < ARRAY_LEN(stable); i++) {
        for (size_t k = 0; k < ARRAY_LEN(ratios); k++) {
            double edge = margin.rho * stable[i] + margin.delta;
            assert_true(mean_factor(edge, stable[i], margin, ratios[k]) <= 1 + 1e-12);
            assert_true(mean_factor(edge * 0.5, stable[i], margin, ratios[k]) <= 1 + 1e-12);
        }
    }
    /* and it wins where the canary is worse */
    assert_true(mean_factor(0.5, 0.05, margin, 3.5) > 1.5);
}

static void test_log_sum(void **state)
{
    (void)state;
    const double far[] = {-1000, -1000 + log(3), -INFINITY};
    const double none[] = {-INFINITY, -INFINITY};
    assert_true(fabs(evidence_log_sum(far, 3) - (-1000 + log(4))) < 1e-12);
    assert_true(evidence_log_sum(none, 2) == -INFINITY);
    assert_true(evidence_log_sum(none, 0) == -INFINITY);
    const double high[] = {800, 800};
    assert_true(fabs(evidence_log_sum(high, 2) - (800 + log(2))) < 1e-12);
}

static void test_no_block_adds_more_than_the_cap(void **state)
{
    (void)state;
    const double huge[] = {1e18, 50, 1e18};
    struct evidence e;
    evidence_start(&e, 0.5);
    assert_true(evidence_log(&e, 3) == 0);
    for (int i = 0; i < 1000; i++) {
        double before = evidence_log(&e, 3);
        evidence_pend(&e, i % 10 ? 0 : 0.5 / (i / 10 + 1) / (i / 10 + 2));
        evidence_fold(&e, huge, 3, 2);
        assert_true(evidence_log(&e, 3) <= before + 2 + 1e-9);
    }
}

static void test_a_ruined_process_is_revived_by_the_next_start(void **state)
{
    (void)state;
    const double ruin[] = {-1e17, -1e17}, gain[] = {1.5, 1.5};
    struct evidence e;
    evidence_start(&e, 0.5);
    evidence_fold(&e, ruin, 2, 2);
    assert_true(fabs(evidence_log(&e, 2) - log(0.5)) < 1e-12);
    evidence_pend(&e, 0.25);
    for (int i = 0; i < 5; i++)
        evidence_fold(&e, gain, 2, 2);
    assert_true(evidence_log(&e, 2) > log(100));
}

static void test_threshold_edges(void **state)
{
    (void)state;
    const uint64_t cells[] = {0, 50, 0, 50, 0};
    uint64_t above;
    assert_int_equal(threshold_cell(cells, 5, 0.5, &above), 1);
    assert_int_equal(above, 50);
    assert_int_equal(threshold_cell(cells, 5, 0.51, &above), 3);
    assert_int_equal(above, 0);
    assert_int_equal(threshold_cell(cells, 5, 1, NULL), 3);
    const uint64_t empty[] = {0, 0};
    assert_int_equal(threshold_cell(empty, 2, 0.99, &above), 0);
    assert_int_equal(above, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_no_vector_is_left_out),
        cmocka_unit_test(test_never_nan),
        cmocka_unit_test(test_ratio_is_a_fair_game),
        cmocka_unit_test(test_log_sum),
        cmocka_unit_test(test_no_block_adds_more_than_the_cap),
        cmocka_unit_test(test_a_ruined_process_is_revived_by_the_next_start),
        cmocka_unit_test(test_threshold_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
