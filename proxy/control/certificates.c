/* The certificates of the listeners.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/certificates.h"

#include "proxy/control/server_context.h"
#include <openssl/x509v3.h>
#include <string.h>

#define LINE_MAX_BYTES 1024

/* One entry of a listener's list. */
struct certificate {
    size_t listener, index;
    const char *bind, *file; /* the configuration's */
    const struct config_certificate *conf;
    unsigned char digest[PEM_DIGEST_BYTES];
    int64_t expires;
    bool is_key_public;
};

/* What clients of one listener are held against. */
struct authorities {
    const char *file; /* NULL = none */
    unsigned char digest[PEM_DIGEST_BYTES];
};

struct certificates {
    size_t n_listeners, n;
    SSL_CTX **contexts;              /* by listener */
    struct authorities *authorities; /* by listener */
    struct certificate items[];
};

/* One listener, while it is read. */
struct reading {
    struct certificates *all;
    size_t listener;
    const struct config_listener *conf;
    int64_t now;
    struct config_errors *errors;
};

/* --- messages --- */

/* Adds a message about a key of a listener's tls. file: what it names. */
static void add(struct config_errors *to, enum err code, struct config_place place, size_t listener,
                const char *key, const char *file, const char *text)
{
    struct config_error e = {.line = place.line, .column = place.column};
    (void)snprintf(e.path, sizeof e.path, "listeners[%zu].tls.%s", listener, key);
    (void)snprintf(e.text, sizeof e.text, "\"%.160s\" %.200s", file, text);
    config_errors_add(to, code, &e);
}

static void add_about_pair(struct config_errors *to, enum err code, const struct certificate *c,
                           bool is_key, const char *text)
{
    char key[64];
    (void)snprintf(key, sizeof key, "certificates[%zu].%s", c->index,
                   is_key ? "key" : "certificate");
    add(to, code, is_key ? c->conf->key_place : c->conf->certificate_place, c->listener, key,
        is_key ? c->conf->key : c->conf->certificate, text);
}

/* Memory is not the file's fault, what it holds is. */
static enum err code_of(enum err e)
{
    return e == ERR_MEMORY ? ERR_MEMORY : ERR_INVALID;
}

/* --- reading --- */

static bool read_pair(struct reading *r, struct certificate *c, struct server_pair *pair)
{
    struct pem_certificates chain;
    struct why why;
    bool is_key = false;
    enum err e = pem_read_certificates(c->conf->certificate, &chain, &why);
    if (e == OK) {
        pair->chain = chain.list;
        memcpy(c->digest, chain.digest, sizeof c->digest);
        c->expires = pem_not_after(sk_X509_value(chain.list, 0));
        is_key = true;
        e = pem_read_key(c->conf->key, &pair->key, &c->is_key_public, &why);
    }
    if (e == OK)
        e = pem_check_pair(sk_X509_value(pair->chain, 0), pair->key, r->now, &is_key, &why);
    if (e == OK)
        e = server_pair_check(pair, &why);
    if (e != OK)
        add_about_pair(r->errors, code_of(e), c, is_key, why.text);
    return e == OK;
}

/* A certificate that can issue none would be trusted as if it could: most likely the wrong file. */
static enum err check_authorities(STACK_OF(X509) * list, struct why *why)
{
    char name[128];
    for (int i = 0; i < sk_X509_num(list); i++) {
        X509 *x = sk_X509_value(list, i);
        if (X509_check_ca(x) != 0)
            continue;
        X509_NAME_oneline(X509_get_subject_name(x), name, sizeof name);
        return why_set(why, ERR_INVALID, "holds %.100s, which is no authority (expected CA:TRUE)",
                       name);
    }
    return OK;
}

static bool read_authorities(struct reading *r, struct pem_certificates *out)
{
    const struct config_tls *tls = &r->conf->tls;
    struct why why;
    enum err e = pem_read_certificates(tls->client_ca, out, &why);
    if (e == OK)
        e = check_authorities(out->list, &why);
    if (e != OK) {
        add(r->errors, code_of(e), tls->client_ca_place, r->listener, "client_ca", tls->client_ca,
            why.text);
        return false;
    }
    r->all->authorities[r->listener].file = tls->client_ca;
    memcpy(r->all->authorities[r->listener].digest, out->digest, sizeof out->digest);
    return true;
}

static bool read_pairs(struct reading *r, struct server_pair *pairs)
{
    const struct config_tls *tls = &r->conf->tls;
    bool ok = true;
    for (size_t i = 0; i < tls->n_certificates; i++) {
        struct certificate *c = &r->all->items[r->all->n++];
        *c = (struct certificate){.listener = r->listener,
                                  .index = i,
                                  .bind = r->conf->bind,
                                  .file = tls->certificates[i].certificate,
                                  .conf = &tls->certificates[i]};
        ok = read_pair(r, c, &pairs[i]) && ok;
    }
    return ok;
}

static void read_listener(struct reading *r)
{
    const struct config_tls *tls = &r->conf->tls;
    struct pem_certificates authorities = {.list = NULL};
    struct server_pair *pairs = calloc(tls->n_certificates, sizeof *pairs);
    if (!pairs) {
        r->errors->code = ERR_MEMORY;
        return;
    }
    bool ok = read_pairs(r, pairs);
    if (tls->client_ca)
        ok = read_authorities(r, &authorities) && ok;
    if (ok) {
        SSL_CTX *ctx = server_context_new(tls, pairs, tls->n_certificates,
                                          tls->client_ca ? &authorities : NULL);
        r->all->contexts[r->listener] = ctx;
        if (!ctx)
            r->errors->code = ERR_MEMORY;
    }
    for (size_t i = 0; i < tls->n_certificates; i++)
        server_pair_fini(&pairs[i]);
    free(pairs);
    sk_X509_pop_free(authorities.list, X509_free);
}

static struct certificates *certificates_new(const struct config *config)
{
    size_t n = 0;
    for (size_t i = 0; i < config->n_listeners; i++)
        n += config->listeners[i].tls.n_certificates;
    struct certificates *c = calloc(1, sizeof *c + n * sizeof c->items[0]);
    if (!c)
        return NULL;
    c->n_listeners = config->n_listeners;
    c->contexts = calloc(c->n_listeners, sizeof(SSL_CTX *));
    c->authorities = calloc(c->n_listeners, sizeof *c->authorities);
    if (c->contexts && c->authorities)
        return c;
    certificates_free(c);
    return NULL;
}

struct certificates *certificates_read(const struct config *config, int64_t now,
                                       struct config_errors *errors)
{
    struct certificates *c = certificates_new(config);
    if (!c)
        errors->code = ERR_MEMORY;
    for (size_t i = 0; c && i < config->n_listeners; i++) {
        struct reading r = {c, i, &config->listeners[i], now, errors};
        if (config->listeners[i].has_tls)
            read_listener(&r);
    }
    if (errors->code == OK)
        return c;
    certificates_free(c);
    return NULL;
}

void certificates_free(struct certificates *c)
{
    if (!c)
        return;
    for (size_t i = 0; c->contexts && i < c->n_listeners; i++)
        SSL_CTX_free(c->contexts[i]);
    free(c->contexts);
    free(c->authorities);
    free(c);
}

/* --- what is made of them --- */

struct ssl_ctx_st **certificates_contexts(const struct certificates *c)
{
    return c && c->n ? c->contexts : NULL;
}

void certificates_use_tickets(struct certificates *c, struct tickets *tickets)
{
    for (size_t i = 0; c && i < c->n_listeners; i++)
        if (c->contexts[i])
            server_context_use_tickets(c->contexts[i], tickets);
}

void certificates_warn(const struct certificates *c, int64_t now, struct config_errors *warnings)
{
    char text[PEM_WARNING_MAX];
    for (size_t i = 0; c && i < c->n; i++) {
        if (pem_warn_of_expiry(c->items[i].expires, now, text))
            add_about_pair(warnings, ERR_INVALID, &c->items[i], false, text);
        if (c->items[i].is_key_public)
            add_about_pair(warnings, ERR_INVALID, &c->items[i], true, PEM_PUBLIC_KEY);
    }
}

void certificates_expiries(const struct certificates *c, certificates_expiry_fn *tell, void *arg)
{
    for (size_t i = 0; c && i < c->n; i++) {
        const struct certificate *one = &c->items[i];
        bool is_told = false;
        for (size_t k = 0; k < i; k++)
            is_told = is_told || (strcmp(c->items[k].bind, one->bind) == 0 &&
                                  strcmp(c->items[k].file, one->file) == 0);
        if (!is_told)
            tell(arg, one->bind, one->file, one->expires);
    }
}

/* The one of the same listener and file, where it is still read from there. */
static const struct certificate *find(const struct certificates *all,
                                      const struct certificate *like)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->items[i].listener == like->listener && strcmp(all->items[i].file, like->file) == 0)
            return &all->items[i];
    return NULL;
}

static void tell_pair(const struct certificate *c, changes_line_fn *tell, void *arg)
{
    char line[LINE_MAX_BYTES], time[PEM_TIME_MAX];
    (void)snprintf(line, sizeof line,
                   "listeners[%zu].tls.certificates[%zu].certificate: %.400s is another one, which "
                   "expires at %s",
                   c->listener, c->index, c->file, pem_format_time(c->expires, time));
    tell(arg, line);
}

void certificates_tell_changes(const struct certificates *old, const struct certificates *new,
                               changes_line_fn *tell, void *arg)
{
    char line[LINE_MAX_BYTES];
    for (size_t i = 0; i < new->n; i++) {
        const struct certificate *before = find(old, &new->items[i]);
        if (before && memcmp(before->digest, new->items[i].digest, PEM_DIGEST_BYTES) != 0)
            tell_pair(&new->items[i], tell, arg);
    }
    for (size_t i = 0; i < new->n_listeners &&i < old->n_listeners; i++) {
        const struct authorities *a = &new->authorities[i], *before = &old->authorities[i];
        if (!a->file || !before->file || strcmp(a->file, before->file) != 0 ||
            memcmp(a->digest, before->digest, PEM_DIGEST_BYTES) == 0)
            continue;
        (void)snprintf(line, sizeof line, "listeners[%zu].tls.client_ca: %.400s holds others", i,
                       a->file);
        tell(arg, line);
    }
}
