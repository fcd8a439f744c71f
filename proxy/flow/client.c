/* One HTTP/1 client connection: awaits heads, hands each request to an exchange, and closes without losing a reply.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/client.h"

#include "proxy/flow/exchange.h"
#include "proxy/flow/handshake.h"
#include "proxy/flow/origin.h"
#include "proxy/flow/parting.h"
#include "proxy/flow/refuse.h"
#include "proxy/flow/slow.h"
#include "proxy/flow/splice.h"
#include "proxy/flow/tunnel.h"
#include "proxy/http/parse.h"
#include "base/log.h"
#include <sys/socket.h>

static void on_read(evutil_socket_t fd, short what, void *arg);
static void on_write(evutil_socket_t fd, short what, void *arg);

static const struct config *conf_of(const struct client *c)
{
    return c->flow->world->snapshot->config;
}

static void free_client(struct grave *g)
{
    struct client *c = CONTAINER_OF(g, struct client, grave);
    free(c->subject);
    free(c);
}

void client_hang_up(struct client *c)
{
    struct flow *f = c->flow;
    if (c->state == CLIENT_DEAD)
        return;
    if (c->state == CLIENT_HANDSHAKE)
        handshake_leave(c);
    if (c->stream.tls)
        handshake_note_end(c);
    c->state = CLIENT_DEAD;
    wheel_cancel(&f->wheel, &c->timer);
    stream_close(&c->stream);
    held_drop(&c->held);
    list_remove(&c->link);
    f->n_clients--;
    cell_sub(&c->listener->open, 1);
    atomic_fetch_sub_explicit(&f->shared->connections, 1, memory_order_relaxed);
    grave_bury(&f->graves, &c->grave, free_client);
}

void client_abort(struct client *c, bool is_broken)
{
    if (c->exchange) {
        exchange_on_client_gone(c->exchange, CLIENT_ERROR_ABORTED);
        return;
    }
    if (c->tunnel) {
        tunnel_end(c->tunnel, true);
        return;
    }
    if (is_broken && c->state != CLIENT_DEAD)
        stream_reset_on_close(&c->stream);
    client_hang_up(c);
}

/* The end of the idle time or of a head. Looked at sooner is whether the last response is read at all. */
static void set_end(struct client *c, uint32_t in_ms, uint32_t look_in_ms)
{
    c->until_ms = flow_now_ms(c->flow) + in_ms;
    flow_deadline(c->flow, &c->timer, look_in_ms < in_ms ? look_in_ms : in_ms);
}

/* A response that left its connection open has promised to answer another request, also while the process drains. */
static void await_head(struct client *c)
{
    c->state = CLIENT_READY;
    c->has_partial_head = false;
    if (c->has_ended) {
        parting_close(c);
        return;
    }
    set_end(c, parting_idle_ms(c), PACE_GRACE_MS);
    stream_read_on(&c->stream);
    if (held_len(&c->held))
        stream_wake(&c->stream);
}

static void after_flush(struct client *c)
{
    switch ((enum client_next)c->next) {
    case CLIENT_NEXT_REQUEST:
        await_head(c);
        break;
    case CLIENT_NEXT_CLOSE:
        parting_close(c);
        break;
    case CLIENT_NEXT_LINGER:
        parting_linger(c);
        break;
    }
}

/* The kernel does not take all of a response. */
static void await_reader(struct client *c)
{
    c->state = CLIENT_FLUSH;
    stream_read_off(&c->stream);
    slow_await_reader(c);
}

void client_response_done(struct client *c, enum client_next next)
{
    c->exchange = NULL;
    c->next = (uint8_t)next;
    /* what ends the connection leaves first; what goes on may wait for the end of the turn */
    bool goes_on = next == CLIENT_NEXT_REQUEST && !c->has_ended;
    if (goes_on ? stream_pending(&c->stream) == 0 : stream_settle(&c->stream))
        after_flush(c);
    else
        await_reader(c);
}

static void count_error(struct client *c, enum metric_client_error e)
{
    cell_add(&c->flow->cells->client_errors[e], 1);
}

void client_read_ahead(struct client *c, const char *bytes, size_t len)
{
    if (held_keep(&c->held, bytes, len, NULL) != OK)
        client_abort(c, false);
    else
        stream_read_off(&c->stream);
}

static void keep_partial(struct client *c, const char *bytes, size_t len)
{
    if (held_keep(&c->held, bytes, len, &c->flow->head) != OK) {
        refuse_client(c, 503, NULL);
        return;
    }
    if (!c->has_partial_head && c->n_requests) /* the time of the first one has run since accept */
        set_end(c, conf_of(c)->timeouts.client_header_ms, UINT32_MAX);
    c->has_partial_head = true;
}

/* Empty lines alone, left behind by a client that ends its body with one (RFC 9112 section 2.2): no request begins. */
static bool is_blank(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i += 2)
        if (i + 1 == len || bytes[i] != '\r' || bytes[i + 1] != '\n')
            return false;
    return true;
}

/* Serves the heads in buf; f->head holds the progress over the first one. Stops when an exchange needs time: what
 * then remains is kept for later. */
static void feed(struct client *c, char *buf, size_t len)
{
    const struct config_limits *conf = &conf_of(c)->limits;
    struct head_limits limits = {conf->header_bytes, conf->uri_bytes, (uint16_t)conf->headers};
    size_t at = 0;
    while (c->state == CLIENT_READY && at < len) {
        ssize_t n = head_feed(&c->flow->head, buf + at, len - at, &limits);
        if (n < 0) {
            refuse_head(c, (unsigned)-n);
            return;
        }
        if (n == 0) {
            if (!is_blank(buf + at, len - at))
                keep_partial(c, buf + at, len - at);
            return;
        }
        c->state = CLIENT_BUSY;
        c->has_partial_head = false;
        c->n_requests++;
        at += exchange_start(c, buf + at, (size_t)n, len - at);
        head_init(&c->flow->head, false);
    }
    if (at < len &&
        (c->state == CLIENT_BUSY || (c->state == CLIENT_FLUSH && c->next == CLIENT_NEXT_REQUEST)))
        client_read_ahead(c, buf + at, len - at);
}

/* n: what stream_recv gave behind the first len bytes of flow->in, which are of a head. */
static void take_input(struct client *c, size_t len, ssize_t n)
{
    char *in = c->flow->in;
    if (n > 0) {
        feed(c, in, len + (size_t)n);
    } else if (n == STREAM_AGAIN) {
        if (len)
            keep_partial(c, in, len);
    } else {
        if (len)
            count_error(c, CLIENT_ERROR_ABORTED);
        client_hang_up(c);
    }
}

/* A connection whose first request is its last one is often over before anything else can happen to it. */
#define WATCH_LATE_MS WHEEL_TICK_MS

/* The first read is over: from here on, or a little later, the client's leaving is seen. */
static void watch(struct client *c)
{
    if (c->state == CLIENT_BUSY && !c->exchange->keep_alive)
        flow_deadline(c->flow, &c->timer, WATCH_LATE_MS);
    else
        stream_read_on(&c->stream);
}

static void read_head(struct client *c)
{
    struct flow *f = c->flow;
    if (!stream_settle(&c->stream)) { /* of a response that seemed to be out */
        await_reader(c);
        return;
    }
    bool is_ahead = held_is_ahead(&c->held); /* served first, so that it never grows */
    if (c->n_requests || c->stream.is_reading || c->stream.tls)
        stream_read_on(&c->stream);
    else
        stream_read_later(&c->stream);
    size_t len = held_restore(&c->held, f->in, &f->head, false);
    if (is_ahead) {
        feed(c, f->in, len);
        return;
    }
    ssize_t n = stream_recv(&c->stream, f->in + len, splice_first_bytes(&c->stream, c->was_large));
    take_input(c, len, n);
    if (c->stream.is_deferred)
        watch(c);
}

void client_on_handshake_done(struct client *c, ssize_t n)
{
    head_init(&c->flow->head, false);
    take_input(c, 0, n);
}

/* What a balancer says of the client comes before anything that the client sends itself. */
static void take_origin(struct client *c, enum origin origin)
{
    switch (origin) {
    case ORIGIN_KNOWN:
        if (handshake_begin(c))
            break;
        c->state = CLIENT_READY;
        read_head(c); /* a request is often there already: one turn of the loop is saved */
        break;
    case ORIGIN_AWAITED:
        break;
    case ORIGIN_REFUSED:
        client_hang_up(c);
        break;
    }
}

/* While an exchange runs: its body, or what comes too early, or the end of the client. */
static void read_busy(struct client *c)
{
    char *in = c->flow->in;
    ssize_t n =
        splice_may_request(c->exchange) ? splice_request(c->exchange) : (ssize_t)STREAM_NO_PIPE;
    if (n > 0)
        return;
    if (n == STREAM_NO_PIPE)
        n = stream_recv(&c->stream, in, FLOW_RECV_BYTES);
    if (n == STREAM_AGAIN)
        return;
    if (n <= 0) {
        c->has_ended = n == STREAM_EOF;
        exchange_on_client_end(c->exchange, n == STREAM_EOF);
        return;
    }
    size_t used = 0;
    if (exchange_wants_body(c->exchange))
        used = exchange_on_body(c->exchange, in, (size_t)n);
    if (used < (size_t)n && c->state != CLIENT_DEAD && c->state != CLIENT_LINGER)
        client_read_ahead(c, in + used, (size_t)n - used);
    if (c->state == CLIENT_READY && held_len(&c->held))
        stream_wake(&c->stream);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    (void)fd;
    (void)what;
    flow_refresh_now(c->flow);
    switch ((enum client_state)c->state) {
    case CLIENT_ORIGIN:
        take_origin(c, origin_read(c));
        break;
    case CLIENT_HANDSHAKE:
        handshake_on_readable(c);
        break;
    case CLIENT_READY:
        read_head(c);
        break;
    case CLIENT_BUSY:
        read_busy(c);
        break;
    case CLIENT_TUNNEL:
        tunnel_on_client_readable(c->tunnel);
        break;
    case CLIENT_LINGER:
        parting_on_readable(c);
        break;
    case CLIENT_FLUSH:
    case CLIENT_DEAD:
        break;
    }
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
    struct client *c = arg;
    (void)fd;
    (void)what;
    flow_refresh_now(c->flow);
    if (c->tunnel) {
        tunnel_on_client_writable(c->tunnel);
        return;
    }
    enum stream_result r = stream_flush(&c->stream);
    if (r == STREAM_FAILED) {
        if (!c->exchange) /* which counts by itself */
            count_error(c, CLIENT_ERROR_ABORTED);
        client_abort(c, false);
    } else if (r == STREAM_PENDING) {
        return; /* the next look finds how much it has taken */
    } else if (c->state == CLIENT_FLUSH) {
        slow_rest_reader(c);
        after_flush(c);
    } else if (c->exchange) {
        exchange_on_client_drained(c->exchange);
    }
}

/* The time for a request has passed, unless it has come in this very moment. A drain closes connections that their peers
 * may be about to use: what crosses our end is not met by a reset. */
static void close_idle(struct client *c)
{
    if (stream_unread(&c->stream))
        read_head(c);
    if (c->state != CLIENT_READY || c->until_ms > flow_now_ms(c->flow))
        return;
    if (c->has_partial_head) /* of a first request, which only now begins to have a time of its own */
        set_end(c, conf_of(c)->timeouts.client_header_ms, UINT32_MAX);
    else if (c->flow->is_draining)
        parting_linger_idle(c);
    else
        client_hang_up(c);
}

/* Between two requests, or within a head. */
static void ready_due(struct client *c)
{
    int64_t left_ms = c->until_ms - flow_now_ms(c->flow);
    if (!stream_settle(&c->stream)) {
        await_reader(c);
        return;
    }
    if (left_ms <= 0) {
        if (c->has_partial_head) {
            held_drop(&c->held);
            refuse_client(c, 408, NULL);
        } else {
            close_idle(c);
        }
        return;
    }
    if (conf_of(c)->timeouts.min_rate_bytes &&
        stream_unacknowledged(&c->stream) > SLOW_SMALL_BYTES) {
        pace_wait(&c->pace, flow_now_ms(c->flow));
        enum pace_verdict verdict = slow_look(c, conf_of(c)->timeouts.client_body_ms);
        if (verdict != PACE_OK)
            parting_cut(c, verdict);
        return;
    }
    pace_rest(&c->pace, flow_now_ms(c->flow));
    flow_deadline(c->flow, &c->timer, (uint32_t)left_ms);
}

/* No header, or half of one. Whoever has sent nothing yet while the process drains is an idle connection. */
static void origin_due(struct client *c)
{
    if (!c->flow->is_draining || held_len(&c->held)) {
        origin_late(c);
        client_hang_up(c);
    } else if (stream_unread(&c->stream)) {
        set_end(c, conf_of(c)->timeouts.client_header_ms, UINT32_MAX);
        take_origin(c, origin_read(c));
    } else {
        parting_linger_idle(c);
    }
}

static void on_due(struct wheel_entry *e)
{
    struct client *c = CONTAINER_OF(e, struct client, timer);
    uint32_t gap_ms = conf_of(c)->timeouts.client_body_ms;
    enum pace_verdict verdict;
    switch ((enum client_state)c->state) {
    case CLIENT_ORIGIN:
        origin_due(c);
        break;
    case CLIENT_HANDSHAKE:
        handshake_late(c);
        client_hang_up(c);
        break;
    case CLIENT_READY:
        ready_due(c);
        break;
    case CLIENT_BUSY:
        if (c->stream.is_deferred)
            stream_read_on(&c->stream);
        verdict = slow_look(c, gap_ms);
        if (verdict != PACE_OK)
            exchange_on_client_gone(c->exchange, slow_error(verdict));
        break;
    case CLIENT_FLUSH:
        verdict = slow_look(c, gap_ms);
        if (verdict != PACE_OK)
            parting_cut(c, verdict);
        break;
    case CLIENT_LINGER:
        parting_due(c);
        break;
    case CLIENT_TUNNEL: /* has a deadline of its own */
    case CLIENT_DEAD:
        break;
    }
}

bool client_may_continue(const struct client *c)
{
    uint32_t most = conf_of(c)->limits.requests_per_connection;
    return !c->flow->is_draining && (most == 0 || c->n_requests < most);
}

void client_drain(struct client *c)
{
    bool is_idle = c->state == CLIENT_ORIGIN ? held_len(&c->held) == 0
                                             : c->state == CLIENT_READY && !c->has_partial_head;
    if (is_idle)
        parting_drain(c);
    else if (c->tunnel)
        tunnel_drain(c->tunnel);
}

bool client_accept(struct flow *f, int fd, const struct wire_addr *peer, unsigned listener_index,
                   struct listener_cells *listener)
{
    size_t peer_room = origin_room(f, listener_index, peer);
    struct client *c = malloc(sizeof *c + peer_room);
    if (!c)
        return false;
    *c = (struct client){.flow = f,
                         .listener = listener,
                         .listener_index = (uint8_t)listener_index,
                         .peer_room = (uint8_t)peer_room,
                         .state = CLIENT_ORIGIN};
    c->has_address = wire_addr_family(peer) != AF_UNIX;
    wheel_entry_init(&c->timer);
    c->timer.on_due = on_due;
    stream_init(&c->stream, f->base, fd, on_read, on_write, c);
    stream_join(&c->stream, &f->burst);
    list_push_back(&f->clients, &c->link);
    f->n_clients++;
    cell_add(&listener->connections, 1);
    cell_add(&listener->open, 1);
    set_end(c, conf_of(c)->timeouts.client_header_ms, UINT32_MAX);
    take_origin(c, origin_begin(c, peer));
    if (f->is_draining) /* it came in the last moment */
        client_drain(c);
    return true;
}
