/* The budget of retries: its window slides second by second, and whoever asks at once never gets more than there is.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/route/retry_budget.h"

#include "base/check.h"
#include <pthread.h>
#include <stdlib.h>

#define S(seconds) (INT64_C(1000000) * (seconds))

static int setup(void **state)
{
    *state = retry_budget_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

/* How many of so many askers get one. */
static unsigned take(struct retry_budget *b, unsigned askers, uint64_t most, int64_t now_us)
{
    unsigned n = 0;
    for (unsigned i = 0; i < askers; i++)
        n += retry_budget_take(b, most, now_us);
    return n;
}

static void no_more_than_there_is(void **state)
{
    struct retry_budget *b = *state;
    static const int64_t starts[] = {0, S(1) - 1, S(3), S(86400) * 365 * 30};
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        *b = (struct retry_budget){.look = 0};
        assert_int_equal(retry_budget_taken(b, starts[i]), 0);
        assert_int_equal(take(b, 50, 0, starts[i]), 0);
        assert_int_equal(take(b, 50, 7, starts[i]), 7);
        assert_int_equal(retry_budget_taken(b, starts[i]), 7);
        assert_int_equal(take(b, 50, 9, starts[i]), 2);
        assert_int_equal(take(b, 50, 5, starts[i]), 0); /* fewer requests than before */
        assert_int_equal(retry_budget_taken(b, starts[i]), 9);
    }
}

static void what_is_older_than_the_window_counts_no_more(void **state)
{
    struct retry_budget *b = *state;
    for (unsigned s = 0; s < RETRY_BUDGET_S; s++)
        assert_int_equal(take(b, 3, 100, S(s)), 3);
    assert_int_equal(retry_budget_taken(b, S(9)), 30);
    assert_int_equal(take(b, 10, 30, S(10) - 1), 0);
    assert_int_equal(take(b, 10, 30, S(10)), 3); /* the first second has gone */
    assert_int_equal(take(b, 10, 30, S(10)), 0);
    assert_int_equal(retry_budget_taken(b, S(14)), 18);
    assert_int_equal(retry_budget_taken(b, S(19)), 3);
    assert_int_equal(retry_budget_taken(b, S(20)), 0);
    assert_int_equal(take(b, 40, 30, S(3600)), 30);
}

/* Another worker's now may be a little behind the turn of the second. */
static void who_comes_late_counts_all_the_same(void **state)
{
    struct retry_budget *b = *state;
    assert_int_equal(take(b, 2, 4, S(12)), 2);
    assert_int_equal(take(b, 9, 4, S(12) - 5000), 2);
    assert_int_equal(retry_budget_taken(b, S(12)), 4);
    assert_int_equal(take(b, 9, 6, S(2)),
                     2); /* ten seconds late: in the second that took its place */
    assert_int_equal(retry_budget_taken(b, S(12)), 6);
}

static void it_is_said_once_in_a_window(void **state)
{
    struct retry_budget *b = *state;
    assert_true(retry_budget_say(b, 0));
    assert_false(retry_budget_say(b, 0));
    assert_false(retry_budget_say(b, S(10) - 1));
    assert_true(retry_budget_say(b, S(10)));
    assert_false(retry_budget_say(b, S(19)));
    assert_true(retry_budget_say(b, S(3600)));
}

static void the_window_of_requests_slides_with_the_looks(void **state)
{
    struct retry_budget *b = *state;
    assert_int_equal(retry_budget_before(b), 0);
    for (uint64_t i = 1; i < RETRY_BUDGET_S; i++) {
        retry_budget_look(b, 100 * i);
        assert_int_equal(retry_budget_before(b), 0); /* all since the start */
    }
    for (uint64_t i = RETRY_BUDGET_S; i < 50; i++) {
        retry_budget_look(b, 100 * i);
        assert_int_equal(retry_budget_before(b), 100 * (i - RETRY_BUDGET_S + 1));
    }
}

/* --- threads --- */

#define WORKERS 4u
#define ROUNDS  200u

struct racer {
    struct retry_budget *b;
    int64_t now_us;
    unsigned got;
    pthread_t thread;
};

static void *race(void *arg)
{
    struct racer *r = arg;
    r->got = take(r->b, 50, 20, r->now_us);
    return NULL;
}

/* Half of the workers are in the next second already. */
static void those_who_race_never_get_more_than_there_is(void **state)
{
    struct retry_budget *b = *state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct racer racers[WORKERS];
        unsigned got = 0;
        int64_t now_us = S((int64_t)round * 20);
        for (unsigned i = 0; i < WORKERS; i++) {
            racers[i] = (struct racer){.b = b, .now_us = now_us + S(i % 2)};
            assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
        }
        for (unsigned i = 0; i < WORKERS; i++) {
            assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
            got += racers[i].got;
        }
        assert_int_equal(got, retry_budget_taken(b, now_us + S(1)));
        assert_in_range(got, 1, 20);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(no_more_than_there_is),
        TEST(what_is_older_than_the_window_counts_no_more),
        TEST(who_comes_late_counts_all_the_same),
        TEST(it_is_said_once_in_a_window),
        TEST(the_window_of_requests_slides_with_the_looks),
        TEST(those_who_race_never_get_more_than_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
