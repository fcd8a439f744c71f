/* What the parts of the HTTP client share: the client, a call, and what each part does for the other.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_HTTP_CALL_H
#define SERIN_ROLLOUT_HTTP_CALL_H

#include "base/list.h"
#include "rollout/http.h"

#include <curl/curl.h>

struct event;

enum call_state {
    CALL_QUEUED,  /* waits for its turn */
    CALL_RUNNING, /* libcurl has it */
    CALL_OVER,    /* status or error are known; done is due in a later turn */
    CALL_TOLD,    /* done is running: nobody else owns or finds it now */
    CALL_STATES,
};

struct http {
    struct event_base *base;
    CURLM *multi;
    struct event *timer; /* libcurl's */
    struct list queued;  /* first come, first served */
    struct list begun;   /* RUNNING or OVER */
    unsigned running;
};

struct http_call {
    struct list link;
    struct http *http;
    enum call_state state;
    CURL *easy;
    struct curl_slist *fields, *connect_to;
    struct event *due; /* the deadline, and from OVER on the turn in which done is called */
    void (*done)(void *arg, const struct http_answer *answer);
    void *arg;
    uint32_t timeout_ms;
    unsigned status, retry_after_s;
    bool is_sent, is_lasting;
    size_t head_bytes;
    char *body;
    size_t len, room, most; /* most: of len */
    char error[128];

    /* A stream's. */
    void (*on_bytes)(void *arg, const char *bytes, size_t len);
    uint32_t idle_ms;
    struct event *news; /* the turn in which on_bytes is called */
    bool is_flowing;    /* a 2xx has begun: idle_ms counts instead of timeout_ms */
    bool is_paused;     /* libcurl holds bytes back until these here are taken */
};

/* http.c: the first reason is the one that counts; what libcurl says later follows from it. */
void http_call_fail(struct http_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* http.c: takes what libcurl has finished with. Called by the loop's part after each of its steps. */
void http_collect(struct http *h);

/* http_loop.c: libcurl's multi handle on the client's event base. ERR_MEMORY. */
enum err http_loop_init(struct http *h) MUST_USE;
/* Closes the kept connections. Every call must be gone. */
void http_loop_fini(struct http *h);

/* http_question.c: says to libcurl how a call is made and what it asks. ERR_MEMORY. */
enum err http_question_set(struct http_call *c, const struct http_ask *ask) MUST_USE;

/* http_bytes.c: where libcurl puts a head and a body: bounded, or kept for on_bytes. ERR_MEMORY. */
enum err http_bytes_init(struct http_call *c, const struct http_ask *ask) MUST_USE;
/* Hands what has come to on_bytes, in which the call may end: the caller touches it no more. */
void http_bytes_tell(struct http_call *c);

#endif
