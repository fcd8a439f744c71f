/* Character classes and the small grammars built on them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/syntax.h"

static void token_and_value_bytes_are_those_of_the_rfc(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        bool mark = c && memchr("!#$%&'*+-.^_`|~", c, 15);
        assert_int_equal(syntax_is((char)c, SYNTAX_TOKEN), letter || digit || mark);
        assert_int_equal(syntax_is((char)c, SYNTAX_VALUE), c == '\t' || (c >= 0x20 && c != 0x7f));
        assert_int_equal(syntax_is((char)c, SYNTAX_DIGIT), digit);
        assert_int_equal(syntax_is((char)c, SYNTAX_HEX), digit || (letter && ((c | 0x20) <= 'f')));
        assert_int_equal(syntax_is((char)c, SYNTAX_QUERY),
                         c > 0x20 && c < 0x7f && c != '#' && c != '%');
    }
}

/* Each byte at each place of values around the width of a word. */
static void value_check_sees_every_byte(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 40; n++) {
        char text[40];
        memset(text, 0xe9, sizeof text);
        assert_true(syntax_is_value(slice_of(text, n)));
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                assert_int_equal(syntax_is_value(slice_of(text, n)),
                                 syntax_is((char)c, SYNTAX_VALUE));
            }
            text[at] = (char)(at % 3 ? 'a' : '\t');
        }
    }
}

/* A byte of every value at every place of a name, before the colon that ends it. */
static void token_ends_at_the_first_other_byte(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 36; n++) {
        char *text = malloc(n + 1);
        assert_non_null(text);
        memset(text, 'z', n);
        text[n] = ':';
        for (size_t at = 0; at < n; at++) {
            for (int c = 0; c < 256; c++) {
                text[at] = (char)c;
                assert_int_equal(syntax_token_bytes(slice_of(text, n)),
                                 syntax_is((char)c, SYNTAX_TOKEN) ? n : at);
            }
            text[at] = "aAZ-0!"[at % 6];
        }
        assert_int_equal(syntax_token_bytes(slice_of(text, n)), n);
        free(text);
    }
}

static void authorities_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"a", true},
        {"a.test.", true},
        {"127.0.0.1:80", true},
        {"a:", true},
        {"a:0", true},
        {"a:65535", true},
        {"[::]", true},
        {"[1::]:1", true},
        {"[1:2:3:4:5:6:7:8]", true},
        {"[::ffff:127.0.0.1]", true},
        {"[1:2:3:4:5:6:127.0.0.1]", true},
        {"[1:2:3:4:5:6:7::]", true},
        {"", false},
        {":", false},
        {"a:65536", false},
        {"a:000080", false},
        {"a:8x", false},
        {"a:8:0", false},
        {"a b", false},
        {"a/b", false},
        {"a@b", false},
        {"a,b", false},
        {"a%41", false},
        {"[", false},
        {"[]", false},
        {"[:]", false},
        {"[1]", false},
        {"[:::]", false},
        {"[1::2::3]", false},
        {"[1:2:3:4:5:6:7]", false},
        {"[1:2:3:4:5:6:7:8:9]", false},
        {"[1:2:3:4:5:6:7:8::]", false},
        {"[12345::]", false},
        {"[g::]", false},
        {"[::1%eth0]", false},
        {"[::127.0.0.256]", false},
        {"[::127.0.0]", false},
        {"[::127.0.0.01]", false},
        {"[127.0.0.1::]", false},
        {"[::1]80", false},
        {"[::1]:", true},
        {"[::1]]", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (syntax_is_authority(slice_str(rows[i].text)) != rows[i].valid)
            fail_msg("\"%s\" should be %s", rows[i].text, rows[i].valid ? "valid" : "refused");
    char name[SYNTAX_AUTHORITY_BYTES_MAX + 1];
    memset(name, 'a', sizeof name);
    assert_true(syntax_is_authority(slice_of(name, SYNTAX_AUTHORITY_BYTES_MAX)));
    assert_false(syntax_is_authority(slice_of(name, SYNTAX_AUTHORITY_BYTES_MAX + 1)));
}

static void lists_are_walked(void **state)
{
    (void)state;
    struct slice list = SLICE(" , a ,,\tb c\t, "), element;
    assert_true(syntax_list_next(&list, &element));
    assert_true(slice_equal(element, SLICE("a")));
    assert_true(syntax_list_next(&list, &element));
    assert_true(slice_equal(element, SLICE("b c")));
    assert_false(syntax_list_next(&list, &element));
    assert_false(syntax_list_next(&list, &element));
}

#define TRACE_ID  "4bf92f3577b34da6a3ce929d0e0e4736"
#define PARENT_ID "00f067aa0ba902b7"
#define ZEROS     "00000000000000000000000000000000"

static void traceparents_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool valid;
    } rows[] = {
        {"00-" TRACE_ID "-" PARENT_ID "-01", true},
        {"00-" TRACE_ID "-" PARENT_ID "-00", true},
        {"00-" TRACE_ID "-" PARENT_ID "-ff", true},
        {"00-" TRACE_ID "-" PARENT_ID "-01-", false}, /* 00 ends there */
        {"00-" TRACE_ID "-" PARENT_ID "-01-what", false},
        {"cc-" TRACE_ID "-" PARENT_ID "-01", true}, /* a later version */
        {"cc-" TRACE_ID "-" PARENT_ID "-01-what", true},
        {"cc-" TRACE_ID "-" PARENT_ID "-01.what", false},
        {"ff-" TRACE_ID "-" PARENT_ID "-01", false},
        {"0-" TRACE_ID "-" PARENT_ID "-01", false},
        {"0g-" TRACE_ID "-" PARENT_ID "-01", false},
        {"00-" ZEROS "-" PARENT_ID "-01", false},
        {"00-" TRACE_ID "-0000000000000000-01", false},
        {"00-4BF92F3577B34DA6A3CE929D0E0E4736-" PARENT_ID "-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e473-" PARENT_ID "-01", false},
        {"00-4bf92f3577b34da6a3ce929d0e0e473.-" PARENT_ID "-01", false},
        {"00-" TRACE_ID "-" PARENT_ID "-0", false},
        {"00-" TRACE_ID "-" PARENT_ID "-0X", false},
        {"00-" TRACE_ID "-" PARENT_ID, false},
        {"00-" TRACE_ID "_" PARENT_ID "-01", false},
        {"00_" TRACE_ID "-" PARENT_ID "-01", false},
        {"00-" TRACE_ID "-" PARENT_ID "_01", false},
        {"", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (syntax_is_traceparent(slice_str(rows[i].text)) != rows[i].valid)
            fail_msg("\"%s\" should be %s", rows[i].text, rows[i].valid ? "valid" : "refused");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_and_value_bytes_are_those_of_the_rfc),
        cmocka_unit_test(value_check_sees_every_byte),
        cmocka_unit_test(token_ends_at_the_first_other_byte),
        cmocka_unit_test(authorities_are_judged),
        cmocka_unit_test(lists_are_walked),
        cmocka_unit_test(traceparents_are_judged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
