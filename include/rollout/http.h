/* Asking others over HTTP from the control thread: libcurl's multi interface on the event loop, so that nobody waits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_HTTP_H
#define SERIN_ROLLOUT_HTTP_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http;
struct http_call;

/* Guards memory against an answer without an end; what lies beyond is an error. */
#define HTTP_ANSWER_MAX (256u << 10)
/* Guards descriptors and the answering side; further calls wait for their turn, within their timeout. */
#define HTTP_CALLS_MAX 64u

/* What came back. Borrowed until done returns. */
struct http_answer {
    unsigned
        status; /* of any whole answer, a redirect too; 0: there was none, and error says why */
    const char
        *error; /* "" where status is not 0; one plain sentence with no part of the URL otherwise */
    const char *body; /* as sent, so it may hold NUL bytes; a NUL stands behind len; never NULL */
    size_t len;       /* 0 where status is 0, and of a stream that began */
    unsigned retry_after_s; /* of Retry-After, a date there too; 0 = none */
    bool is_sent;           /* a byte of the question may have reached the other side */
    bool is_lasting; /* no answer, and the same question will find none: the URL, a certificate */
};

/* For a timer that is not to end before the seconds that an answer asked for: an event loop's clock is up to a tick of the
 * kernel's behind (10 ms where it has 100 a second), and a timer may be early by that. */
#define HTTP_TICK_MS 10
static inline int64_t http_retry_after_ms(unsigned seconds)
{
    return seconds * INT64_C(1000) + HTTP_TICK_MS;
}

/* Whom a call trusts and how it shows who it is. Everything may be NULL; the server's certificate is verified always. */
struct http_tls {
    const char *ca_file, *ca_pem;     /* the only issuers that are trusted; NULL = the system's */
    const char *cert_file, *cert_pem; /* the client's, with its chain */
    const char *key_file, *key_pem;   /* of cert */
    const char *name; /* the certificate is to be for this name, not for the URL's host */
};

/* One question. Everything is copied. */
struct http_ask {
    const char *url;  /* http:// or https://; a user:password in it is sent as Basic credentials */
    const char *body; /* JSON to POST; NULL = GET */
    uint32_t timeout_ms; /* for all of it, the wait for a turn and for the name too; above 0 */
    /* In a later turn of the loop, exactly once. It may start calls, cancel any and free the client. */
    void (*done)(void *arg, const struct http_answer *answer);
    void *arg;

    /* What follows may be left out. */
    const char *method;         /* NULL = GET, or POST where there is a body */
    const char *type;           /* of the body; NULL = application/json */
    const char *const *fields;  /* "Name: value" each, NULL behind the last */
    const struct http_tls *tls; /* NULL = the system's issuers, no certificate */
    size_t answer_max;          /* bytes of the body; 0 = HTTP_ANSWER_MAX */
    /* On a connection of its own, which is closed behind it: libcurl sends a question anew where a
     * kept connection turns out dead, and only there, so that this one arrives once or not at all. */
    bool is_once;
    /* A stream: the body of a 2xx as it comes, cut anywhere, in later turns of the loop; may cancel
     * the call. The first one, often of no bytes, says that it has begun. timeout_ms is for the head
     * only, idle_ms for every silence behind it. */
    void (*on_bytes)(void *arg, const char *bytes, size_t len);
    uint32_t idle_ms; /* above 0 where on_bytes is set */
};

/* The client on the control thread's loop; the base must outlive it. The process must ignore SIGPIPE.
 * NULL when memory or descriptors are short. */
struct http *http_new(struct event_base *base) MUST_USE;

/* Ends every call without an answer (done is not called) and frees the client, at once: it waits for no peer and no
 * resolver. At any moment, also within a done. NULL is allowed. */
void http_free(struct http *h);

/* Begins a call; also within a done. A bad URL is an answer with an error. NULL when memory is short: done is not
 * called then. The handle is good until done returns. Connections are kept and used again, so that a POST can arrive
 * twice unless is_once: it is sent anew where a kept connection turns out closed before a byte of an answer came. */
struct http_call *http_start(struct http *h, const struct http_ask *ask) MUST_USE;

/* Ends a call without an answer: done is not called. At any moment, also within the done of any call; within its own
 * it changes nothing. NULL is allowed. */
void http_cancel(struct http_call *call);

#endif
