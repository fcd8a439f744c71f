/* Certificates made while the tests run, and contexts with them: what the tests of TLS share.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_TLS_PAIR_H
#define SERIN_TESTS_TLS_PAIR_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <sys/stat.h>

/* A key with its certificate, signed by itself or by another one. */
struct identity {
    EVP_PKEY *key;
    X509 *cert;
};

static inline void identity_extend(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    assert_non_null(e);
    assert_int_equal(X509_add_ext(cert, e, -1), 1);
    X509_EXTENSION_free(e);
}

/* names: a subjectAltName such as "DNS:a.example"; NULL makes an authority. signer NULL: itself. */
static inline struct identity identity_make(const char *common, const char *names,
                                            const struct identity *signer)
{
    struct identity id = {EVP_EC_gen("P-256"), X509_new()};
    const struct identity *by = signer ? signer : &id;
    X509_NAME *name = X509_get_subject_name(id.cert);
    assert_non_null(id.key);
    assert_int_equal(X509_set_version(id.cert, X509_VERSION_3), 1);
    static long serial = 1;
    (void)ASN1_INTEGER_set(X509_get_serialNumber(id.cert), serial++);
    (void)X509_gmtime_adj(X509_getm_notBefore(id.cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(id.cert), 3600);
    (void)X509_set_pubkey(id.cert, id.key);
    (void)X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"Serin", -1,
                                     -1, 0);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common, -1,
                                     -1, 0);
    (void)X509_set_issuer_name(id.cert, signer ? X509_get_subject_name(signer->cert) : name);
    identity_extend(id.cert, by->cert, NID_basic_constraints,
                    names ? "critical,CA:FALSE" : "critical,CA:TRUE");
    if (names)
        identity_extend(id.cert, by->cert, NID_subject_alt_name, names);
    assert_true(X509_sign(id.cert, by->key, EVP_sha256()) > 0);
    return id;
}

/* PEM files in a folder. */
static inline void identity_write_certificate(const char *folder, const char *name,
                                              const X509 *cert)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_X509(f, cert), 1);
    assert_int_equal(fclose(f), 0);
}

static inline void identity_write_key(const char *folder, const char *name, const EVP_PKEY *key,
                                      mode_t mode)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL), 1);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static inline void identity_free(struct identity *id)
{
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
}

/* The authority, a server called localhost and 127.0.0.1, and a client, with a context for each side. */
struct tls_pair {
    struct identity ca, server, client;
    SSL_CTX *server_ctx, *client_ctx;
};

static inline SSL_CTX *pair_context(const SSL_METHOD *method, const struct identity *id,
                                    const struct identity *ca)
{
    SSL_CTX *ctx = SSL_CTX_new(method);
    assert_non_null(ctx);
    if (id) {
        assert_int_equal(SSL_CTX_use_certificate(ctx, id->cert), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey(ctx, id->key), 1);
    }
    assert_int_equal(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca->cert), 1);
    return ctx;
}

static inline void pair_open(struct tls_pair *p)
{
    p->ca = identity_make("the authority", NULL, NULL);
    p->server = identity_make("localhost", "DNS:localhost,IP:127.0.0.1", &p->ca);
    p->client = identity_make("a client, \"quoted\"", "DNS:client", &p->ca);
    p->server_ctx = pair_context(TLS_server_method(), &p->server, &p->ca);
    p->client_ctx = pair_context(TLS_client_method(), NULL, &p->ca);
    SSL_CTX_set_verify(p->client_ctx, SSL_VERIFY_PEER, NULL);
}

static inline void pair_close(struct tls_pair *p)
{
    SSL_CTX_free(p->server_ctx);
    SSL_CTX_free(p->client_ctx);
    identity_free(&p->ca);
    identity_free(&p->server);
    identity_free(&p->client);
}

#endif
