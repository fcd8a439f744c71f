/* The TLS contexts of versions: which share one, also over a reload, what a snapshot has of them, and what warns.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/conf/load.h"
#include "proxy/control/host.h"
#include "proxy/control/publish.h"
#include "proxy/control/upstream_tls.h"
#include "tls_pair.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DAY_S 86400

static char folder[] = "/tmp/serin-upstream-tls-XXXXXX";
static struct tls_pair pair;
static struct control control;

static int open_files(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    pair_open(&pair);
    return 0;
}

static int close_files(void **state)
{
    char command[128];
    (void)state;
    pair_close(&pair);
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command) == 0 ? 0 : -1;
}

static int fresh_files(void **state)
{
    (void)state;
    identity_write_certificate(folder, "ca.crt", pair.ca.cert);
    identity_write_certificate(folder, "same.crt", pair.ca.cert);
    identity_write_certificate(folder, "other.crt", pair.server.cert);
    identity_write_certificate(folder, "client.crt", pair.client.cert);
    identity_write_key(folder, "client.key", pair.client.key, 0600);
    return 0;
}

/* A route of versions a, b ... f: each argument is what its tls says. NULL: it has none. */
static struct config *load(const char *const *tls, size_t n)
{
    static struct config_errors errors;
    char text[8192], name[64];
    size_t at = (size_t)snprintf(text, sizeof text,
                                 "listeners: [{ bind: \"127.0.0.1:0\" }]\nroutes:\n"
                                 "  - name: r\n    stable: a\n    weight: 0%%\n    canary: b\n"
                                 "    versions:\n");
    for (size_t i = 0; i < n; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "      %c: { workload: rc/%c, port: 1",
                               (int)('a' + i), (int)('a' + i));
        if (tls[i])
            at += (size_t)snprintf(text + at, sizeof text - at, ", tls: { %s }", tls[i]);
        at += (size_t)snprintf(text + at, sizeof text - at, " }\n");
    }
    (void)snprintf(name, sizeof name, "%s/serin.yaml", folder);
    struct config *c = config_load_text(name, text, strlen(text), &errors);
    if (!c)
        config_errors_print(&errors, stderr);
    assert_non_null(c);
    return c;
}

static SSL_CTX *context(const struct config *c, size_t version)
{
    return c->routes[0].versions[version].tls.context;
}

static struct upstream_tls *read_tls(struct config *c, const struct upstream_tls *before)
{
    static struct config_errors errors;
    config_errors_init(&errors, "f");
    struct upstream_tls *u = upstream_tls_read(c, time(NULL), before, &errors);
    if (!u)
        config_errors_print(&errors, stderr);
    assert_non_null(u);
    return u;
}

#define NAME   "server_name: web.internal"
#define CLIENT "certificate: client.crt, key: client.key"

/* Rows that say the same in other words share a context; the name is no part of it. */
static void what_says_the_same_is_one_context(void **state)
{
    static const char *const tls[] = {
        NAME ", ca: ca.crt",
        NAME ", ca: same.crt, verify: true, min_version: \"1.2\"",
        "server_name: else.internal, ca: ca.crt",
        NAME ", ca: other.crt",
        NAME ", ca: ca.crt, min_version: \"1.3\"",
        "verify: false, ca: ca.crt",
        "verify: false, ca: other.crt",
        NAME ", ca: ca.crt, " CLIENT,
        NULL,
    };
    static const unsigned expected[] = {0, 0, 0, 1, 2, 3, 3, 4};
    (void)state;
    struct config *c = load(tls, ARRAY_LEN(tls));
    struct upstream_tls *u = read_tls(c, NULL);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        for (size_t k = 0; k < i; k++)
            if ((context(c, i) == context(c, k)) != (expected[i] == expected[k]))
                fail_msg("%zu and %zu", i, k);
    assert_null(context(c, 8));
    assert_int_equal(SSL_CTX_get_verify_mode(context(c, 0)), SSL_VERIFY_PEER);
    assert_int_equal(SSL_CTX_get_verify_mode(context(c, 5)), SSL_VERIFY_NONE);
    assert_int_equal(SSL_CTX_get_min_proto_version(context(c, 0)), TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_get_min_proto_version(context(c, 4)), TLS1_3_VERSION);
    assert_non_null(SSL_CTX_get0_certificate(context(c, 7)));
    assert_null(SSL_CTX_get0_certificate(context(c, 0)));
    upstream_tls_free(u);
    config_free(c);
}

static void a_reload_shares_what_has_not_changed(void **state)
{
    static const char *const tls[] = {NAME ", ca: ca.crt", NAME ", ca: same.crt, " CLIENT,
                                      "verify: false"};
    (void)state;
    struct config *before = load(tls, 3), *after = load(tls, 3);
    struct upstream_tls *old = read_tls(before, NULL), *new = read_tls(after, old);
    for (size_t i = 0; i < 3; i++)
        assert_ptr_equal(context(before, i), context(after, i));
    upstream_tls_free(old); /* the new ones have references of their own */
    config_free(before);
    identity_write_certificate(folder, "ca.crt", pair.server.cert); /* the file, not the setting */
    struct config *last = load(tls, 3);
    struct upstream_tls *newest = read_tls(last, new);
    assert_ptr_not_equal(context(last, 0), context(after, 0));
    assert_ptr_equal(context(last, 1), context(after, 1));
    assert_ptr_equal(context(last, 2), context(after, 2));
    upstream_tls_free(new);
    upstream_tls_free(newest);
    config_free(after);
    config_free(last);
}

static void faults_are_told_all_at_once(void **state)
{
    static const char *const tls[] = {NAME ", ca: client.key", NULL,
                                      NAME ", ca: ca.crt, certificate: ca.crt, key: client.key"};
    static struct config_errors errors;
    (void)state;
    struct config *c = load(tls, 3);
    config_errors_init(&errors, "f");
    assert_null(upstream_tls_read(c, time(NULL), NULL, &errors));
    assert_int_equal(errors.code, ERR_INVALID);
    assert_int_equal(errors.n, 2);
    assert_string_equal(errors.items[0].path, "routes[0].versions.a.tls.ca");
    assert_int_equal(errors.items[0].line, 8);
    assert_non_null(strstr(errors.items[0].text, "client.key\" holds no certificate"));
    assert_string_equal(errors.items[1].path, "routes[0].versions.c.tls.key");
    assert_int_equal(errors.items[1].line, 10);
    assert_non_null(strstr(errors.items[1].text, "is not the key of the certificate"));
    config_free(c);
}

static void tell_expiry(void *arg, const char *listener, const char *file, int64_t expires)
{
    assert_string_equal(listener, "");
    assert_non_null(strstr(file, "/client.crt"));
    assert_true(expires > time(NULL));
    ++*(unsigned *)arg;
}

static void what_is_not_wise_warns(void **state)
{
    static const char *const tls[] = {NAME ", ca: ca.crt, " CLIENT, "verify: false, " CLIENT};
    static struct config_errors warnings;
    unsigned expiries = 0;
    (void)state;
    identity_write_key(folder, "client.key", pair.client.key, 0644);
    struct config *c = load(tls, 2);
    struct upstream_tls *u = read_tls(c, NULL);
    config_errors_init(&warnings, "f");
    upstream_tls_warn(u, c, time(NULL) - 30 * DAY_S, &warnings);
    assert_int_equal(warnings.n, 3); /* the key twice, and verify */
    config_errors_init(&warnings, "f");
    upstream_tls_warn(u, c, time(NULL) - 2 * DAY_S, &warnings);
    assert_int_equal(warnings.n, 5);
    assert_non_null(strstr(warnings.items[0].text, "expires in 2 days, at "));
    upstream_tls_expiries(u, tell_expiry, &expiries);
    assert_int_equal(expiries, 1); /* one file, named twice */
    upstream_tls_free(u);
    config_free(c);
}

/* Pods of a workload have the TLS of their version, from snapshot to snapshot. */
static void a_snapshot_has_the_tls_of_its_versions(void **state)
{
    static const char *const tls[] = {NAME ", ca: ca.crt", NULL};
    struct control *c = &control;
    struct why why;
    (void)state;
    memset(c, 0, sizeof *c);
    c->metrics = metrics_new(1);
    c->base = event_base_new();
    known_init(&c->known, c->metrics, 1);
    c->keep = config_keep_new(load(tls, 2));
    assert_non_null(c->keep);
    c->keep->upstream_tls = read_tls(c->keep->config, NULL);
    assert_int_equal(known_configure(&c->known, control_config(c), &why), OK);
    host_take_split(known_find_route(&c->known, "r"));
    const char *const pods[] = {"10.0.0.1:1"};
    assert_true(known_take_endpoints(&c->known, "r", "a", pods, 1));
    assert_int_equal(publish(c), OK);
    const struct route *r = &c->snapshot->routes[0];
    assert_ptr_equal(r->stable.tls, context(c->keep->config, 0));
    assert_string_equal(r->stable.tls_name, "web.internal");
    assert_int_equal(r->stable.n_endpoints, 1);
    assert_null(r->canary.tls);
    struct dial_tls probed = known_tls(known_find_endpoint(&c->known, "r", "a", "10.0.0.1:1"));
    assert_ptr_equal(probed.ctx, r->stable.tls);
    assert_string_equal(probed.name, "web.internal");
    known_fini(&c->known);
    snapshot_unref(c->snapshot);
    config_keep_unref(c->keep);
    metrics_free(c->metrics);
    event_base_free(c->base);
}

#define TEST(f) cmocka_unit_test_setup(f, fresh_files)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(what_says_the_same_is_one_context),
        TEST(a_reload_shares_what_has_not_changed),
        TEST(faults_are_told_all_at_once),
        TEST(what_is_not_wise_warns),
        TEST(a_snapshot_has_the_tls_of_its_versions),
    };
    return cmocka_run_group_tests(tests, open_files, close_files);
}
