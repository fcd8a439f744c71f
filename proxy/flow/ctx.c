/* Everything that one worker's request path shares: made, adopted, drained, ended.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/ctx.h"

#include "base/log.h"
#include "proxy/flow/client.h"
#include "proxy/flow/copy.h"
#include "proxy/flow/exchange.h"
#include "proxy/flow/handshake.h"
#include "proxy/flow/judged.h"
#include "proxy/flow/tunnel.h"
#include "proxy/wire/time.h"
#include <sys/random.h>

void flow_refresh_now(struct flow *f)
{
    f->now_us = time_monotonic_us();
}

struct slice flow_date(struct flow *f)
{
    if (f->now_us >= f->date_until_us) {
        int64_t wall_ms = time_wall_ms();
        date_text(wall_ms / 1000, f->date);
        f->date_until_us = f->now_us + (1000 - wall_ms % 1000) * 1000;
    }
    return slice_of(f->date, DATE_CHARS);
}

/* xorshift64* (Vigna, 2016) */
uint64_t flow_random(struct flow *f)
{
    uint64_t x = f->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    f->random = x;
    return x * 0x2545f4914f6cdd1du;
}

static void start_tick(struct flow *f)
{
    if (event_pending(&f->tick, EV_TIMEOUT, NULL))
        return;
    struct timeval interval = {0, WHEEL_TICK_MS * 1000};
    f->wheel.now_ms = flow_now_ms(f) - flow_now_ms(f) % WHEEL_TICK_MS;
    (void)event_add(&f->tick, &interval);
}

/* The wheel turns only while something is in it: an idle process sleeps. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct flow *f = arg;
    struct list due;
    struct wheel_entry *e;
    (void)fd;
    (void)what;
    flow_refresh_now(f);
    list_init(&due);
    wheel_advance(&f->wheel, flow_now_ms(f), &due);
    while ((e = wheel_pop_due(&f->wheel, &due, flow_now_ms(f))))
        e->on_due(e);
    if (f->wheel.count == 0)
        (void)event_del(&f->tick);
}

void flow_deadline_at(struct flow *f, struct wheel_entry *e, int64_t at_ms)
{
    if (at_ms == WHEEL_NEVER) {
        e->deadline_ms = at_ms; /* it keeps its slot: a deadline often comes back */
        return;
    }
    if (f->wheel.count == 0)
        start_tick(f);
    wheel_set(&f->wheel, e, at_ms);
}

enum err flow_init(struct flow *f, struct event_base *base, unsigned worker, unsigned workers)
{
    *f = (struct flow){.base = base, .worker = worker, .workers = workers};
    flow_refresh_now(f);
    if (getrandom(&f->random, sizeof f->random, 0) != (ssize_t)sizeof f->random || f->random == 0)
        f->random = (uint64_t)f->now_us |
                    1u; /* early boot without entropy: ids stay unique enough for a log */
    char *front = malloc(FLOW_FRONT_BYTES + FLOW_IN_BYTES);
    f->out = malloc(FLOW_OUT_BYTES);
    if (!front || !f->out) {
        free(front);
        free(f->out);
        return ERR_MEMORY;
    }
    f->in = front + FLOW_FRONT_BYTES;
    wheel_init(&f->wheel, flow_now_ms(f));
    CHECK(event_assign(&f->tick, base, -1, EV_PERSIST, on_tick, f) == 0);
    graveyard_init(&f->graves, base);
    burst_init(&f->burst, base);
    pipes_init(&f->pipes);
    list_init(&f->clients);
    list_init(&f->tunnels);
    list_init(&f->copies);
    judged_init(f);
    handshakes_init(f);
    upstream_init(&f->upstream, base, &f->wheel, &f->graves, &exchange_events);
    f->upstream.burst = &f->burst;
    return OK;
}

void flow_fini(struct flow *f)
{
    while (!list_empty(&f->clients))
        client_abort(CONTAINER_OF(f->clients.next, struct client, link), false);
    copies_end(f);
    handshakes_fini(f);
    wheel_cancel(&f->wheel, &f->slow_look);
    world_unref(f->world);
    upstream_fini(&f->upstream);
    (void)event_del(&f->tick);
    graveyard_fini(&f->graves);
    pipes_fini(&f->pipes);
    while (f->spare) {
        struct exchange *x = f->spare;
        f->spare = x->next_spare;
        free(x);
    }
    free(f->in - FLOW_FRONT_BYTES);
    free(f->out);
}

enum err flow_adopt(struct flow *f, struct snapshot *snapshot)
{
    uint32_t first = (uint32_t)((uint64_t)SPLIT_BUCKETS * f->worker / f->workers);
    struct world *w = world_new(&f->upstream, snapshot, f->world, first);
    if (!w)
        return ERR_MEMORY;
    world_unref(f->world);
    f->world = w;
    f->upstream.idle_ms = snapshot->config->timeouts.upstream_idle_ms;
    f->upstream.connections_max = snapshot->config->limits.upstream_connections_per_endpoint;
    f->upstream.workers = f->workers;
    tunnels_review(f);
    return OK;
}

static void shorten(int64_t *until_ms, int64_t now_ms, uint32_t ms, bool is_first)
{
    if (is_first || now_ms + ms < *until_ms)
        *until_ms = now_ms + ms;
}

void flow_drain(struct flow *f, uint32_t requests_ms, uint32_t tunnels_ms)
{
    uint32_t share_ms = requests_ms / FLOW_DRAIN_IDLE_SHARE;
    flow_refresh_now(f);
    shorten(&f->requests_until_ms, flow_now_ms(f), requests_ms, !f->is_draining);
    shorten(&f->tunnels_until_ms, flow_now_ms(f), tunnels_ms, !f->is_draining);
    f->drain_idle_ms = share_ms < FLOW_DRAIN_IDLE_MS ? share_ms : FLOW_DRAIN_IDLE_MS;
    f->is_draining = true;
    struct list *next;
    for (struct list *l = f->clients.next; l != &f->clients; l = next) {
        next = l->next;
        client_drain(CONTAINER_OF(l, struct client, link));
    }
}

/* What waits, flushes or lingers is cut as well: only tunnels have more time. */
static void cut_requests(struct flow *f)
{
    struct list *next;
    uint32_t before = f->n_exchanges;
    for (struct list *l = f->clients.next; l != &f->clients; l = next) {
        struct client *c = CONTAINER_OF(l, struct client, link);
        next = l->next;
        if (!c->tunnel)
            client_abort(c, false);
    }
    if (before)
        log_warn("drain_cut", "worker=%u requests=%u why=\"timeouts.drain has passed\"", f->worker,
                 before);
    f->has_cut = true;
}

bool flow_is_drained(struct flow *f)
{
    flow_refresh_now(f);
    bool is_over =
        f->requests_until_ms < f->tunnels_until_ms && flow_now_ms(f) >= f->requests_until_ms;
    if (is_over && !f->has_cut)
        cut_requests(f);
    return f->n_clients == 0;
}
