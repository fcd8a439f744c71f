/* UTF-8: what RFC 3629 allows, all of it, and nothing else.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"

static unsigned encode(uint32_t c, char out[4])
{
    if (c < 0x80)
        return out[0] = (char)c, 1;
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = (char)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = (char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = (char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (char)(0x80 | (c & 0x3f));
    return 4;
}

static void every_code_point_is_read_back(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x200000; c++) {
        char bytes[4];
        uint32_t back = 0;
        unsigned n = encode(c, bytes);
        bool is_character = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
        if (utf8_next(slice_of(bytes, n), &back) != (is_character ? n : 0) ||
            (is_character && back != c))
            fail_msg("U+%x", c);
        /* Less than the whole character is none. */
        for (unsigned part = 0; part < n; part++)
            if (utf8_next(slice_of(bytes, part), &back) != 0)
                fail_msg("U+%x in %u bytes", c, part);
    }
}

static void broken_sequences_are_refused(void **state)
{
    (void)state;
    static const struct slice rows[] = {
        SLICE("\x80"),
        SLICE("\xbf"),
        SLICE("\xc0\x80"),
        SLICE("\xc1\xbf"),
        SLICE("\xe0\x9f\xbf"),
        SLICE("\xf0\x8f\xbf\xbf"),
        SLICE("\xf5\x80\x80\x80"),
        SLICE("\xf8\x88\x80\x80\x80"),
        SLICE("\xfe"),
        SLICE("\xff"),
        SLICE("\xc3("),
        SLICE("\xe2\x82("),
        SLICE("\xe2(\xac"),
        SLICE("\xf0\x9f\x90("),
        SLICE("a\xc3"),
        SLICE("ok \xed\xbf\xbf"),
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_false(utf8_valid(rows[i]));
}

static void whole_texts_are_valid(void **state)
{
    (void)state;
    assert_true(utf8_valid(SLICE("")));
    assert_true(utf8_valid(SLICE("plain")));
    assert_true(utf8_valid(SLICE("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x90\x8c \xf4\x8f\xbf\xbf")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_read_back),
        cmocka_unit_test(broken_sequences_are_refused),
        cmocka_unit_test(whole_texts_are_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
