/* A share that is off is told from one that is not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "rollout/decide/sample_ratio.h"

static void rows(void **state)
{
    (void)state;
    static const struct {
        uint64_t canary, total;
        double share;
        bool off;
    } all[] = {
        {0, 0, 0.1, false},        {0, 100, 0.1, false}, /* ten were expected: too few to tell */
        {0, 299, 0.1, false},      {0, 300, 0.1, true},  /* thirty were */
        {100, 1000, 0.1, false},                         /* exact */
        {142, 1000, 0.1, false},                         /* 4.43 sigmas */
        {143, 1000, 0.1, true},                          /* 4.53 */
        {57, 1000, 0.1, true},     {58, 1000, 0.1, false},        {1000, 1000, 0.99, false},
        {9990, 10000, 0.99, true}, {500000, 1000000, 0.5, false}, {502251, 1000000, 0.5, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (sample_ratio_is_off(all[i].canary, all[i].total, all[i].share) != all[i].off)
            fail_msg("row %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
