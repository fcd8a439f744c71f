/* Tests whom the HTTP client trusts, and how it shows who it is, with a TLS server on its own loop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout_http.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

/* A key and its certificate, which nobody else vouches for. */
struct identity {
    EVP_PKEY *key;
    X509 *cert;
    char *cert_pem, *key_pem;
};

static char *text_of(BIO *bio)
{
    char *bytes, *text;
    long n = BIO_get_mem_data(bio, &bytes);
    text = strndup(bytes, (size_t)n);
    BIO_free(bio);
    return text;
}

static void add_name(X509 *x, const char *alternative)
{
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(x, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* alternative: "IP:127.0.0.1" */
static struct identity identity_new(const char *alternative)
{
    struct identity i = {.key = EVP_EC_gen("P-256"), .cert = X509_new()};
    X509 *x = i.cert;
    BIO *cert = BIO_new(BIO_s_mem()), *key = BIO_new(BIO_s_mem());
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, i.key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)alternative, -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    add_name(x, alternative);
    assert_true(X509_sign(x, i.key, EVP_sha256()) > 0);
    PEM_write_bio_X509(cert, x);
    PEM_write_bio_PrivateKey(key, i.key, NULL, NULL, 0, NULL, NULL);
    i.cert_pem = text_of(cert);
    i.key_pem = text_of(key);
    return i;
}

static void identity_free(struct identity *i)
{
    EVP_PKEY_free(i->key);
    X509_free(i->cert);
    free(i->cert_pem);
    free(i->key_pem);
}

static int take_any(int is_good, X509_STORE_CTX *store)
{
    (void)is_good, (void)store;
    return 1;
}

/* One connection that is shaken hands with, asked and answered turn by turn. */
struct server {
    SSL_CTX *context;
    SSL *ssl;
    int listener, fd;
    char got[512];
    size_t len;
    bool is_answered;
    char client[64]; /* the name in its certificate */
};

static void server_init(struct server *s, const struct identity *i)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    memset(s, 0, sizeof *s);
    s->fd = -1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(s->listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(s->listener, 1), 0);
    s->context = SSL_CTX_new(TLS_server_method());
    assert_int_equal(SSL_CTX_use_certificate(s->context, i->cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(s->context, i->key), 1);
    SSL_CTX_set_verify(s->context, SSL_VERIFY_PEER, take_any); /* asks, and takes whoever comes */
}

static void server_fini(struct server *s)
{
    SSL_free(s->ssl);
    SSL_CTX_free(s->context);
    if (s->fd >= 0)
        close(s->fd);
    close(s->listener);
}

static void note_client(struct server *s)
{
    X509 *x = SSL_get1_peer_certificate(s->ssl);
    if (x)
        X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, s->client,
                                  sizeof s->client);
    X509_free(x);
}

static void server_turn(struct server *s)
{
    static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    if (s->fd < 0 && (s->fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        s->ssl = SSL_new(s->context);
        SSL_set_fd(s->ssl, s->fd);
        SSL_set_accept_state(s->ssl);
    }
    if (!s->ssl || SSL_do_handshake(s->ssl) != 1 || s->is_answered)
        return;
    int n = SSL_read(s->ssl, s->got + s->len, (int)(sizeof s->got - 1 - s->len));
    s->len += n > 0 ? (size_t)n : 0;
    if (!strstr(s->got, "\r\n\r\n"))
        return;
    note_client(s);
    s->is_answered = SSL_write(s->ssl, answer, sizeof answer - 1) > 0;
}

/* Asks the server with these means, and says what became of it. */
static void ask(struct fixture *f, struct server *s, const struct http_tls *tls, struct call *c)
{
    char url[128];
    struct http_ask question = {
        .url = url, .timeout_ms = PATIENCE_MS, .done = on_done, .arg = c, .tls = tls};
    (void)snprintf(url, sizeof url, "https://user:secret@127.0.0.1:%u/", port_of(s->listener));
    c->f = f;
    c->handle = http_start(f->http, &question);
    UNTIL(f, (server_turn(s), c->told));
}

#define UNTRUSTED "the server's certificate is not trusted for this name"

static void only_who_is_vouched_for_is_told_anything(void **state)
{
    struct fixture *f = *state;
    struct identity here = identity_new("IP:127.0.0.1"), other = identity_new("IP:127.0.0.1"),
                    name = identity_new("DNS:kubernetes");
    const struct {
        const struct identity *server;
        struct http_tls tls;
        const char *error;
    } rows[] = {
        {&here, {0}, UNTRUSTED},
        {&here, {.ca_pem = other.cert_pem}, UNTRUSTED},
        {&here, {.ca_pem = here.cert_pem}, ""},
        {&here, {.ca_pem = here.cert_pem, .name = "kubernetes"}, UNTRUSTED},
        {&name, {.ca_pem = name.cert_pem}, UNTRUSTED},
        {&name, {.ca_pem = name.cert_pem, .name = "kubernetes"}, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct server s;
        struct call c = {0};
        server_init(&s, rows[i].server);
        ask(f, &s, &rows[i].tls, &c);
        assert_string_equal(c.error, rows[i].error);
        assert_int_equal(c.status, rows[i].error[0] ? 0 : 200);
        assert_int_equal(s.len > 0, rows[i].error[0] == '\0'); /* not a byte of the request */
        server_fini(&s);
        forget(&c);
    }
    identity_free(&here);
    identity_free(&other);
    identity_free(&name);
}

static void a_client_shows_its_certificate(void **state)
{
    struct fixture *f = *state;
    struct identity here = identity_new("IP:127.0.0.1"), me = identity_new("DNS:me");
    struct http_tls tls = {.ca_pem = here.cert_pem, .cert_pem = me.cert_pem, .key_pem = me.key_pem};
    struct server s;
    struct call c = {0};
    server_init(&s, &here);
    ask(f, &s, &tls, &c);
    assert_string_equal(c.error, "");
    assert_string_equal(s.client, "DNS:me");
    server_fini(&s);
    forget(&c);

    tls.key_pem = "no key";
    server_init(&s, &here);
    ask(f, &s, &tls, &c);
    assert_int_equal(c.status, 0);
    assert_int_equal(s.len, 0);
    server_fini(&s);
    forget(&c);
    identity_free(&here);
    identity_free(&me);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(only_who_is_vouched_for_is_told_anything),
        CASE(a_client_shows_its_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
