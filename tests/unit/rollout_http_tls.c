/* Tests that the HTTP client tells nothing to a TLS server whose certificate nobody vouches for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout_http.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

/* A certificate for 127.0.0.1 that is right in all but its issuer. */
static X509 *self_signed(EVP_PKEY *key)
{
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME *name = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"127.0.0.1", -1, -1,
                               0);
    X509_set_issuer_name(x, name);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    return x;
}

static SSL_CTX *server_context(void)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = self_signed(key);
    assert_int_equal(SSL_CTX_use_certificate(context, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    X509_free(x);
    EVP_PKEY_free(key);
    return context;
}

static void an_unknown_issuer_is_not_trusted(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), fd = -1;
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&a, sizeof a), 0);
    assert_int_equal(listen(listener, 1), 0);

    char url[128], got[64];
    (void)snprintf(url, sizeof url, "https://user:secret@127.0.0.1:%u/", port_of(listener));
    start_within(f, &c, url, "{}", PATIENCE_MS);
    UNTIL(f, (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0);
    SSL_CTX *context = server_context();
    SSL *ssl = SSL_new(context);
    SSL_set_fd(ssl, fd);
    SSL_set_accept_state(ssl);
    UNTIL(f, (SSL_do_handshake(ssl), c.told)); /* the server's part, turn by turn */
    assert_int_equal(c.status, 0);
    assert_string_equal(c.error, "the server's certificate is not trusted for this name");
    assert_true(SSL_read(ssl, got, sizeof got) <= 0); /* not a byte of the request */

    SSL_free(ssl);
    SSL_CTX_free(context);
    close(fd);
    close(listener);
    forget(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_unknown_issuer_is_not_trusted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
