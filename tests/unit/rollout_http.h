/* What the tests of the HTTP client share: a server that answers properly, one that does not, and a
 * resolver that asks nobody; all on the loop of the client, so that nothing waits for luck.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_ROLLOUT_HTTP_H
#define SERIN_TESTS_ROLLOUT_HTTP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/http.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define HELD_MAX    512

/* ONCE: a connection's second request is met with its end. */
enum then { THEN_CLOSE, THEN_RESET, THEN_KEEP, THEN_DRIBBLE, THEN_ONCE };

/* What the bad server sends once a request is there, and what it does next. */
struct script {
    const char *bytes;
    enum then then;
    const char *error; /* what the client is to say */
};

struct fixture {
    struct event_base *base;
    struct event *tick; /* no turn lasts longer */
    struct http *http;
    unsigned descriptors; /* open before the client came */

    struct evhttp *server;
    uint16_t port;
    unsigned requests, connections, most_held;
    size_t held_count;
    struct evhttp_request *held[HELD_MAX];
    char method[8], type[64], agent[64], credentials[64], path[64], body[64];

    struct evconnlistener *raw;
    uint16_t raw_port;
    struct script script;
    struct bufferevent *raw_connection; /* the last one, while it is open */
    unsigned raw_connections, raw_requests;
};

/* One call and what became of it. */
struct call {
    struct fixture *f;
    struct http_call *handle;
    unsigned told; /* times done was called */
    unsigned status;
    char error[160];
    char *body;
    size_t len;
    void (*then)(struct call *c); /* within done */
    struct call *other;
};

static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void turn(struct fixture *f)
{
    (void)event_base_loop(f->base, EVLOOP_ONCE);
}

#define UNTIL(f, condition)                                                                        \
    do {                                                                                           \
        for (int64_t end_ = now_ms() + PATIENCE_MS; !(condition); turn(f))                         \
            if (now_ms() > end_)                                                                   \
                fail_msg("in vain: %s", #condition);                                               \
    } while (0)

/* Turns in which what must not happen has its chance to. */
static inline void some_turns(struct fixture *f)
{
    for (int i = 0; i < 6; i++)
        turn(f);
}

static inline unsigned open_descriptors(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* The resolver: libcurl's threads come here, as a program's function goes before the library's.
 * slow.invalid takes until the gate opens, here.invalid is this machine, no other name exists, and
 * no question leaves it. */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool is_open;
    unsigned inside;
} gate = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static inline void gate_set(bool is_open)
{
    pthread_mutex_lock(&gate.lock);
    gate.is_open = is_open;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static inline unsigned gate_inside(void)
{
    pthread_mutex_lock(&gate.lock);
    unsigned inside = gate.inside;
    pthread_mutex_unlock(&gate.lock);
    return inside;
}

/* Opens by itself where a test would hang. */
static inline void gate_pass(void)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&gate.lock);
    gate.inside++;
    while (!gate.is_open && pthread_cond_timedwait(&gate.changed, &gate.lock, &end) == 0)
        ;
    gate.inside--;
    pthread_mutex_unlock(&gate.lock);
}

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    void *found = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &found, sizeof real); /* ISO C knows no cast for it */
    if (node && strcmp(node, "slow.invalid") == 0)
        gate_pass();
    if (node && strcmp(node, "here.invalid") == 0)
        node = "127.0.0.1";
    if (node && strspn(node, "0123456789.:") < strlen(node))
        return EAI_NONAME;
    return real(node, service, hints, out);
}

/* The good server. */

static inline void copy_field(char *to, size_t room, struct evhttp_request *r, const char *name)
{
    const char *value = evhttp_find_header(evhttp_request_get_input_headers(r), name);
    (void)snprintf(to, room, "%s", value ? value : "");
}

static inline void note_request(struct fixture *f, struct evhttp_request *r)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(r);
    f->requests++;
    (void)snprintf(f->method, sizeof f->method, "%s",
                   evhttp_request_get_command(r) == EVHTTP_REQ_POST ? "POST" : "GET");
    (void)snprintf(f->path, sizeof f->path, "%s", evhttp_request_get_uri(r));
    copy_field(f->type, sizeof f->type, r, "Content-Type");
    copy_field(f->agent, sizeof f->agent, r, "User-Agent");
    copy_field(f->credentials, sizeof f->credentials, r, "Authorization");
    ev_ssize_t n = evbuffer_copyout(in, f->body, sizeof f->body - 1);
    f->body[n > 0 ? n : 0] = '\0';
}

/* length bytes in pieces, which makes them chunked, or in one. */
static inline void send_bytes(struct evhttp_request *r, size_t length, bool in_pieces)
{
    struct evbuffer *out = evbuffer_new();
    char *bytes = malloc(length + 1);
    memset(bytes, 'x', length);
    if (in_pieces)
        evhttp_send_reply_start(r, 200, "OK");
    for (size_t at = 0, n; in_pieces && at < length; at += n) {
        n = length - at < 10000 ? length - at : 10000;
        evbuffer_add(out, bytes + at, n);
        evhttp_send_reply_chunk(r, out);
    }
    if (in_pieces) {
        evhttp_send_reply_end(r);
    } else {
        evbuffer_add(out, bytes, length);
        evhttp_send_reply(r, 200, "OK", out);
    }
    evbuffer_free(out);
    free(bytes);
}

/* /status/CODE, /whole/BYTES, /pieces/BYTES, /hold */
static inline void on_request(struct evhttp_request *r, void *arg)
{
    struct fixture *f = arg;
    size_t n = 0;
    note_request(f, r);
    if (sscanf(f->path, "/whole/%zu", &n) == 1) {
        send_bytes(r, n, false);
    } else if (sscanf(f->path, "/pieces/%zu", &n) == 1) {
        send_bytes(r, n, true);
    } else if (strcmp(f->path, "/hold") == 0) {
        CHECK(f->held_count < HELD_MAX);
        f->held[f->held_count++] = r;
        f->most_held = f->held_count > f->most_held ? (unsigned)f->held_count : f->most_held;
    } else if (sscanf(f->path, "/status/%zu", &n) == 1) {
        struct evbuffer *out = evbuffer_new();
        if (n != 204)
            evbuffer_add_printf(out, "code %zu", n);
        evhttp_add_header(evhttp_request_get_output_headers(r), "Location", "/status/200");
        evhttp_send_reply(r, (int)n, "Text", out);
        evbuffer_free(out);
    } else {
        evhttp_send_error(r, 404, NULL);
    }
}

static inline void release_held(struct fixture *f)
{
    while (f->held_count)
        evhttp_send_reply(f->held[--f->held_count], 200, "OK", NULL);
}

static inline struct bufferevent *on_new_connection(struct event_base *base, void *arg)
{
    ((struct fixture *)arg)->connections++;
    return bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
}

static inline uint16_t port_of(int fd)
{
    struct sockaddr_in a;
    socklen_t len = sizeof a;
    CHECK(getsockname(fd, (struct sockaddr *)(void *)&a, &len) == 0);
    return ntohs(a.sin_port);
}

/* The bad server. */

static inline void raw_drop(struct fixture *f, struct bufferevent *b)
{
    if (f->raw_connection == b)
        f->raw_connection = NULL;
    bufferevent_free(b);
}

static inline void on_raw_event(struct bufferevent *b, short what, void *arg)
{
    (void)what;
    raw_drop(arg, b);
}

static inline void on_raw_sent(struct bufferevent *b, void *arg)
{
    struct fixture *f = arg;
    if (f->script.then == THEN_CLOSE && f->raw_requests > 0)
        raw_drop(f, b);
}

static inline void on_raw_read(struct bufferevent *b, void *arg)
{
    struct fixture *f = arg;
    struct evbuffer *in = bufferevent_get_input(b);
    if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos < 0)
        return;
    evbuffer_drain(in, evbuffer_get_length(in));
    if (++f->raw_requests == 2 && f->script.then == THEN_ONCE) {
        raw_drop(f, b);
        return;
    }
    if (f->script.then == THEN_RESET) {
        struct linger reset = {1, 0};
        int fd = bufferevent_getfd(b);
        (void)!write(fd, f->script.bytes, strlen(f->script.bytes));
        CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
        raw_drop(f, b);
        return;
    }
    bufferevent_write(b, f->script.bytes, strlen(f->script.bytes));
    if (f->script.then == THEN_CLOSE && !f->script.bytes[0])
        raw_drop(f, b);
}

static inline void on_raw_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a,
                                 int len, void *arg)
{
    struct fixture *f = arg;
    (void)l, (void)a, (void)len;
    f->raw_connections++;
    f->raw_requests = 0;
    f->raw_connection = bufferevent_socket_new(f->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(f->raw_connection, on_raw_read, on_raw_sent, on_raw_event, f);
    bufferevent_enable(f->raw_connection, EV_READ | EV_WRITE);
}

static inline void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct fixture *f = arg;
    (void)fd, (void)what;
    if (f->raw_connection && f->script.then == THEN_DRIBBLE && f->raw_requests)
        bufferevent_write(f->raw_connection, "x", 1);
}

/* Before and after. */

static inline int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct timeval tick = {0, 2000};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    signal(SIGPIPE, SIG_IGN);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* whoever uses it gets no answer */
    f->base = event_base_new();
    f->tick = event_new(f->base, -1, EV_PERSIST, on_tick, f);
    event_add(f->tick, &tick);
    f->server = evhttp_new(f->base);
    struct evhttp_bound_socket *bound = evhttp_bind_socket_with_handle(f->server, "127.0.0.1", 0);
    f->port = port_of(evhttp_bound_socket_get_fd(bound));
    evhttp_set_gencb(f->server, on_request, f);
    evhttp_set_bevcb(f->server, on_new_connection, f);
    f->raw = evconnlistener_new_bind(f->base, on_raw_accept, f,
                                     LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 8,
                                     (struct sockaddr *)(void *)&any, sizeof any);
    f->raw_port = port_of(evconnlistener_get_fd(f->raw));
    turn(f);
    f->descriptors = open_descriptors();
    f->http = http_new(f->base);
    CHECK(f->http);
    *state = f;
    return 0;
}

/* Every descriptor of the client goes with it, and the servers see their ends closed. */
static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    gate_set(true);
    http_free(f->http);
    release_held(f);
    for (int64_t end = now_ms() + PATIENCE_MS; open_descriptors() > f->descriptors; turn(f))
        CHECK(now_ms() < end);
    if (f->raw_connection)
        bufferevent_free(f->raw_connection);
    evconnlistener_free(f->raw);
    evhttp_free(f->server);
    event_free(f->tick);
    event_base_free(f->base);
    free(f);
    return 0;
}

/* Calls. */

static inline void on_done(void *arg, const struct http_answer *a)
{
    struct call *c = arg;
    c->told++;
    c->status = a->status;
    (void)snprintf(c->error, sizeof c->error, "%s", a->error);
    free(c->body);
    c->body = malloc(a->len + 1);
    memcpy(c->body, a->body, a->len + 1);
    c->len = a->len;
    if (c->then)
        c->then(c);
    c->handle = NULL;
}

static inline void start_within(struct fixture *f, struct call *c, const char *url,
                                const char *body, uint32_t timeout_ms)
{
    struct http_ask ask = {
        .url = url, .body = body, .timeout_ms = timeout_ms, .done = on_done, .arg = c};
    unsigned told = c->told;
    c->f = f;
    c->handle = http_start(f->http, &ask);
    assert_non_null(c->handle);
    assert_int_equal(c->told, told); /* never from within */
}

static inline void start_path(struct fixture *f, struct call *c, const char *path)
{
    char url[256];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", f->port, path);
    start_within(f, c, url, NULL, PATIENCE_MS);
}

static inline void forget(struct call *c)
{
    free(c->body);
    memset(c, 0, sizeof *c);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
