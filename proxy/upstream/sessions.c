/* TLS sessions of one endpoint that its next connections may resume.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/sessions.h"

#include "proxy/wire/tls.h"
#include <openssl/ssl.h>
#include <string.h>

static void drop_oldest(struct sessions *s)
{
    SSL_SESSION_free(s->items[0]);
    s->n--;
    memmove(&s->items[0], &s->items[1], s->n * sizeof s->items[0]);
}

/* OpenSSL hands over a session that may be resumed: 1, it is ours now. */
static int on_new(SSL *ssl, SSL_SESSION *session)
{
    struct sessions *s = SSL_get_app_data(ssl);
    if (!s || !SSL_SESSION_is_resumable(session))
        return 0;
    if (s->n == SESSIONS_MAX)
        drop_oldest(s);
    s->items[s->n++] = session;
    return 1;
}

void sessions_prepare(struct ssl_ctx_st *ctx)
{
    (void)SSL_CTX_set_session_cache_mode(ctx,
                                         SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(ctx, on_new);
}

/* OpenSSL takes no session of TLS 1.3 a second time, but a copy of it. */
static void offer_copy(SSL *ssl, const SSL_SESSION *session)
{
    SSL_SESSION *copy = SSL_SESSION_dup(session);
    if (copy)
        (void)SSL_set_session(ssl, copy);
    SSL_SESSION_free(copy);
}

void sessions_offer(struct sessions *s, struct stream *stream)
{
    SSL *ssl = tls_session(stream);
    (void)SSL_set_app_data(ssl, s);
    if (s->n == 0)
        return;
    SSL_SESSION *newest = s->items[s->n - 1];
    if (s->n == 1 && SSL_SESSION_get_protocol_version(newest) >= TLS1_3_VERSION) {
        offer_copy(ssl, newest);
        return;
    }
    (void)SSL_set_session(ssl, newest); /* takes a reference of its own */
    if (SSL_SESSION_get_protocol_version(newest) >= TLS1_3_VERSION) {
        SSL_SESSION_free(newest);
        s->n--;
    }
}

void sessions_fini(struct sessions *s)
{
    while (s->n)
        SSL_SESSION_free(s->items[--s->n]);
}
