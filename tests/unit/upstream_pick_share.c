/* The choice of an endpoint: ejected ones, slow start, and keys that stay where they are.
 * SPDX-License-Identifier: Apache-2.0 */
#include "upstream_pick.h"

#define NONE PICK_NONE

/* --- ejection --- */

static void one_that_is_ejected_serves_where_nobody_else_can(void **state)
{
    struct fixture f;
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(balances); k++) {
        start(&f, 3, balances[k]);
        eject(&f, 0, 5000000);
        for (uint32_t i = 0; i < 9; i++)
            assert_int_not_equal(pick_from(&f, i % 3, i / 3), 0);
        set_down(&f, 6); /* a canary too: ejection does not take the last one */
        assert_int_equal(pick_from(&f, 1, 2), 0);
        set_down(&f, 7);
        assert_int_equal(pick_from(&f, 1, 2), NONE);
        set_down(&f, 0);
        f.pick.now_us += 5000000 + PICK_SLOW_START_US; /* it is over, with no word of anybody */
        bool is_back = false;
        for (uint32_t i = 0; i < 9; i++)
            is_back = is_back || pick_from(&f, i % 3, i / 3) == 0;
        assert_true(is_back || balances[k] == BALANCE_HASH);
    }
}

/* --- slow start --- */

/* A share of endpoint 0 in n picks. */
static double share_of_first(struct fixture *f, unsigned n)
{
    uint64_t seed = 11;
    unsigned chosen = 0;
    for (unsigned i = 0; i < n; i++) {
        f->pick.random = next_random(&seed);
        chosen += pick_endpoint(&f->pick) == 0;
    }
    return (double)chosen / n;
}

static void one_that_is_back_gets_more_and_more(void **state)
{
    static const struct {
        int64_t age_ms;
        double low, high; /* of its full share */
    } rows[] = {{0, 0.08, 0.13},    {1000, 0.08, 0.13},  {2500, 0.22, 0.30},     {5000, 0.45, 0.56},
                {7500, 0.70, 0.81}, {10000, 0.96, 1.04}, {100000000, 0.96, 1.04}};
    struct fixture f;
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(balances); k++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            start(&f, 2, balances[k]);
            f.states[0].hash = 1;
            f.states[1].hash = 2;
            f.pick.now_us = INT64_C(1000000000000);
            f.states[0].serves_from_us = f.pick.now_us - rows[i].age_ms * 1000;
            double full = balances[k] == BALANCE_ROUND_ROBIN ? 1 : 2;
            double share = share_of_first(&f, 40000) * full;
            /* in turn: of two turns it has one, or none */
            if (balances[k] == BALANCE_ROUND_ROBIN)
                share = share / (1 - share);
            if (share < rows[i].low || share > rows[i].high)
                fail_msg("balance %zu, row %zu: %f", k, i, share);
        }
}

static void where_all_are_new_all_are_alike(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2, BALANCE_LEAST_REQUESTS);
    f.states[0].serves_from_us = f.states[1].serves_from_us = f.pick.now_us;
    f.load[1] = 1;
    assert_true(share_of_first(&f, 1000) == 1.0); /* by load, as ever */
}

/* --- by hash --- */

#define KEYS 10000u

static void name_all(struct fixture *f)
{
    uint64_t seed = 99;
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++)
        f->states[i].hash = next_random(&seed);
}

static void choose_for_keys(struct fixture *f, uint8_t *chosen)
{
    uint64_t seed = 42;
    for (unsigned i = 0; i < KEYS; i++) {
        f->pick.random = next_random(&seed);
        uint32_t at = pick_endpoint(&f->pick);
        assert_true(at < f->pick.n);
        chosen[i] = (uint8_t)at;
    }
}

static void keys_are_spread_and_stay(void **state)
{
    static uint8_t first[KEYS], second[KEYS];
    unsigned n[ENDPOINTS_MAX] = {0};
    struct fixture f;
    (void)state;
    start(&f, 5, BALANCE_HASH);
    name_all(&f);
    choose_for_keys(&f, first);
    f.load[0] = 1000; /* load is not looked at */
    choose_for_keys(&f, second);
    assert_memory_equal(first, second, KEYS);
    for (unsigned i = 0; i < KEYS; i++)
        n[first[i]]++;
    assert_true(chi_square(n, 5, KEYS / 5) < 28.5);
}

/* When one goes, its keys alone move, to all the others; when it is back, they are. */
static void only_the_keys_of_one_that_goes_move(void **state)
{
    static uint8_t before[KEYS], after[KEYS];
    unsigned moved[ENDPOINTS_MAX] = {0};
    struct fixture f;
    (void)state;
    start(&f, 5, BALANCE_HASH);
    name_all(&f);
    choose_for_keys(&f, before);
    for (unsigned way = 0; way < 2; way++) {
        set_down(&f, way ? 4 : 0);
        if (!way)
            eject(&f, 2, 1);
        choose_for_keys(&f, after);
        for (unsigned i = 0; i < KEYS; i++) {
            assert_true(before[i] == after[i] || before[i] == 2);
            moved[after[i]] += before[i] == 2;
        }
        f.states[2].serves_from_us = 0;
    }
    for (unsigned i = 0; i < 5; i++)
        assert_true(i == 2 ? moved[i] == 0 : moved[i] > 2 * KEYS / 5 / 4 * 8 / 10);
    set_down(&f, 0);
    choose_for_keys(&f, after);
    assert_memory_equal(before, after, KEYS);
    f.pick.n = 6; /* one that comes takes a sixth, from nobody else's hands */
    choose_for_keys(&f, after);
    unsigned taken = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        assert_true(before[i] == after[i] || after[i] == 5);
        taken += after[i] == 5;
    }
    assert_in_range(taken, KEYS / 6 * 8 / 10, KEYS / 6 * 12 / 10);
}

/* Of a newcomer's keys those that it serves stay as it warms. */
static void slow_start_moves_a_key_once(void **state)
{
    static uint8_t before[KEYS], after[KEYS];
    struct fixture f;
    (void)state;
    start(&f, 3, BALANCE_HASH);
    name_all(&f);
    f.states[1].serves_from_us = f.pick.now_us;
    choose_for_keys(&f, before);
    for (unsigned s = 1; s <= 10; s++) {
        f.pick.now_us += 1000000;
        choose_for_keys(&f, after);
        for (unsigned i = 0; i < KEYS; i++)
            assert_true(before[i] == after[i] || (before[i] != 1 && after[i] == 1));
        memcpy(before, after, KEYS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_is_ejected_serves_where_nobody_else_can),
        cmocka_unit_test(one_that_is_back_gets_more_and_more),
        cmocka_unit_test(where_all_are_new_all_are_alike),
        cmocka_unit_test(keys_are_spread_and_stay),
        cmocka_unit_test(only_the_keys_of_one_that_goes_move),
        cmocka_unit_test(slow_start_moves_a_key_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
