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
#include "rollout/http.h"
#include "base/check.h"
#include "base/list.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* Guards memory against a head, interim ones and trailers included, without an end: libcurl keeps
 * every field. */
#define HEAD_MAX_BYTES (64u << 10)
/* Idle connections kept for the next call: guards descriptors, on both sides. */
#define IDLE_MAX 16L
/* The first piece of an answer: most fit, and the room doubles from there. */
#define ROOM_FIRST_BYTES 4096u

enum call_state {
    CALL_QUEUED,  /* waits for its turn */
    CALL_RUNNING, /* libcurl has it */
    CALL_OVER,    /* status or error are known; done is due in a later turn */
    CALL_TOLD,    /* done is running: nobody else owns or finds it now */
    CALL_STATES,
};

/* Bit n: the state may be followed by state n. */
static const unsigned moves[CALL_STATES] = {
    [CALL_QUEUED] = 1u << CALL_RUNNING | 1u << CALL_OVER,
    [CALL_RUNNING] = 1u << CALL_OVER,
    [CALL_OVER] = 1u << CALL_TOLD,
};

struct http {
    struct event_base *base;
    CURLM *multi;
    struct event *timer; /* libcurl's */
    struct curl_slist *json;
    struct list queued; /* first come, first served */
    struct list begun;  /* RUNNING or OVER */
    unsigned running;
};

struct http_call {
    struct list link;
    struct http *http;
    enum call_state state;
    CURL *easy;
    struct event *due; /* the deadline, and from OVER on the turn in which done is called */
    void (*done)(void *arg, const struct http_answer *answer);
    void *arg;
    uint32_t timeout_ms;
    unsigned status;
    size_t head_bytes;
    char *body;
    size_t len, room;
    char error[128];
};

static void call_goto(struct http_call *c, enum call_state to)
{
    CHECK(moves[c->state] >> to & 1u);
    c->state = to;
}

/* The first reason is the one that counts: what libcurl says later follows from it. */
static void call_fail(struct http_call *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void call_fail(struct http_call *c, const char *fmt, ...)
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
    if (c->easy)
        curl_easy_cleanup(c->easy);
    free(c->body);
    free(c);
}

/* The call gives its turn back; whoever calls this starts the next one. The handle goes now and not
 * with the call, which may outlive the client while its done runs. */
static void call_end(struct http_call *c)
{
    bool was_running = c->state == CALL_RUNNING;
    call_goto(c, CALL_OVER);
    list_remove(&c->link);
    list_push_back(&c->http->begun, &c->link);
    if (was_running) {
        (void)curl_multi_remove_handle(c->http->multi, c->easy);
        c->http->running--;
    }
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
            call_fail(c, "out of memory");
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

static void conclude(struct http_call *c, CURLcode code)
{
    long os_error = 0, status = 0;
    (void)curl_easy_getinfo(c->easy, CURLINFO_OS_ERRNO, &os_error);
    (void)curl_easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
    if (code == CURLE_FILESIZE_EXCEEDED)
        call_fail(c, "the answer has more than %u bytes", HTTP_ANSWER_MAX);
    else if (code == CURLE_COULDNT_CONNECT && os_error)
        call_fail(c, "cannot connect: %s", strerror((int)os_error));
    else if (code != CURLE_OK)
        call_fail(c, "%s", words_for(code));
    else if (status < 100)
        call_fail(c, "%s", words_for(CURLE_WEIRD_SERVER_REPLY));
    else
        c->status = (unsigned)status;
}

/* Takes what libcurl has finished with. */
static void collect(struct http *h)
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
            call_fail(c, "no turn within %u ms: %u other calls are under way", c->timeout_ms,
                      HTTP_CALLS_MAX);
        call_fail(c, "no whole answer within %u ms", c->timeout_ms);
        call_end(c);
        start_queued(c->http);
    }
    bool is_whole = c->status != 0;
    struct http_answer answer = {.status = c->status,
                                 .error = is_whole ? "" : c->error,
                                 .body = is_whole && c->body ? c->body : "",
                                 .len = is_whole ? c->len : 0};
    list_remove(&c->link);
    call_goto(c, CALL_TOLD);
    c->done(c->arg, &answer);
    call_free(c); /* the client may be gone by now */
}

/* What libcurl calls. */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct http *h = arg;
    int running;
    (void)fd, (void)what;
    (void)curl_multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(h);
}

static int on_timer_change(CURLM *multi, long timeout_ms, void *arg)
{
    struct http *h = arg;
    struct timeval timeout = {timeout_ms / 1000, (timeout_ms % 1000) * 1000};
    (void)multi;
    return timeout_ms < 0 ? event_del(h->timer) : event_add(h->timer, &timeout);
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    struct http *h = arg;
    int running;
    int ready = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);
    (void)curl_multi_socket_action(h->multi, fd, ready, &running);
    collect(h);
}

/* The event of a socket is what libcurl keeps with it. After -1 libcurl runs nothing until the
 * calls under way have ended, which their deadlines see to. */
static int on_socket_change(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_data)
{
    struct http *h = arg;
    struct event *event = socket_data;
    (void)easy;
    if (event)
        event_free(event);
    if (what == CURL_POLL_REMOVE)
        return 0;
    short flags = (short)((what & CURL_POLL_IN ? EV_READ : 0) |
                          (what & CURL_POLL_OUT ? EV_WRITE : 0) | EV_PERSIST);
    event = event_new(h->base, fd, flags, on_socket, h);
    if (event && event_add(event, NULL) < 0) {
        event_free(event);
        event = NULL;
    }
    (void)curl_multi_assign(h->multi, fd, event);
    return event ? 0 : -1;
}

/* libcurl leaves its sockets open across exec. */
static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)arg, (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

static size_t on_head(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_call *c = arg;
    (void)bytes, (void)one;
    c->head_bytes += n;
    if (c->head_bytes <= HEAD_MAX_BYTES)
        return n;
    call_fail(c, "the head of the answer has more than %u bytes", HEAD_MAX_BYTES);
    return 0;
}

static bool make_room(struct http_call *c, size_t need)
{
    size_t room = c->room ? c->room : ROOM_FIRST_BYTES;
    while (room < need)
        room *= 2;
    if (room == c->room)
        return true;
    char *body = realloc(c->body, room);
    if (!body)
        return false;
    c->body = body;
    c->room = room;
    return true;
}

static size_t on_body(char *bytes, size_t one, size_t n, void *arg)
{
    struct http_call *c = arg;
    (void)one;
    if (n > HTTP_ANSWER_MAX - c->len) {
        call_fail(c, "the answer has more than %u bytes", HTTP_ANSWER_MAX);
        return CURL_WRITEFUNC_ERROR;
    }
    if (!make_room(c, c->len + n + 1)) {
        call_fail(c, "out of memory");
        return CURL_WRITEFUNC_ERROR;
    }
    memcpy(c->body + c->len, bytes, n);
    c->len += n;
    c->body[c->len] = '\0';
    return n;
}

/* How a call is made. */

/* HTTP/1.1: one call, one connection, so that no call shares the fate of another. */
static const struct {
    CURLoption option;
    long value;
} manner[] = {
    {CURLOPT_NOSIGNAL, 1},
    {CURLOPT_CONNECTTIMEOUT_MS, INT_MAX}, /* the call's own deadline is the only one */
    {CURLOPT_QUICK_EXIT, 1},
    {CURLOPT_FOLLOWLOCATION, 0}, /* a body goes where the operator said, nowhere else */
    {CURLOPT_SSL_VERIFYPEER, 1},
    {CURLOPT_SSL_VERIFYHOST, 2},
    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1},
    {CURLOPT_MAXFILESIZE, (long)HTTP_ANSWER_MAX}, /* a length above it ends the call at once */
};

static bool set_manner(struct http_call *c)
{
    CURL *e = c->easy;
    for (size_t i = 0; i < ARRAY_LEN(manner); i++)
        if (curl_easy_setopt(e, manner[i].option, manner[i].value) != CURLE_OK)
            return false;
    return curl_easy_setopt(e, CURLOPT_PRIVATE, c) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HEADERDATA, c) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, c) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK && /* none from the environment */
           curl_easy_setopt(e, CURLOPT_USERAGENT, "serin/" SERIN_VERSION) == CURLE_OK;
}

static bool set_question(struct http_call *c, const struct http_ask *ask)
{
    CURL *e = c->easy;
    if (curl_easy_setopt(e, CURLOPT_URL, ask->url) != CURLE_OK)
        return false;
    if (!ask->body)
        return true;
    curl_off_t len = (curl_off_t)strlen(ask->body);
    return curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, len) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, ask->body) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_HTTPHEADER, c->http->json) == CURLE_OK;
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
    if (c->easy && c->due && set_manner(c) && set_question(c, ask) &&
        event_add(c->due, &timeout) == 0)
        return c;
    call_free(c);
    return NULL;
}

struct http_call *http_start(struct http *h, const struct http_ask *ask)
{
    CHECK(ask->timeout_ms > 0);
    struct http_call *c = call_new(h, ask);
    if (!c)
        return NULL;
    if (!is_http(ask->url)) {
        call_fail(c, "the URL does not begin with http:// or https://");
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

/* No Expect: libcurl would wait a second for a "100 Continue" before a large body. */
static struct curl_slist *json_fields(void)
{
    struct curl_slist *first = curl_slist_append(NULL, "Content-Type: application/json");
    if (first && !curl_slist_append(first, "Expect:")) {
        curl_slist_free_all(first);
        return NULL;
    }
    return first;
}

static bool set_loop(struct http *h)
{
    return curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_socket_change) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_timer_change) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h) == CURLM_OK &&
           curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, IDLE_MAX) == CURLM_OK;
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
    h->timer = evtimer_new(base, on_timer, h);
    h->json = json_fields();
    h->multi = curl_multi_init();
    if (!h->timer || !h->json || !h->multi || !set_loop(h)) {
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
    if (h->multi)
        (void)curl_multi_cleanup(
            h->multi); /* closes the kept connections; may still use the timer */
    if (h->timer)
        event_free(h->timer);
    curl_slist_free_all(h->json);
    curl_global_cleanup();
    free(h);
}
