/* An API server of canned answers for the tests of client, watch and lease: raw bytes in pieces of any size,
 * on the loop of the client. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_KUBE_SERVER_H
#define SERIN_TESTS_KUBE_SERVER_H

#include "kube_help.h"
#include "rollout/http.h"
#include "rollout/kube/auth.h"
#include "rollout/kube/client.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 20000
#define ANSWERS_MAX 64

enum then { THEN_KEEP, THEN_CLOSE, THEN_HOLD /* open, and silent */ };

struct canned {
    char *bytes;
    size_t len, cut; /* cut: bytes of a piece; 0 = all at once */
    enum then then;
};

struct asked {
    char method[8], path[512], authorization[128], type[64];
    char body[4096];
    unsigned connection; /* the how-manyth */
};

struct server {
    struct event_base *base;
    struct event *tick;
    struct http *http;
    struct kube *kube;
    char directory[64], kubeconfig[128];
    struct evconnlistener *listener;
    uint16_t port;
    unsigned connections;

    struct canned answers[ANSWERS_MAX];
    size_t n_answers, n_given;
    struct asked asked[ANSWERS_MAX];
    size_t n_asked;
    unsigned counted, counted_none;
};

struct peer {
    struct server *s;
    struct bufferevent *b;
    unsigned number;
    const struct canned *now;
    size_t at;
};

static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

#define UNTIL(s, condition)                                                                        \
    do {                                                                                           \
        int64_t end_ = now_ms() + PATIENCE_MS;                                                     \
        for (;;) {                                                                                 \
            if (condition)                                                                         \
                break;                                                                             \
            if (now_ms() > end_)                                                                   \
                fail_msg("in vain: %s", #condition);                                               \
            (void)event_base_loop((s)->base, EVLOOP_ONCE);                                         \
        }                                                                                          \
    } while (0)

static inline void turns(struct server *s, int64_t ms)
{
    for (int64_t end = now_ms() + ms; now_ms() < end; (void)event_base_loop(s->base, EVLOOP_ONCE))
        ;
}

/* Answers. */

static inline struct canned *serve_bytes(struct server *s, const char *bytes, size_t len)
{
    CHECK(s->n_answers < ANSWERS_MAX);
    struct canned *c = &s->answers[s->n_answers++];
    c->bytes = malloc(len + 1);
    memcpy(c->bytes, bytes, len);
    c->len = len;
    c->cut = 0;
    c->then = THEN_KEEP;
    return c;
}

static inline struct canned *serve(struct server *s, const char *bytes)
{
    return serve_bytes(s, bytes, strlen(bytes));
}

static inline struct canned *serve_json(struct server *s, unsigned status, const char *fields,
                                        const char *json)
{
    char *text = NULL;
    int len = asprintf(&text,
                       "HTTP/1.1 %u Text\r\nContent-Type: application/json\r\n%s"
                       "Content-Length: %zu\r\n\r\n%s",
                       status, fields, strlen(json), json);
    CHECK(len > 0);
    struct canned *c = serve_bytes(s, text, (size_t)len);
    free(text);
    return c;
}

static inline struct canned *serve_file(struct server *s, const char *name)
{
    size_t len;
    char *bytes = help_read(name, &len);
    struct canned *c = serve_bytes(s, bytes, len);
    free(bytes);
    return c;
}

/* The next connection's end without a byte. */
static inline struct canned *serve_nothing(struct server *s)
{
    struct canned *c = serve_bytes(s, "", 0);
    c->then = THEN_CLOSE;
    return c;
}

static inline struct canned *serve_silence(struct server *s)
{
    struct canned *c = serve_bytes(s, "", 0);
    c->then = THEN_HOLD;
    return c;
}

/* Peers. */

static inline void peer_drop(struct peer *p)
{
    bufferevent_free(p->b);
    free(p);
}

static inline void peer_write(struct peer *p)
{
    const struct canned *c = p->now;
    if (!c)
        return;
    if (p->at == c->len) {
        p->now = NULL;
        if (c->then == THEN_CLOSE)
            peer_drop(p);
        return;
    }
    size_t n = c->cut && c->cut < c->len - p->at ? c->cut : c->len - p->at;
    bufferevent_write(p->b, c->bytes + p->at, n);
    p->at += n;
}

static inline void on_peer_sent(struct bufferevent *b, void *arg)
{
    (void)b;
    peer_write(arg);
}

static inline void on_peer_event(struct bufferevent *b, short what, void *arg)
{
    (void)b, (void)what;
    peer_drop(arg);
}

static inline void copy_field(char *to, size_t room, const char *head, const char *name)
{
    const char *at = strcasestr(head, name);
    size_t n = at ? strcspn(at + strlen(name), "\r") : 0;
    (void)snprintf(to, room, "%.*s", (int)n, at ? at + strlen(name) : "");
}

static inline void note_asked(struct server *s, const char *head, const char *body, size_t len)
{
    CHECK(s->n_asked < ANSWERS_MAX);
    struct asked *a = &s->asked[s->n_asked++];
    (void)sscanf(head, "%7s %511s", a->method, a->path);
    copy_field(a->authorization, sizeof a->authorization, head, "\r\nAuthorization: ");
    copy_field(a->type, sizeof a->type, head, "\r\nContent-Type: ");
    (void)snprintf(a->body, sizeof a->body, "%.*s", (int)len, body);
}

static inline void on_peer_read(struct bufferevent *b, void *arg)
{
    struct peer *p = arg;
    struct server *s = p->s;
    struct evbuffer *in = bufferevent_get_input(b);
    char text[16384], length[32];
    ev_ssize_t n = evbuffer_copyout(in, text, sizeof text - 1);
    text[n > 0 ? n : 0] = '\0';
    const char *body = strstr(text, "\r\n\r\n");
    if (!body || p->now)
        return;
    body += 4;
    copy_field(length, sizeof length, text, "\r\nContent-Length: ");
    size_t len = (size_t)atol(length);
    if ((size_t)n < (size_t)(body - text) + len)
        return;
    note_asked(s, text, body, len);
    s->asked[s->n_asked - 1].connection = p->number;
    evbuffer_drain(in, (size_t)(body - text) + len);
    CHECK(s->n_given < s->n_answers); /* one question more than there are answers */
    p->now = &s->answers[s->n_given++];
    p->at = 0;
    peer_write(p);
}

static inline void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *a,
                             int len, void *arg)
{
    struct server *s = arg;
    struct peer *p = calloc(1, sizeof *p);
    (void)l, (void)a, (void)len;
    p->s = s;
    p->number = ++s->connections;
    p->b = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(p->b, on_peer_read, on_peer_sent, on_peer_event, p);
    bufferevent_enable(p->b, EV_READ | EV_WRITE);
}

static inline void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what, (void)arg;
}

static inline void on_count(void *arg, const char *verb, unsigned code)
{
    struct server *s = arg;
    (void)verb;
    s->counted++;
    s->counted_none += code == 0;
}

/* Before and after. */

static inline void write_text(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A client for a kubeconfig with this user. */
static inline void use_user(struct server *s, const char *user)
{
    char text[2048];
    struct why why = {""};
    struct kube_auth_setup setup = {.kubeconfig = s->kubeconfig, .name_space = "x"};
    (void)snprintf(text, sizeof text,
                   "current-context: c\n"
                   "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
                   "clusters: [{name: k, cluster: {server: \"http://127.0.0.1:%u\"}}]\n"
                   "users:\n- name: u\n  user: %s\n",
                   s->port, user);
    write_text(s->kubeconfig, text);
    struct kube_auth *auth = kube_auth_new(&setup, &why);
    if (!auth)
        fail_msg("%s", why.text);
    kube_free(s->kube);
    s->kube = kube_new(s->base, s->http, auth, on_count, s);
    CHECK(s->kube);
}

static inline int set_up(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    struct timeval tick = {0, 2000};
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof any;
    signal(SIGPIPE, SIG_IGN);
    s->base = event_base_new();
    s->tick = event_new(s->base, -1, EV_PERSIST, on_tick, s);
    event_add(s->tick, &tick);
    s->listener =
        evconnlistener_new_bind(s->base, on_accept, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
                                16, (struct sockaddr *)(void *)&any, sizeof any);
    CHECK(s->listener && getsockname(evconnlistener_get_fd(s->listener),
                                     (struct sockaddr *)(void *)&any, &len) == 0);
    s->port = ntohs(any.sin_port);
    s->http = http_new(s->base);
    (void)snprintf(s->directory, sizeof s->directory, "/tmp/serin-kube.XXXXXX");
    CHECK(s->http && mkdtemp(s->directory));
    (void)snprintf(s->kubeconfig, sizeof s->kubeconfig, "%s/config", s->directory);
    use_user(s, "{token: secret.token}");
    *state = s;
    return 0;
}

static inline int tear_down(void **state)
{
    struct server *s = *state;
    char path[160];
    kube_free(s->kube);
    http_free(s->http);
    turns(s, 10); /* the peers see their ends */
    evconnlistener_free(s->listener);
    event_free(s->tick);
    event_base_free(s->base);
    for (size_t i = 0; i < s->n_answers; i++)
        free(s->answers[i].bytes);
    (void)unlink(s->kubeconfig);
    (void)snprintf(path, sizeof path, "%s/token", s->directory);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/ran", s->directory);
    (void)unlink(path);
    (void)rmdir(s->directory);
    free(s);
    return 0;
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
