/* One request through the proxy: from its parsed head to its one end, which counts it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/exchange.h"

#include "proxy/flow/access.h"
#include "proxy/flow/assign.h"
#include "proxy/flow/attempt.h"
#include "proxy/flow/failover.h"
#include "proxy/flow/ids.h"
#include "proxy/flow/judged.h"
#include "proxy/flow/pump.h"
#include "proxy/flow/refuse.h"
#include "proxy/flow/reply.h"
#include "proxy/flow/slow.h"
#include "proxy/flow/splice.h"
#include "proxy/flow/subject.h"
#include "proxy/http/rewrite.h"

#define GIVEN_UP_MIN_US                                                                            \
    1000000             /* a client that leaves earlier than this tells nothing about the version */
#define GIVEN_UP_P99S 5 /* nor one that leaves before so many p99s of stable */

const struct upstream_events exchange_events = {attempt_on_connected, pump_on_upstream_readable,
                                                pump_on_upstream_writable, attempt_on_room};

void exchange_goto(struct exchange *x, enum exchange_state next)
{
    static const uint8_t allowed[] = {
        [EXCHANGE_ROUTE] = 1 << EXCHANGE_CONNECT | 1 << EXCHANGE_SEND | 1 << EXCHANGE_END,
        [EXCHANGE_CONNECT] = 1 << EXCHANGE_SEND | 1 << EXCHANGE_ROUTE | 1 << EXCHANGE_END,
        [EXCHANGE_SEND] =
            1 << EXCHANGE_WAIT | 1 << EXCHANGE_REPLY | 1 << EXCHANGE_ROUTE | 1 << EXCHANGE_END,
        [EXCHANGE_WAIT] = 1 << EXCHANGE_REPLY | 1 << EXCHANGE_ROUTE | 1 << EXCHANGE_END,
        [EXCHANGE_REPLY] = 1 << EXCHANGE_END,
        [EXCHANGE_END] = 0,
    };
    CHECK(allowed[x->state] & 1 << next);
    x->state = (uint8_t)next;
}

void exchange_deadline(struct exchange *x, uint32_t in_ms)
{
    int64_t at_ms = flow_time_in(x->flow, in_ms), total = x->total_deadline_ms;
    flow_deadline_at(x->flow, &x->timer, total < at_ms ? total : at_ms);
}

static void on_due(struct wheel_entry *e)
{
    struct exchange *x = CONTAINER_OF(e, struct exchange, timer);
    bool awaits_body =
        x->state == EXCHANGE_SEND && exchange_wants_body(x) && !stream_pending(&x->up->stream);
    if (awaits_body || stream_pending(&x->client->stream)) {
        exchange_on_client_gone(x, CLIENT_ERROR_TIMEOUT); /* request_total ran out on a slow one */
        return;
    }
    if (x->state == EXCHANGE_REPLY) {
        x->why = metric_reason_text(REASON_TIMEOUT);
        attempt_settle(x, x->status, REASON_TIMEOUT, false);
        exchange_end(x, END_UPSTREAM_CUT);
        return;
    }
    if (attempt_dial_again(x))
        return;
    if (flow_now_ms(x->flow) >= x->total_deadline_ms) {
        attempt_failed(x, REASON_TIMEOUT, RETRY_NEVER); /* no time is left for another attempt */
        return;
    }
    if (x->state == EXCHANGE_CONNECT)
        attempt_connect_late(x);
    else
        attempt_failed(x, REASON_TIMEOUT, RETRY_504);
}

static struct exchange *make(struct client *c)
{
    struct flow *f = c->flow;
    struct exchange *x = f->spare;
    if (x) {
        f->spare = x->next_spare;
        f->n_spare--;
    } else {
        x = aligned_alloc(ARENA_ALIGN, (sizeof *x + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1));
    }
    if (!x)
        return NULL;
    memset(x, 0, offsetof(struct exchange, first));
    arena_init(&x->arena, x->first, sizeof x->first, EXCHANGE_ARENA_CEILING);
    wheel_entry_init(&x->timer);
    x->timer.on_due = on_due;
    x->client = c;
    x->flow = f;
    x->world = world_ref(f->world);
    x->start_us = f->now_us;
    x->is_replayable = true;
    c->exchange = x;
    list_push_back(&f->exchanges, &x->link);
    f->n_exchanges++;
    judged_begin(f);
    return x;
}

static void let_go(struct exchange *x)
{
    struct flow *f = x->flow;
    wheel_cancel(&f->wheel, &x->timer);
    held_drop(&x->held);
    free(x->replay);
    arena_reset(&x->arena);
    world_unref(x->world);
    list_remove(&x->link);
    f->n_exchanges--;
    if (f->n_spare < FLOW_SPARE_EXCHANGES_MAX) {
        x->next_spare = f->spare;
        f->spare = x;
        f->n_spare++;
    } else {
        free(x);
    }
}

static bool request_is_read(const struct exchange *x)
{
    return x->request_body.done;
}

void exchange_end(struct exchange *x, enum exchange_end why)
{
    struct client *c = x->client;
    exchange_goto(x, EXCHANGE_END);
    if (x->access)
        access_end(x, why);
    bool may_reuse = why == END_DONE && x->up_keep_alive && request_is_read(x) && !x->send_failed;
    attempt_release(x, may_reuse);
    bool down_keep_alive = x->down_keep_alive && request_is_read(x);
    bool asked_to_close = !x->keep_alive && request_is_read(x);
    bool shows_its_end = x->down_chunked || x->response_body.kind == BODY_LENGTH;
    c->exchange = NULL;
    if (__builtin_expect(x->is_mirrored, 0))
        mirror_start(x);
    let_go(x);
    switch (why) {
    case END_UPGRADED:
        break;
    case END_DONE:
    case END_REPLIED:
        client_response_done(c, down_keep_alive  ? CLIENT_NEXT_REQUEST
                                : asked_to_close ? CLIENT_NEXT_CLOSE
                                                 : CLIENT_NEXT_LINGER);
        break;
    case END_CLIENT_GONE:
        client_abort(c, false);
        break;
    case END_CLIENT_CUT:
        client_abort(c, true);
        break;
    case END_UPSTREAM_CUT:
        /* a reset would also take back what the client has not read yet, whole responses before this one included: only
         * where an ordinary end would say that the body is whole */
        if (shows_its_end)
            client_response_done(c, CLIENT_NEXT_LINGER);
        else
            client_abort(c, true);
        break;
    }
}

static void client_error(struct exchange *x, enum metric_client_error e)
{
    x->why = refuse_word(e);
    cell_add(&x->flow->cells->client_errors[e], 1);
}

void exchange_reply(struct exchange *x, unsigned status)
{
    bool keep_alive = x->keep_alive && request_is_read(x) && client_may_continue(x->client);
    struct reply reply = {.status = status,
                          .keep_alive = keep_alive,
                          .is_head = x->method == METHOD_HEAD,
                          .minor = x->minor,
                          .request_id = x->request_id};
    x->down_keep_alive = keep_alive;
    x->status = (uint16_t)status;
    if (x->route)
        cell_add(&x->route->metrics->cells[x->flow->worker]->responses[code_cell(status)], 1);
    enum stream_result sent = reply_send(x->client, &reply);
    x->body_sent = reply.body_bytes;
    if (sent == STREAM_FAILED) {
        client_error(x, CLIENT_ERROR_ABORTED);
        exchange_end(x, END_CLIENT_GONE);
    } else {
        exchange_end(x, END_REPLIED);
    }
}

/* Keeps the id that the client sends, or makes one. False: out of memory. is_made: whether it is ours. */
static bool identify(struct exchange *x, const char *buf, bool *is_made)
{
    struct slice received = request_id_received(&x->flow->head, buf);
    *is_made = received.len == 0;
    if (!*is_made) {
        x->request_id = arena_copy(&x->arena, received);
        return x->request_id.at != NULL;
    }
    char *id = arena_alloc(&x->arena, ID_CHARS);
    if (!id)
        return false;
    id_make(x->flow, id);
    x->request_id = slice_of(id, ID_CHARS);
    return true;
}

/* Writes the request head as it will go up. False: out of memory. */
static bool write_head(struct exchange *x, const char *buf, size_t head_len)
{
    const struct config_headers *conf = &x->route->conf->headers;
    const struct head *head = &x->flow->head;
    char traceparent[TRACEPARENT_CHARS];
    bool is_made = false;
    if (conf->request_id && !identify(x, buf, &is_made))
        return false;
    /* one with a body would leave open whether its bytes are the body's or the new protocol's */
    x->is_upgrade = head->upgrade_websocket && head->method == METHOD_GET && request_is_read(x);
    struct rewrite_request r = {.head = head,
                                .buf = buf,
                                .body = &x->request_body,
                                .client = client_peer(x->client),
                                .is_tls = x->client->stream.tls != NULL,
                                .forwarded = (enum forwarded_mode)conf->forwarded,
                                .fallback_host = SLICE("localhost"),
                                .upgrade_websocket = x->is_upgrade};
    if (is_made)
        r.request_id = x->request_id;
    if (conf->trace && head->trace != TRACE_VALID) {
        id_make_traceparent(x->flow, traceparent);
        r.traceparent = slice_of(traceparent, sizeof traceparent);
    }
    subject_add(x->client, &r);
    size_t room = head_len + REWRITE_EXTRA_BYTES + r.request_id.len + r.traceparent.len +
                  2 * CLIENT_PEER_MAX + r.fallback_host.len + r.subject_name.len + r.subject.len;
    char *out = arena_alloc(&x->arena, room);
    if (!out)
        return false;
    ssize_t len = rewrite_request(&r, out, room);
    CHECK(len > 0);
    arena_shrink(&x->arena, out, room, (size_t)len);
    x->head_out = slice_of(out, (size_t)len);
    return true;
}

/* Everything that can refuse the request before a version is chosen: 0, or the status. */
static unsigned check_request(struct exchange *x, const char *buf)
{
    const struct head *head = &x->flow->head;
    const struct snapshot *s = x->world->snapshot;
    int framing = body_plan_request(&x->request_body, head);
    if (framing < 0) {
        client_error(x, CLIENT_ERROR_BAD_REQUEST);
        return (unsigned)-framing;
    }
    x->client->was_large = splice_is_large(x, &x->request_body);
    uint64_t most = s->config->limits.body_bytes;
    if (most && head->has_length && head->content_length > most) {
        client_error(x, CLIENT_ERROR_BAD_REQUEST);
        return 413;
    }
    uint32_t route = match_find(&s->match, span_in(head->authority, buf), head_path(head, buf));
    if (route == MATCH_NONE) {
        client_error(x, CLIENT_ERROR_NO_ROUTE);
        return 404;
    }
    x->route = &s->routes[route];
    x->place = x->world->places[route];
    return 0;
}

static void refuse_for_memory(struct exchange *x)
{
    x->why = REFUSE_NO_MEMORY;
    attempt_settle(x, 503, REASON_NONE, true);
    x->keep_alive = false;
    exchange_reply(x, 503);
}

/* Takes body bytes: checks, decodes, passes on. Sets *used. False where x has ended. */
static bool take_body(struct exchange *x, char *buf, size_t len, size_t *used)
{
    struct slice data = slice_of(buf, 0);
    ssize_t n = body_feed(&x->request_body, buf, len, &data);
    uint64_t most = x->world->snapshot->config->limits.body_bytes;
    if (n < 0 || (most && (x->body_bytes += data.len) > most)) {
        client_error(x, CLIENT_ERROR_BAD_REQUEST);
        *used = len;
        attempt_settle(x, n < 0 ? 400 : 413, REASON_NONE, true);
        x->keep_alive = false;
        if (x->head_down || stream_pending(&x->client->stream))
            exchange_end(x, END_CLIENT_CUT);
        else
            exchange_reply(x, n < 0 ? 400 : 413);
        return false;
    }
    *used = (size_t)n;
    x->body_received += (size_t)n;
    if (pump_request_body(x, data))
        return true;
    refuse_for_memory(x);
    return false;
}

size_t exchange_start(struct client *c, char *buf, size_t head_len, size_t len)
{
    const struct head *head = &c->flow->head;
    struct exchange *x = make(c);
    if (!x) {
        refuse_client(c, 503, NULL);
        return len;
    }
    x->method = head->method;
    x->minor = head->minor;
    x->keep_alive = head->keep_alive;
    x->expects_continue = head->expect_continue;
    uint32_t total_ms = x->world->snapshot->config->timeouts.request_total_ms;
    x->total_deadline_ms = total_ms ? flow_now_ms(x->flow) + total_ms : WHEEL_NEVER;
    slow_rest_reader(c);
    flow_deadline(x->flow, &c->timer, 0);
    subject_guard(c, buf);
    unsigned refusal = check_request(x, buf);
    if (refusal) {
        bool is_made;
        if (!x->route || x->route->conf->headers.request_id)
            (void)identify(x, buf, &is_made); /* out of memory: the reply has none */
        if (access_is_on(x->flow))
            access_note(x, buf);
        x->keep_alive =
            x->keep_alive &&
            refusal == 404; /* after any other one, where the next request begins is unsure */
        exchange_reply(x, refusal);
        return head_len;
    }
    assign_version(x, buf);
    bool is_written = write_head(x, buf, head_len) && !x->arena.failed;
    if (access_is_on(x->flow))
        access_note(x, buf);
    if (!is_written) {
        refuse_for_memory(x);
        return head_len;
    }
    size_t used = 0;
    if (!request_is_read(x) && len > head_len &&
        !take_body(x, buf + head_len, len - head_len, &used))
        return len;
    attempt_start(x);
    if (c->exchange == x && x->is_lent && !pump_end_loan(x))
        refuse_for_memory(x);
    return head_len + used;
}

bool exchange_wants_body(const struct exchange *x)
{
    return !request_is_read(x) && !x->send_failed;
}

size_t exchange_on_body(struct exchange *x, char *buf, size_t len)
{
    size_t used = 0;
    pace_moved(&x->pace, flow_now_ms(x->flow));
    (void)take_body(x, buf, len, &used);
    return used;
}

void exchange_on_client_drained(struct exchange *x)
{
    slow_rest_reader(x->client);
    if (x->state == EXCHANGE_REPLY && x->up) {
        stream_read_on(&x->up->stream);
        exchange_deadline(x, x->world->snapshot->config->timeouts.response_idle_ms);
    }
}

/* True where the age of the request says that the client gave up on a version that hangs. */
static bool gave_up(const struct exchange *x)
{
    int64_t age = x->flow->now_us - x->start_us;
    uint64_t p99 =
        x->route ? atomic_load_explicit(&x->route->live->stable_p99_us, memory_order_relaxed) : 0;
    return age > GIVEN_UP_MIN_US && p99 && (uint64_t)age > GIVEN_UP_P99S * p99;
}

void exchange_on_client_end(struct exchange *x, bool is_orderly)
{
    if (!is_orderly || x->state != EXCHANGE_REPLY || !request_is_read(x)) {
        exchange_on_client_gone(x, CLIENT_ERROR_ABORTED);
        return;
    }
    x->keep_alive = x->down_keep_alive = false;
    stream_read_off(&x->client->stream);
}

void exchange_on_client_gone(struct exchange *x, enum metric_client_error why)
{
    bool is_timeout = why != CLIENT_ERROR_ABORTED;
    client_error(x, why);
    bool is_hung = !is_timeout && x->state == EXCHANGE_WAIT && gave_up(x);
    if (x->head_down)
        attempt_settle(x, x->status, REASON_NONE, x->status < 500);
    else
        attempt_settle(x, is_timeout ? 408 : STATUS_CLIENT_GONE,
                       is_hung ? REASON_TIMEOUT : REASON_NONE, !is_hung);
    if (is_timeout && !x->head_down) {
        x->keep_alive = false;
        exchange_reply(x, 408);
    } else {
        exchange_end(x, x->head_down && is_timeout ? END_CLIENT_CUT : END_CLIENT_GONE);
    }
}
