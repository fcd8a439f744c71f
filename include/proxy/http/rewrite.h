/* Writes the head that goes on: always anew from its parsed form, never a copied line.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_REWRITE_H
#define SERIN_PROXY_HTTP_REWRITE_H

#include "proxy/http/body.h"
#include "proxy/http/head.h"

/* What the rewrite of a head adds at most to its length: sizes the caller's buffer. The addresses, the request id
 * (REQUEST_ID_MAX) and the cookie that the caller hands in come on top. */
#define REWRITE_EXTRA_BYTES 512
#define REQUEST_ID_MAX      128

enum forwarded_mode { FORWARDED_X, FORWARDED_RFC7239, FORWARDED_BOTH, FORWARDED_OFF };

struct rewrite_request {
    const struct head *head;
    const char *buf;                /* that head's bytes */
    const struct body *body;        /* framing, as planned */
    struct slice client;            /* address of the client without port; "unknown" for UNIX sockets */
    bool is_tls;                    /* the client came over TLS: X-Forwarded-Proto */
    enum forwarded_mode forwarded;
    struct slice request_id;        /* sent as X-Request-ID; empty = a received one is passed on */
    struct slice fallback_host;     /* Host where the request had none (HTTP/1.0) */
};

struct rewrite_response {
    const struct head *head;
    const char *buf;
    const struct body *body;
    uint8_t client_minor;           /* the client's HTTP/1.minor */
    bool keep_alive;                /* the client's connection stays open after this response */
    struct slice set_cookie;        /* a Set-Cookie value to add; empty = none */
    struct slice request_id;        /* X-Request-ID for the client; empty = none */
};

/* A received X-Request-ID worth keeping: 8 to 128 of [A-Za-z0-9._~+/=:@-]; else an empty slice. Pure. */
struct slice request_id_received(const struct head *h, const char *buf);

/* The request head for upstream, HTTP/1.1, hop-by-hop fields gone, forwarding fields and one framing field written.
 * Returns the bytes written, or -1 when room is too small. Pure. */
ssize_t rewrite_request(const struct rewrite_request *r, char *out, size_t room);

/* The response head for the client, likewise; also for 1xx. A chunked body for an HTTP/1.0 client is announced as
 * one that ends with the connection. Returns the bytes written, or -1 when room is too small. Pure. */
ssize_t rewrite_response(const struct rewrite_response *r, char *out, size_t room);

#endif
