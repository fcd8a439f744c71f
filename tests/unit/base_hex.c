/* Hexadecimal digits: against the C library's.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hex.h"

#include <inttypes.h>
#include <stdio.h>

static void check(uint64_t bits)
{
    char got[HEX_CHARS + 1] = "", want[HEX_CHARS + 1];
    hex_write(got, bits);
    (void)snprintf(want, sizeof want, "%016" PRIx64, bits);
    assert_string_equal(got, want);
}

static void every_byte_at_every_place(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift += 8)
        for (uint64_t byte = 0; byte < 256; byte++)
            check(byte << shift);
}

static void random_numbers(void **state)
{
    (void)state;
    uint64_t bits = 1;
    for (unsigned i = 0; i < 10000; i++)
        check(bits = bits * UINT64_C(6364136223846793005) + 1442695040888963407);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_at_every_place),
        cmocka_unit_test(random_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
