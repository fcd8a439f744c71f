/* Quoting outside bytes for a log line.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"

/* base/log.h declares the sink; these tests need the quoting only. */

static void values_cannot_end_early(void **state)
{
    (void)state;
    static const struct {
        struct slice value;
        const char *quoted;
    } rows[] = {
        {SLICE(""), "\"\""},
        {SLICE("/a b"), "\"/a b\""},
        {SLICE("a\" level=error x=\""), "\"a\\\" level=error x=\\\"\""},
        {SLICE("a\\"), "\"a\\\\\""},
        {SLICE("a\nb\0c\x7f"), "\"a\\x0ab\\x00c\\x7f\""},
        {SLICE("caf\xc3\xa9\xff"), "\"caf\xc3\xa9\xff\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct log_quoted q;
        assert_string_equal(log_quote(&q, rows[i].value), rows[i].quoted);
    }
}

/* Bytes that need one, two and four places each, at all lengths around the room's end. */
static void long_values_are_cut_inside_their_quotes(void **state)
{
    (void)state;
    static const char kinds[] = {'x', '"', '\n'};
    char value[LOG_QUOTED_BYTES + 8];
    for (size_t k = 0; k < sizeof kinds; k++) {
        memset(value, kinds[k], sizeof value);
        for (size_t shift = 0; shift < 5; shift++) {
            for (size_t len = 0; len <= sizeof value; len++) {
                struct {
                    struct log_quoted q;
                    char guard;
                } room;
                room.guard = 'g';
                memset(value, 'a', shift);
                const char *text = log_quote(&room.q, slice_of(value, len));
                size_t n = strlen(text);
                assert_true(n < LOG_QUOTED_BYTES && room.guard == 'g');
                assert_true(text[0] == '"' && text[n - 1] == '"' && n >= 2);
                if (n < LOG_QUOTED_BYTES - 10)
                    assert_false(n > 4 && text[n - 2] == '.');
                else if (kinds[k] == 'x' && len > LOG_QUOTED_BYTES)
                    assert_true(memcmp(text + n - 4, "...\"", 4) == 0);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_cannot_end_early),
        cmocka_unit_test(long_values_are_cut_inside_their_quotes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
