/* An upgraded connection: bytes both ways until an end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/tunnel.h"

#include "base/log.h"
#include "proxy/flow/access.h"

static void on_upstream_readable(void *owner);
static void on_upstream_writable(void *owner);

/* It is connected already. */
static const struct upstream_events tunnel_events = {NULL, on_upstream_readable,
                                                     on_upstream_writable, NULL};

static struct flow *flow_of(const struct tunnel *t)
{
    return t->client->flow;
}

/* When nothing moves: where one side has ended, the other one only finishes what it has to say. */
static uint32_t idle_ms(const struct tunnel *t)
{
    const struct config_timeouts *conf = &flow_of(t)->world->snapshot->config->timeouts;
    bool is_half = t->up_done || t->down_done;
    return is_half && conf->response_idle_ms < conf->tunnel_idle_ms ? conf->response_idle_ms
                                                                    : conf->tunnel_idle_ms;
}

static void set_deadline(struct tunnel *t)
{
    int64_t idle_at = t->active_ms + idle_ms(t);
    flow_deadline_at(flow_of(t), &t->timer, idle_at < t->close_at_ms ? idle_at : t->close_at_ms);
}

static void note_activity(struct tunnel *t)
{
    t->active_ms = flow_now_ms(flow_of(t));
    set_deadline(t);
}

static void on_due(struct wheel_entry *e)
{
    struct tunnel *t = CONTAINER_OF(e, struct tunnel, timer);
    bool is_told = flow_now_ms(flow_of(t)) >= t->close_at_ms;
    log_debug("tunnel_closed", "route=%s version=%s client=%.*s request_id=%.*s why=\"%s\"",
              t->version->route, t->version->version, SLICE_ARG(client_peer(t->client)),
              t->request_id_len, t->request_id,
              is_told ? "its version serves no more, or serin stops" : "idle");
    t->why = is_told ? "drained" : "idle";
    tunnel_end(t, false);
}

struct tunnel *tunnel_new(const struct exchange *x)
{
    struct tunnel *t = malloc(sizeof *t);
    if (!t)
        return NULL;
    *t = (struct tunnel){.client = x->client,
                         .up = x->up,
                         .route = x->route->metrics,
                         .version = x->attempt.variant->metrics,
                         .active_ms = flow_now_ms(x->flow),
                         .close_at_ms = WHEEL_NEVER};
    CHECK(x->request_id.len <= sizeof t->request_id);
    t->request_id_len = (uint8_t)x->request_id.len;
    if (x->request_id.len)
        memcpy(t->request_id, x->request_id.at, x->request_id.len);
    wheel_entry_init(&t->timer);
    t->timer.on_due = on_due;
    return t;
}

static void free_tunnel(struct grave *g)
{
    free(CONTAINER_OF(g, struct tunnel, grave));
}

void tunnel_end(struct tunnel *t, bool is_client_gone)
{
    struct client *c = t->client;
    struct pool *pool = t->up->pool;
    struct flow *f = c->flow;
    access_tunnel_end(t->access, f, t->bytes_down, t->why);
    wheel_cancel(&f->wheel, &t->timer);
    list_remove(&t->link);
    cell_sub(&t->version->cells[f->worker]->tunnels, 1);
    pool_close(t->up);
    pool_release(pool);
    c->tunnel = NULL;
    grave_bury(&f->graves, &t->grave, free_tunnel);
    if (is_client_gone)
        client_abort(c, false);
    else
        client_response_done(c, c->has_ended ? CLIENT_NEXT_CLOSE : CLIENT_NEXT_LINGER);
}

/* ---- bytes ---- */

/* One direction of a tunnel. */
struct way {
    struct stream *from, *to;
    bool *is_done;
};

static struct way way_up(struct tunnel *t)
{
    return (struct way){&t->client->stream, &t->up->stream, &t->up_done};
}

static struct way way_down(struct tunnel *t)
{
    return (struct way){&t->up->stream, &t->client->stream, &t->down_done};
}

/* Everything of a way that has ended is out. Where the other one has ended too, all is over, but for what waits for the
 * client: that goes down without the upstream. */
static void pass_end(struct tunnel *t, struct way w)
{
    if (t->up_done && t->down_done && stream_pending(&t->up->stream) == 0)
        tunnel_end(t, false);
    else if (!stream_end(w.to))
        tunnel_end(t, w.to == &t->client->stream);
}

/* Who takes nothing more may still have something to say: a last message, and then its end. */
static void stop(struct tunnel *t, struct way w)
{
    if (w.to == &t->client->stream) {
        tunnel_end(t, true);
        return;
    }
    *w.is_done = true;
    stream_discard(w.to);
    stream_read_off(w.from);
    if (t->down_done)
        tunnel_end(t, false);
    else
        stream_wake(w.to);
}

static void carry(struct tunnel *t, struct way w, const char *bytes, size_t len)
{
    struct iovec part = {(char *)(uintptr_t)bytes, len};
    enum stream_result r = stream_send(w.to, &part, 1);
    if (w.to == &t->client->stream)
        t->bytes_down += len;
    if (r == STREAM_FAILED)
        stop(t, w);
    else if (r == STREAM_PENDING)
        stream_read_off(w.from);
}

static void readable(struct tunnel *t, struct way w)
{
    char *in = flow_of(t)->in;
    if (*w.is_done)
        return;
    ssize_t n = stream_recv(w.from, in, FLOW_RECV_BYTES);
    if (n == STREAM_AGAIN)
        return;
    if (n == STREAM_ERROR) {
        tunnel_end(t, w.from == &t->client->stream);
        return;
    }
    *w.is_done = n == STREAM_EOF;
    note_activity(t);
    if (n > 0) {
        carry(t, w, in, (size_t)n);
        return;
    }
    stream_read_off(w.from);
    if (w.from == &t->client->stream)
        t->client->has_ended = true;
    if (stream_pending(w.to) == 0)
        pass_end(t, w);
}

static void writable(struct tunnel *t, struct way w)
{
    enum stream_result r = stream_flush(w.to);
    if (r == STREAM_FAILED) {
        stop(t, w);
        return;
    }
    note_activity(t);
    if (r == STREAM_PENDING)
        return;
    if (*w.is_done)
        pass_end(t, w);
    else
        stream_read_on(w.from);
}

void tunnel_on_client_readable(struct tunnel *t)
{
    readable(t, way_up(t));
}

void tunnel_on_client_writable(struct tunnel *t)
{
    writable(t, way_down(t));
}

static void on_upstream_readable(void *owner)
{
    struct tunnel *t = owner;
    flow_refresh_now(flow_of(t));
    readable(t, way_down(t));
}

static void on_upstream_writable(void *owner)
{
    struct tunnel *t = owner;
    flow_refresh_now(flow_of(t));
    writable(t, way_up(t));
}

/* ---- life ---- */

static uint32_t draw(struct flow *f, uint32_t below)
{
    return below ? (uint32_t)(flow_random(f) % below) : 0;
}

void tunnel_drain(struct tunnel *t)
{
    struct flow *f = flow_of(t);
    if (t->close_at_ms < f->tunnels_until_ms)
        return;
    uint32_t spread = f->world->snapshot->config->timeouts.drain_ms / TUNNEL_SPREAD;
    t->close_at_ms = f->tunnels_until_ms - 1 - spread / 2 - draw(f, spread);
    set_deadline(t);
}

static const struct route *find_route(struct tunnel *t, const struct snapshot *s)
{
    /* a reload rarely moves routes */
    if (t->route_at < s->n_routes && s->routes[t->route_at].metrics == t->route)
        return &s->routes[t->route_at];
    for (t->route_at = 0; t->route_at < s->n_routes; t->route_at++)
        if (s->routes[t->route_at].metrics == t->route)
            return &s->routes[t->route_at];
    return NULL;
}

/* A weight that changes moves nobody; a canary that serves nobody is one that was aborted. */
static bool is_serving(struct tunnel *t, const struct snapshot *s)
{
    const struct route *r = find_route(t, s);
    return r && (t->version == r->stable.metrics ||
                 (r->split.is_active && t->version == r->canary.metrics));
}

/* True where it is to be closed from now on. */
static bool review(struct tunnel *t)
{
    struct flow *f = flow_of(t);
    uint32_t drain_ms = f->world->snapshot->config->timeouts.drain_ms;
    bool serves = is_serving(t, f->world->snapshot);
    int64_t soon_ms = flow_now_ms(f) + drain_ms;
    bool is_told = !serves && t->close_at_ms > soon_ms + drain_ms / TUNNEL_SPREAD;
    if (is_told)
        t->close_at_ms = soon_ms + draw(f, drain_ms / TUNNEL_SPREAD);
    else if (serves && !f->is_draining)
        t->close_at_ms = WHEEL_NEVER;
    set_deadline(t); /* timeouts.tunnel_idle may be another one now */
    return is_told;
}

void tunnels_review(struct flow *f)
{
    uint32_t closing = 0;
    if (list_empty(&f->tunnels))
        return;
    flow_refresh_now(f);
    for (struct list *l = f->tunnels.next; l != &f->tunnels; l = l->next)
        closing += review(CONTAINER_OF(l, struct tunnel, link));
    if (closing)
        log_info("tunnels_closing",
                 "worker=%u tunnels=%u in_ms=%u why=\"their version serves nobody any more\"",
                 f->worker, closing, f->world->snapshot->config->timeouts.drain_ms);
}

void tunnel_start(struct tunnel *t, struct exchange *x)
{
    struct client *c = x->client;
    struct flow *f = x->flow;
    t->access = access_tunnel_new(x);
    t->bytes_down = x->body_sent;
    t->route_at = (uint32_t)(x->route - x->world->snapshot->routes);
    pool_hand_over(x->up, t, &tunnel_events);
    x->up = NULL;
    exchange_end(x, END_UPGRADED);
    c->tunnel = t;
    c->state = CLIENT_TUNNEL;
    wheel_cancel(&f->wheel, &c->timer);
    list_push_back(&f->tunnels, &t->link);
    cell_add(&t->version->cells[f->worker]->tunnels, 1);
    (void)review(t); /* the exchange may have begun in a world of before */
    if (f->is_draining)
        tunnel_drain(t);
    if (stream_pending(&c->stream))
        stream_read_off(&t->up->stream);
    stream_read_on(&c->stream);
    if (held_len(&c->held)) {
        struct held early = c->held;
        c->held = (struct held){NULL};
        carry(t, way_up(t), early.bytes->at, early.bytes->len);
        held_drop(&early);
    }
}
