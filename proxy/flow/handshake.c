/* The TLS handshakes of clients: a few steps in each turn of the loop.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/handshake.h"

#include "proxy/flow/refuse.h"
#include "base/log.h"
#include "proxy/wire/tls.h"

static struct ssl_ctx_st *context_of(const struct client *c)
{
    const struct snapshot *s = c->flow->world->snapshot;
    return s->listener_tls ? s->listener_tls[c->listener_index] : NULL;
}

bool handshake_begin(struct client *c)
{
    if (!context_of(c))
        return false;
    c->state = CLIENT_HANDSHAKE;
    list_init(&c->waiting);
    stream_read_on(&c->stream);
    return true;
}

/* ---- how it ends ---- */

static void tell(const struct client *c, const char *why)
{
    log_debug("tls_failed", "client=%.*s why=\"%s\"", SLICE_ARG(client_peer(c)), why);
}

static void count(struct client *c, enum metric_client_error error, const char *why)
{
    cell_add(&c->flow->cells->client_errors[error], 1);
    tell(c, why);
}

static void refuse_plain_http(struct client *c)
{
    tell(c, tls_why(&c->stream));
    stream_stop_tls(&c->stream);
    refuse_client(c, 400, "this port speaks TLS (https)");
}

/* is_first: nothing had come before, and now an end: who looks whether the port is open leaves like this. */
static void fail(struct client *c, ssize_t n, bool is_first)
{
    if (tls_failure(&c->stream) == TLS_FAILED_PLAIN_HTTP) {
        refuse_plain_http(c);
        return;
    }
    if (!is_first || tls_failure(&c->stream) != TLS_FAILED_CUT)
        count(c, CLIENT_ERROR_TLS_HANDSHAKE, tls_why(&c->stream));
    c->has_ended = n == STREAM_EOF;
    client_response_done(c, CLIENT_NEXT_CLOSE); /* behind an alert */
}

void handshake_late(struct client *c)
{
    count(c, CLIENT_ERROR_TLS_TIMEOUT, "no handshake within timeouts.client_header");
}

static bool is_waiting(const struct client *c)
{
    return !list_empty(&c->waiting);
}

void handshake_leave(struct client *c)
{
    if (is_waiting(c))
        c->flow->handshakes.n_waiting--;
    list_remove(&c->waiting);
}

void handshake_note_end(struct client *c)
{
    if (tls_failure(&c->stream) == TLS_FAILED_FLOOD)
        count(c, CLIENT_ERROR_TLS_FLOOD, tls_why(&c->stream));
}

/* ---- its steps ---- */

static void step(struct client *c)
{
    struct stream *s = &c->stream;
    bool is_first = !s->tls;
    if (is_first && stream_start_tls(s, context_of(c), TLS_SERVER, NULL) != OK) {
        client_abort(c, false);
        return;
    }
    ssize_t n = stream_recv(s, c->flow->in, FLOW_RECV_BYTES);
    if (!stream_is_established(s) && n == STREAM_AGAIN)
        return;
    c->state = CLIENT_READY;
    c->pace = (struct pace){0}; /* where c->waiting was */
    if (stream_is_established(s)) {
        cell_add(&c->listener->tls_handshakes[tls_is_1_3(s)][tls_is_resumed(s)], 1);
        client_on_handshake_done(c, n);
    } else {
        fail(c, n, is_first);
    }
}

/* Uses up a step of this turn. False: there is none left. */
static bool take_step(struct flow *f)
{
    const struct timeval at_once = {0, 0}; /* a turn later */
    if (!event_pending(&f->handshakes.turn, EV_TIMEOUT, NULL))
        (void)event_add(&f->handshakes.turn, &at_once);
    if (f->handshakes.steps == 0)
        return false;
    f->handshakes.steps--;
    return true;
}

void handshake_on_readable(struct client *c)
{
    struct flow *f = c->flow;
    if (is_waiting(c))
        return;
    if (take_step(f)) {
        step(c);
        return;
    }
    if (f->handshakes.n_waiting >= HANDSHAKE_ARMED_MAX)
        stream_read_off(&c->stream);
    list_push_back(&f->handshakes.waiting, &c->waiting);
    f->handshakes.n_waiting++;
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    struct flow *f = arg;
    (void)fd;
    (void)what;
    flow_refresh_now(f);
    f->handshakes.steps = HANDSHAKE_STEPS;
    while (!list_empty(&f->handshakes.waiting) && take_step(f)) {
        struct client *c = CONTAINER_OF(f->handshakes.waiting.next, struct client, waiting);
        handshake_leave(c);
        stream_read_on(&c->stream);
        step(c);
    }
}

void handshakes_init(struct flow *f)
{
    f->handshakes.steps = HANDSHAKE_STEPS;
    f->handshakes.n_waiting = 0;
    list_init(&f->handshakes.waiting);
    CHECK(event_assign(&f->handshakes.turn, f->base, -1, 0, on_turn, f) == 0);
}

void handshakes_fini(struct flow *f)
{
    CHECK(list_empty(&f->handshakes.waiting) && f->handshakes.n_waiting == 0);
    (void)event_del(&f->handshakes.turn);
}
