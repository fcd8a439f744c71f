/* Finds out whether endpoints can be reached that are new or have failed, so that no user's request has to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/probe.h"

#include "base/check.h"
#include "base/log.h"
#include "proxy/upstream/eject.h"
#include "proxy/wire/time.h"
#include "proxy/wire/tls.h"
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CANNOT_CONNECT "cannot connect"

struct probe {
    struct known_endpoint *endpoint;
    struct stream stream;
    struct event timer;
};

void probe_cancel(struct known_endpoint *e)
{
    struct probe *p = e->probe;
    if (!p)
        return;
    (void)event_del(&p->timer);
    stream_close(&p->stream);
    free(p);
    e->probe = NULL;
}

void probe_say(struct known_endpoint *e, const char *why)
{
    uint32_t now = atomic_load_explicit(&e->state->health, memory_order_relaxed);
    if (now == e->said)
        return;
    e->said = now;
    if (now == ENDPOINT_DOWN)
        log_warn("endpoint_down", "route=%s version=%s endpoint=%s why=\"%s\"", e->route,
                 e->version, e->text, why);
    else
        log_info("endpoint_up", "route=%s version=%s endpoint=%s", e->route, e->version, e->text);
}

/* A worker has said that it is ejected; that it serves again is said here, or by a worker that ejects it anew. */
static void say_return(struct known_endpoint *e, int64_t now_us)
{
    _Atomic uint32_t *owes = &e->state->owes_return;
    if (ENDPOINT_LOAD(*owes) && endpoint_serves_from_us(e->state) <= now_us &&
        atomic_exchange_explicit(owes, 0, memory_order_relaxed)) {
        log_info("endpoint_returned", "route=%s version=%s endpoint=%s", e->route, e->version,
                 e->text);
    }
}

/* fault: NULL = it can be reached. */
static void conclude(struct known_endpoint *e, const char *fault)
{
    probe_cancel(e);
    if (fault)
        eject_note_probe(e->state);
    else
        endpoint_come_up(e->state, time_monotonic_us());
    probe_say(e, fault);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    struct probe *p = arg;
    const struct dial_tls tls = known_tls(p->endpoint); /* a reload may have changed it meanwhile */
    (void)fd;
    switch (dial_step(&p->stream, what, &p->endpoint->addr, &tls, NULL)) {
    case DIAL_MORE:
        return;
    case DIAL_DONE:
        conclude(p->endpoint, NULL);
        return;
    case DIAL_FAILED:
        break;
    }
    const char *why = tls_why(&p->stream);
    conclude(p->endpoint, why[0] ? why : CANNOT_CONNECT);
}

static void on_late(evutil_socket_t fd, short what, void *arg)
{
    struct probe *p = arg;
    (void)fd;
    (void)what;
    conclude(p->endpoint, p->stream.tls ? "no TLS handshake in time" : CANNOT_CONNECT);
}

static void start(struct known_endpoint *e, struct event_base *base, uint32_t timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
    int fd = dial_start(&e->addr);
    if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE)
            conclude(e, CANNOT_CONNECT);
        return;
    }
    struct probe *p = calloc(1, sizeof *p);
    if (!p) {
        (void)close(fd);
        return;
    }
    p->endpoint = e;
    e->probe = p;
    stream_init(&p->stream, base, fd, on_event, on_event, p);
    stream_write_on(&p->stream);
    CHECK(event_assign(&p->timer, base, -1, 0, on_late, p) == 0);
    if (event_add(&p->timer, &timeout) < 0)
        probe_cancel(e);
}

/* Whether a connect would tell anything new. */
static bool is_doubtful(const struct known_endpoint *e)
{
    return atomic_load_explicit(&e->state->health, memory_order_relaxed) != ENDPOINT_UP ||
           atomic_load_explicit(&e->state->connect_failures, memory_order_relaxed);
}

void probe_all(struct known *k, struct event_base *base, uint32_t timeout_ms)
{
    unsigned running = 0;
    int64_t now_us = time_monotonic_us();
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        probe_say(e, CANNOT_CONNECT);
        say_return(e, now_us);
        running += e->probe != NULL;
    }
    for (struct list *l = k->endpoints.next; l != &k->endpoints && running < PROBES_MAX;
         l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (e->probe || e->is_barred || e->conf->health.path || !is_doubtful(e))
            continue;
        start(e, base, timeout_ms);
        running++;
    }
}
