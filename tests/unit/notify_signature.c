/* The signature, against one computed elsewhere: printf '%s.%s' 1772366400 '{"a":1}' | openssl dgst -sha256 -hmac SECRET
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void known_answer(void **state)
{
    (void)state;
    char text[SIGNATURE_MAX];
    assert_int_equal(signature_make("0123456789abcdef", 1772366400, "{\"a\":1}", text), OK);
    assert_string_equal(
        text, "t=1772366400,v1=acd30bf13a2aa541abed423b71367f807abad7340e7235616e930e329422e0f4");
    assert_int_equal(signature_make("0123456789abcdeg", INT64_MIN, "", text), OK);
    assert_int_equal(text[0], 't');
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(known_answer)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
