/* TLS to the endpoints of a version: a row is a file, and the lines that it is refused with, or whom it expects there.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/upstream_tls.h"
#include "conf_help.h"

/* One version on line 5. */
#define VERSION(keys)                                                                              \
    LISTENER "routes:\n  - name: r\n    stable: v1\n    versions: { v1: { " keys " } }\n"
#define IPS        "endpoints: [\"10.0.0.1:443\", \"[::1]:443\"]"
#define FILE_THERE TESTS_DIR "/packages"

static void test_rules(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {VERSION(IPS ", tls: {}"), ""},
        {VERSION(IPS ", tls: { ca: " FILE_THERE ", server_name: web.internal }"), ""},
        {VERSION(IPS ", tls: { certificate: " FILE_THERE ", key: " FILE_THERE " }"), ""},
        {VERSION(IPS ", tls: { certificate: " FILE_THERE " }"),
         "f:5:65: routes[0].versions.v1.tls.key: is missing (PEM file of the certificate's key)\n"},
        {VERSION(IPS ", tls: { key: " FILE_THERE " }"),
         "f:5:65: routes[0].versions.v1.tls.certificate: is missing (PEM file of the key's "
         "certificate)\n"},
        {VERSION(IPS ", tls: { ca: /nonexistent/ca.crt }"),
         "f:5:76: routes[0].versions.v1.tls.ca: \"/nonexistent/ca.crt\" cannot be read: No such "
         "file or directory\n"},
        {VERSION(IPS ", tls: { certificate: /nonexistent/a, key: /tmp }"),
         "f:5:85: routes[0].versions.v1.tls.certificate: \"/nonexistent/a\" cannot be read: No "
         "such "
         "file or directory\n"
         "f:5:106: routes[0].versions.v1.tls.key: \"/tmp\" is a directory (expected a regular "
         "file)\n"},
        {VERSION(IPS ", tls: { server_name: \"*.internal\" }"),
         "f:5:85: routes[0].versions.v1.tls.server_name: *.internal is no one server (expected a "
         "name without *)\n"},
        {VERSION(IPS ", tls: { server_name: \"web:443\" }"),
         "f:5:85: routes[0].versions.v1.tls.server_name: \"web:443\" is more than a host (no "
         "scheme, port or path) (a host such as shop.example or *.shop.example)\n"},
        {VERSION(IPS ", tls: { min_version: \"1.1\" }"),
         "f:5:85: routes[0].versions.v1.tls.min_version: \"1.1\" is not known (one of 1.2, 1.3)\n"},
        {VERSION(IPS ", tls: ~"),
         "f:5:70: routes[0].versions.v1.tls: has no value (expected {} for "
         "TLS with all defaults)\n"},
        {VERSION("endpoints: [unix:/a], tls: {}"),
         "f:5:45: routes[0].versions.v1.tls.server_name: is missing (a unix: endpoint has no name "
         "and no address: name what its certificate shows, or write verify: false)\n"},
        {VERSION("endpoints: [unix:/a], tls: { server_name: web }"), ""},
        {VERSION("endpoints: [unix:/a], tls: { verify: false }"), ""},
        {VERSION("workload: rc/a, port: 80, tls: {}"),
         "f:5:49: routes[0].versions.v1.tls.server_name: is missing (a workload's pods have "
         "addresses that no certificate can know: name what its certificate shows, or write "
         "verify: false)\n"},
        {VERSION("workload: rc/a, port: 80, tls: { server_name: web }"), ""},
        {VERSION("endpoints: [\"dns:web:443\", \"dns:WEB.:444\"], tls: {}"), ""},
        {VERSION("endpoints: [\"dns:web:443\", \"dns:web2:443\"], tls: {}"),
         "f:5:67: routes[0].versions.v1.tls.server_name: is missing (its endpoints have more than "
         "one name: name what its certificate shows, or write verify: false)\n"},
        {VERSION("endpoints: [\"dns:web:443\", \"10.0.0.1:443\"], tls: {}"),
         "f:5:67: routes[0].versions.v1.tls.server_name: is missing (its endpoints have more than "
         "one name: name what its certificate shows, or write verify: false)\n"},
        {VERSION("endpoints: [\"nonsense\"], tls: {}"),
         "f:5:35: routes[0].versions.v1.endpoints[0]: \"nonsense\" has no port (127.0.0.1:8080, "
         "[::1]:8080, unix:/path or dns:NAME:8080)\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        help_expect(rows[i].text, rows[i].errors);
}

static void test_whom_it_expects(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } rows[] = {
        {VERSION(IPS ", tls: {}"), ""},
        {VERSION(IPS ", tls: { server_name: Web.Internal }"), "web.internal"},
        {VERSION(IPS ", tls: { server_name: \"[::1]\" }"), "::1"},
        {VERSION(IPS ", tls: { server_name: 10.0.0.9 }"), "10.0.0.9"},
        {VERSION("endpoints: [\"dns:web.internal.:443\"], tls: {}"), "web.internal"},
        {VERSION("endpoints: [\"dns:a:443\", \"dns:b:443\"], tls: { verify: false }"), ""},
        {VERSION("workload: rc/a, port: 80, tls: { server_name: web }"), "web"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config *config = help_load(rows[i].text);
        assert_non_null(config);
        const char *name = config->routes[0].versions[0].tls.name;
        if (strcmp(name ? name : "", rows[i].name) != 0)
            fail_msg("%s: %s", rows[i].text, name);
        config_free(config);
    }
}

static void test_what_is_kept(void **state)
{
    (void)state;
    struct config *c = help_load(VERSION(IPS ", tls: { ca: " FILE_THERE ", verify: false, "
                                             "certificate: " FILE_THERE ", key: " FILE_THERE
                                             ", min_version: \"1.3\" }"));
    assert_non_null(c);
    const struct config_version *v = &c->routes[0].versions[0];
    assert_true(v->has_tls);
    assert_false(v->tls.verify);
    assert_string_equal(v->tls.ca, FILE_THERE);
    assert_string_equal(v->tls.shown.certificate, FILE_THERE);
    assert_string_equal(v->tls.shown.key, FILE_THERE);
    assert_int_equal(v->tls.min_version, CONFIG_TLS_1_3);
    assert_int_equal(v->tls.place.line, 5);
    assert_true(v->tls.ca_place.column < v->tls.shown.key_place.column);
    config_free(c);
    c = help_load(VERSION(IPS));
    assert_non_null(c);
    assert_false(c->routes[0].versions[0].has_tls);
    config_free(c);
    c = help_load(VERSION(IPS ", tls: {}"));
    assert_non_null(c);
    assert_true(c->routes[0].versions[0].tls.verify);
    assert_int_equal(c->routes[0].versions[0].tls.min_version, CONFIG_TLS_1_2);
    config_free(c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_whom_it_expects),
        cmocka_unit_test(test_what_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
