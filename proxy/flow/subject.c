/* Whose certificate a client has shown, handed upstream.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/subject.h"

#include "base/log.h"
#include "proxy/wire/tls.h"

static const struct config *conf_of(const struct client *c)
{
    return c->flow->world->snapshot->config;
}

void subject_guard(const struct client *c, const char *buf)
{
    const struct config_string_list *names = &conf_of(c)->subject_headers;
    for (size_t i = 0; i < names->n; i++)
        head_remove(&c->flow->head, buf, slice_str(names->items[i]));
}

/* Asks the session, once. */
static void learn(struct client *c)
{
    char text[SUBJECT_MAX];
    c->is_subject_known = true;
    size_t len = tls_peer_subject(&c->stream, text, sizeof text);
    if (len > sizeof text)
        log_warn("client_subject_left_out", "client=%.*s bytes=%zu most=%u",
                 SLICE_ARG(client_peer(c)), len, SUBJECT_MAX);
    else if (len)
        c->subject = strndup(text, len);
}

void subject_add(struct client *c, struct rewrite_request *r)
{
    const struct config_tls *tls = &conf_of(c)->listeners[c->listener_index].tls;
    if (!tls->client_ca)
        return;
    if (!c->is_subject_known)
        learn(c);
    if (!c->subject)
        return;
    r->subject_name = slice_str(tls->client_subject_header);
    r->subject = slice_str(c->subject);
}
