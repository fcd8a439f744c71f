/* The TLS contexts with which the endpoints of a configuration are spoken to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/upstream_tls.h"

#include "base/log.h"
#include "proxy/control/issuers.h"
#include "proxy/upstream/sessions.h"
#include "proxy/wire/time.h"
#include <openssl/err.h>

/* What makes one context another than the next. A private key needs no place here: it fits its certificate. */
struct identity {
    unsigned char issuers[PEM_DIGEST_BYTES], chain[PEM_DIGEST_BYTES];
    bool has_issuers, has_chain;
    uint32_t min_version;
};

struct context {
    struct identity identity;
    SSL_CTX *ctx;
};

struct upstream_tls {
    size_t n;
    struct context items[];
};

/* One version that is read, and what it has brought so far. */
struct reading {
    const struct config_upstream_tls *conf;
    size_t route;
    const char *version;
    struct config_errors *errors;
    struct identity identity;
    struct pem_certificates issuers, chain;
    EVP_PKEY *key;
};

static void complain(struct reading *r, const char *key, struct config_place place,
                     const char *file, const struct why *why)
{
    struct config_error error = {.line = place.line, .column = place.column};
    (void)snprintf(error.path, sizeof error.path, "routes[%zu].versions.%.64s.tls%s", r->route,
                   r->version, key);
    (void)snprintf(error.text, sizeof error.text, "%s%.200s%s%.160s", file ? "\"" : "",
                   file ? file : "", file ? "\" " : "", why->text);
    config_errors_add(r->errors, ERR_INVALID, &error);
}

/* system: the issuers that the machine trusts, read when they are first asked for. */
static bool read_issuers(struct reading *r, struct pem_certificates *system)
{
    struct why why;
    const char *ca = r->conf->ca;
    if (!r->conf->verify)
        return true;
    r->identity.has_issuers = true;
    if (ca && issuers_read(ca, time_wall_ms() / 1000, &r->issuers, &why) != OK) {
        complain(r, ".ca", r->conf->ca_place, ca, &why);
        return false;
    }
    if (!ca && !system->list && issuers_read_system(system, &why) != OK) {
        complain(r, "", r->conf->place, NULL, &why);
        return false;
    }
    memcpy(r->identity.issuers, ca ? r->issuers.digest : system->digest, PEM_DIGEST_BYTES);
    return true;
}

static bool read_pair(struct reading *r)
{
    const struct config_certificate *shown = &r->conf->shown;
    bool is_public, is_key;
    struct why why;
    if (!shown->certificate)
        return true;
    if (pem_read_certificates(shown->certificate, &r->chain, &why) != OK) {
        complain(r, ".certificate", shown->certificate_place, shown->certificate, &why);
        return false;
    }
    if (pem_read_key(shown->key, &r->key, &is_public, &why) != OK) {
        complain(r, ".key", shown->key_place, shown->key, &why);
        return false;
    }
    if (is_public)
        log_warn("key_is_public", "file=\"%s\" why=\"every user of this machine may read it\"",
                 shown->key);
    if (pem_check_pair(sk_X509_value(r->chain.list, 0), r->key, time_wall_ms() / 1000, &is_key,
                       &why) != OK) {
        complain(r, is_key ? ".key" : ".certificate",
                 is_key ? shown->key_place : shown->certificate_place,
                 is_key ? shown->key : shown->certificate, &why);
        return false;
    }
    r->identity.has_chain = true;
    memcpy(r->identity.chain, r->chain.digest, PEM_DIGEST_BYTES);
    return true;
}

static const SSL_CTX *find(const struct upstream_tls *u, const struct identity *identity)
{
    for (size_t i = 0; u && i < u->n; i++)
        if (memcmp(&u->items[i].identity, identity, sizeof *identity) == 0)
            return u->items[i].ctx;
    return NULL;
}

static bool trust(SSL_CTX *ctx, const STACK_OF(X509) * issuers)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    for (int i = 0; i < sk_X509_num(issuers); i++)
        if (!X509_STORE_add_cert(store, sk_X509_value(issuers, i)))
            return false;
    /* who is in the file is trusted, be it an issuer below a root */
    return X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
}

static bool show(SSL_CTX *ctx, const STACK_OF(X509) * chain, EVP_PKEY *key)
{
    bool ok = SSL_CTX_use_certificate(ctx, sk_X509_value(chain, 0)) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, key) == 1;
    for (int i = 1; ok && i < sk_X509_num(chain); i++)
        ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i)) == 1;
    return ok;
}

static SSL_CTX *make(const struct reading *r, const STACK_OF(X509) * issuers)
{
    static const unsigned char protocols[] = "\x08http/1.1"; /* RFC 7301 */
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    int least = r->conf->min_version == CONFIG_TLS_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
    bool ok = ctx && SSL_CTX_set_min_proto_version(ctx, least) &&
              SSL_CTX_set_alpn_protos(ctx, protocols, sizeof protocols - 1) == 0 &&
              (!r->conf->verify || trust(ctx, issuers)) &&
              (!r->key || show(ctx, r->chain.list, r->key));
    if (ok) {
        SSL_CTX_set_verify(ctx, r->conf->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
        sessions_prepare(ctx);
        return ctx;
    }
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return NULL;
}

/* The context of what has been read: one that is there already, or a new one. NULL: out of memory. */
static SSL_CTX *take(struct upstream_tls *u, const struct upstream_tls *before,
                     const struct reading *r, const STACK_OF(X509) * issuers)
{
    SSL_CTX *ctx = (SSL_CTX *)(uintptr_t)find(u, &r->identity);
    if (ctx)
        return ctx;
    ctx = (SSL_CTX *)(uintptr_t)find(before, &r->identity);
    if (ctx)
        SSL_CTX_up_ref(ctx);
    else
        ctx = make(r, issuers);
    if (ctx)
        u->items[u->n++] = (struct context){r->identity, ctx};
    return ctx;
}

/* False: out of memory. */
static bool read_version(struct upstream_tls *u, const struct upstream_tls *before,
                         struct config_version *v, struct reading *r,
                         struct pem_certificates *system)
{
    r->conf = &v->tls;
    r->version = v->name;
    r->identity.min_version = v->tls.min_version;
    bool ok = true, is_good = read_issuers(r, system);
    is_good = read_pair(r) && is_good;
    if (is_good) {
        v->tls.context = take(u, before, r, v->tls.ca ? r->issuers.list : system->list);
        ok = v->tls.context != NULL;
    }
    sk_X509_pop_free(r->issuers.list, X509_free);
    sk_X509_pop_free(r->chain.list, X509_free);
    EVP_PKEY_free(r->key);
    return ok;
}

static size_t count(const struct config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_routes; i++)
        for (size_t k = 0; k < config->routes[i].n_versions; k++)
            n += config->routes[i].versions[k].has_tls;
    return n;
}

struct upstream_tls *upstream_tls_read(struct config *config, const struct upstream_tls *before,
                                       struct config_errors *errors)
{
    struct upstream_tls *u = calloc(1, sizeof *u + count(config) * sizeof u->items[0]);
    struct pem_certificates system = {.list = NULL};
    size_t n_errors = errors->n;
    bool ok = u != NULL;
    for (size_t i = 0; ok && i < config->n_routes; i++)
        for (size_t k = 0; ok && k < config->routes[i].n_versions; k++) {
            struct reading r;
            memset(&r, 0, sizeof r); /* identities are compared with their padding */
            r.route = i;
            r.errors = errors;
            if (config->routes[i].versions[k].has_tls)
                ok = read_version(u, before, &config->routes[i].versions[k], &r, &system);
        }
    sk_X509_pop_free(system.list, X509_free);
    if (!ok)
        errors->code = ERR_MEMORY;
    if (ok && errors->n == n_errors)
        return u;
    upstream_tls_free(u);
    return NULL;
}

void upstream_tls_free(struct upstream_tls *u)
{
    for (size_t i = 0; u && i < u->n; i++)
        SSL_CTX_free(u->items[i].ctx);
    free(u);
}

void upstream_tls_warn(const struct config *config)
{
    for (size_t i = 0; i < config->n_routes; i++)
        for (size_t k = 0; k < config->routes[i].n_versions; k++) {
            const struct config_version *v = &config->routes[i].versions[k];
            if (v->has_tls && !v->tls.verify)
                log_warn("tls_not_verified",
                         "route=%s version=%s why=\"verify: false: whoever answers is believed\"",
                         config->routes[i].name, v->name);
        }
}
