/* Names and certificates: a row is a name that a client asks for, and what it is shown.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/sni.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/check.h"

enum { RSA_KEY = 6, CURVE_KEY = 408 };

static const struct {
    const char *name;
    uint16_t certificate;
    int kind;
} known[] = {
    {"shop.example", 0, RSA_KEY},
    {"WWW.Shop.Example", 0, RSA_KEY},
    {"shop.example", 1, CURVE_KEY},
    {"shop.example", 2, RSA_KEY},
    {"*.shop.example", 3, CURVE_KEY},
    {"*.shop.example", 4, RSA_KEY},
    {"*.a.shop.example", 5, CURVE_KEY},
    {"*.example", 6, RSA_KEY},
    {"w*.shop.example", 6, RSA_KEY},
    {"*", 6, RSA_KEY},
    {"*.*.example", 6, RSA_KEY},
    {"", 6, RSA_KEY},
    {"host", 7, RSA_KEY},
    {"dot.example.", 8, RSA_KEY},
};

static const char *shown(const struct sni *s, const char *name)
{
    static char text[64];
    const struct sni_match *m = sni_find(s, slice_str(name));
    size_t at = 0;
    text[0] = '\0';
    for (uint16_t i = 0; m && i < m->n; i++)
        at +=
            (size_t)snprintf(text + at, sizeof text - at, "%s%u", i ? " " : "", m->certificates[i]);
    return m ? text : "none";
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *certificates;
    } rows[] = {
        {"shop.example", "0 1"},
        {"SHOP.example", "0 1"},
        {"shop.example.", "0 1"},
        {"www.shop.example", "0"}, /* exact before the wildcard, which is not added to it */
        {"x.shop.example", "3 4"},
        {"x.a.shop.example", "5"},
        {"a.shop.example", "3 4"},
        {"x.y.shop.example", "none"}, /* one label only */
        {".shop.example", "none"},
        {"*.shop.example", "none"},
        {"shopxexample", "none"},
        {"other.example", "none"}, /* no certificate is for a whole top level */
        {"w1.b.example", "none"},
        {"host", "7"},
        {"dot.example", "8"},
        {"example", "none"},
        {".", "none"},
        {"", "none"},
    };
    struct sni *s = sni_new();
    assert_non_null(s);
    assert_null(sni_find(s, SLICE("shop.example")));
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        assert_int_equal(sni_add(s, slice_str(known[i].name), known[i].certificate, known[i].kind),
                         OK);
    sni_sort(s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(shown(s, rows[i].name), rows[i].certificates) != 0)
            fail_msg("%s: %s, not %s", rows[i].name, shown(s, rows[i].name), rows[i].certificates);
    sni_free(s);
}

static void test_bounds(void **state)
{
    (void)state;
    char name[SNI_NAME_MAX + 2];
    struct sni *s = sni_new();
    assert_non_null(s);
    memset(name, 'a', sizeof name);
    assert_int_equal(sni_add(s, slice_of(name, SNI_NAME_MAX), 1, RSA_KEY), OK);
    assert_int_equal(sni_add(s, slice_of(name, SNI_NAME_MAX + 1), 2, RSA_KEY), OK);
    assert_int_equal(sni_add(s, slice_of("a\0b", 3), 3, RSA_KEY), OK);
    for (int kind = 0; kind < 2 * SNI_KINDS_MAX; kind++)
        assert_int_equal(sni_add(s, SLICE("many"), (uint16_t)kind, kind), OK);
    sni_sort(s);
    assert_int_equal(sni_find(s, slice_of(name, SNI_NAME_MAX))->certificates[0], 1);
    assert_null(sni_find(s, slice_of(name, SNI_NAME_MAX + 1)));
    assert_null(sni_find(s, slice_of("a\0b", 3)));
    assert_null(sni_find(s, SLICE("a")));
    assert_int_equal(sni_find(s, SLICE("many"))->n, SNI_KINDS_MAX);
    sni_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
