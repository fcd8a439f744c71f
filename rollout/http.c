/* Asks others over HTTP: libcurl says which sockets and when, the event loop waits for them.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Nothing here blocks. Names are resolved by libcurl's own resolver: Debian's libcurl has the
 * threaded one (AsynchDNS in `curl-config --features`; a test asserts it), where getaddrinfo runs
 * on a thread of its own and wakes the loop through a socket. CURLOPT_QUICK_EXIT (7.87) matters as
 * much: without it libcurl joins that thread when a call ends early, and a dead name server would
 * stop the control thread. With it the thread is left to end by itself.
 *
 * done is called from on_call_due alone, which is an event of the one call: no frame of libcurl and
 * no walk over a list stands above it, so that done may start, cancel and free whatever it likes.
 */
#include "base/check.h"
#include "rollout/http_call.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A wait that is said to be longer is none: nobody here waits for a day. */
#define RETRY_AFTER_MAX_S 3600u

/* Bit n: the state may be followed by state n. */
static const unsigned moves[CALL_STATES] = {
    [CALL_QUEUED] = 1u << CALL_RUNNING | 1u << CALL_OVER,
    [CALL_RUNNING] = 1u << CALL_OVER,
    [CALL_OVER] = 1u << CALL_TOLD,
};

static void call_goto(struct http_call *c, enum call_state to)
{
    CHECK(moves[c->state] >> to & 1u);
    c->state = to;
}

void http_call_fail(struct http_call *c, const char *fmt, ...)
{
    if (c->error[0])
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(c->error, sizeof c->error, fmt, ap);
    va_end(ap);
}

static void call_free(struct http_call *c)
{
    if (c->due)
        event_free(c->due);
    if (c->news)
        event_free(c->news);
    if (c->easy)
        curl_easy_cleanup(c->easy);
    curl_slist_free_all(c->fields);
    curl_slist_free_all(c->connect_to);
    free(c->body);
    free(c);
}

/* The call gives its turn back; whoever calls this starts the next one. The handle goes now and not
 * with the call, which may outlive the client while its done runs. */
static void call_end(struct http_call *c)
{
    bool was_running = c->state == CALL_RUNNING;
    long sent_bytes = 0;
    call_goto(c, CALL_OVER);
    list_remove(&c->link);
    list_push_back(&c->http->begun, &c->link);
    if (was_running) {
        (void)curl_easy_getinfo(c->easy, CURLINFO_REQUEST_SIZE, &sent_bytes);
        (void)curl_multi_remove_handle(c->http->multi, c->easy);
        c->http->running--;
    }
    c->is_sent = sent_bytes > 0;
    curl_easy_cleanup(c->easy);
    c->easy = NULL;
}

/* A timer of 0 and not event_active: that would run in this same turn, and a done that asks again
 * at once would keep the loop for itself. The deadline is pending or about to run, so that this
 * cannot fail in a way that matters. */
static void call_tell_later(struct http_call *c)
{
    static const struct timeval next_turn = {0, 0};
    (void)event_add(c->due, &next_turn);
}

static void call_drop(struct http_call *c)
{
    if (c->state != CALL_OVER)
        call_end(c);
    list_remove(&c->link);
    call_free(c);
}

static void start_queued(struct http *h)
{
    struct list *l;
    while (h->running < HTTP_CALLS_MAX && (l = list_pop_front(&h->queued))) {
        struct http_call *c = CONTAINER_OF(l, struct http_call, link);
        list_push_back(&h->begun, &c->link);
        call_goto(c, CALL_RUNNING);
        h->running++;
        if (curl_multi_add_handle(h->multi, c->easy) != CURLM_OK) {
            http_call_fail(c, "out of memory");
            call_end(c);
            call_tell_later(c);
        }
    }
}

/* Own words: libcurl's error buffer can repeat parts of the URL or what the peer sent. */
static const char *words_for(CURLcode code)
{
    switch (code) {
    case CURLE_OUT_OF_MEMORY:
        return "out of memory";
    case CURLE_URL_MALFORMAT:
        return "the URL is not valid";
    case CURLE_COULDNT_RESOLVE_HOST:
        return "the host's name cannot be resolved";
    case CURLE_PEER_FAILED_VERIFICATION:
        return "the server's certificate is not trusted for this name";
    case CURLE_GOT_NOTHING:
        return "the connection was closed without an answer";
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return "the connection broke before the answer was whole";
    case CURLE_PARTIAL_FILE:
        return "the answer ended before it was whole";
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9: bytes without a status line */
    case CURLE_WEIRD_SERVER_REPLY:
        return "what answers there does not speak HTTP";
    default:
        return curl_easy_strerror(code);
    }
}

/* What no second try mends. */
static bool is_lasting(CURLcode code)
{
    return code == CURLE_URL_MALFORMAT || code == CURLE_PEER_FAILED_VERIFICATION ||
           code == CURLE_SSL_CERTPROBLEM || code == CURLE_SSL_CACERT_BADFILE ||
           code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_WEIRD_SERVER_REPLY ||
           code == CURLE_FILESIZE_EXCEEDED;
}

static void conclude(struct http_call *c, CURLcode code)
{
    long os_error = 0, status = 0;
    curl_off_t retry_after_s = 0;
    (void)curl_easy_getinfo(c->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    (void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_error);
    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_FILESIZE_EXCEEDED)
        http_call_fail(c, "the answer has more than %zu bytes", c->most);
    else if (code == CURLE_COULDNT_CONNECT && os_error)
        http_call_fail(c, "cannot connect: %s", strerror((int)os_error));
    else if (code != CURLE_OK)
        http_call_fail(c, "%s", words_for(code));
    else if (status < 100)
        http_call_fail(c, "%s", words_for(CURLE_WEIRD_SERVER_REPLY));
    else
        c->status = (unsigned)status;
    c->is_lasting = is_lasting(code);
    c->retry_after_s =
        retry_after_s > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : (unsigned)retry_after_s;
}

void http_collect(struct http *h)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left));) {
        struct http_call *c = NULL;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
        conclude(c, m->data.result);
        call_end(c);
        call_tell_later(c);
    }
    start_queued(h);
}

static void on_call_due(evutil_socket_t fd, short what, void *arg)
{
    struct http_call *c = arg;
    (void)fd, (void)what;
    if (c->state != CALL_OVER) {
        if (c->state == CALL_QUEUED)
            http_call_fail(c, "no turn within %u ms: %u other calls are under way", c->timeout_ms,
                           HTTP_CALLS_MAX);
        if (c->is_flowing)
            http_call_fail(c, "nothing came for %u ms", c->idle_ms);
        http_call_fail(c, "no whole answer within %u ms", c->timeout_ms);
        call_end(c);
        start_queued(c->http);
    }
    if (c->is_flowing && c->len > 0) {
        call_tell_later(c);
        http_bytes_tell(c);
        return;
    }
    bool is_whole = c->status != 0;
    struct http_answer answer = {.status = c->status,
                                 .error = is_whole ? "" : c->error,
                                 .body = is_whole && c->body ? c->body : "",
                                 .len = is_whole ? c->len : 0,
                                 .retry_after_s = c->retry_after_s,
                                 .is_sent = c->is_sent,
                                 .is_lasting = c->is_lasting};
    list_remove(&c->link);
    call_goto(c, CALL_TOLD);
    c->done(c->arg, &answer);
    call_free(c); /* the client may be gone by now */
}

/* libcurl would guess a scheme, and speaks others. */
static bool is_http(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static struct http_call *call_new(struct http *h, const struct http_ask *ask)
{
    struct timeval timeout = {ask->timeout_ms / 1000, (suseconds_t)(ask->timeout_ms % 1000) * 1000};
    struct http_call *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    list_init(&c->link);
    c->http = h;
    c->done = ask->done;
    c->arg = ask->arg;
    c->timeout_ms = ask->timeout_ms;
    c->easy = curl_easy_init();
    c->due = evtimer_new(h->base, on_call_due, c);
    if (c->easy && c->due && http_bytes_init(c, ask) == OK && http_question_set(c, ask) == OK &&
        event_add(c->due, &timeout) == 0)
        return c;
    call_free(c);
    return NULL;
}

struct http_call *http_start(struct http *h, const struct http_ask *ask)
{
    CHECK(ask->timeout_ms > 0 && (!ask->on_bytes || ask->idle_ms > 0));
    struct http_call *c = call_new(h, ask);
    if (!c)
        return NULL;
    if (!is_http(ask->url)) {
        http_call_fail(c, "the URL does not begin with http:// or https://");
        c->is_lasting = true;
        call_end(c);
        call_tell_later(c);
        return c;
    }
    list_push_back(&h->queued, &c->link);
    start_queued(h);
    return c;
}

void http_cancel(struct http_call *c)
{
    if (!c || c->state == CALL_TOLD)
        return;
    struct http *h = c->http;
    call_drop(c);
    start_queued(h);
}

struct http *http_new(struct event_base *base)
{
    struct http *h = calloc(1, sizeof *h);
    if (!h || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(h);
        return NULL;
    }
    list_init(&h->queued);
    list_init(&h->begun);
    h->base = base;
    if (http_loop_init(h) != OK) {
        http_free(h);
        return NULL;
    }
    return h;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (!list_empty(&h->queued))
        call_drop(CONTAINER_OF(h->queued.next, struct http_call, link));
    while (!list_empty(&h->begun))
        call_drop(CONTAINER_OF(h->begun.next, struct http_call, link));
    http_loop_fini(h);
    curl_global_cleanup();
    free(h);
}
