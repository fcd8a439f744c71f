/* Errors: every code has its words, reasons are cut and not overrun.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include <string.h>

static void every_code_has_its_own_words(void **state)
{
    (void)state;
    for (int e = ERR_DENIED; e <= OK; e++) {
        assert_string_not_equal(err_text((enum err)e), "unknown error");
        for (int other = ERR_DENIED; other < e; other++)
            assert_string_not_equal(err_text((enum err)e), err_text((enum err)other));
    }
    assert_string_equal(err_text((enum err)(ERR_DENIED - 1)), "unknown error");
    assert_string_equal(err_text((enum err)1), "unknown error");
}

static void the_reason_is_written_and_the_code_handed_on(void **state)
{
    (void)state;
    struct why why = {"old"};
    assert_int_equal(why_set(&why, ERR_LIMIT, "route %s: %d above %d", "web", 7, 5), ERR_LIMIT);
    assert_string_equal(why.text, "route web: 7 above 5");
    assert_int_equal(why_set(NULL, ERR_IO, "%s", "nobody asks"), ERR_IO);
}

static void a_long_reason_is_cut(void **state)
{
    (void)state;
    struct {
        struct why why;
        char guard[16];
    } room;
    char text[2 * WHY_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(&room, 'g', sizeof room);
    assert_int_equal(why_set(&room.why, ERR_INVALID, "%s", text), ERR_INVALID);
    assert_int_equal(strlen(room.why.text), WHY_MAX - 1);
    for (size_t i = 0; i < sizeof room.guard; i++)
        assert_int_equal(room.guard[i], 'g');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_its_own_words),
        cmocka_unit_test(the_reason_is_written_and_the_code_handed_on),
        cmocka_unit_test(a_long_reason_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
