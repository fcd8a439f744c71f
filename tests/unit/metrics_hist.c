/* Cells, sums and quantiles of the histogram against exact answers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/hist.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* Repeatable noise; the tests need spread, not secrets. */
static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void cells_meet_without_gap_or_overlap(void **state)
{
    (void)state;
    uint64_t bottom = 0;
    for (unsigned cell = 0; cell < HIST_CELLS; cell++) {
        uint64_t top = hist_cell_top_us(cell);
        assert_true(top >= bottom);
        assert_int_equal(hist_cell(bottom), cell);
        assert_int_equal(hist_cell(top), cell);
        /* At most 3.2 % wide: 1 in 32. */
        assert_true((top - bottom) * 32 <= bottom);
        bottom = top + 1;
    }
    assert_int_equal(bottom, (uint64_t)1 << HIST_MAX_BITS);
}

static void cells_rise_over_all_powers(void **state)
{
    (void)state;
    unsigned last = 0;
    for (unsigned bit = 0; bit < 64; bit++) {
        for (int delta = -1; delta <= 1; delta++) {
            uint64_t us = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta;
            unsigned cell = hist_cell(us);
            assert_true(cell < HIST_CELLS);
            if (delta >= 0 || bit > 1)
                assert_true(cell >= last);
            last = cell;
        }
    }
    assert_int_equal(hist_cell(UINT64_MAX), HIST_CELLS - 1);
    assert_int_equal(hist_cell((uint64_t)1 << HIST_MAX_BITS), HIST_CELLS - 1);
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The exact quantile's cell bound: never below the exact value, at most one cell above. */
static void quantiles_agree_with_a_sorted_array(void **state)
{
    (void)state;
    static const double quantiles[] = {0.001, 0.01, 0.07, 0.1,   0.25, 0.5,
                                       0.75,  0.9,  0.99, 0.999, 1};
    static const size_t sizes[] = {1, 2, 3, 10, 99, 100, 101, 1000, 5000};
    uint64_t seed = 88172645463325252u;
    uint64_t *values = calloc(5000, sizeof *values);
    assert_non_null(values);
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct hist h = {.sum_us = 0};
        struct hist_sum sum = {.sum_us = 0};
        uint64_t all = 0;
        for (size_t i = 0; i < sizes[k]; i++) {
            values[i] = next_random(&seed) >> (32 + next_random(&seed) % 32);
            all += values[i];
            hist_record(&h, values[i]);
        }
        hist_add(&sum, &h);
        assert_int_equal(hist_count(&sum), sizes[k]);
        assert_int_equal(sum.sum_us, all);
        qsort(values, sizes[k], sizeof *values, by_value);
        for (size_t q = 0; q < sizeof quantiles / sizeof *quantiles; q++) {
            /* In thousandths, where the arithmetic is exact. */
            size_t rank = (size_t)((uint64_t)(quantiles[q] * 1000 + 0.5) * sizes[k] + 999) / 1000;
            uint64_t exact = values[rank - 1];
            uint64_t expected = hist_cell_top_us(hist_cell(exact));
            assert_int_equal(hist_quantile_us(&sum, quantiles[q]), expected);
            assert_true(expected >= exact && expected <= exact + exact / 32);
        }
    }
    free(values);
}

static void rank_is_not_moved_by_rounding(void **state)
{
    (void)state;
    /* 0.07 * 100 is a little above 7 in binary: the answer is still the seventh. */
    struct hist h = {.sum_us = 0};
    struct hist_sum sum = {.sum_us = 0};
    for (uint64_t us = 1; us <= 100; us++)
        hist_record(&h, us < 32 ? us : 31);
    hist_add(&sum, &h);
    assert_int_equal(hist_quantile_us(&sum, 0.07), 7);
    assert_int_equal(hist_quantile_us(&sum, 0.29), 29);
    assert_int_equal(hist_quantile_us(&sum, 0.071), 8);
    assert_int_equal(hist_quantile_us(&sum, 1e-9), 1);
}

static void empty_has_no_quantile(void **state)
{
    (void)state;
    struct hist_sum sum = {.sum_us = 0};
    assert_int_equal(hist_quantile_us(&sum, 0.5), 0);
    assert_int_equal(hist_count(&sum), 0);
}

static void longest_durations_are_in_the_last_cell(void **state)
{
    (void)state;
    struct hist h = {.sum_us = 0};
    struct hist_sum sum = {.sum_us = 0};
    hist_record(&h, (uint64_t)1 << 40);
    hist_add(&sum, &h);
    assert_int_equal(hist_quantile_us(&sum, 0.5), UINT32_MAX);
    assert_int_equal(sum.sum_us, (uint64_t)1 << 40);
}

static void difference_is_what_happened_in_between(void **state)
{
    (void)state;
    struct hist h = {.sum_us = 0};
    struct hist_sum before = {.sum_us = 0}, after = {.sum_us = 0};
    hist_record(&h, 10);
    hist_record(&h, 2000);
    hist_add(&before, &h);
    hist_record(&h, 2000);
    hist_record(&h, 70);
    hist_add(&after, &h);
    hist_subtract(&after, &before);
    assert_int_equal(hist_count(&after), 2);
    assert_int_equal(after.sum_us, 2070);
    assert_int_equal(after.cells[hist_cell(10)], 0);
    assert_int_equal(after.cells[hist_cell(70)], 1);
    assert_int_equal(after.cells[hist_cell(2000)], 1);
}

static void what_went_down_is_all_new(void **state)
{
    (void)state;
    struct hist_sum before = {.sum_us = 900}, after = {.sum_us = 50};
    before.cells[20] = 5;
    before.cells[30] = 1;
    after.cells[20] = 9;
    after.cells[25] = 2;
    hist_subtract(&after, &before);
    assert_int_equal(after.cells[20], 9);
    assert_int_equal(after.cells[25], 2);
    assert_int_equal(after.sum_us, 50);
}

static void sums_merge(void **state)
{
    (void)state;
    struct hist_sum a = {.sum_us = 3}, b = {.sum_us = 4};
    a.cells[0] = 1;
    b.cells[0] = 2;
    b.cells[HIST_CELLS - 1] = 7;
    hist_merge(&a, &b);
    assert_int_equal(a.cells[0], 3);
    assert_int_equal(a.cells[HIST_CELLS - 1], 7);
    assert_int_equal(a.sum_us, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_meet_without_gap_or_overlap),
        cmocka_unit_test(cells_rise_over_all_powers),
        cmocka_unit_test(quantiles_agree_with_a_sorted_array),
        cmocka_unit_test(rank_is_not_moved_by_rounding),
        cmocka_unit_test(empty_has_no_quantile),
        cmocka_unit_test(longest_durations_are_in_the_last_cell),
        cmocka_unit_test(difference_is_what_happened_in_between),
        cmocka_unit_test(what_went_down_is_all_new),
        cmocka_unit_test(sums_merge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
