/* Active checks: asks each endpoint of a route with `health` over HTTP/1.1 whether it is well.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/health.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/conf/text.h"
#include "proxy/control/probe.h"
#include "proxy/http/parse.h"
#include "proxy/wire/time.h"
#include "proxy/wire/tls.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#define FIRST_WITHIN_MS 1000 /* a new endpoint is asked so soon at the latest */
#define AGAIN_MS        100  /* where too many are under way */
#define REQUEST_MAX     (TEXT_MAX + 512u)

enum check_state {
    CHECK_RESTING,    /* the timer begins the next one */
    CHECK_CONNECTING, /* TLS included */
    CHECK_READING,    /* the request is out */
};

struct check {
    struct known *known;
    struct known_endpoint *endpoint;
    struct event_base *base;
    struct event *timer;  /* begins a check, and ends one that takes too long */
    struct stream stream; /* but while it rests */
    enum check_state state;
    int64_t started_us;
    struct health_row row;
    char *answer; /* [HEALTH_HEAD_MAX], while one is under way */
    size_t len;
};

enum endpoint_health health_next(struct health_row *row, const struct config_health *conf,
                                 enum endpoint_health before, bool is_good)
{
    row->good = is_good ? row->good + 1 : 0;
    row->bad = is_good ? 0 : row->bad + 1;
    switch (before) {
    case ENDPOINT_UNKNOWN:
        return is_good ? ENDPOINT_UP : ENDPOINT_DOWN;
    case ENDPOINT_UP:
        return row->bad >= conf->fall ? ENDPOINT_DOWN : ENDPOINT_UP;
    case ENDPOINT_DOWN:
        break;
    }
    return row->good >= conf->rise ? ENDPOINT_UP : ENDPOINT_DOWN;
}

static const struct config_health *conf_of(const struct check *c)
{
    return &c->endpoint->conf->health;
}

/* 0 to most. */
static uint32_t random_ms(uint32_t most)
{
    uint32_t bits = 0;
    (void)!getrandom(&bits, sizeof bits, GRND_NONBLOCK);
    return (uint32_t)((uint64_t)bits * ((uint64_t)most + 1) >> 32);
}

static void set_timer(struct check *c, uint32_t ms)
{
    struct timeval t = {ms / 1000, (suseconds_t)(ms % 1000) * 1000};
    (void)event_add(c->timer, &t);
}

/* Back to rest, whatever was under way. */
static void hang_up(struct check *c)
{
    if (c->state == CHECK_RESTING)
        return;
    stream_close(&c->stream);
    free(c->answer);
    c->answer = NULL;
    c->known->n_checks--;
    c->state = CHECK_RESTING;
}

/* The next one begins an interval after this one began. */
static void rest(struct check *c)
{
    uint32_t interval_ms = conf_of(c)->interval_ms, tenth = interval_ms / 10;
    int64_t passed_ms = (time_monotonic_us() - c->started_us) / 1000;
    int64_t left_ms = (int64_t)interval_ms - tenth + random_ms(2 * tenth) - passed_ms;
    hang_up(c);
    set_timer(c, left_ms > 1 ? (uint32_t)left_ms : 1);
}

/* fault: NULL = it is well. */
static void conclude(struct check *c, const char *fault)
{
    struct known_endpoint *e = c->endpoint;
    struct endpoint_state *s = e->state;
    enum endpoint_health before =
        (enum endpoint_health)atomic_load_explicit(&s->health, memory_order_relaxed);
    enum endpoint_health now = health_next(&c->row, conf_of(c), before, !fault);
    if (fault)
        log_debug("check_failed", "route=%s version=%s endpoint=%s why=\"%s\"", e->route,
                  e->version, e->text, fault);
    if (now == ENDPOINT_UP)
        endpoint_come_up(s, time_monotonic_us());
    else
        endpoint_note(s, now);
    probe_say(e, fault ? fault : "");
    rest(c);
}

/* The answer's head, as far as it has come. True where it is decided. */
static bool read_answer(struct check *c)
{
    static const struct head_limits limits = {HEALTH_HEAD_MAX, HEALTH_HEAD_MAX, HEAD_FIELDS_MAX};
    struct head head;
    char fault[32];
    size_t at = 0;
    for (;;) {
        head_init(&head, true);
        ssize_t n = head_feed(&head, c->answer + at, c->len - at, &limits);
        if (n == 0)
            return false;
        if (n < 0) {
            conclude(c, "its answer is not HTTP");
            return true;
        }
        if (head.status >= 200)
            break;
        at += (size_t)n; /* 1xx */
    }
    (void)snprintf(fault, sizeof fault, "it answers %u", head.status);
    conclude(c, head.status < 400 ? NULL : fault);
    return true;
}

static void read_more(struct check *c)
{
    char in[TLS_RECV_BYTES];
    size_t room = HEALTH_HEAD_MAX - c->len;
    ssize_t n = stream_recv(&c->stream, in, sizeof in);
    if (n == STREAM_AGAIN)
        return;
    if (n <= 0) {
        const char *why = tls_why(&c->stream);
        conclude(c, n == STREAM_EOF ? "it closes without an answer"
                    : why[0]        ? why
                                    : strerror(errno));
        return;
    }
    if ((size_t)n < room)
        room = (size_t)n;
    memcpy(c->answer + c->len, in, room);
    c->len += room;
    if (!read_answer(c) && c->len == HEALTH_HEAD_MAX)
        conclude(c, "its answer's head is too large");
}

/* A new connection takes the few bytes of a request at once, or it is not well. */
static void ask(struct check *c)
{
    char request[REQUEST_MAX];
    const char *text = c->endpoint->text;
    int n = snprintf(request, sizeof request,
                     "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: serin/%s\r\nAccept: */*\r\n"
                     "Connection: close\r\n\r\n",
                     conf_of(c)->path, strncmp(text, "unix:", 5) == 0 ? "localhost" : text,
                     SERIN_VERSION);
    CHECK(n > 0 && (size_t)n < sizeof request);
    struct iovec part = {request, (size_t)n};
    if (stream_send(&c->stream, &part, 1) != STREAM_OK) {
        conclude(c, "it takes no request");
        return;
    }
    c->state = CHECK_READING;
    stream_read_on(&c->stream);
}

static void go_on_connecting(struct check *c, short what)
{
    const struct dial_tls tls = known_tls(c->endpoint); /* a reload may have changed it meanwhile */
    switch (dial_step(&c->stream, what, &c->endpoint->addr, &tls, NULL)) {
    case DIAL_MORE:
        return;
    case DIAL_DONE:
        ask(c);
        return;
    case DIAL_FAILED:
        break;
    }
    const char *why = tls_why(&c->stream);
    conclude(c, why[0] ? why : strerror(errno));
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct check *c = arg;
    (void)fd;
    if (c->state == CHECK_CONNECTING)
        go_on_connecting(c, what);
    else if (what & EV_READ)
        read_more(c);
    else
        (void)stream_flush(&c->stream); /* where that fails, reading tells */
}

static bool is_own_fault(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
           error == EADDRNOTAVAIL;
}

static void begin(struct check *c)
{
    if (c->known->n_checks >= HEALTH_RUNNING_MAX) {
        set_timer(c, AGAIN_MS);
        return;
    }
    c->started_us = time_monotonic_us();
    int fd = dial_start(&c->endpoint->addr);
    if (fd < 0) {
        if (is_own_fault(errno) || errno == EAGAIN)
            set_timer(c, AGAIN_MS);
        else
            conclude(c, strerror(errno));
        return;
    }
    c->answer = malloc(HEALTH_HEAD_MAX);
    if (!c->answer) {
        (void)close(fd);
        set_timer(c, AGAIN_MS);
        return;
    }
    c->len = 0;
    stream_init(&c->stream, c->base, fd, on_event, on_event, c);
    stream_write_on(&c->stream);
    c->known->n_checks++;
    c->state = CHECK_CONNECTING;
    set_timer(c, conf_of(c)->timeout_ms);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct check *c = arg;
    (void)fd;
    (void)what;
    if (c->state == CHECK_RESTING)
        begin(c);
    else
        conclude(c, c->state == CHECK_CONNECTING ? "no connection in time" : "no answer in time");
}

void health_stop(struct known_endpoint *e)
{
    struct check *c = e->check;
    if (!c)
        return;
    hang_up(c);
    event_free(c->timer);
    free(c);
    e->check = NULL;
}

static void start(struct known *k, struct known_endpoint *e, struct event_base *base)
{
    struct check *c = calloc(1, sizeof *c);
    if (!c)
        return;
    *c = (struct check){.known = k, .endpoint = e, .base = base};
    c->timer = event_new(base, -1, 0, on_timer, c);
    if (!c->timer) {
        free(c);
        return;
    }
    e->check = c;
    uint32_t interval_ms = conf_of(c)->interval_ms;
    set_timer(c, random_ms(interval_ms < FIRST_WITHIN_MS ? interval_ms : FIRST_WITHIN_MS));
}

void health_look(struct known *k, struct event_base *base, uint32_t connect_ms)
{
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        bool is_wanted = e->conf->health.path && !e->is_barred;
        if (is_wanted && !e->check)
            start(k, e, base);
        else if (!is_wanted)
            health_stop(e);
        if (is_wanted)
            probe_cancel(e);
    }
    probe_all(k, base, connect_ms);
}
