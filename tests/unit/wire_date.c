/* Dates as HTTP writes them, against the C library's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/wire/date.h"

#include <string.h>
#include <time.h>

static void known_moments(void **state)
{
    (void)state;
    char text[DATE_CHARS + 1];
    date_text(784111777, text); /* the example of RFC 9110 section 5.6.7 */
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    date_text(0, text);
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    date_text(951782400, text);
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
}

static void as_the_library_says(void **state)
{
    (void)state;
    for (int64_t s = 1; s < 4102444800; s += 86399 * 7) {
        char text[DATE_CHARS + 1], expected[64];
        time_t second = (time_t)s;
        struct tm tm;
        date_text(s, text);
        assert_true(strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT",
                             gmtime_r(&second, &tm)) > 0);
        assert_string_equal(text, expected);
        assert_int_equal(strlen(text), DATE_CHARS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_moments),
        cmocka_unit_test(as_the_library_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
