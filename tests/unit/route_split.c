/* The split: exact shares without stripes, what beats what, and users who stay where they were.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/route/split.h"

#include "base/check.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct split_order order;
static const struct split_request unpinned = {.has_key = false};

static int make_order(void **state)
{
    (void)state;
    split_order_init(&order);
    return 0;
}

static struct split split_of(uint32_t weight_bp, const char *rollout)
{
    return (struct split){
        .is_active = true, .weight_bp = weight_bp, .salt = hash_salt_of(slice_str(rollout))};
}

static bool next_is_canary(const struct split *s, uint32_t *cursor)
{
    struct split_pick pick = split_pick(s, &order, &unpinned, cursor);
    assert_int_equal(pick.assigned, ASSIGNED_WEIGHT);
    return pick.canary;
}

/* --- shares --- */

/* The order is part of no interface, but two releases that run side by side should agree. */
static void the_order_has_every_bucket_once_and_never_changes(void **state)
{
    static bool seen[SPLIT_BUCKETS];
    uint64_t sum = 0;
    (void)state;
    for (unsigned i = 0; i < SPLIT_BUCKETS; i++) {
        assert_true(order.bucket[i] < SPLIT_BUCKETS);
        assert_false(seen[order.bucket[i]]);
        seen[order.bucket[i]] = true;
        unsigned char le[2] = {(unsigned char)order.bucket[i],
                               (unsigned char)(order.bucket[i] >> 8)};
        sum = hash_bytes((struct hash_salt){sum, 0}, slice_of((const char *)le, 2));
    }
    assert_int_equal(sum, 0x8d09b33a1e094addu); /* of a second implementation, too */
}

/* The smallest weight at which the place in the order goes to the canary. */
static uint32_t threshold_at(uint32_t place)
{
    uint32_t low = 0, high = SPLIT_BUCKETS;
    while (low < high) {
        uint32_t mid = (low + high) / 2, cursor = place;
        struct split s = split_of(mid, "");
        if (next_is_canary(&s, &cursor))
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

/* A block of 10000 gives weight w exactly w requests for every w, if and only if every place has a
 * threshold of its own: 160 thousand picks instead of a hundred million. */
static void every_weight_is_exact_at_the_end_of_a_block(void **state)
{
    static unsigned places_with[SPLIT_BUCKETS + 1];
    (void)state;
    for (uint32_t place = 0; place < SPLIT_BUCKETS; place++) {
        uint32_t threshold = threshold_at(place), cursor = place;
        struct split below = split_of(threshold - 1, ""), at = split_of(threshold, "");
        assert_in_range(threshold, 1, SPLIT_BUCKETS);
        assert_false(next_is_canary(&below, &cursor));
        assert_int_equal(cursor, (place + 1) % SPLIT_BUCKETS);
        cursor = place;
        assert_true(next_is_canary(&at, &cursor));
        places_with[threshold]++;
    }
    for (uint32_t weight = 1; weight <= SPLIT_BUCKETS; weight++)
        assert_int_equal(places_with[weight], 1);
}

static const uint32_t weights[] = {0,    1,    2,    10,   99,   100,  500,  1000, 2500,
                                   3333, 5000, 6667, 9000, 9900, 9990, 9999, 10000};

#define PICKS (3 * SPLIT_BUCKETS)

static void any_consecutive_block_has_its_share(void **state)
{
    static bool canary[PICKS];
    (void)state;
    for (size_t w = 0; w < ARRAY_LEN(weights); w++) {
        struct split s = split_of(weights[w], "");
        uint32_t cursor = 4321, in_window = 0;
        for (unsigned i = 0; i < PICKS; i++) {
            canary[i] = next_is_canary(&s, &cursor);
            in_window += canary[i];
            if (i >= SPLIT_BUCKETS)
                in_window -= canary[i - SPLIT_BUCKETS];
            if (i + 1 >= SPLIT_BUCKETS)
                assert_int_equal(in_window, weights[w]);
        }
    }
}

/* Requests that something else decides come in between and change nothing. */
static void pinned_requests_do_not_move_the_cursor(void **state)
{
    static const struct split_request pinned[] = {
        {.header = OVERRIDE_ALWAYS},           {.header = OVERRIDE_NEVER},
        {.cookie = OVERRIDE_ALWAYS},           {.cookie = OVERRIDE_NEVER},
        {.has_key = true, .key = {"user", 4}},
    };
    struct split s = split_of(1000, "r");
    uint32_t cursor = 9990, canary = 0;
    (void)state;
    for (unsigned i = 0; i < SPLIT_BUCKETS; i++) {
        uint32_t before = cursor;
        for (size_t k = 0; k < ARRAY_LEN(pinned); k++) {
            (void)split_pick(&s, &order, &pinned[k], &cursor);
            assert_int_equal(cursor, before);
        }
        canary += next_is_canary(&s, &cursor);
        assert_int_equal(cursor, (before + 1) % SPLIT_BUCKETS);
    }
    assert_int_equal(canary, 1000);
}

/* --- shuffled, not striped --- */

static void at_half_the_runs_are_those_of_chance(void **state)
{
    struct split s = split_of(5000, "");
    unsigned runs = 1, length = 1, longest = 1;
    uint32_t cursor = 0;
    bool before = next_is_canary(&s, &cursor);
    (void)state;
    for (unsigned i = 1; i < SPLIT_BUCKETS; i++) {
        bool now = next_is_canary(&s, &cursor);
        length = now == before ? length + 1 : 1;
        runs += now != before;
        longest = length > longest ? length : longest;
        before = now;
    }
    /* Wald and Wolfowitz: 5001 runs, standard deviation 50; the longest of 10000 tosses is about 13
     */
    assert_in_range(runs, 4801, 5201);
    assert_in_range(longest, 8, 30);
}

static void no_period_shows_in_the_order(void **state)
{
    static bool canary[SPLIT_BUCKETS];
    struct split s = split_of(5000, "");
    uint32_t cursor = 0;
    (void)state;
    for (unsigned i = 0; i < SPLIT_BUCKETS; i++)
        canary[i] = next_is_canary(&s, &cursor);
    for (unsigned lag = 1; lag <= SPLIT_BUCKETS / 2; lag++) {
        unsigned same = 0;
        for (unsigned i = 0; i < SPLIT_BUCKETS; i++)
            same += canary[i] == canary[(i + lag) % SPLIT_BUCKETS];
        /* chance: 5000 with a standard deviation of 70 (pairs count twice); the largest of 5000
         * lags: 4 of them */
        assert_in_range(same, 4600, 5400);
    }
}

static void at_one_percent_the_gaps_vary(void **state)
{
    static bool has_gap[SPLIT_BUCKETS + 1];
    struct split s = split_of(100, "");
    uint32_t cursor = 0, last = 0;
    unsigned seen = 0, distinct = 0;
    double squares = 0;
    (void)state;
    for (uint32_t i = 0; i < 2 * SPLIT_BUCKETS; i++) {
        if (!next_is_canary(&s, &cursor))
            continue;
        if (seen++ > 0) {
            uint32_t gap = i - last;
            assert_in_range(gap, 1, SPLIT_BUCKETS);
            squares += ((double)gap - 100) * ((double)gap - 100);
            distinct += !has_gap[gap];
            has_gap[gap] = true;
        }
        last = i;
    }
    assert_int_equal(seen, 200);
    /* geometric gaps: mean and standard deviation 100 */
    double deviation = sqrt(squares / (seen - 1));
    assert_true(deviation > 60 && deviation < 160);
    assert_true(distinct > 50);
}

/* Workers begin at different places, and a step may see only a thousand requests. */
static void short_stretches_are_near_their_share(void **state)
{
    struct split s = split_of(1000, "");
    (void)state;
    for (uint32_t from = 0; from < SPLIT_BUCKETS; from += 125) {
        uint32_t cursor = from, canary = 0;
        for (unsigned i = 0; i < 1000; i++)
            canary += next_is_canary(&s, &cursor);
        assert_in_range(canary, 55, 145); /* 100, standard deviation 9 */
    }
}

/* --- what beats what --- */

enum key { NO_KEY, KEY_OF_CANARY, KEY_OF_STABLE };

static struct slice find_key(const struct split *s, bool canary, char buf[32])
{
    for (unsigned i = 0; i < 100000; i++) {
        struct split_request r = {.has_key = true};
        uint32_t cursor = 0;
        r.key = slice_of(buf, (size_t)snprintf(buf, 32, "user-%u", i));
        if (split_pick(s, &order, &r, &cursor).canary == canary)
            return r.key;
    }
    fail_msg("no key on the wanted side");
    return slice_of(buf, 0);
}

/* Cursors whose bucket is the canary's at half weight, and whose is not. */
static uint32_t find_place(bool canary)
{
    uint32_t place = 0;
    while ((order.bucket[place] < 5000) != canary)
        place++;
    return place;
}

static void header_beats_cookie_beats_key_beats_weight(void **state)
{
    static const struct {
        enum split_override header, cookie;
        enum key key;
        bool place_is_canary;
        bool canary;
        enum metric_assigned assigned;
    } rows[] = {
        {OVERRIDE_NONE, OVERRIDE_NONE, NO_KEY, true, true, ASSIGNED_WEIGHT},
        {OVERRIDE_NONE, OVERRIDE_NONE, NO_KEY, false, false, ASSIGNED_WEIGHT},
        {OVERRIDE_NONE, OVERRIDE_NONE, KEY_OF_CANARY, false, true, ASSIGNED_STICKY},
        {OVERRIDE_NONE, OVERRIDE_NONE, KEY_OF_STABLE, true, false, ASSIGNED_STICKY},
        {OVERRIDE_NONE, OVERRIDE_ALWAYS, NO_KEY, false, true, ASSIGNED_COOKIE},
        {OVERRIDE_NONE, OVERRIDE_NEVER, NO_KEY, true, false, ASSIGNED_COOKIE},
        {OVERRIDE_NONE, OVERRIDE_ALWAYS, KEY_OF_STABLE, false, true, ASSIGNED_COOKIE},
        {OVERRIDE_NONE, OVERRIDE_NEVER, KEY_OF_CANARY, true, false, ASSIGNED_COOKIE},
        {OVERRIDE_ALWAYS, OVERRIDE_NONE, NO_KEY, false, true, ASSIGNED_HEADER},
        {OVERRIDE_NEVER, OVERRIDE_NONE, NO_KEY, true, false, ASSIGNED_HEADER},
        {OVERRIDE_ALWAYS, OVERRIDE_NEVER, KEY_OF_STABLE, false, true, ASSIGNED_HEADER},
        {OVERRIDE_NEVER, OVERRIDE_ALWAYS, KEY_OF_CANARY, true, false, ASSIGNED_HEADER},
        {OVERRIDE_ALWAYS, OVERRIDE_ALWAYS, KEY_OF_CANARY, true, true, ASSIGNED_HEADER},
    };
    struct split s = split_of(5000, "rollout-1");
    char keys[2][32];
    struct slice of_canary = find_key(&s, true, keys[0]), of_stable = find_key(&s, false, keys[1]);
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct split_request r = {.header = rows[i].header,
                                  .cookie = rows[i].cookie,
                                  .has_key = rows[i].key != NO_KEY,
                                  .key = rows[i].key == KEY_OF_CANARY ? of_canary : of_stable};
        uint32_t cursor = find_place(rows[i].place_is_canary);
        struct split_pick pick = split_pick(&s, &order, &r, &cursor);
        assert_int_equal(pick.canary, rows[i].canary);
        assert_int_equal(pick.assigned, rows[i].assigned);
    }
}

/* After an abort, and before a rollout begins: neither weight nor key nor override reaches the
 * canary. */
static void an_inactive_split_sends_nobody(void **state)
{
    (void)state;
    for (unsigned header = OVERRIDE_NONE; header <= OVERRIDE_NEVER; header++)
        for (unsigned cookie = OVERRIDE_NONE; cookie <= OVERRIDE_NEVER; cookie++)
            for (unsigned has_key = 0; has_key < 2; has_key++) {
                struct split s = split_of(10000, "r");
                struct split_request r = {
                    .header = header, .cookie = cookie, .has_key = has_key, .key = SLICE("user")};
                uint32_t cursor = 17;
                s.is_active = false;
                struct split_pick pick = split_pick(&s, &order, &r, &cursor);
                assert_false(pick.canary);
                assert_int_equal(pick.assigned, ASSIGNED_WEIGHT);
                assert_int_equal(cursor, 17);
            }
}

static void overrides_are_two_words(void **state)
{
    static const struct {
        const char *text;
        enum split_override expected;
    } rows[] = {
        {"always", OVERRIDE_ALWAYS}, {"ALWAYS", OVERRIDE_ALWAYS},     {"aLwAyS", OVERRIDE_ALWAYS},
        {"never", OVERRIDE_NEVER},   {"Never", OVERRIDE_NEVER},       {"", OVERRIDE_NONE},
        {"always ", OVERRIDE_NONE},  {" always", OVERRIDE_NONE},      {"alway", OVERRIDE_NONE},
        {"alwayss", OVERRIDE_NONE},  {"\"always\"", OVERRIDE_NONE},   {"true", OVERRIDE_NONE},
        {"1", OVERRIDE_NONE},        {"always,never", OVERRIDE_NONE},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(split_override_parse(slice_str(rows[i].text)), rows[i].expected);
    assert_int_equal(split_override_parse(slice_of("never\0", 6)), OVERRIDE_NONE);
    assert_int_equal(split_override_parse(slice_of(NULL, 0)), OVERRIDE_NONE);
}

/* --- users --- */

#define USERS 50000u

enum form { BY_NAME, BY_NUMBER, BY_ADDRESS, BY_PADDED_ID };

static struct split_request user(unsigned i, enum form form, char buf[64])
{
    struct split_request r = {.has_key = true};
    int len = 0;
    switch (form) {
    case BY_NAME:
        len = snprintf(buf, 64, "user-%u", i);
        break;
    case BY_NUMBER:
        len = snprintf(buf, 64, "%u", i);
        break;
    case BY_ADDRESS:
        len = snprintf(buf, 64, "10.%u.%u.%u", i >> 16, i >> 8 & 255, i & 255);
        break;
    case BY_PADDED_ID:
        len = snprintf(buf, 64, "0000000000000000%08x", i);
        break;
    }
    r.key = slice_of(buf, (size_t)len);
    return r;
}

static bool user_is_on_canary(const struct split *s, unsigned i)
{
    char buf[64];
    struct split_request r = user(i, BY_NAME, buf);
    uint32_t cursor = 0;
    struct split_pick pick = split_pick(s, &order, &r, &cursor);
    assert_int_equal(pick.assigned, ASSIGNED_STICKY);
    return pick.canary;
}

static void users_stay_on_the_canary_while_it_widens(void **state)
{
    static bool was[USERS];
    (void)state;
    for (size_t w = 0; w < ARRAY_LEN(weights); w++) {
        struct split s = split_of(weights[w], "rollout-7");
        unsigned on_canary = 0;
        for (unsigned i = 0; i < USERS; i++) {
            bool is = user_is_on_canary(&s, i);
            assert_true(is || !was[i]);
            was[i] = is;
            on_canary += is;
        }
        double p = weights[w] / 10000.0, deviation = sqrt(USERS * p * (1 - p));
        assert_true(fabs(on_canary - USERS * p) <= 5 * deviation);
    }
}

static void another_rollout_draws_other_users(void **state)
{
    struct split a = split_of(1000, "rollout-1"), b = split_of(1000, "rollout-2");
    unsigned in_a = 0, in_b = 0, in_both = 0;
    (void)state;
    for (unsigned i = 0; i < USERS; i++) {
        bool on_a = user_is_on_canary(&a, i), on_b = user_is_on_canary(&b, i);
        in_a += on_a;
        in_b += on_b;
        in_both += on_a && on_b;
    }
    assert_in_range(in_a, 4650, 5350);
    assert_in_range(in_b, 4650, 5350);
    assert_in_range(in_both, 390, 610); /* independent draws: 500, standard deviation 22 */
}

static uint32_t bucket_of_user(const char *rollout, unsigned i, enum form form)
{
    char buf[64];
    struct split_request r = user(i, form, buf);
    uint32_t low = 0, high = SPLIT_BUCKETS, cursor = 0;
    struct split s = split_of(0, rollout);
    while (low < high) {
        s.weight_bp = (low + high) / 2;
        if (split_pick(&s, &order, &r, &cursor).canary)
            high = s.weight_bp;
        else
            low = s.weight_bp + 1;
    }
    return low - 1;
}

/* Keys that look alike: numbers, addresses, padded ids. */
static void keys_fill_the_buckets_evenly(void **state)
{
    static const struct {
        const char *rollout;
        enum form form;
    } rows[] = {
        {"rollout-1", BY_NAME},
        {"rollout-2", BY_NAME},
        {"", BY_NUMBER},
        {"web", BY_ADDRESS},
        {"my-web/2026-01-01", BY_PADDED_ID},
    };
    (void)state;
    for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
        unsigned count[100] = {0};
        double chi_square = 0;
        for (unsigned i = 0; i < USERS; i++)
            count[bucket_of_user(rows[row].rollout, i, rows[row].form) / 100]++;
        for (unsigned c = 0; c < 100; c++)
            chi_square += (count[c] - USERS / 100.0) * (count[c] - USERS / 100.0) / (USERS / 100.0);
        /* 99 degrees of freedom: outside of this in one of ten thousand draws, and the draw is
         * fixed */
        assert_true(chi_square > 54 && chi_square < 162);
    }
}

/* A release that put these users elsewhere would move everybody in the middle of a rollout. */
static void users_are_where_every_release_puts_them(void **state)
{
    (void)state;
    assert_int_equal(bucket_of_user("rollout-1", 1, BY_NAME), 1712);
    assert_int_equal(bucket_of_user("rollout-1", 2, BY_NAME), 1583);
    assert_int_equal(bucket_of_user("rollout-2", 1, BY_NAME), 1638);
    assert_int_equal(bucket_of_user("", 1, BY_NUMBER), 2360);
}

/* --- the mirror --- */

static void the_mirror_takes_its_share_exactly(void **state)
{
    static const uint32_t shares_bp[] = {0, 1, 37, 500, 5000, 9999, 10000};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(shares_bp); i++)
        for (uint32_t start = 0; start < SPLIT_BUCKETS; start += 1237) {
            uint32_t cursor = start, taken = 0;
            for (unsigned n = 0; n < SPLIT_BUCKETS; n++)
                taken += split_mirrors(shares_bp[i], &order, &cursor);
            assert_int_equal(taken, shares_bp[i]);
            assert_int_equal(cursor, start);
        }
}

static void the_mirror_has_nothing_to_do_with_the_split(void **state)
{
    struct split s = split_of(5000, "");
    uint32_t cursor = 0, mirror_cursor = 0, both = 0;
    (void)state;
    for (unsigned n = 0; n < SPLIT_BUCKETS; n++) {
        bool canary = next_is_canary(&s, &cursor);
        both += split_mirrors(5000, &order, &mirror_cursor) && canary;
    }
    /* within 5 standard deviations of independent draws */
    assert_in_range(both, 2500 - 5 * 43, 2500 + 5 * 43);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_has_every_bucket_once_and_never_changes),
        cmocka_unit_test(every_weight_is_exact_at_the_end_of_a_block),
        cmocka_unit_test(any_consecutive_block_has_its_share),
        cmocka_unit_test(pinned_requests_do_not_move_the_cursor),
        cmocka_unit_test(at_half_the_runs_are_those_of_chance),
        cmocka_unit_test(no_period_shows_in_the_order),
        cmocka_unit_test(at_one_percent_the_gaps_vary),
        cmocka_unit_test(short_stretches_are_near_their_share),
        cmocka_unit_test(header_beats_cookie_beats_key_beats_weight),
        cmocka_unit_test(an_inactive_split_sends_nobody),
        cmocka_unit_test(overrides_are_two_words),
        cmocka_unit_test(users_stay_on_the_canary_while_it_widens),
        cmocka_unit_test(another_rollout_draws_other_users),
        cmocka_unit_test(keys_fill_the_buckets_evenly),
        cmocka_unit_test(users_are_where_every_release_puts_them),
        cmocka_unit_test(the_mirror_takes_its_share_exactly),
        cmocka_unit_test(the_mirror_has_nothing_to_do_with_the_split),
    };
    return cmocka_run_group_tests(tests, make_order, NULL);
}
