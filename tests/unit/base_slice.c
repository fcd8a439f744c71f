/* Borrowed bytes: comparing, cutting, trimming, reading numbers.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/slice.h"

static void equality_looks_at_bytes(void **state)
{
    (void)state;
    assert_true(slice_equal(SLICE("abc"), slice_str("abc")));
    assert_true(slice_equal(slice_of(NULL, 0), SLICE("")));
    assert_false(slice_equal(SLICE("abc"), SLICE("abd")));
    assert_false(slice_equal(SLICE("abc"), SLICE("ab")));
    assert_true(slice_equal(SLICE("a\0b"), SLICE("a\0b")));
    assert_false(slice_equal(SLICE("a\0b"), SLICE("a\0c")));
}

static void case_is_ascii_only(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char lower = ascii_lower((char)c);
        assert_int_equal((unsigned char)lower, c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    assert_true(slice_equal_nocase(SLICE("Content-LENGTH"), SLICE("content-length")));
    assert_false(slice_equal_nocase(SLICE("a"), SLICE("ab")));
    assert_false(slice_equal_nocase(SLICE("@"), SLICE("`")));
    assert_false(slice_equal_nocase(SLICE("["), SLICE("{")));
    assert_false(slice_equal_nocase(SLICE("\xc9"), SLICE("\xe9")));
}

static void prefixes_are_found(void **state)
{
    (void)state;
    assert_true(slice_starts(SLICE("/api/v1"), SLICE("/api")));
    assert_true(slice_starts(SLICE("/api"), SLICE("/api")));
    assert_true(slice_starts(SLICE(""), SLICE("")));
    assert_true(slice_starts(slice_of(NULL, 0), slice_of(NULL, 0)));
    assert_false(slice_starts(SLICE("/ap"), SLICE("/api")));
    assert_false(slice_starts(SLICE("x/api"), SLICE("/api")));
}

static void trim_drops_spaces_and_tabs_only(void **state)
{
    (void)state;
    static const struct {
        struct slice text, trimmed;
    } rows[] = {
        {SLICE(" \t a b\t "), SLICE("a b")}, {SLICE("ab"), SLICE("ab")},
        {SLICE(" \t "), SLICE("")},          {SLICE(""), SLICE("")},
        {SLICE("\ra\n"), SLICE("\ra\n")},    {SLICE("\0 "), SLICE("\0")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(slice_equal(slice_trim(rows[i].text), rows[i].trimmed));
}

static void cut_splits_at_the_first(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool found;
        struct slice head, rest;
    } rows[] = {
        {SLICE("a=b=c"), true, SLICE("a"), SLICE("b=c")},
        {SLICE("=b"), true, SLICE(""), SLICE("b")},
        {SLICE("a="), true, SLICE("a"), SLICE("")},
        {SLICE("="), true, SLICE(""), SLICE("")},
        {SLICE("abc"), false, SLICE("abc"), SLICE("")},
        {SLICE(""), false, SLICE(""), SLICE("")},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct slice head, rest;
        assert_int_equal(slice_cut(rows[i].text, '=', &head, &rest), rows[i].found);
        assert_true(slice_equal(head, rows[i].head) && slice_equal(rest, rows[i].rest));
    }
    struct slice head, rest;
    assert_false(slice_cut(slice_of(NULL, 0), '=', &head, &rest));
    assert_true(head.len == 0 && rest.len == 0);
    /* The source may be the destination: how loops walk a list. */
    rest = SLICE("a,b,c");
    slice_cut(rest, ',', &head, &rest);
    assert_true(slice_equal(head, SLICE("a")) && slice_equal(rest, SLICE("b,c")));
    rest = SLICE("a,b");
    slice_cut(rest, ',', &rest, &head);
    assert_true(slice_equal(rest, SLICE("a")) && slice_equal(head, SLICE("b")));
}

static void numbers_are_digits_only(void **state)
{
    (void)state;
    static const struct {
        struct slice text;
        bool good;
        uint64_t value;
    } rows[] = {
        {SLICE("0"), true, 0},
        {SLICE("007"), true, 7},
        {SLICE("18446744073709551615"), true, UINT64_MAX},
        {SLICE("00000000000000000000000000001"), true, 1},
        {SLICE("18446744073709551616"), false, 0},
        {SLICE("18446744073709551620"), false, 0},
        {SLICE("99999999999999999999"), false, 0},
        {SLICE("184467440737095516150"), false, 0},
        {SLICE(""), false, 0},
        {SLICE("+1"), false, 0},
        {SLICE("-1"), false, 0},
        {SLICE(" 1"), false, 0},
        {SLICE("1 "), false, 0},
        {SLICE("0x1"), false, 0},
        {SLICE("1\0"), false, 0},
        {SLICE("\xb2"), false, 0},
        {SLICE("/"), false, 0},
        {SLICE(":"), false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 42;
        assert_int_equal(slice_parse_u64(rows[i].text, &value), rows[i].good);
        assert_true(value == (rows[i].good ? rows[i].value : 42));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality_looks_at_bytes),
        cmocka_unit_test(case_is_ascii_only),
        cmocka_unit_test(prefixes_are_found),
        cmocka_unit_test(trim_drops_spaces_and_tabs_only),
        cmocka_unit_test(cut_splits_at_the_first),
        cmocka_unit_test(numbers_are_digits_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
