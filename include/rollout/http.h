/* Asking others over HTTP from the control thread: libcurl's multi interface on the event loop, so that nobody waits.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_HTTP_H
#define SERIN_ROLLOUT_HTTP_H

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
    unsigned status;   /* 0: there was no whole answer, and error says why */
    const char *error; /* "" where status is not 0; one plain sentence without secrets otherwise */
    const char *body;  /* NUL-terminated behind len; never NULL */
    size_t len;
};

/* One question. Everything is copied. */
struct http_ask {
    const char *url;  /* http:// or https:// */
    const char *body; /* JSON to POST; NULL = GET */
    uint32_t timeout_ms; /* for all of it, above 0 */
    void (*done)(void *arg, const struct http_answer *answer); /* in a later turn of the loop, exactly once */
    void *arg;
};

/* The client on the control thread's loop. NULL when memory is short. */
struct http *http_new(struct event_base *base);

/* Ends every call without an answer (done is not called) and frees the client. NULL is allowed. */
void http_free(struct http *h);

/* Begins a call. NULL when memory is short: done is not called then. The handle is good until done is called. */
struct http_call *http_start(struct http *h, const struct http_ask *ask);

/* Ends a call without an answer: done is not called. */
void http_cancel(struct http_call *call);

#endif
