/* The arithmetic of a rolling update: every recorded case of both generations in its order, and the replica ratio.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/kube/scale_plan.h"
#include <stdio.h>
#include <string.h>

static struct scale_amount amount(const char *text)
{
    struct scale_amount a = {false, 0};
    struct why why = {""};
    if (scale_amount_parse(text, &a, &why))
        fail_msg("%s", why.text);
    return a;
}

/* Ready pods of each look; "" = always all of them. */
struct looks {
    const char *text;
};

static int look(struct looks *l, int new)
{
    int ready = new, used = 0;
    if (l->text[0] == '\0')
        return new;
    assert_int_equal(sscanf(l->text, "%d%n", &ready, &used), 1);
    l->text += used;
    l->text += l->text[0] == ',';
    return ready;
}

/* The loop of the second generation, written down as "U3 D7@3 N@0"; with ideal readiness without the looks. */
static void walk(char *out, size_t room, const struct scale_bounds *b, int old, int new,
                 const char *ready, int *peak)
{
    struct looks looks = {ready};
    size_t len = 0;
    out[0] = '\0';
    *peak = old + new;
    for (int turn = 0; turn < 100 && (new != b->desired || old); turn++) {
        int up = scale_up(b, old, new);
        if (up != new)
            len += (size_t)snprintf(out + len, room - len, "U%d ", up);
        new = up;
        *peak = old + new > *peak ? old + new : *peak;
        if (!old)
            continue;
        int seen = look(&looks, new), down = scale_down(b, old, new, seen);
        if (down != old && ready[0])
            len += (size_t)snprintf(out + len, room - len, "D%d@%d ", down, seen);
        else if (down != old)
            len += (size_t)snprintf(out + len, room - len, "D%d ", down);
        else if (ready[0])
            len += (size_t)snprintf(out + len, room - len, "N@%d ", seen);
        old = down;
    }
    if (len)
        out[len - 1] = '\0';
    assert_int_equal(old, 0);
    assert_int_equal(new, b->desired);
}

static void test_second_generation(void **state)
{
    (void)state;
    FILE *file = fopen(TESTS_DIR "/fixtures/kubernetes/rolling_update_gen2.tsv", "re");
    char line[512], name[100], unavailable[16], surge[16], ready[100], expected[200], got[256];
    int old, new, desired, exists, keep, most, rows = 0, peak;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        struct scale_bounds b;
        struct why why = {""};
        if (line[0] == '#')
            continue;
        assert_int_equal(
            sscanf(line,
                   "%99[^\t]\t%d\t%d\t%d\t%15[^\t]\t%15[^\t]\t%d\t%d\t%d\t%99[^\t]\t%199[^\n]",
                   name, &old, &new, &desired, unavailable, surge, &exists, &keep, &most, ready,
                   expected),
            11);
        assert_int_equal(
            scale_bounds_make(desired, old, amount(surge), amount(unavailable), &b, &why), OK);
        assert_int_equal(b.keep, keep);
        assert_int_equal(b.most, most);
        walk(got, sizeof got, &b, old, new, ready[0] == '-' ? "" : ready, &peak);
        assert_string_equal(got, expected[0] == '-' ? "" : expected);
        rows++;
    }
    fclose(file);
    assert_int_equal(rows, 29);
}

/* New pods are ready at once. */
static void test_ideal_readiness(void **state)
{
    (void)state;
    static const struct {
        int old, new, desired;
        const char *unavailable, *surge;
        int keep, most, peak;
        const char *expected;
    } rows[] = {
        {4, 0, 4, "0", "1", 4, 5, 5, "U1 D3 U2 D2 U3 D1 U4 D0"},
        {4, 0, 5, "0", "1", 5, 6, 6, "U2 D3 U3 D2 U4 D1 U5 D0"},
        {4, 0, 5, "1", "0", 4, 5, 5, "U1 D3 U2 D2 U3 D1 U4 D0 U5"},
        {3, 0, 3, "0", "1", 3, 4, 4, "U1 D2 U2 D1 U3 D0"},
        {1, 0, 1, "0", "1", 1, 2, 2, "U1 D0"},
        {2, 0, 7, "0", "1", 7, 8, 8, "U6 D1 U7 D0"},
        {7, 0, 2, "0", "1", 2, 3, 7, "D2 U1 D1 U2 D0"},
        {4, 0, 4, "1", "1", 3, 5, 5, "U1 D2 U3 D0 U4"},
        {10, 0, 10, "25%", "25%", 8, 13, 13, "U3 D5 U8 D0 U10"},
        {2, 2, 4, "0", "1", 4, 5, 5, "U3 D1 U4 D0"},
        {3, 2, 4, "0", "1", 4, 5, 5, "D2 U3 D1 U4 D0"},
        {4, 4, 4, "0", "1", 4, 5, 8, "D0"},
        {0, 4, 4, "0", "1", 4, 5, 4, ""},
        {5, 4, 4, "0", "1", 4, 5, 9, "D0"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct scale_bounds b;
        struct why why = {""};
        char got[256];
        int peak;
        assert_int_equal(scale_bounds_make(rows[i].desired, rows[i].old, amount(rows[i].surge),
                                           amount(rows[i].unavailable), &b, &why),
                         OK);
        assert_int_equal(b.keep, rows[i].keep);
        assert_int_equal(b.most, rows[i].most);
        walk(got, sizeof got, &b, rows[i].old, rows[i].new, "", &peak);
        assert_string_equal(got, rows[i].expected);
        assert_int_equal(peak, rows[i].peak);
    }
}

static void test_first_generation(void **state)
{
    (void)state;
    static const struct {
        int old, new, desired;
        const char *expected;
        int old_left, new_reached; /* the tail: stop the one, scale the other */
    } rows[] = {
        {1, 0, 1, "(0,1)", 0, 1},      {2, 0, 2, "(1,1)(0,2)", 0, 2},
        {2, 0, 7, "(1,1)(0,2)", 0, 2}, {7, 0, 2, "(6,1)(5,2)", 5, 2},
        {2, 1, 3, "(1,2)(0,3)", 0, 3}, {4, 0, 4, "(3,1)(2,2)(1,3)(0,4)", 0, 4},
        {2, 2, 4, "(1,3)(0,4)", 0, 4}, /* the rollback: old is my-web-v2 */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int old = rows[i].old, new = rows[i].new;
        char got[256] = "";
        while (scale_classic(rows[i].desired, &old, &new))
            snprintf(got + strlen(got), sizeof got - strlen(got), "(%d,%d)", old, new);
        assert_string_equal(got, rows[i].expected);
        assert_int_equal(old, rows[i].old_left);
        assert_int_equal(new, rows[i].new_reached);
    }
}

static void test_ratio(void **state)
{
    (void)state;
    FILE *file = fopen(TESTS_DIR "/fixtures/kubernetes/replica_ratio.tsv", "re");
    char line[256];
    int replicas, weight, whole, surge, canary, stable, rows = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#')
            continue;
        assert_int_equal(sscanf(line, "%d\t%d\t%d\t%d\t%d\t%d", &replicas, &weight, &whole, &surge,
                                &canary, &stable),
                         6);
        assert_int_equal(whole, 100);
        rows++;
        uint32_t weight_bp = (uint32_t)weight * 100;
        struct scale_ratio got = scale_ratio(replicas, weight_bp, surge);
        bool is_between = weight > 0 && weight < 100;
        bool is_possible = !(is_between && replicas == 1 && surge == 0);
        assert_int_equal(scale_ratio_is_possible(replicas, weight_bp, surge), is_possible);
        if (!is_possible) { /* ours refuses; who asks all the same keeps stable */
            assert_int_equal(got.canary, 0);
            assert_int_equal(got.stable, 1);
            continue;
        }
        if (is_between && replicas >= 2)
            assert_true(canary && stable);
        assert_int_equal(got.canary, canary);
        assert_int_equal(got.stable, stable);
        if (surge) { /* 1 stands for any */
            struct scale_ratio more = scale_ratio(replicas, weight_bp, 7);
            assert_int_equal(more.canary, canary);
            assert_int_equal(more.stable, stable);
        }
    }
    fclose(file);
    assert_int_equal(rows, 57);
}

static void test_ratio_holds(void **state)
{
    (void)state;
    for (int n = 2; n < 40; n++)
        for (uint32_t w = 1; w < 10000; w += 7)
            for (int surge = 0; surge < 2; surge++) {
                struct scale_ratio r = scale_ratio(n, w, surge);
                assert_true(r.canary >= 1 && r.stable >= 1);
                assert_true(r.canary + r.stable >= n && r.canary + r.stable <= n + surge);
            }
}

static void test_amounts(void **state)
{
    (void)state;
    static const char *const bad[] = {"",      "%",      "-1",    "1.5",    "abc", "25 %", " 1",
                                      "1.5.%", "1.234%", "10001", "10001%", ".5%", "5.%",  "1e3"};
    struct scale_amount a;
    struct why why = {""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(scale_amount_parse(bad[i], &a, &why), ERR_INVALID);
    assert_int_equal(amount("25%").value, 2500);
    assert_int_equal(amount("0.5%").value, 50);
    assert_int_equal(amount("0.05%").value, 5);
    assert_int_equal(amount("300%").value, 30000);
    assert_true(amount("0%").is_share);
    assert_int_equal(amount("10000").value, 10000);
    assert_false(amount("3").is_share);
}

static void test_bounds(void **state)
{
    (void)state;
    struct scale_bounds b;
    struct why why = {""};
    assert_int_equal(scale_bounds_make(4, 4, amount("0"), amount("0"), &b, &why), ERR_INVALID);
    assert_string_equal(why.text, "one of maxSurge or maxUnavailable must be specified");
    assert_int_equal(scale_bounds_make(4, 4, amount("0%"), amount("0%"), &b, &why), ERR_INVALID);
    assert_int_equal(scale_bounds_make(0, 4, amount("0"), amount("0"), &b, &why), OK);
    assert_int_equal(b.unavailable, 4);
    assert_int_equal(b.keep, 0);
    assert_int_equal(scale_bounds_make(1000000, 0, amount("10000%"), amount("1"), &b, &why), OK);
    assert_int_equal(b.most, 101000000);
}

static void test_edges(void **state)
{
    (void)state;
    struct scale_bounds b;
    assert_int_equal(scale_bounds_make(4, 4, amount("1"), amount("0"), &b, NULL), OK);
    assert_int_equal(scale_up(&b, 0, 6), 4); /* a person scaled new up */
    assert_int_equal(scale_up(&b, 2, 6), 4);
    assert_int_equal(scale_down(&b, 4, 1, 0), 4); /* not ready: nothing */
    assert_int_equal(scale_down(&b, 3, 1, 0), 3); /* below what is kept already */
    assert_int_equal(scale_percent(4, 0, 1), 25);
    assert_int_equal(scale_percent(4, 0, 4), 100);
    assert_int_equal(scale_percent(4, 4, 4), 100);
    assert_int_equal(scale_percent(4, 2, 0), 0);
    assert_int_equal(scale_percent(0, 4, 1), 75);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_second_generation),
        cmocka_unit_test(test_ideal_readiness),
        cmocka_unit_test(test_first_generation),
        cmocka_unit_test(test_ratio),
        cmocka_unit_test(test_ratio_holds),
        cmocka_unit_test(test_amounts),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
