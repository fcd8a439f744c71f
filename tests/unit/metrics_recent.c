/* The last ten minutes: what is older is dropped, a counter that began anew is no past.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/recent.h"

#include <string.h>

#define STEP_MS 10000

static uint64_t known(const struct recent *r)
{
    struct hist_sum sum;
    recent_sum(r, &sum);
    return hist_count(&sum);
}

/* The histogram grows by n durations of 5 ms. */
static void grow(struct hist_sum *h, uint64_t n)
{
    h->cells[hist_cell(5000)] += n;
}

static void starts_with_nothing(void **state)
{
    (void)state;
    static struct recent r;
    static struct hist_sum h;
    grow(&h, 5000); /* before anybody looked: of no known age */
    recent_start(&r, &h, 0);
    assert_int_equal(known(&r), 0);
    grow(&h, 7);
    recent_look(&r, &h, STEP_MS);
    assert_int_equal(known(&r), 7);
    struct hist_sum sum;
    recent_sum(&r, &sum);
    assert_int_equal(hist_quantile_us(&sum, 0.5), hist_cell_top_us(hist_cell(5000)));
}

static void holds_eight_to_ten_minutes(void **state)
{
    (void)state;
    static struct recent r;
    static struct hist_sum h;
    int64_t now_ms = 0;
    recent_start(&r, &h, now_ms);
    for (unsigned i = 1; i <= 600; i++) { /* 100 minutes, one duration a second */
        now_ms += STEP_MS;
        grow(&h, 10);
        recent_look(&r, &h, now_ms);
        uint64_t seconds = i * 10;
        uint64_t n = known(&r);
        if (seconds <= 480)
            assert_int_equal(n, seconds);
        else
            assert_in_range(n, 480, 600);
    }
    for (unsigned i = 0; i < 60; i++) { /* ten minutes without anybody */
        now_ms += STEP_MS;
        recent_look(&r, &h, now_ms);
    }
    assert_int_equal(known(&r), 0);
}

static void sleeping_drops_the_past(void **state)
{
    (void)state;
    static struct recent r;
    static struct hist_sum h;
    recent_start(&r, &h, 0);
    grow(&h, 100);
    recent_look(&r, &h, STEP_MS);
    recent_look(&r, &h, 3600 * 1000);
    assert_int_equal(known(&r), 0);
    grow(&h, 3);
    recent_look(&r, &h, 3600 * 1000 + STEP_MS);
    assert_int_equal(known(&r), 3);
}

static void a_reset_counter_is_new(void **state)
{
    (void)state;
    static struct recent r;
    static struct hist_sum h;
    grow(&h, 1000);
    recent_start(&r, &h, 0);
    memset(&h, 0, sizeof h);
    grow(&h, 4);
    recent_look(&r, &h, STEP_MS);
    assert_int_equal(known(&r), 4);
}

static void a_cell_does_not_run_over(void **state)
{
    (void)state;
    static struct recent r;
    static struct hist_sum h;
    recent_start(&r, &h, 0);
    grow(&h, (uint64_t)1 << 40);
    recent_look(&r, &h, STEP_MS);
    assert_int_equal(known(&r), UINT32_MAX);
    grow(&h, 1);
    recent_look(&r, &h, 2 * STEP_MS);
    assert_int_equal(known(&r), UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_with_nothing),      cmocka_unit_test(holds_eight_to_ten_minutes),
        cmocka_unit_test(sleeping_drops_the_past),  cmocka_unit_test(a_reset_counter_is_new),
        cmocka_unit_test(a_cell_does_not_run_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
