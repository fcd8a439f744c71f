/* Writes the head that goes on: always anew from its parsed form, never a copied line.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_REWRITE_H
#define SERIN_PROXY_HTTP_REWRITE_H

#include "proxy/http/body.h"
#include "proxy/http/head.h"

/* What the rewrite of a head adds at most to its length: one blank a field, the authority twice
 * more, the constant parts of all fields that are added. Sizes the caller's buffer. The client's
 * address (twice), the request id, the traceparent, fallback_host, the subject with its name, the version with its own and
 * the cookie that the caller hands in come on top. */
#define REWRITE_EXTRA_BYTES 1536
#define REQUEST_ID_MAX      128

/* Which fields tell the upstream about the client. Clients are not trusted: what they say of
 * themselves is only ever the front of a list that ends with what serin saw. X: X-Forwarded-For is
 * appended to, X-Forwarded-Proto and -Host are replaced. RFC7239: Forwarded is appended to. The
 * family that a mode does not write is dropped, for an upstream could not tell it from a true one.
 * OFF: all of them pass as received. */
enum forwarded_mode { FORWARDED_X, FORWARDED_RFC7239, FORWARDED_BOTH, FORWARDED_OFF };

struct rewrite_request {
    const struct head *head;
    const char *buf;         /* that head's bytes */
    const struct body *body; /* framing, as planned */
    struct slice client;     /* address of the client without port; "unknown" for UNIX sockets */
    bool is_tls;             /* the client came over TLS: X-Forwarded-Proto */
    enum forwarded_mode forwarded;
    struct slice request_id; /* sent as X-Request-ID; empty = a received one is passed on */
    struct slice
        traceparent; /* of a trace that begins here, in place of traceparent and tracestate; empty = these are passed on */
    struct slice fallback_host; /* Host where the request had none (HTTP/1.0) */
    bool upgrade_websocket;     /* Upgrade: websocket goes on; else the upstream sees none */
    /* One more field, which the head must not have (head_remove); name empty = none. */
    struct slice subject_name, subject;
};

struct rewrite_response {
    const struct head *head;
    const char *buf;
    const struct body *body;
    uint8_t client_minor;    /* the client's HTTP/1.minor */
    bool keep_alive;         /* the client's connection stays open after this response */
    struct slice set_cookie; /* a Set-Cookie value to add; empty = none */
    struct slice request_id; /* X-Request-ID for the client; empty = none */
    struct slice version_field,
        version; /* a field to add, and its value; the head's own of that name is hidden by
                                            head_remove already. Not in a 1xx but 101; empty = none */
    struct slice
        date; /* Date where the upstream sent none (RFC 9110 section 6.6.1); empty = none */
};

/* A received X-Request-ID worth keeping: 8 to 128 of [A-Za-z0-9._~+/=:@-]; else an empty slice.
 * Pure. */
struct slice request_id_received(const struct head *h, const char *buf);

/* The request head for upstream, HTTP/1.1: origin form and one Host, from the authority; hop-by-hop
 * fields gone, Upgrade only as asked for; forwarding fields, Via and one framing field written; Max-Forwards of
 * OPTIONS one less; Expect passed on only for an HTTP/1.1 request with a body. Returns the bytes
 * written, or -1 when room is too small. Pure. O(head). */
ssize_t rewrite_request(const struct rewrite_request *r, char *out, size_t room);

/* The response head for the client, likewise; also for 1xx, which gets no framing and no Connection, but for 101: that one says
 * Upgrade: websocket, the only protocol that is passed. Always HTTP/1.1, with the upstream's reason phrase. Framing: 204 has
 * none; 304 and an answer to HEAD keep what they announce; a chunked body for an HTTP/1.0 client is announced as one that ends
 * with the connection, which the caller then closes; a body that ends with the upstream's connection is announced as chunked
 * where keep_alive is set and the client speaks HTTP/1.1 (rewrite_is_chunked tells), and the caller then chunks it. Returns the
 * bytes written, or -1 when room is too small. Pure. O(head). */
ssize_t rewrite_response(const struct rewrite_response *r, char *out, size_t room);

/* True where rewrite_response announces a body that follows as chunked. Pure. */
bool rewrite_is_chunked(const struct rewrite_response *r);

#endif
