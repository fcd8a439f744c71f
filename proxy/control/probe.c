/* Finds out whether endpoints can be reached that are new or have failed, so that no user's request has to.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/probe.h"

#include "base/log.h"
#include "proxy/upstream/dial.h"
#include <errno.h>
#include <event2/event.h>
#include <sys/socket.h>
#include <unistd.h>

struct probe {
    struct known_endpoint *endpoint;
    struct event *event;
    int fd;
};

void probe_cancel(struct known_endpoint *e)
{
    struct probe *p = e->probe;
    if (!p)
        return;
    if (p->event)
        event_free(p->event);
    (void)close(p->fd);
    free(p);
    e->probe = NULL;
}

/* One line per change, whoever found out: a probe, or a worker by a failed request. */
static void say_change(struct known_endpoint *e)
{
    uint32_t now = atomic_load_explicit(&e->state->health, memory_order_relaxed);
    if (now == e->said)
        return;
    e->said = now;
    if (now == ENDPOINT_DOWN)
        log_warn("endpoint_down", "route=%s version=%s endpoint=%s why=\"cannot connect\"",
                 e->route, e->version, e->text);
    else
        log_info("endpoint_up", "route=%s version=%s endpoint=%s", e->route, e->version, e->text);
}

static void conclude(struct known_endpoint *e, int failure)
{
    endpoint_note(e->state, failure ? ENDPOINT_DOWN : ENDPOINT_UP);
    say_change(e);
}

static void on_decided(evutil_socket_t fd, short what, void *arg)
{
    struct probe *p = arg;
    struct known_endpoint *e = p->endpoint;
    int failure = ETIMEDOUT;
    socklen_t len = sizeof failure;
    if (!(what & EV_TIMEOUT) && getsockopt((int)fd, SOL_SOCKET, SO_ERROR, &failure, &len) < 0)
        failure = errno;
    probe_cancel(e);
    conclude(e, failure);
}

static void start(struct known_endpoint *e, struct event_base *base, uint32_t timeout_ms)
{
    struct timeval timeout = {timeout_ms / 1000, (suseconds_t)(timeout_ms % 1000) * 1000};
    int fd = dial_start(&e->addr);
    if (fd < 0) {
        if (errno != EMFILE && errno != ENFILE)
            conclude(e, errno);
        return;
    }
    struct probe *p = calloc(1, sizeof *p);
    if (!p) {
        (void)close(fd);
        return;
    }
    *p = (struct probe){e, NULL, fd};
    e->probe = p;
    p->event = event_new(base, fd, EV_WRITE, on_decided, p);
    if (!p->event || event_add(p->event, &timeout) < 0)
        probe_cancel(e);
}

void probe_all(struct known *k, struct event_base *base, uint32_t timeout_ms)
{
    unsigned running = 0;
    for (struct list *l = k->endpoints.next; l != &k->endpoints; l = l->next) {
        say_change(CONTAINER_OF(l, struct known_endpoint, link));
        running += CONTAINER_OF(l, struct known_endpoint, link)->probe != NULL;
    }
    for (struct list *l = k->endpoints.next; l != &k->endpoints && running < PROBES_MAX;
         l = l->next) {
        struct known_endpoint *e = CONTAINER_OF(l, struct known_endpoint, link);
        if (e->probe || e->is_barred ||
            atomic_load_explicit(&e->state->health, memory_order_relaxed) == ENDPOINT_UP)
            continue;
        start(e, base, timeout_ms);
        running++;
    }
}
