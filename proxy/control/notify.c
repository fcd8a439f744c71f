/* What systemd is told of this process.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/notify.h"

#include "base/log.h"
#include "proxy/control/api.h"
#include "proxy/control/control.h"
#include "proxy/wire/time.h"
#include <event2/event.h>
#include <stdlib.h>
#include <systemd/sd-daemon.h>

/* Time that is asked for from tick to tick: what hangs meanwhile is not waited for much longer. */
#define EXTEND_US 10000000

/* Of the watchdog's time: a worker that is a little late costs one of them. */
#define WATCHDOG_PARTS 4

/* --- the status line --- */

struct line {
    char at[NOTIFY_STATUS_MAX];
    size_t len;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What does not fit is cut. */
static void add(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->at + line->len, sizeof line->at - line->len, format, args);
    va_end(args);
    line->len += n > 0 ? (size_t)n : 0;
    if (line->len >= sizeof line->at)
        line->len = sizeof line->at - 1;
}

static void add_rollouts(struct line *line, const struct control *c)
{
    const char *gap = "; ";
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        const struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        struct rollout_metrics m = {.step = 0};
        if (r->rollout)
            rollout_metrics(r->rollout, &m);
        if (m.step == 0)
            continue;
        add(line, "%s%s: %s, step %u/%u, %g%%", gap, r->name, rollout_phase_name(m.phase), m.step,
            m.steps, m.weight_intended * 100);
        gap = ", ";
    }
    if (gap[0] == ';')
        add(line, "; no rollout under way");
}

static void write_status(struct line *line, struct control *c)
{
    size_t routes = control_config(c)->n_routes;
    unsigned open = atomic_load_explicit(&c->shared.connections, memory_order_relaxed);
    if (c->notify.is_stopping) {
        add(line, "draining, %u connection%s left", open, open == 1 ? "" : "s");
        return;
    }
    add(line, "%s%zu route%s", c->notify.is_ready ? "" : "waiting for endpoints; ", routes,
        routes == 1 ? "" : "s");
    add_rollouts(line, c);
}

/* --- what is sent --- */

static void tell_status(struct control *c)
{
    struct line line = {.len = 0};
    write_status(&line, c);
    if (strcmp(line.at, c->notify.status) == 0)
        return;
    memcpy(c->notify.status, line.at, sizeof line.at);
    (void)sd_notifyf(0, "STATUS=%s", line.at);
}

void notify_tick(struct control *c)
{
    struct notify *n = &c->notify;
    if (!n->is_on)
        return;
    if (!n->is_ready && api_is_ready(c)) {
        n->is_ready = true;
        (void)sd_notify(0, "READY=1");
    }
    if (!n->is_ready || n->is_stopping)
        (void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%d", EXTEND_US);
    tell_status(c);
}

/* Before it is ready the start is under way, which is said already. */
void notify_reloading(struct control *c)
{
    if (c->notify.is_on && c->notify.is_ready && !c->notify.is_stopping)
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)time_monotonic_us());
}

void notify_reloaded(struct control *c)
{
    if (c->notify.is_on && c->notify.is_ready && !c->notify.is_stopping)
        (void)sd_notify(0, "READY=1");
}

void notify_stopping(struct control *c)
{
    struct notify *n = &c->notify;
    if (!n->is_on || n->is_stopping)
        return;
    n->is_stopping = true;
    (void)sd_notifyf(0, "STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", EXTEND_US);
    tell_status(c);
}

void notify_hand_over(struct control *c, pid_t to)
{
    if (c->notify.is_on)
        (void)sd_notifyf(0, "MAINPID=%d", (int)to);
    notify_stop(c);
}

void notify_take_over(void)
{
    (void)unsetenv("WATCHDOG_PID"); /* without it whoever has WATCHDOG_USEC is meant */
}

/* --- the watchdog --- */

/* Alive is: the control thread, since this runs, and every worker, since it has answered. One that has not keeps the sign
 * from systemd, which in the end restarts the process. */
static void on_watchdog(evutil_socket_t fd, short what, void *arg)
{
    struct control *c = arg;
    (void)fd;
    (void)what;
    for (unsigned i = 0; i < c->n_workers; i++)
        if (!worker_has_answered(c->workers[i])) {
            log_warn("watchdog_withheld", "worker=%u why=\"it does not answer\"", i);
            return;
        }
    (void)sd_notify(0, "WATCHDOG=1");
    for (unsigned i = 0; i < c->n_workers; i++)
        worker_ask(c->workers[i]);
}

static enum err start_watchdog(struct control *c)
{
    uint64_t us = 0;
    if (sd_watchdog_enabled(0, &us) <= 0)
        return OK;
    us /= WATCHDOG_PARTS;
    struct timeval part = {(time_t)(us / 1000000), (suseconds_t)(us % 1000000)};
    c->notify.watchdog = event_new(c->base, -1, EV_PERSIST, on_watchdog, c);
    return c->notify.watchdog && event_add(c->notify.watchdog, &part) == 0 ? OK : ERR_MEMORY;
}

enum err notify_start(struct control *c)
{
    const char *socket = getenv("NOTIFY_SOCKET");
    c->notify = (struct notify){.is_on = socket && socket[0]};
    return c->notify.is_on ? start_watchdog(c) : OK;
}

void notify_stop(struct control *c)
{
    c->notify.is_on = false;
    if (c->notify.watchdog)
        event_free(c->notify.watchdog);
    c->notify.watchdog = NULL;
}
