/* TLS on a listener: a row is a file, and the lines that it is refused with; and what is kept of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/listener_tls.h"
#include "conf_help.h"

#define THERE TESTS_DIR "/packages" /* looked into only by who loads certificates */
#define OTHER TESTS_DIR "/run"
#define TLS(keys)                                                                                  \
    "listeners:\n  - bind: unix:/a\n    tls:\n      certificates: [{ certificate: " THERE          \
    ", key: " THERE " }]\n" keys ROUTE

static void test_rules(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {TLS(""), ""},
        {TLS("      min_version: \"1.3\"\n      client_ca: " THERE "\n"
             "      client_certificate: optional\n      client_subject_header: X-User\n"),
         ""},
        {TLS("      client_certificate: optional\n      client_subject_header: X-User\n"),
         "f:5:27: listeners[0].tls.client_certificate: is of no use here (expected beside "
         "client_ca)\n"
         "f:6:30: listeners[0].tls.client_subject_header: is of no use here (expected beside "
         "client_ca)\n"},
        {TLS("      client_ca: " THERE "\n      client_certificate: maybe\n"),
         "f:6:27: listeners[0].tls.client_certificate: \"maybe\" is not known (one of required, "
         "optional)\n"},
        {TLS("      client_ca: " THERE "\n      client_subject_header: x-forwarded-FOR\n"),
         "f:6:30: listeners[0].tls.client_subject_header: \"x-forwarded-FOR\" is a field that "
         "means something else (expected a name of its own)\n"},
        {TLS("      client_ca: " THERE "\n      client_subject_header: Content_Length\n"),
         "f:6:30: listeners[0].tls.client_subject_header: \"Content_Length\" is a field that means "
         "something else (expected a name of its own)\n"},
        {TLS("      client_ca: /nonexistent/ca.crt\n"),
         "f:5:18: listeners[0].tls.client_ca: \"/nonexistent/ca.crt\" cannot be read: No such file "
         "or directory\n"},
        {"listeners: [{ bind: unix:/a, tls: {} }]\n" ROUTE,
         "f:1:30: listeners[0].tls.certificates: is missing (certificates to choose from by name; "
         "where none fits, the first)\n"},
        {"listeners: [{ bind: unix:/a, tls: { certificates: [{ certificate: " THERE
         " }] } }]\n" ROUTE,
         "f:1:52: listeners[0].tls.certificates[0].key: is missing (PEM file of its private key, "
         "without a passphrase)\n"},
        {"listeners:\n- bind: unix:/a\n  tls:\n    certificates:\n    - certificate: /dev/null\n"
         "      key: /nonexistent/key\n" ROUTE,
         "f:5:20: listeners[0].tls.certificates[0].certificate: \"/dev/null\" is a device "
         "(expected "
         "a regular file)\n"
         "f:6:12: listeners[0].tls.certificates[0].key: \"/nonexistent/key\" cannot be read: No "
         "such file or directory\n"},
        {"listeners:\n- bind: unix:/a\n  tls:\n    certificates:\n"
         "    - { certificate: " THERE ", key: " THERE " }\n"
         "    - { certificate: " OTHER ", key: " THERE " }\n"
         "    - { key: " THERE ",\n"
         "        certificate: " THERE " }\n" ROUTE,
         "f:8:22: listeners[0].tls.certificates[2].certificate: \"" THERE
         "\" is that of certificates[0] too\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        help_expect(rows[i].text, rows[i].errors);
}

static void test_what_is_kept(void **state)
{
    (void)state;
    struct config *c = help_good(
        "listeners:\n"
        "- bind: unix:/a\n"
        "  tls: { certificates: [{ certificate: " THERE ", key: " OTHER " }], client_ca: " THERE
        " }\n"
        "- bind: unix:/b\n"
        "  tls: { certificates: [{ certificate: " THERE ", key: " OTHER " }], client_ca: " OTHER
        ", min_version: \"1.3\", client_certificate: optional, client_subject_header: X-User }\n"
        "- bind: unix:/c\n"
        "  tls: { certificates: [{ certificate: " THERE ", key: " OTHER " }], client_ca: " OTHER
        ", client_subject_header: x-client-cert-subject }\n"
        "- bind: unix:/d\n"
        "  tls: { certificates: [{ certificate: " THERE ", key: " OTHER " }] }\n"
        "- bind: unix:/e\n" ROUTE);
    const struct config_tls *tls = &c->listeners[0].tls;
    assert_true(c->listeners[0].has_tls);
    assert_int_equal(tls->n_certificates, 1);
    assert_string_equal(tls->certificates[0].key, OTHER);
    assert_int_equal(tls->certificates[0].certificate_place.line, 3);
    assert_int_equal(tls->min_version, CONFIG_TLS_1_2);
    assert_int_equal(tls->client_certificate, CLIENT_CERTIFICATE_REQUIRED);
    assert_string_equal(tls->client_subject_header, "X-Client-Cert-Subject");
    assert_int_equal(c->listeners[1].tls.min_version, CONFIG_TLS_1_3);
    assert_int_equal(c->listeners[1].tls.client_certificate, CLIENT_CERTIFICATE_OPTIONAL);
    assert_null(c->listeners[3].tls.client_ca);
    assert_false(c->listeners[4].has_tls);
    assert_int_equal(c->subject_headers.n, 2); /* those of one name in two spellings are one */
    assert_string_equal(c->subject_headers.items[0], "X-Client-Cert-Subject");
    assert_string_equal(c->subject_headers.items[1], "X-User");
    config_free(c);
}

static void test_paths_are_beside_the_file(void **state)
{
    (void)state;
    static const char text[] = "listeners: [{ bind: unix:/a, tls: { certificates: [{ certificate: "
                               "packages, key: run }], client_ca: packages } }]\n" ROUTE;
    struct config *c =
        config_load_text(TESTS_DIR "/serin.yaml", text, sizeof text - 1, &help_errors);
    assert_non_null(c);
    assert_string_equal(c->listeners[0].tls.certificates[0].certificate, THERE);
    assert_string_equal(c->listeners[0].tls.certificates[0].key, OTHER);
    assert_string_equal(c->listeners[0].tls.client_ca, THERE);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_paths_are_beside_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
