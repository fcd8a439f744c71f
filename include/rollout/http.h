/* Asking others over HTTP from the control thread: libcurl's multi interface on the event loop, so that nobody waits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_HTTP_H
#define SERIN_ROLLOUT_HTTP_H

#include "base/err.h"

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
    size_t len;       /* 0 where status is 0 */
};

/* One question. Everything is copied. */
struct http_ask {
    const char *url;  /* http:// or https://; a user:password in it is sent as Basic credentials */
    const char *body; /* JSON to POST; NULL = GET */
    uint32_t timeout_ms; /* for all of it, the wait for a turn and for the name too; above 0 */
    /* In a later turn of the loop, exactly once. It may start calls, cancel any and free the client. */
    void (*done)(void *arg, const struct http_answer *answer);
    void *arg;
};

/* The client on the control thread's loop; the base must outlive it. The process must ignore SIGPIPE.
 * NULL when memory or descriptors are short. */
struct http *http_new(struct event_base *base) MUST_USE;

/* Ends every call without an answer (done is not called) and frees the client, at once: it waits for no peer and no
 * resolver. At any moment, also within a done. NULL is allowed. */
void http_free(struct http *h);

/* Begins a call; also within a done. A bad URL is an answer with an error. NULL when memory is short: done is not
 * called then. The handle is good until done returns. Connections are kept and used again, so that a POST can arrive
 * twice: it is sent anew where a kept connection turns out closed before a byte of an answer came. */
struct http_call *http_start(struct http *h, const struct http_ask *ask) MUST_USE;

/* Ends a call without an answer: done is not called. At any moment, also within the done of any call; within its own
 * it changes nothing. NULL is allowed. */
void http_cancel(struct http_call *call);

#endif
