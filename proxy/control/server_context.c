/* The SSL_CTX of one listener.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/server_context.h"

#include "proxy/control/sni.h"
#include "proxy/control/tickets.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <string.h>

/* TLS 1.2: forward secrecy and authenticated encryption only. TLS 1.3 has nothing else. AES-128 first: nobody breaks it, and
 * the handshake hashes with SHA-256, for which processors have instructions. */
#define CIPHERS_1_2    "ECDHE+AES128+AESGCM:ECDHE+AESGCM:ECDHE+CHACHA20"
#define CIPHERS_1_3    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define GROUPS         "X25519:P-256:P-384"
#define SECURITY_LEVEL 2 /* 112 bits: refuses RSA below 2048 bits, SHA-1 and the like in chains */

/* Of a client: intermediate authorities, and bytes. Guard the time and memory that a stranger's chain may take. */
#define CLIENT_CHAIN_MAX       4
#define CLIENT_CHAIN_BYTES_MAX (32 << 10)

/* What the callbacks of a context look into. Immutable but for the keys of the tickets; freed with the context. */
struct server {
    struct sni *names;
    struct sni_match first; /* shown where no name fits: they stand in the context itself */
    struct tickets *tickets;
    EVP_CIPHER
    *ticket_cipher; /* fetched once: to look it up by name costs more than to seal with it */
    size_t n;
    struct server_pair pairs[];
};

void server_pair_fini(struct server_pair *p)
{
    sk_X509_pop_free(p->chain, X509_free);
    EVP_PKEY_free(p->key);
    *p = (struct server_pair){NULL, NULL};
}

static void free_server(struct server *s)
{
    for (size_t i = 0; i < s->n; i++)
        server_pair_fini(&s->pairs[i]);
    EVP_CIPHER_free(s->ticket_cipher);
    sni_free(s->names);
    free(s);
}

static void on_free(void *parent, void *server, CRYPTO_EX_DATA *data, int index, long argl,
                    void *argp)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)argl;
    (void)argp;
    if (server)
        free_server(server);
}

/* Where a context keeps its struct server. The control thread asks first, before any worker has a context. */
static int server_index(void)
{
    static int index = -1;
    if (index < 0)
        index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, on_free);
    return index;
}

static struct server *server_of(const SSL *ssl)
{
    return SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), server_index());
}

/* --- certificates --- */

/* The own certificate of a pair, and a new list of the others, of borrowed items. */
static X509 *split(const struct server_pair *p, STACK_OF(X509) * *others)
{
    *others = sk_X509_dup(p->chain);
    return *others ? sk_X509_shift(*others) : NULL;
}

static bool show_in_context(SSL_CTX *ctx, const struct server_pair *p)
{
    STACK_OF(X509) *others = NULL;
    X509 *own = split(p, &others);
    bool ok = own && SSL_CTX_use_cert_and_key(ctx, own, p->key, others, 1) == 1;
    sk_X509_free(others);
    return ok;
}

static bool show_in_session(SSL *ssl, const struct server_pair *p)
{
    STACK_OF(X509) *others = NULL;
    X509 *own = split(p, &others);
    bool ok = own && SSL_use_cert_and_key(ssl, own, p->key, others, 1) == 1;
    sk_X509_free(others);
    return ok;
}

/* Chooses by the client's server name. What the context itself has needs no more. 1: go on, 0: fail. */
static int on_certificate(SSL *ssl, void *server)
{
    const struct server *s = server;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    const struct sni_match *m = name ? sni_find(s->names, slice_str(name)) : NULL;
    if (!m || (m->n == s->first.n && memcmp(m->certificates, s->first.certificates,
                                            m->n * sizeof m->certificates[0]) == 0))
        return 1;
    SSL_certs_clear(ssl);
    for (uint16_t i = 0; i < m->n; i++)
        if (!show_in_session(ssl, &s->pairs[m->certificates[i]]))
            return 0;
    return 1;
}

static struct slice dns_name(const GENERAL_NAME *name)
{
    if (name->type != GEN_DNS)
        return slice_of(NULL, 0);
    return slice_of((const char *)ASN1_STRING_get0_data(name->d.dNSName),
                    (size_t)ASN1_STRING_length(name->d.dNSName));
}

/* Adds the names of one certificate. first: gets the first one, cut at room; "" where there is none. */
static enum err add_names(struct sni *names, const struct server_pair *p, uint16_t number,
                          char first[SNI_NAME_MAX + 1])
{
    GENERAL_NAMES *all =
        X509_get_ext_d2i(sk_X509_value(p->chain, 0), NID_subject_alt_name, NULL, NULL);
    enum err e = OK;
    first[0] = '\0';
    for (int i = 0; e == OK && i < sk_GENERAL_NAME_num(all); i++) {
        struct slice name = dns_name(sk_GENERAL_NAME_value(all, i));
        if (name.len == 0)
            continue;
        if (!first[0])
            (void)snprintf(first, SNI_NAME_MAX + 1, "%.*s", SLICE_ARG(name));
        e = sni_add(names, name, number, EVP_PKEY_get_base_id(p->key));
    }
    GENERAL_NAMES_free(all);
    return e;
}

/* Where no name fits: the first certificate, and those of other kinds of key that begin with the same name. */
static void add_first(struct server *s, uint16_t number)
{
    for (uint16_t i = 0; i < s->first.n; i++)
        if (EVP_PKEY_get_base_id(s->pairs[s->first.certificates[i]].key) ==
            EVP_PKEY_get_base_id(s->pairs[number].key))
            return;
    if (s->first.n < SNI_KINDS_MAX)
        s->first.certificates[s->first.n++] = number;
}

static bool index_names(struct server *s)
{
    char first[SNI_NAME_MAX + 1], name[SNI_NAME_MAX + 1];
    s->names = sni_new();
    if (!s->names || add_names(s->names, &s->pairs[0], 0, first) != OK)
        return false;
    add_first(s, 0);
    for (uint16_t i = 1; i < s->n; i++) {
        if (add_names(s->names, &s->pairs[i], i, name) != OK)
            return false;
        if (first[0] && strcasecmp(first, name) == 0)
            add_first(s, i);
    }
    sni_sort(s->names);
    return true;
}

/* --- tickets --- */

/* 1: done, 0: no key, so a full handshake, 2: done, and the client should have a new ticket, -1: failed. */
static int seal_or_open(struct server *s, unsigned char name[16], unsigned char *iv,
                        EVP_CIPHER_CTX *cipher, struct ticket_key *key, int is_sealing)
{
    bool is_old = false;
    if (is_sealing) {
        tickets_sealing(s->tickets, key);
        memcpy(name, key->name, sizeof key->name);
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(s->ticket_cipher)) != 1)
            return -1;
    } else if (!tickets_opening(s->tickets, name, key, &is_old)) {
        return 0;
    }
    if (EVP_CipherInit_ex2(cipher, s->ticket_cipher, key->aes, iv, is_sealing, NULL) != 1)
        return -1;
    return is_old ? 2 : 1;
}

static int on_ticket_key(SSL *ssl, unsigned char name[16], unsigned char *iv,
                         EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
    struct ticket_key key;
    char digest[] = "SHA256";
    int result = seal_or_open(server_of(ssl), name, iv, cipher, &key, is_sealing);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.hmac, sizeof key.hmac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_END};
    if (result > 0 && EVP_MAC_CTX_set_params(mac, params) != 1)
        result = -1;
    OPENSSL_cleanse(&key, sizeof key);
    return result;
}

/* A session carries the certificate that its client once showed, which is not verified again: it ends with it. */
static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                          size_t name_len, SSL_TICKET_STATUS status, void *arg)
{
    (void)ssl;
    (void)name;
    (void)name_len;
    (void)arg;
    if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    const X509 *peer = SSL_SESSION_get0_peer(session);
    if (peer && X509_cmp_current_time(X509_get0_notAfter(peer)) <= 0)
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

void server_context_use_tickets(SSL_CTX *ctx, struct tickets *tickets)
{
    struct server *s = SSL_CTX_get_ex_data(ctx, server_index());
    s->tickets = tickets;
    (void)SSL_CTX_clear_options(ctx, SSL_OP_NO_TICKET);
}

/* --- clients --- */

/* A session is resumed only where clients are asked for the same: otherwise one of a listener, or of a file, that asked for
 * nothing would do here. */
static bool set_session_context(SSL_CTX *ctx, const struct config_tls *conf,
                                const struct pem_certificates *client_ca)
{
    unsigned char bytes[1 + PEM_DIGEST_BYTES] = {0}, id[PEM_DIGEST_BYTES];
    if (client_ca) {
        bytes[0] = conf->client_certificate == CLIENT_CERTIFICATE_REQUIRED ? 2 : 1;
        memcpy(bytes + 1, client_ca->digest, PEM_DIGEST_BYTES);
    }
    _Static_assert(sizeof id <= SSL_MAX_SID_CTX_LENGTH, "the id has room");
    return EVP_Digest(bytes, sizeof bytes, id, NULL, EVP_sha256(), NULL) == 1 &&
           SSL_CTX_set_session_id_context(ctx, id, sizeof id) == 1;
}

static bool ask_clients(SSL_CTX *ctx, const struct config_tls *conf, STACK_OF(X509) * authorities)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (int i = 0; i < sk_X509_num(authorities); i++)
        if (X509_STORE_add_cert(store, sk_X509_value(authorities, i)) != 1 ||
            SSL_CTX_add_client_CA(ctx, sk_X509_value(authorities, i)) != 1)
            return false;
    /* The file says whom to trust: an intermediate authority in it stands for itself. */
    if (X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) != 1)
        return false;
    bool is_required = conf->client_certificate == CLIENT_CERTIFICATE_REQUIRED;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (is_required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
                       NULL);
    SSL_CTX_set_verify_depth(ctx, CLIENT_CHAIN_MAX);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_BYTES_MAX);
    return true;
}

/* --- the context --- */

/* RFC 7301 section 3.2: a client that offers protocols, but none that is spoken here, is told so. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
    static const unsigned char spoken[] = "\x08http/1.1\x08http/1.0";
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto((unsigned char **)out, out_len, spoken, sizeof spoken - 1, in,
                              in_len) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    return SSL_TLSEXT_ERR_OK;
}

static bool set_protocol(SSL_CTX *ctx, const struct config_tls *conf)
{
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                       SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA |
                                       SSL_OP_NO_TICKET);
    SSL_CTX_set_security_level(ctx, SECURITY_LEVEL);
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_timeout(ctx, TICKETS_LIFETIME_S);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    int version = conf && conf->min_version == CONFIG_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    return SSL_CTX_set_min_proto_version(ctx, version) == 1 &&
           SSL_CTX_set_max_proto_version(ctx, 0) == 1 &&
           SSL_CTX_set_cipher_list(ctx, CIPHERS_1_2) == 1 &&
           SSL_CTX_set_ciphersuites(ctx, CIPHERS_1_3) == 1 &&
           SSL_CTX_set1_groups_list(ctx, GROUPS) == 1;
}

static bool set_server(SSL_CTX *ctx, struct server *s)
{
    if (!index_names(s))
        return false;
    for (uint16_t i = 0; i < s->first.n; i++)
        if (!show_in_context(ctx, &s->pairs[s->first.certificates[i]]))
            return false;
    SSL_CTX_set_cert_cb(ctx, on_certificate, s);
    s->ticket_cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    return s->ticket_cipher && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key) == 1 &&
           SSL_CTX_set_session_ticket_cb(ctx, NULL, on_ticket_opened, NULL) == 1;
}

enum err server_pair_check(const struct server_pair *p, struct why *why)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    enum err e = OK;
    ERR_clear_error();
    if (!ctx || !set_protocol(ctx, NULL))
        e = why_set(why, ERR_MEMORY, "cannot be used: out of memory");
    else if (!show_in_context(ctx, p))
        e = why_set(why, ERR_INVALID, "cannot be used (%s)",
                    ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return e;
}

SSL_CTX *server_context_new(const struct config_tls *conf, struct server_pair *pairs, size_t n,
                            const struct pem_certificates *client_ca)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    struct server *s = calloc(1, sizeof *s + n * sizeof s->pairs[0]);
    bool is_kept = ctx && s && SSL_CTX_set_ex_data(ctx, server_index(), s) == 1;
    for (size_t i = 0; i < n; i++) {
        if (is_kept)
            s->pairs[s->n++] = pairs[i];
        else
            server_pair_fini(&pairs[i]);
        pairs[i] = (struct server_pair){NULL, NULL};
    }
    if (!is_kept)
        free(s);
    bool ok = is_kept && set_protocol(ctx, conf) && set_server(ctx, s) &&
              set_session_context(ctx, conf, client_ca) &&
              (!client_ca || ask_clients(ctx, conf, client_ca->list));
    ERR_clear_error();
    if (ok)
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}
