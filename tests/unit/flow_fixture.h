/* A whole request path on one event base: clients and endpoints are sockets of the test, the clock
 * is the test's. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_FLOW_FIXTURE_H
#define SERIN_TESTS_FLOW_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/flow/client.h"
#include "proxy/flow/exchange.h"

#include "metrics/log.h"
#include "proxy/http/rewrite.h"
#include "proxy/wire/time.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* --- the clock: the linker takes these instead of proxy/wire/time.c --- */

static int64_t fake_now_us;

int64_t time_monotonic_us(void)
{
    return fake_now_us;
}

int64_t time_wall_ms(void)
{
    return fake_now_us / 1000;
}

static int64_t fake_monotonic(void *arg)
{
    (void)arg;
    return fake_now_us;
}

const struct clock time_clock = {fake_monotonic, fake_monotonic, NULL};

/* --- one route, stable and canary with an endpoint each --- */

struct fixture {
    struct event_base *base;
    struct flow flow;
    struct flow_shared shared;
    struct metrics *metrics;
    struct listener_cells *listener;
    struct config config; /* read live: a test may change it */
    struct config_listener listener_conf;
    struct config_route route_conf;
    struct route_live live;
    struct route *route;
    struct quota quotas[ROLE_COUNT];
    struct endpoint_state states[ROLE_COUNT];
    int endpoints[ROLE_COUNT]; /* listening; accept is the test's */
    struct wire_addr addrs[ROLE_COUNT];
    char dir[32];
};

static struct fixture fixture;
static struct split_order order;

static inline void listen_at(const struct wire_addr *a, int *fd, int backlog)
{
    struct sockaddr_storage ss;
    memcpy(&ss, a->bytes, sizeof ss);
    *fd = socket(wire_addr_family(a), SOCK_STREAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&ss, a->len), 0);
    assert_int_equal(listen(*fd, backlog), 0);
}

/* UNIX sockets: what one side sends, the other one has at once. */
static inline void open_endpoints(struct fixture *f)
{
    (void)snprintf(f->dir, sizeof f->dir, "/tmp/serin-flow-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        char path[64];
        int len = snprintf(path, sizeof path, "%s/%u", f->dir, i);
        assert_int_equal(wire_addr_unix(&f->addrs[i], slice_of(path, (size_t)len)), OK);
        listen_at(&f->addrs[i], &f->endpoints[i], 100);
    }
}

static inline void configure(struct fixture *f)
{
    static const char *paths[] = {"/"};
    f->route_conf = (struct config_route){
        .name = "web",
        .paths = {paths, 1},
        .retry = {.methods = 1u << METHOD_GET, .max = 1, .budget_bp = 2000, .to_stable = true},
        .headers = {.forwarded = FORWARDED_OFF}};
    f->config.listeners = &f->listener_conf;
    f->config.n_listeners = 1;
    f->config.routes = &f->route_conf;
    f->config.n_routes = 1;
    f->config.timeouts = (struct config_timeouts){.client_header_ms = 10000,
                                                  .client_idle_ms = 60000,
                                                  .client_body_ms = 30000,
                                                  .connect_ms = 2000,
                                                  .response_header_ms = 40000,
                                                  .upstream_idle_ms = 30000,
                                                  .response_idle_ms = 50000,
                                                  .drain_ms = 30000,
                                                  .tunnel_idle_ms = 3600000};
    f->config.limits = (struct config_limits){
        .header_bytes = 32768, .headers = 100, .uri_bytes = 16384, .pending_per_endpoint = 100};
}

static inline struct route_variant variant(struct fixture *f, struct snapshot *s,
                                           enum metric_role role, const char *name)
{
    struct endpoint *e = arena_alloc(&s->arena, sizeof *e);
    *e = (struct endpoint){name, f->addrs[role], &f->states[role]};
    return (struct route_variant){.name = name,
                                  .role = role,
                                  .endpoints = e,
                                  .n_endpoints = 1,
                                  .first_endpoint = s->n_endpoints++,
                                  .metrics = metrics_variant(f->metrics, "web", name)};
}

static inline struct snapshot *make_snapshot(struct fixture *f)
{
    struct snapshot *s = snapshot_new();
    s->config = &f->config;
    s->routes = f->route = arena_alloc(&s->arena, sizeof *s->routes);
    *f->route = (struct route){
        .conf = &f->route_conf, .live = &f->live, .metrics = metrics_route(f->metrics, "web")};
    f->route->stable = variant(f, s, ROLE_STABLE, "v1");
    f->route->canary = variant(f, s, ROLE_CANARY, "v2");
    s->n_routes = 1;
    assert_int_equal(match_build(&s->match, &f->config, &s->arena), OK);
    return s;
}

static inline void begin(void)
{
    struct fixture *f = &fixture;
    const struct log_setup quiet = {.level = LOG_ERROR};
    memset(f, 0, sizeof *f);
    (void)signal(SIGPIPE, SIG_IGN); /* as the program does */
    assert_int_equal(log_open(&quiet, NULL), OK);
    fake_now_us = INT64_C(1000000000);
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        atomic_init(&f->quotas[i].refs, 1);
        f->states[i].quota = &f->quotas[i];
    }
    split_order_init(&order);
    configure(f);
}

static inline int start(void **state)
{
    struct fixture *f = &fixture;
    f->base = event_base_new();
    f->metrics = metrics_new(1);
    f->live.breaker = breaker_new(1);
    f->live.retries = retry_budget_new();
    f->listener = metrics_listener(f->metrics, "main")->cells[0];
    assert_int_equal(flow_init(&f->flow, f->base, 0, 1), OK);
    f->flow.order = &order;
    f->flow.shared = &f->shared;
    f->flow.cells = metrics_worker(f->metrics, 0);
    assert_int_equal(flow_adopt(&f->flow, make_snapshot(f)), OK);
    *state = f;
    return 0;
}

static inline int setup(void **state)
{
    begin();
    open_endpoints(&fixture);
    return start(state);
}

/* Whatever the test did: every gauge and every count of what is under way is back at 0, and nothing
 * is armed. */
static inline int teardown(void **state)
{
    struct fixture *f = *state;
    flow_fini(&f->flow);
    assert_int_equal(f->flow.n_clients, 0);
    assert_int_equal(f->flow.n_exchanges, 0);
    assert_int_equal(f->flow.upstream.n_busy, 0);
    assert_int_equal(f->flow.upstream.n_idle, 0);
    assert_int_equal(f->flow.wheel.count, 0);
    assert_int_equal(atomic_load(&f->shared.connections), 0);
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        assert_int_equal(quota_read(&f->quotas[i].pending), 0);
        assert_int_equal(quota_read(&f->quotas[i].queued), 0);
        assert_int_equal(quota_read(&f->quotas[i].shared), 0);
        assert_int_equal(atomic_load(&f->quotas[i].refs), 1);
    }
    assert_int_equal(cell_read(&f->listener->open), 0);
    for (size_t i = 0; i < metrics_variant_count(f->metrics); i++) {
        const struct variant_metrics *v = metrics_variant_at(f->metrics, i);
        assert_int_equal(metrics_inflight(v), 0);
        assert_int_equal(metrics_tunnels(v), 0);
        assert_int_equal(cell_read(&v->cells[0]->upstream_open), 0);
        assert_int_equal(cell_read(&v->cells[0]->upstream_idle), 0);
        assert_int_equal(cell_read(&v->cells[0]->upstream_connecting), 0);
    }
    assert_int_equal(event_base_get_num_events(f->base, EVENT_BASE_COUNT_ADDED), 0);
    breaker_free(f->live.breaker);
    free(f->live.retries);
    metrics_free(f->metrics);
    event_base_free(f->base);
    for (unsigned i = 0; i < ROLE_COUNT; i++) {
        char path[64];
        (void)snprintf(path, sizeof path, "%s/%u", f->dir, i);
        (void)close(f->endpoints[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->dir);
    return 0;
}

/* --- taking turns --- */

/* Turns of the loop until everything that the sockets hold has been seen through: none waits for
 * anything. */
static inline void settle(struct fixture *f)
{
    for (unsigned i = 0; i < 12; i++)
        (void)event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

/* Time passes, and what is due then happens. */
static inline void pass(struct fixture *f, uint32_t ms)
{
    fake_now_us += (int64_t)ms * 1000;
    if (event_pending(&f->flow.tick, EV_TIMEOUT, NULL))
        event_active(&f->flow.tick, EV_TIMEOUT, 0);
    settle(f);
}

/* The same, and a byte comes in the moment before. */
static inline void pass_with_byte(struct fixture *f, uint32_t ms, int fd)
{
    fake_now_us += (int64_t)ms * 1000;
    (void)send(fd, "x", 1, MSG_NOSIGNAL);
    settle(f);
    pass(f, 0);
}

/* A client connects, with so much of a request there already; the other end is returned. */
static inline int client_open_with(struct fixture *f, const char *text)
{
    static const uint8_t ip[16] = {192, 0, 2, 7};
    struct wire_addr peer;
    int fds[2];
    wire_addr_inet(&peer, false, ip, 1234);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
    assert_int_equal(send(fds[1], text, strlen(text), 0), strlen(text));
    atomic_fetch_add(&f->shared.connections, 1); /* as the listener does */
    flow_refresh_now(&f->flow);
    assert_true(client_accept(&f->flow, fds[0], &peer, 0, f->listener));
    return fds[1];
}

static inline int client_open(struct fixture *f)
{
    return client_open_with(f, "");
}

static inline void say(struct fixture *f, int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    settle(f);
}

static inline void hang_up(struct fixture *f, int fd)
{
    (void)close(fd);
    settle(f);
}

/* The proxy's new connection at an endpoint, or -1. */
static inline int called(struct fixture *f, enum metric_role role)
{
    return accept4(f->endpoints[role], NULL, NULL, SOCK_NONBLOCK);
}

/* All that has come, NUL-terminated, until the next call. */
static char heard[1u << 18];

static inline struct slice hear(int fd)
{
    size_t len = 0;
    ssize_t n;
    while ((n = recv(fd, heard + len, sizeof heard - 1 - len, 0)) > 0)
        len += (size_t)n;
    heard[len] = '\0';
    return slice_of(heard, len);
}

/* A message that begins with start and has this body behind its head, and nothing more. */
static inline void assert_message(struct slice s, const char *first, const char *body)
{
    const char *end = strstr(s.at, "\r\n\r\n");
    if (!slice_starts(s, slice_str(first)) || !end || strcmp(end + 4, body) != 0)
        fail_msg("not \"%s\" … \"%s\" but \"%.*s\"", first, body, SLICE_ARG(s));
}

static inline void assert_hears(int fd, const char *first, const char *body)
{
    assert_message(hear(fd), first, body);
}

static inline void assert_silent(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, EAGAIN);
}

/* The proxy has closed its side, and nothing more was to come. */
static inline void assert_ended(int fd)
{
    char byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
}

/* --- what was counted --- */

static inline const struct variant_cells *cells(const struct fixture *f, enum metric_role role)
{
    return (role == ROLE_CANARY ? f->route->canary : f->route->stable).metrics->cells[0];
}

static inline uint64_t requests(const struct fixture *f, enum metric_role role, unsigned status)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < ASSIGNED_COUNT; i++)
        sum += cell_read(&cells(f, role)->requests[role][i][code_cell(status)]);
    return sum;
}

static inline uint64_t all_requests(const struct fixture *f)
{
    uint64_t sum = 0;
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        for (unsigned i = 0; i < ASSIGNED_COUNT; i++)
            for (unsigned k = 0; k < CODE_CELLS; k++)
                sum += cell_read(&cells(f, (enum metric_role)role)->requests[role][i][k]);
    return sum;
}

static inline uint64_t errors(const struct fixture *f, enum metric_role role,
                              enum metric_reason reason)
{
    return cell_read(&cells(f, role)->errors[role][reason]);
}

static inline uint64_t responses(const struct fixture *f, unsigned status)
{
    return cell_read(&f->route->metrics->cells[0]->responses[code_cell(status)]);
}

static inline uint64_t client_errors(const struct fixture *f, enum metric_client_error e)
{
    return cell_read(&f->flow.cells->client_errors[e]);
}

/* Nothing is under way: no request, no busy connection. */
static inline void assert_at_rest(const struct fixture *f)
{
    assert_int_equal(f->flow.n_exchanges, 0);
    assert_int_equal(f->flow.upstream.n_busy, 0);
    for (unsigned role = 0; role < ROLE_COUNT; role++)
        assert_int_equal(cell_read(&cells(f, (enum metric_role)role)->inflight), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
