/* The choice of an endpoint: by load, in turn, past what is down or has just failed, and to nobody
 * in disfavour. SPDX-License-Identifier: Apache-2.0 */
#include "upstream_pick.h"

/* --- who may be chosen at all --- */

#define NONE PICK_NONE

/* Whatever the balance and the random places: an endpoint that may not be chosen is not, and where
 * one may, one is. */
static void nobody_is_chosen_who_may_not_be(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(balances); k++)
        for (uint32_t n = 1; n <= 4; n++)
            for (unsigned down = 0; down < 1u << n; down++)
                for (unsigned row = 0; row < 2 * (n + 1) * n * n; row++) {
                    struct fixture f;
                    start(&f, n, balances[k]);
                    set_down(&f, down);
                    f.pick.take_down = row & 1;
                    f.pick.avoid = row / 2 % (n + 1);
                    f.turn = row / (2 * (n + 1)) % n;
                    uint32_t at = pick_from(&f, f.turn, row / (2 * (n + 1)) / n);
                    unsigned all = (1u << n) - 1, avoided = 1u << f.pick.avoid;
                    unsigned up = all & ~down & ~avoided, any = all & ~avoided;
                    unsigned may = up ? up : f.pick.take_down ? any : 0;
                    if (may ? at >= n || !(may & 1u << at) : at != NONE)
                        fail_msg("balance %zu, n %u, down %x, avoid %u: %u", k, n, down,
                                 f.pick.avoid, at);
                }
}

static void nobody_is_there(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(balances); k++) {
        struct fixture f;
        start(&f, 0, balances[k]);
        f.pick.take_down = true;
        assert_int_equal(pick_endpoint(&f.pick), NONE);
    }
}

static void one_that_was_never_tried_may_serve(void **state)
{
    static const enum endpoint_health rows[] = {ENDPOINT_UNKNOWN, ENDPOINT_UP};
    struct fixture f;
    (void)state;
    for (uint32_t n = 1; n <= 2; n++)
        for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
            start(&f, n, BALANCE_LEAST_REQUESTS);
            set_down(&f, ~0u);
            set_health(&f, 0, rows[i]);
            assert_int_equal(pick_from(&f, 1, 1), 0);
        }
}

/* --- the less loaded of two --- */

static void the_less_loaded_of_two_places_is_chosen(void **state)
{
    static const struct {
        uint32_t load[4];
        unsigned down;
        uint32_t a, b, expected;
    } rows[] = {
        {{0, 0, 0, 0}, 0, 1, 3, 1},  /* equal: the first */
        {{0, 5, 0, 4}, 0, 1, 3, 3},  /* not the least of all: 0 and 2 were not looked at */
        {{0, 5, 0, 6}, 0, 1, 3, 1},  /* */
        {{0, 5, 0, 5}, 0, 3, 1, 3},  /* */
        {{0, 9, 9, 0}, 0, 5, 11, 3}, /* places are taken modulo n */
        {{9, 1, 9, 9}, 12, 0, 1, 1}, /* 2 and 3 are down: what is left is the pair */
        {{9, 1, 9, 9}, 12, 2, 3, 1}, /* wherever it was looked for */
        {{9, 9, 9, 9}, 14, 1, 2, 0}, /* one is left, whatever its load */
        {{UINT32_MAX, 0, 0, 1}, 0, 0, 3, 3},
    };
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start(&f, 4, BALANCE_LEAST_REQUESTS);
        memcpy(f.load, rows[i].load, sizeof rows[i].load);
        set_down(&f, rows[i].down);
        if (pick_from(&f, rows[i].a, rows[i].b) != rows[i].expected)
            fail_msg("row %zu: %u, not %u", i, pick_endpoint(&f.pick), rows[i].expected);
        assert_int_equal(f.turn, 0);
    }
}

static void of_two_endpoints_the_less_loaded_one_is_always_chosen(void **state)
{
    struct fixture f;
    (void)state;
    for (uint32_t less = 0; less < 2; less++)
        for (uint32_t places_of = 0; places_of < 4; places_of++) {
            start(&f, 2, BALANCE_LEAST_REQUESTS);
            f.load[less] = 1;
            f.load[1 - less] = 2;
            assert_int_equal(pick_from(&f, places_of & 1, places_of >> 1), less);
        }
}

static void an_avoided_one_is_not_chosen_though_it_is_idle(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3, BALANCE_LEAST_REQUESTS);
    f.load[0] = f.load[2] = 7;
    f.pick.avoid = 1;
    for (uint32_t i = 0; i < 9; i++)
        assert_int_not_equal(pick_from(&f, i % 3, i / 3), 1);
}

/* The last resort of stable: the less loaded one of those that are down, but never the one that has
 * just failed. */
static void with_all_down_the_choice_is_made_all_the_same(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3, BALANCE_LEAST_REQUESTS);
    set_down(&f, 7);
    assert_int_equal(pick_from(&f, 0, 1), NONE);
    f.pick.take_down = true;
    f.load[0] = 3;
    f.load[1] = 2;
    assert_int_equal(pick_from(&f, 0, 1), 1);
    f.pick.avoid = 1;
    assert_int_equal(pick_from(&f, 0, 1), 2);
    set_health(&f, 0, ENDPOINT_UP); /* one is up again: the down ones are no choice */
    for (uint32_t i = 0; i < 9; i++)
        assert_int_equal(pick_from(&f, i % 3, i / 3), 0);
}

/* --- shares --- */

static void without_load_every_endpoint_gets_its_share(void **state)
{
    /* 1 in 100000 by chance, for n - 1 degrees of freedom */
    static const struct {
        uint32_t n;
        double bound;
    } rows[] = {{2, 19.5}, {3, 23.0}, {7, 33.1}, {10, 38.9}};
    uint64_t seed = 1;
    (void)state;
    for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
        unsigned chosen[ENDPOINTS_MAX] = {0}, picks = rows[r].n * 10000;
        struct fixture f;
        start(&f, rows[r].n, BALANCE_LEAST_REQUESTS);
        for (unsigned i = 0; i < picks; i++) {
            f.pick.random = next_random(&seed);
            chosen[pick_endpoint(&f.pick)]++;
        }
        assert_true(chi_square(chosen, rows[r].n, 10000) < rows[r].bound);
    }
}

/* The second place is as random as the first: with 0 and 1 busy for good, the rest share what is
 * left of the pairs. */
static void the_second_place_is_drawn_apart_from_the_first(void **state)
{
    unsigned chosen[4] = {0};
    uint64_t seed = 7;
    struct fixture f;
    (void)state;
    start(&f, 4, BALANCE_LEAST_REQUESTS);
    f.load[0] = f.load[1] = 1;
    for (unsigned i = 0; i < 160000; i++) {
        f.pick.random = next_random(&seed);
        chosen[pick_endpoint(&f.pick)]++;
    }
    /* Of the 12 pairs of two different ones 0 wins (0,1) and 1 wins (1,0); 2: (2,…) (0,2) (1,2); 3 likewise. */
    for (unsigned i = 0; i < 2; i++) {
        assert_in_range(chosen[i], 12800, 13870);
        assert_in_range(chosen[2 + i], 65800, 67530);
    }
}

/* Who is out leaves its share to all the others alike, and not to its neighbour. */
static void the_share_of_those_that_are_out_goes_to_all_alike(void **state)
{
    unsigned chosen[ENDPOINTS_MAX] = {0};
    uint64_t seed = 5;
    struct fixture f;
    (void)state;
    start(&f, 10, BALANCE_LEAST_REQUESTS);
    set_down(&f, 3 << 4);
    eject(&f, 0, 1);
    for (unsigned i = 0; i < 70000; i++) {
        f.pick.random = next_random(&seed);
        chosen[pick_endpoint(&f.pick)]++;
    }
    assert_int_equal(chosen[0] + chosen[4] + chosen[5], 0);
    chosen[0] = chosen[9];
    chosen[4] = chosen[8];
    chosen[5] = chosen[7];
    assert_true(chi_square(chosen, 7, 10000) < 33.1);
}

/* Balls in bins: with two choices the fullest is a few above the mean, however many there are; with
 * one choice it would be about a hundred above (Mitzenmacher, 2001). */
static void load_stays_level(void **state)
{
    uint64_t seed = 3;
    uint32_t least = UINT32_MAX, most = 0;
    struct fixture f;
    (void)state;
    start(&f, ENDPOINTS_MAX, BALANCE_LEAST_REQUESTS);
    for (unsigned i = 0; i < 50000; i++) {
        f.pick.random = next_random(&seed);
        f.load[pick_endpoint(&f.pick)]++;
    }
    for (uint32_t i = 0; i < ENDPOINTS_MAX; i++) {
        least = f.load[i] < least ? f.load[i] : least;
        most = f.load[i] > most ? f.load[i] : most;
    }
    assert_true(most - least <= 12);
    assert_true(most <= 5004);
}

/* --- in turn --- */

/* After any number of picks no usable endpoint is more than one ahead of another, whoever is down.
 */
static void in_turn_is_fair_to_all_that_are_up(void **state)
{
    (void)state;
    for (uint32_t n = 2; n <= 5; n++)
        for (unsigned down = 0; down < (1u << n) - 1; down++)
            for (uint32_t avoid = 0; avoid <= n; avoid++) {
                unsigned chosen[ENDPOINTS_MAX] = {0};
                unsigned usable = ((1u << n) - 1) & ~down & ~(1u << avoid);
                struct fixture f;
                start(&f, n, BALANCE_ROUND_ROBIN);
                set_down(&f, down);
                f.pick.avoid = avoid;
                for (unsigned i = 0; i < 50 && usable; i++) {
                    unsigned least = 1000, most = 0;
                    chosen[pick_endpoint(&f.pick)]++;
                    for (uint32_t k = 0; k < n; k++)
                        if (usable & 1u << k) {
                            least = chosen[k] < least ? chosen[k] : least;
                            most = chosen[k] > most ? chosen[k] : most;
                        }
                    assert_true(most - least <= 1);
                }
            }
}

static void in_turn_does_not_look_at_load(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3, BALANCE_ROUND_ROBIN);
    f.load[1] = 1000;
    for (uint32_t i = 0; i < 12; i++) {
        f.pick.random = i * 0x123456789u;
        assert_int_equal(pick_endpoint(&f.pick), i % 3);
    }
}

/* A reload may leave fewer endpoints than the turn counts to; a pick that finds nobody takes no
 * turn. */
static void the_turn_survives_what_changes_around_it(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3, BALANCE_ROUND_ROBIN);
    f.turn = 1000000;
    assert_int_equal(pick_endpoint(&f.pick), 1000000 % 3);
    f.turn = UINT32_MAX;
    assert_int_equal(pick_endpoint(&f.pick), UINT32_MAX % 3);
    assert_int_equal(pick_endpoint(&f.pick), (UINT32_MAX % 3 + 1) % 3);
    f.turn = 1;
    set_down(&f, 7);
    assert_int_equal(pick_endpoint(&f.pick), NONE);
    set_down(&f, 0);
    assert_int_equal(pick_endpoint(&f.pick), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_is_chosen_who_may_not_be),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(one_that_was_never_tried_may_serve),
        cmocka_unit_test(the_less_loaded_of_two_places_is_chosen),
        cmocka_unit_test(of_two_endpoints_the_less_loaded_one_is_always_chosen),
        cmocka_unit_test(an_avoided_one_is_not_chosen_though_it_is_idle),
        cmocka_unit_test(with_all_down_the_choice_is_made_all_the_same),
        cmocka_unit_test(without_load_every_endpoint_gets_its_share),
        cmocka_unit_test(the_second_place_is_drawn_apart_from_the_first),
        cmocka_unit_test(load_stays_level),
        cmocka_unit_test(the_share_of_those_that_are_out_goes_to_all_alike),
        cmocka_unit_test(in_turn_is_fair_to_all_that_are_up),
        cmocka_unit_test(in_turn_does_not_look_at_load),
        cmocka_unit_test(the_turn_survives_what_changes_around_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
