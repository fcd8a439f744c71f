/* The TLS contexts with which the endpoints of a configuration are spoken to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/upstream_tls.h"

#include "proxy/control/issuers.h"
#include "proxy/upstream/sessions.h"
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 256

/* What makes one context another than the next. A private key needs no place here: it fits its certificate. */
struct identity {
    unsigned char issuers[PEM_DIGEST_BYTES], chain[PEM_DIGEST_BYTES];
    uint32_t has_issuers, has_chain, min_version;
};
_Static_assert(sizeof(struct identity) == 2 * PEM_DIGEST_BYTES + 3 * sizeof(uint32_t),
               "compared byte by byte: it has no padding");

struct context {
    struct identity identity;
    SSL_CTX *ctx;
};

/* A certificate that a version shows. */
struct shown {
    size_t route;
    const char *version;
    const struct config_certificate *conf;
    int64_t expires;
    bool is_key_public;
};

struct upstream_tls {
    size_t n_contexts, n_shown;
    struct context *contexts;
    struct shown *shown;
};

/* One version that is read, and what it has brought so far. */
struct reading {
    const struct config_upstream_tls *conf;
    size_t route;
    const char *version;
    int64_t now;
    struct config_errors *errors;
    struct identity identity;
    struct pem_certificates issuers, chain;
    EVP_PKEY *key;
    bool is_key_public;
};

/* --- messages --- */

/* Where a message belongs. */
struct place {
    size_t route;
    const char *version, *key; /* key: ".ca", "" for tls itself */
    struct config_place at;
};

/* file: what the text is said of, or NULL. */
static void add(struct config_errors *to, enum err code, const struct place *place,
                const char *file, const char *text)
{
    struct config_error e = {.line = place->at.line, .column = place->at.column};
    (void)snprintf(e.path, sizeof e.path, "routes[%zu].versions.%.64s.tls%s", place->route,
                   place->version, place->key);
    (void)snprintf(e.text, sizeof e.text, "%s%.160s%s%.220s", file ? "\"" : "", file ? file : "",
                   file ? "\" " : "", text);
    config_errors_add(to, code, &e);
}

/* Memory is not the file's fault, what it holds is. Returns false. */
static bool complain(struct reading *r, enum err e, const char *key, struct config_place at,
                     const char *file, const struct why *why)
{
    const struct place place = {r->route, r->version, key, at};
    add(r->errors, e == ERR_MEMORY ? ERR_MEMORY : ERR_INVALID, &place, file, why->text);
    return false;
}

/* --- reading --- */

/* system: the issuers that the machine trusts, read when they are first asked for. */
static bool read_issuers(struct reading *r, struct pem_certificates *system)
{
    struct why why;
    const char *ca = r->conf->ca;
    enum err e = OK;
    if (!r->conf->verify)
        return true;
    if (ca)
        e = issuers_read(ca, r->now, &r->issuers, &why);
    else if (!system->list)
        e = issuers_read_system(system, &why);
    if (e != OK)
        return complain(r, e, ca ? ".ca" : "", ca ? r->conf->ca_place : r->conf->place, ca, &why);
    r->identity.has_issuers = true;
    memcpy(r->identity.issuers, ca ? r->issuers.digest : system->digest, PEM_DIGEST_BYTES);
    return true;
}

static bool show(SSL_CTX *ctx, const STACK_OF(X509) * chain, EVP_PKEY *key)
{
    bool ok = SSL_CTX_use_certificate(ctx, sk_X509_value(chain, 0)) == 1 &&
              SSL_CTX_use_PrivateKey(ctx, key) == 1;
    for (int i = 1; ok && i < sk_X509_num(chain); i++)
        ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(chain, i)) == 1;
    return ok;
}

/* OpenSSL refuses a chain with weak signatures. */
static enum err check_shown(const struct reading *r, struct why *why)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    enum err e = OK;
    ERR_clear_error();
    if (!ctx)
        e = why_set(why, ERR_MEMORY, "cannot be used: out of memory");
    else if (!show(ctx, r->chain.list, r->key))
        e = why_set(why, ERR_INVALID, "cannot be used (%s)",
                    ERR_reason_error_string(ERR_peek_last_error()));
    ERR_clear_error();
    SSL_CTX_free(ctx);
    return e;
}

static bool read_pair(struct reading *r)
{
    const struct config_certificate *shown = &r->conf->shown;
    bool is_key = false;
    struct why why;
    if (!shown->certificate)
        return true;
    enum err e = pem_read_certificates(shown->certificate, &r->chain, &why);
    if (e == OK) {
        is_key = true;
        e = pem_read_key(shown->key, &r->key, &r->is_key_public, &why);
    }
    if (e == OK)
        e = pem_check_pair(sk_X509_value(r->chain.list, 0), r->key, r->now, &is_key, &why);
    if (e == OK)
        e = check_shown(r, &why);
    if (e != OK && is_key)
        return complain(r, e, ".key", shown->key_place, shown->key, &why);
    if (e != OK)
        return complain(r, e, ".certificate", shown->certificate_place, shown->certificate, &why);
    r->identity.has_chain = true;
    memcpy(r->identity.chain, r->chain.digest, PEM_DIGEST_BYTES);
    return true;
}

/* --- contexts --- */

static SSL_CTX *find(const struct upstream_tls *u, const struct identity *identity)
{
    for (size_t i = 0; u && i < u->n_contexts; i++)
        if (memcmp(&u->contexts[i].identity, identity, sizeof *identity) == 0)
            return u->contexts[i].ctx;
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
    SSL_CTX *ctx = find(u, &r->identity);
    if (ctx)
        return ctx;
    ctx = find(before, &r->identity);
    if (ctx)
        SSL_CTX_up_ref(ctx);
    else
        ctx = make(r, issuers);
    if (ctx)
        u->contexts[u->n_contexts++] = (struct context){r->identity, ctx};
    return ctx;
}

static void note_shown(struct upstream_tls *u, const struct reading *r)
{
    if (r->chain.list)
        u->shown[u->n_shown++] =
            (struct shown){.route = r->route,
                           .version = r->version,
                           .conf = &r->conf->shown,
                           .expires = pem_not_after(sk_X509_value(r->chain.list, 0)),
                           .is_key_public = r->is_key_public};
}

static void read_version(struct upstream_tls *u, const struct upstream_tls *before,
                         struct config_version *v, struct reading *r,
                         struct pem_certificates *system)
{
    bool is_good = read_issuers(r, system);
    is_good = read_pair(r) && is_good;
    if (is_good) {
        note_shown(u, r);
        v->tls.context = take(u, before, r, v->tls.ca ? r->issuers.list : system->list);
        if (!v->tls.context)
            r->errors->code = ERR_MEMORY;
    }
    sk_X509_pop_free(r->issuers.list, X509_free);
    sk_X509_pop_free(r->chain.list, X509_free);
    EVP_PKEY_free(r->key);
}

static void read_route(struct upstream_tls *u, const struct upstream_tls *before,
                       struct config_route *route, const struct reading *common,
                       struct pem_certificates *system)
{
    struct reading r;
    for (size_t i = 0; i < route->n_versions; i++) {
        struct config_version *v = &route->versions[i];
        if (!v->has_tls)
            continue;
        r = *common;
        r.conf = &v->tls;
        r.version = v->name;
        r.identity.min_version = v->tls.min_version;
        read_version(u, before, v, &r, system);
    }
}

static struct upstream_tls *make_room(const struct config *config)
{
    size_t n = 1;
    for (size_t i = 0; i < config->n_routes; i++)
        n += config->routes[i].n_versions;
    struct upstream_tls *u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    u->contexts = calloc(n, sizeof *u->contexts);
    u->shown = calloc(n, sizeof *u->shown);
    if (u->contexts && u->shown)
        return u;
    upstream_tls_free(u);
    return NULL;
}

struct upstream_tls *upstream_tls_read(struct config *config, int64_t now,
                                       const struct upstream_tls *before,
                                       struct config_errors *errors)
{
    struct upstream_tls *u = make_room(config);
    struct pem_certificates system = {.list = NULL};
    struct reading common = {.now = now, .errors = errors};
    if (!u)
        errors->code = ERR_MEMORY;
    for (size_t i = 0; u && i < config->n_routes; i++) {
        common.route = i;
        read_route(u, before, &config->routes[i], &common, &system);
    }
    sk_X509_pop_free(system.list, X509_free);
    if (errors->code == OK)
        return u;
    upstream_tls_free(u);
    return NULL;
}

void upstream_tls_free(struct upstream_tls *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < u->n_contexts; i++)
        SSL_CTX_free(u->contexts[i].ctx);
    free(u->contexts);
    free(u->shown);
    free(u);
}

/* --- what is not wise, and what comes --- */

static void warn_of_shown(const struct shown *s, int64_t now, struct config_errors *warnings)
{
    char text[PEM_WARNING_MAX];
    const struct place of_certificate = {s->route, s->version, ".certificate",
                                         s->conf->certificate_place};
    const struct place of_key = {s->route, s->version, ".key", s->conf->key_place};
    if (pem_warn_of_expiry(s->expires, now, text))
        add(warnings, ERR_INVALID, &of_certificate, s->conf->certificate, text);
    if (s->is_key_public)
        add(warnings, ERR_INVALID, &of_key, s->conf->key, PEM_PUBLIC_KEY);
}

void upstream_tls_warn(const struct upstream_tls *u, const struct config *config, int64_t now,
                       struct config_errors *warnings)
{
    for (size_t i = 0; u && i < config->n_routes; i++)
        for (size_t k = 0; k < config->routes[i].n_versions; k++) {
            const struct config_version *v = &config->routes[i].versions[k];
            const struct place place = {i, v->name, ".verify", v->tls.place};
            if (v->has_tls && !v->tls.verify)
                add(warnings, ERR_INVALID, &place, NULL,
                    "is false: whoever answers at its endpoints is believed");
        }
    for (size_t i = 0; u && i < u->n_shown; i++)
        warn_of_shown(&u->shown[i], now, warnings);
}

void upstream_tls_expiries(const struct upstream_tls *u, certificates_expiry_fn *tell, void *arg)
{
    for (size_t i = 0; u && i < u->n_shown; i++) {
        const char *file = u->shown[i].conf->certificate;
        bool is_told = false;
        for (size_t k = 0; k < i; k++)
            is_told = is_told || strcmp(u->shown[k].conf->certificate, file) == 0;
        if (!is_told)
            tell(arg, "", file, u->shown[i].expires);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_settings(const struct config_upstream_tls *a, const struct config_upstream_tls *b)
{
    return same_text(a->ca, b->ca) && same_text(a->shown.certificate, b->shown.certificate) &&
           same_text(a->shown.key, b->shown.key) && a->verify == b->verify &&
           a->min_version == b->min_version;
}

void upstream_tls_tell_changes(const struct config *old, const struct config *new,
                               changes_line_fn *tell, void *arg)
{
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < new->n_routes; i++) {
        const struct config_route *route = &new->routes[i];
        const struct config_route *before = config_find_route(old, route->name);
        for (size_t k = 0; before && k < route->n_versions; k++) {
            const struct config_version *v = &route->versions[k];
            const struct config_version *was = config_find_version(before, v->name);
            if (!was || !v->tls.context || !was->tls.context ||
                v->tls.context == was->tls.context || !same_settings(&v->tls, &was->tls))
                continue;
            (void)snprintf(line, sizeof line,
                           "route %s: versions.%s.tls: the certificates that it names are others",
                           route->name, v->name);
            tell(arg, line);
        }
    }
}
