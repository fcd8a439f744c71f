/* The contexts of the listeners, in handshakes without a socket: who is shown what, who is let in, what is resumed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/certificates.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "proxy/conf/load.h"
#include "proxy/control/tickets.h"
#include "tls_pair.h"

#define DAY_S (24 * 60 * 60)

static char folder[64];
static struct identity ca, other_ca, shop, wild, client, stranger;
static struct tickets tickets;
static struct config_errors errors;

static const char *path(const char *name)
{
    static char paths[4][256];
    static unsigned next;
    char *out = paths[next++ % 4];
    (void)snprintf(out, sizeof paths[0], "%s/%s", folder, name);
    return out;
}

static void write_identity(const char *name, const struct identity *id)
{
    char file[80];
    (void)snprintf(file, sizeof file, "%s.crt", name);
    identity_write_certificate(folder, file, id->cert);
    (void)snprintf(file, sizeof file, "%s.key", name);
    identity_write_key(folder, file, id->key, 0600);
}

static int open_folder(void **state)
{
    (void)state;
    (void)snprintf(folder, sizeof folder, "/tmp/serin-certificates-XXXXXX");
    assert_non_null(mkdtemp(folder));
    ca = identity_make("the authority", NULL, NULL);
    other_ca = identity_make("another authority", NULL, NULL);
    shop = identity_make("shop", "DNS:shop.example", &ca);
    wild = identity_make("wild", "DNS:*.shop.example", &ca);
    client = identity_make("a client", "DNS:client", &ca);
    stranger = identity_make("a stranger", "DNS:client", &other_ca);
    write_identity("ca", &ca);
    write_identity("shop", &shop);
    write_identity("wild", &wild);
    assert_int_equal(tickets_init(&tickets, 0), OK);
    return 0;
}

static int close_folder(void **state)
{
    (void)state;
    static const char *const names[] = {"ca.crt",   "ca.key",   "shop.crt",  "shop.key",
                                        "wild.crt", "wild.key", "serin.yaml"};
    struct identity *all[] = {&ca, &other_ca, &shop, &wild, &client, &stranger};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)unlink(path(names[i]));
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        identity_free(all[i]);
    tickets_fini(&tickets);
    return rmdir(folder);
}

/* A configuration of one listener with both certificates. keys: more of its tls. */
static struct config *config_of(const char *keys)
{
    char text[1024];
    int n =
        snprintf(text, sizeof text,
                 "listeners:\n- bind: unix:/a\n  tls:\n    certificates:\n"
                 "    - { certificate: shop.crt, key: shop.key }\n"
                 "    - { certificate: wild.crt, key: wild.key }\n%s"
                 "routes: [{ name: r, stable: v1, versions: { v1: { endpoints: [unix:/b] } } }]\n",
                 keys);
    struct config *c = config_load_text(path("serin.yaml"), text, (size_t)n, &errors);
    assert_non_null(c);
    return c;
}

static struct certificates *read_good(const struct config *c)
{
    struct certificates *all = certificates_read(c, time(NULL), &errors);
    assert_non_null(all);
    certificates_use_tickets(all, &tickets);
    return all;
}

/* What a client does differently from the usual one. */
struct visit {
    const char *name;
    const struct identity *shows;
    SSL_SESSION *session;
    const char *alpn; /* in the form of the wire */
    int version;
    /* what came of it */
    bool ok, is_resumed;
    char common[64]; /* of the server's certificate */
    const char *cipher;
    SSL_SESSION *got;        /* for another visit; NULL = no ticket */
    bool is_client_verified; /* the server knows whose certificate that was */
};

/* Moves what one side has written to the other. */
static void carry(SSL *from, SSL *to)
{
    char bytes[16384];
    int n;
    while ((n = BIO_read(SSL_get_wbio(from), bytes, sizeof bytes)) > 0)
        assert_int_equal(BIO_write(SSL_get_rbio(to), bytes, n), n);
}

static SSL *side(SSL_CTX *ctx, bool is_server)
{
    SSL *ssl = SSL_new(ctx);
    assert_non_null(ssl);
    SSL_set_bio(ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl), -1);
    if (is_server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    return ssl;
}

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    struct visit *v = SSL_get_app_data(ssl);
    SSL_SESSION_free(v->got);
    v->got = session;
    return 1;
}

static void set_up_client(SSL *ssl, struct visit *v)
{
    SSL_set_app_data(ssl, v);
    if (v->name)
        assert_int_equal(SSL_set_tlsext_host_name(ssl, v->name), 1);
    if (v->shows)
        assert_int_equal(SSL_use_cert_and_key(ssl, v->shows->cert, v->shows->key, NULL, 1), 1);
    if (v->session)
        assert_int_equal(SSL_set_session(ssl, v->session), 1);
    if (v->alpn)
        assert_int_equal(
            SSL_set_alpn_protos(ssl, (const unsigned char *)v->alpn, (unsigned)strlen(v->alpn)), 0);
    if (v->version)
        assert_int_equal(SSL_set_max_proto_version(ssl, v->version), 1);
}

static void look(SSL *mine, SSL *server, struct visit *v)
{
    X509 *shown = SSL_get1_peer_certificate(mine);
    if (shown)
        X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName, v->common,
                                  sizeof v->common);
    X509_free(shown);
    v->is_resumed = SSL_session_reused(mine);
    v->cipher = SSL_get_cipher_name(mine);
    v->is_client_verified =
        SSL_get0_peer_certificate(server) && SSL_get_verify_result(server) == X509_V_OK;
}

static void go(SSL_CTX *ctx, struct visit *v)
{
    SSL_CTX *client_ctx = pair_context(TLS_client_method(), NULL, &ca);
    char byte;
    SSL_CTX_set_verify(client_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(client_ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(client_ctx, keep_session);
    SSL *mine = side(client_ctx, false), *server = side(ctx, true);
    set_up_client(mine, v);
    int a = 0, b = 0;
    for (unsigned i = 0; i < 8 && (a != 1 || b != 1); i++) {
        a = SSL_do_handshake(mine);
        carry(mine, server);
        b = SSL_do_handshake(server);
        carry(server, mine);
    }
    /* under TLS 1.3 what the server thinks of a client comes behind the client's handshake */
    bool is_refused = SSL_read(mine, &byte, 1) <= 0 && SSL_get_error(mine, -1) == SSL_ERROR_SSL;
    v->ok = a == 1 && b == 1 && !is_refused;
    if (v->ok)
        look(mine, server, v);
    ERR_clear_error();
    (void)SSL_shutdown(mine);
    SSL_free(mine);
    SSL_free(server);
    SSL_CTX_free(client_ctx);
}

static void test_names_choose(void **state)
{
    (void)state;
    static const struct {
        const char *name, *common;
    } rows[] = {{"shop.example", "shop"},
                {"WWW.shop.example", "wild"},
                {"a.b.shop.example", "shop"},
                {"other.example", "shop"},
                {NULL, "shop"}};
    struct config *c = config_of("");
    struct certificates *all = read_good(c);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct visit v = {.name = rows[i].name, .version = version};
            go(certificates_contexts(all)[0], &v);
            assert_true(v.ok);
            assert_string_equal(v.common, rows[i].common);
            SSL_SESSION_free(v.got);
        }
    certificates_free(all);
    config_free(c);
}

static void test_versions_and_protocols(void **state)
{
    (void)state;
    static const struct {
        const char *keys, *alpn;
        int version;
        bool ok;
    } rows[] = {
        {"", NULL, TLS1_2_VERSION, true},
        {"", NULL, TLS1_1_VERSION, false},
        {"    min_version: \"1.3\"\n", NULL, TLS1_2_VERSION, false},
        {"    min_version: \"1.3\"\n", NULL, TLS1_3_VERSION, true},
        {"", "\x02h2\x08http/1.1", 0, true},
        {"", "\x08http/1.0", 0, true},
        {"", "\x02h2", 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *c = config_of(rows[i].keys);
        struct certificates *all = read_good(c);
        struct visit v = {.alpn = rows[i].alpn, .version = rows[i].version};
        go(certificates_contexts(all)[0], &v);
        assert_int_equal(v.ok, rows[i].ok);
        if (v.ok && !strstr(v.cipher, "AES128-GCM") && !strstr(v.cipher, "AES_128_GCM"))
            fail_msg("row %zu: a client that can do everything gets %s", i, v.cipher);
        SSL_SESSION_free(v.got);
        certificates_free(all);
        config_free(c);
    }
}

static void test_clients(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        const struct identity *shows;
        bool ok, is_verified;
    } rows[] = {
        {"    client_ca: ca.crt\n", &client, true, true},
        {"    client_ca: ca.crt\n", NULL, false, false},
        {"    client_ca: ca.crt\n", &stranger, false, false},
        {"    client_ca: ca.crt\n    client_certificate: optional\n", &client, true, true},
        {"    client_ca: ca.crt\n    client_certificate: optional\n", NULL, true, false},
        {"    client_ca: ca.crt\n    client_certificate: optional\n", &stranger, false, false},
        {"", &client, true, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct config *c = config_of(rows[i].keys);
            struct certificates *all = read_good(c);
            struct visit v = {.shows = rows[i].shows, .version = version};
            go(certificates_contexts(all)[0], &v);
            if (v.ok != rows[i].ok || v.is_client_verified != rows[i].is_verified)
                fail_msg("row %zu, version %x: ok %d, verified %d", i, (unsigned)version, v.ok,
                         v.is_client_verified);
            SSL_SESSION_free(v.got);
            certificates_free(all);
            config_free(c);
        }
}

/* A first visit to the one, and a second one to the other. */
static void resume(SSL_CTX *first, SSL_CTX *second, struct visit *v, int version)
{
    struct visit before = {.shows = v->shows, .version = version};
    go(first, &before);
    assert_true(before.ok && !before.is_resumed);
    assert_non_null(before.got);
    v->session = before.got;
    v->version = version;
    go(second, v);
    SSL_SESSION_free(before.got);
    SSL_SESSION_free(v->got);
}

static void test_sessions_outlive_a_reload(void **state)
{
    (void)state;
    static const struct {
        const char *before, *after;
        bool is_resumed;
    } rows[] = {
        {"", "", true},
        {"    client_ca: ca.crt\n", "    client_ca: ca.crt\n", true},
        {"", "    client_ca: ca.crt\n", false},
        {"    client_ca: ca.crt\n    client_certificate: optional\n", "    client_ca: ca.crt\n",
         false},
        {"    client_ca: ca.crt\n", "    client_ca: shop-ca.crt\n", false},
    };
    write_identity("shop-ca", &other_ca);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct config *c = config_of(rows[i].before), *d = config_of(rows[i].after);
            struct certificates *old = read_good(c), *new = read_good(d);
            struct visit v = {.shows = &client};
            resume(certificates_contexts(old)[0], certificates_contexts(new)[0], &v, version);
            if (v.is_resumed != rows[i].is_resumed)
                fail_msg("row %zu, version %x: resumed %d", i, (unsigned)version, v.is_resumed);
            certificates_free(old);
            certificates_free(new);
            config_free(c);
            config_free(d);
        }
    (void)unlink(path("shop-ca.crt"));
    (void)unlink(path("shop-ca.key"));
}

static void test_a_session_ends_with_its_key(void **state)
{
    (void)state;
    struct config *c = config_of("");
    struct certificates *all = read_good(c);
    for (unsigned hours = 0; hours <= TICKETS_KEYS; hours++) {
        struct visit before = {.name = NULL}, v = {.name = NULL};
        go(certificates_contexts(all)[0], &before);
        for (unsigned i = 0; i < hours; i++)
            assert_int_equal(tickets_tick(&tickets, tickets.rotated_ms + TICKETS_ROTATE_MS), OK);
        v.session = before.got;
        go(certificates_contexts(all)[0], &v);
        assert_true(v.ok);
        assert_int_equal(v.is_resumed, hours < TICKETS_KEYS);
        SSL_SESSION_free(before.got);
        SSL_SESSION_free(v.got);
    }
    certificates_free(all);
    config_free(c);
}

static void count(void *arg, const char *line)
{
    (void)line;
    ++*(unsigned *)arg;
}

static void note(void *arg, const char *listener, const char *file, int64_t expires)
{
    assert_string_equal(listener, "unix:/a");
    assert_true(strstr(file, ".crt") && expires > time(NULL));
    ++*(unsigned *)arg;
}

static void test_warnings_and_changes(void **state)
{
    (void)state;
    struct config *c = config_of("");
    struct certificates *old = read_good(c);
    unsigned n = 0;
    config_errors_init(&errors, "f");
    certificates_warn(old, (int64_t)time(NULL) + 3600 - 14 * DAY_S - 60, &errors);
    assert_int_equal(errors.n, 0);
    certificates_warn(old, time(NULL), &errors);
    assert_int_equal(errors.n, 2);
    assert_non_null(strstr(errors.items[0].text, "shop.crt\" expires in 0 days, at "));
    assert_string_equal(errors.items[1].path, "listeners[0].tls.certificates[1].certificate");
    config_errors_init(&errors, "f");
    assert_int_equal(chmod(path("wild.key"), 0644), 0);
    certificates_expiries(old, note, &n);
    assert_int_equal(n, 2);
    struct identity again = identity_make("shop", "DNS:shop.example", &ca);
    write_identity("shop", &again);
    struct certificates *new = read_good(c);
    certificates_warn(new, (int64_t)time(NULL) - 20 * DAY_S, &errors);
    assert_int_equal(errors.n, 1);
    assert_string_equal(errors.items[0].path, "listeners[0].tls.certificates[1].key");
    n = 0;
    certificates_tell_changes(old, new, count, &n);
    assert_int_equal(n, 1);
    certificates_tell_changes(old, old, count, &n);
    assert_int_equal(n, 1);
    write_identity("shop", &shop);
    identity_free(&again);
    assert_int_equal(chmod(path("wild.key"), 0600), 0);
    certificates_free(old);
    certificates_free(new);
    config_free(c);
}

static void test_bad_ones_are_told_with_their_place(void **state)
{
    (void)state;
    struct config *c = config_of("    client_ca: shop.crt\n");
    config_errors_init(&errors, "f");
    assert_null(certificates_read(c, (int64_t)time(NULL) + 2 * 3600, &errors));
    assert_int_equal(errors.n, 3);
    assert_int_equal(errors.items[0].line, 5);
    assert_non_null(strstr(errors.items[0].text, "shop.crt\" has expired at "));
    assert_non_null(strstr(errors.items[1].text, "wild.crt\" has expired at "));
    assert_string_equal(errors.items[2].path, "listeners[0].tls.client_ca");
    assert_non_null(strstr(errors.items[2].text, "CN=shop, which is no authority"));
    config_errors_init(&errors, "f");
    assert_null(certificates_read(c, (int64_t)time(NULL) - 2 * 3600, &errors));
    assert_non_null(strstr(errors.items[0].text, "shop.crt\" is not valid before "));
    config_free(c);
    write_identity("wild", &(struct identity){shop.key, wild.cert});
    c = config_of("");
    assert_null(certificates_read(c, time(NULL), &errors));
    assert_string_equal(errors.items[0].path, "listeners[0].tls.certificates[1].key");
    assert_non_null(strstr(errors.items[0].text, "wild.key\" is not the key of the certificate"));
    write_identity("wild", &wild);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_choose),
        cmocka_unit_test(test_versions_and_protocols),
        cmocka_unit_test(test_clients),
        cmocka_unit_test(test_sessions_outlive_a_reload),
        cmocka_unit_test(test_a_session_ends_with_its_key),
        cmocka_unit_test(test_warnings_and_changes),
        cmocka_unit_test(test_bad_ones_are_told_with_their_place),
    };
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
