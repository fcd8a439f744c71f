/* One copy of a request on its way through the canary, whose answer is thrown away.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/copy.h"

#include "base/log.h"
#include "proxy/flow/attempt.h"
#include "proxy/flow/judged.h"
#include "proxy/flow/pump.h"
#include "proxy/http/parse.h"
#include "proxy/upstream/dial.h"
#include "proxy/upstream/eject.h"
#include "proxy/upstream/pick.h"
#include "proxy/wire/tls.h"
#include <errno.h>

enum copy_state {
    COPY_CONNECT, /* a connection is under way */
    COPY_HEAD,    /* the request goes out, the response head is awaited */
    COPY_BODY,    /* what follows the head is read and thrown away */
    COPY_OVER,
};

struct copy {
    struct flow *flow;
    struct world *world; /* of the request: holds route, canary and pool */
    const struct route *route;
    struct upstream_conn *up;
    struct list link; /* flow->copies */
    struct wheel_entry timer;
    struct grave grave;
    struct held held; /* partial response head */
    struct body body; /* of the response */
    struct mirror_side stable;
    int64_t start_us, head_us; /* head_us: 0 until the response head is whole */
    int64_t until_ms; /* request_total, as for the user's; then the end of the body's time */
    uint64_t body_bytes;
    char *request_body; /* framed */
    uint32_t request_body_len, head_len;
    uint32_t endpoint; /* number within the canary */
    uint16_t status;
    uint8_t state; /* enum copy_state */
    uint8_t method, n_interim;
    bool got_bytes, was_stale, send_failed, up_keep_alive;
    char head[]; /* the request's */
};

static void on_connected(void *owner, bool ok);
static void on_readable(void *owner);
static void on_writable(void *owner);

/* It waits in no queue: no on_room. */
static const struct upstream_events copy_events = {on_connected, on_readable, on_writable, NULL};

static const struct config *conf_of(const struct copy *c)
{
    return c->world->snapshot->config;
}

static struct variant_cells *cells_of(const struct copy *c)
{
    return c->route->canary.metrics->cells[c->flow->worker];
}

static struct pool *pool_of(const struct copy *c)
{
    return c->world->pools[c->route->canary.first_endpoint + c->endpoint];
}

static struct endpoint_state *state_of(const struct copy *c)
{
    return c->route->canary.endpoints[c->endpoint].state;
}

static void copy_goto(struct copy *c, enum copy_state next)
{
    static const uint8_t allowed[] = {
        [COPY_CONNECT] = 1 << COPY_HEAD | 1 << COPY_OVER,
        [COPY_HEAD] = 1 << COPY_CONNECT | 1 << COPY_BODY | 1 << COPY_OVER,
        [COPY_BODY] = 1 << COPY_OVER,
        [COPY_OVER] = 0,
    };
    CHECK(allowed[c->state] & 1 << next);
    c->state = (uint8_t)next;
}

/* ---- the end ---- */

static void free_copy(struct grave *g)
{
    free(CONTAINER_OF(g, struct copy, grave));
}

static void release(struct copy *c, bool may_reuse)
{
    struct upstream_conn *up = c->up;
    if (!up)
        return;
    c->up = NULL;
    up->events = c->flow->upstream.events;
    if (may_reuse)
        pool_put(up, c->flow->now_us, c->body.kind == BODY_NONE);
    else
        pool_close(up);
}

static void let_go(struct copy *c, bool may_reuse)
{
    struct flow *f = c->flow;
    copy_goto(c, COPY_OVER);
    release(c, may_reuse);
    wheel_cancel(&f->wheel, &c->timer);
    held_drop(&c->held);
    free(c->request_body);
    list_remove(&c->link);
    f->n_copies--;
    cell_sub(&cells_of(c)->mirror.inflight, 1);
    world_unref(c->world);
    grave_bury(&f->graves, &c->grave, free_copy);
}

static void count_side(const struct copy *c, enum metric_role role, const struct mirror_side *did)
{
    struct mirror_cells *cells = &cells_of(c)->mirror;
    unsigned slow = judged_crossed(c->route->live, role, did->age_us);
    if (did->failed)
        cell_add(&cells->failed[role], 1);
    if (did->client_error)
        cell_add(&cells->client_errors[role], 1);
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
        if (slow & 1u << q)
            cell_add(&cells->slow[role][q], 1);
}

/* Counts the copy, and the pair that it makes with what stable did. Ejection and breaker are about users: they are not
 * told. may_reuse: the whole answer has come, and nothing more. */
static void end(struct copy *c, enum metric_mirrored result, bool may_reuse)
{
    int64_t until_us = c->head_us ? c->head_us : c->flow->now_us;
    struct mirror_side canary = {.failed = result >= MIRRORED_5XX,
                                 .client_error = result == MIRRORED_4XX,
                                 .age_us = until_us - c->start_us};
    struct mirror_cells *cells = &cells_of(c)->mirror;
    cell_add(&cells->results[result], 1);
    cell_add(&cells->pairs, 1);
    count_side(c, ROLE_STABLE, &c->stable);
    count_side(c, ROLE_CANARY, &canary);
    if (canary.failed)
        log_debug("mirror_failed", "route=%s version=%s endpoint=%s result=%s status=%u",
                  c->route->conf->name, c->route->canary.name,
                  c->route->canary.endpoints[c->endpoint].text, metric_mirrored_text(result),
                  c->status);
    let_go(c, may_reuse);
}

static void end_by_status(struct copy *c, bool may_reuse)
{
    end(c,
        c->status >= 500   ? MIRRORED_5XX
        : c->status >= 400 ? MIRRORED_4XX
                           : MIRRORED_OK,
        may_reuse);
}

/* Our own want of something is no outcome. */
static void give_up(struct copy *c)
{
    cell_add(&cells_of(c)->mirror.skipped[MIRROR_SKIP_LIMIT], 1);
    let_go(c, false);
}

/* ---- deadlines ---- */

/* The wait for the next sign of the canary, within what is left of the whole. */
static void set_deadline(struct copy *c, uint32_t in_ms)
{
    int64_t at_ms = flow_now_ms(c->flow) + in_ms;
    flow_deadline_at(c->flow, &c->timer, c->until_ms < at_ms ? c->until_ms : at_ms);
}

/* Of a handshake that failed there is a line, as for users. */
static void note_connected(const struct copy *c, bool ok)
{
    if (!pool_count_handshake(c->up, ok) || ok)
        return;
    const char *why = tls_why(&c->up->stream);
    log_warn("tls_failed", "route=%s version=%s endpoint=%s why=\"%s\"", c->route->conf->name,
             c->route->canary.name, c->route->canary.endpoints[c->endpoint].text,
             why[0] ? why : "no handshake within timeouts.connect");
}

static void note_connect_failed(const struct copy *c)
{
    const struct route_variant *v = &c->route->canary;
    struct eject_place place = {v->endpoints, v->n_endpoints, c->endpoint};
    eject_note_connect(&place, c->route->conf->health.path != NULL, c->flow->now_us);
}

static void on_due(struct wheel_entry *e)
{
    struct copy *c = CONTAINER_OF(e, struct copy, timer);
    if (c->state == COPY_CONNECT) {
        note_connected(c, false);
        note_connect_failed(c);
    }
    if (c->state == COPY_BODY && flow_now_ms(c->flow) >= c->until_ms)
        end_by_status(c, false);
    else
        end(c, MIRRORED_TIMEOUT, false);
}

/* ---- the request ---- */

static void after_send(struct copy *c, enum stream_result r)
{
    if (r != STREAM_FAILED)
        return;
    c->send_failed = true; /* the answer may already be on the way */
    stream_wake(&c->up->stream);
}

static void send_request(struct copy *c)
{
    struct iovec parts[] = {{c->head, c->head_len}, {c->request_body, c->request_body_len}};
    copy_goto(c, COPY_HEAD);
    c->up->events = &copy_events;
    stream_read_on(&c->up->stream);
    set_deadline(c, conf_of(c)->timeouts.response_header_ms);
    after_send(c, stream_send(&c->up->stream, parts, c->request_body_len ? 2 : 1));
}

static void on_writable(void *owner)
{
    struct copy *c = owner;
    flow_refresh_now(c->flow);
    after_send(c, stream_flush(&c->up->stream));
}

/* There is no connection. EAGAIN: the queue of a UNIX socket is full. */
static void dial_failed(struct copy *c, int failure)
{
    if (failure == EAGAIN || dial_is_own_fault(failure)) {
        give_up(c);
        return;
    }
    note_connect_failed(c);
    end(c, MIRRORED_CONNECT, false);
}

static void dial(struct copy *c)
{
    struct pool *p = pool_of(c);
    struct quota *shared;
    if (!room_take(p, state_of(c)->quota, &shared)) {
        give_up(c);
        return;
    }
    c->up = pool_dial(p, c);
    if (!c->up) {
        int failure = errno;
        room_give(p, shared);
        dial_failed(c, failure);
        return;
    }
    room_use(c->up, shared);
    pool_count(c->up, cells_of(c));
    c->up->events = &copy_events;
    flow_deadline(c->flow, &c->timer, conf_of(c)->timeouts.connect_ms);
}

static void on_connected(void *owner, bool ok)
{
    struct copy *c = owner;
    int failure = errno;
    flow_refresh_now(c->flow);
    note_connected(c, ok);
    if (ok) {
        eject_note_connected(state_of(c), c->route->conf->health.path != NULL, c->flow->now_us);
        send_request(c);
    } else {
        dial_failed(c, failure);
    }
}

/* ---- the response ---- */

/* An idle connection that had closed tells nothing of the canary: once more, on a fresh one. */
static void upstream_gone(struct copy *c, bool is_eof)
{
    if (c->state == COPY_BODY) {
        bool is_whole = is_eof && c->body.kind == BODY_UNTIL_CLOSE && !c->send_failed;
        if (is_whole)
            end_by_status(c, false);
        else
            end(c, MIRRORED_RESET, false);
        return;
    }
    if (!c->up->is_reused || c->got_bytes || c->was_stale) {
        end(c, MIRRORED_RESET, false);
        return;
    }
    c->was_stale = true;
    pool_note_surprise(c->up, c->flow->now_us);
    release(c, false);
    c->send_failed = false;
    copy_goto(c, COPY_CONNECT);
    dial(c);
}

static void take_body(struct copy *c, char *buf, size_t len)
{
    struct slice data;
    ssize_t used = body_feed(&c->body, buf, len, &data);
    c->body_bytes += len;
    if (used < 0) {
        end(c, MIRRORED_MALFORMED, false);
    } else if (c->body.done) {
        bool is_clean = (size_t)used == len && !c->send_failed && !stream_pending(&c->up->stream);
        end_by_status(c, is_clean && c->up_keep_alive);
    } else if (c->body_bytes > COPY_BODY_BYTES_MAX) {
        end_by_status(c, false);
    } else {
        set_deadline(c, conf_of(c)->timeouts.response_idle_ms);
    }
}

static void begin_body(struct copy *c, char *buf, size_t len)
{
    const struct head *head = &c->flow->head;
    c->status = head->status;
    c->head_us = c->flow->now_us;
    copy_goto(c, COPY_BODY);
    if (body_plan_response(&c->body, head, c->method == METHOD_HEAD) < 0) {
        end(c, MIRRORED_MALFORMED, false);
        return;
    }
    c->up_keep_alive = head->keep_alive && c->body.kind != BODY_UNTIL_CLOSE;
    int64_t until_ms = flow_now_ms(c->flow) + COPY_BODY_MS;
    c->until_ms = until_ms < c->until_ms ? until_ms : c->until_ms;
    take_body(c, buf, len);
}

static void take_head(struct copy *c, char *at, size_t len)
{
    static const struct head_limits limits = {FLOW_HELD_MAX, FLOW_HELD_MAX, HEAD_FIELDS_MAX};
    struct head *head = &c->flow->head;
    for (;;) {
        ssize_t n = head_feed(head, at, len, &limits);
        if (n == 0) {
            enum err e = len ? held_keep(&c->held, at, len, head) : OK;
            if (e == ERR_MEMORY)
                give_up(c);
            else if (e != OK)
                end(c, MIRRORED_MALFORMED, false);
            return;
        }
        if (n > 0 && head->status >= 200) {
            begin_body(c, at + n, len - (size_t)n);
            return;
        }
        if (n < 0 || head->status == 101 || c->n_interim == PUMP_INTERIM_MAX) {
            end(c, MIRRORED_MALFORMED, false);
            return;
        }
        c->n_interim++;
        set_deadline(c, conf_of(c)->timeouts.response_header_ms);
        at += n;
        len -= (size_t)n;
        head_init(head, true);
    }
}

static void on_readable(void *owner)
{
    struct copy *c = owner;
    struct flow *f = c->flow;
    flow_refresh_now(f);
    bool is_body = c->state == COPY_BODY;
    size_t len = is_body ? 0 : held_restore(&c->held, f->in, &f->head, true);
    ssize_t got = stream_recv(&c->up->stream, f->in + len, FLOW_RECV_BYTES);
    if (got == STREAM_AGAIN) {
        if (len && held_keep(&c->held, f->in, len, &f->head) != OK)
            give_up(c);
        return;
    }
    if (got <= 0) {
        upstream_gone(c, got == STREAM_EOF);
        return;
    }
    c->got_bytes = true;
    if (is_body)
        take_body(c, f->in, (size_t)got);
    else
        take_head(c, f->in, len + (size_t)got);
}

/* ---- the beginning ---- */

/* The head that stable got, with our field in front of its empty line. NULL: out of memory. */
static struct copy *make(struct exchange *x, uint32_t endpoint)
{
    static const char last[] = COPY_FIELD "\r\n";
    struct flow *f = x->flow;
    size_t fields_len = x->head_out.len - 2, head_len = fields_len + sizeof last - 1;
    struct copy *c = malloc(sizeof *c + head_len);
    if (!c)
        return NULL;
    uint32_t total_ms = x->world->snapshot->config->timeouts.request_total_ms;
    *c = (struct copy){.flow = f,
                       .world = world_ref(x->world),
                       .route = x->route,
                       .stable = x->stable_did,
                       .start_us = f->now_us,
                       .until_ms = total_ms ? flow_now_ms(f) + total_ms : WHEEL_NEVER,
                       .request_body = x->replay,
                       .request_body_len = x->replay_len,
                       .head_len = (uint32_t)head_len,
                       .endpoint = endpoint,
                       .method = x->method};
    memcpy(c->head, x->head_out.at, fields_len);
    memcpy(c->head + fields_len, last, sizeof last - 1);
    x->replay = NULL;
    wheel_entry_init(&c->timer);
    c->timer.on_due = on_due;
    list_push_back(&f->copies, &c->link);
    f->n_copies++;
    cell_add(&cells_of(c)->mirror.inflight, 1);
    return c;
}

bool copy_begin(struct exchange *x, uint32_t endpoint)
{
    struct copy *c = make(x, endpoint);
    if (!c)
        return false;
    c->up = pool_take(pool_of(c), c, c->flow->now_us);
    if (c->up)
        send_request(c);
    else
        dial(c);
    return true;
}

void copies_end(struct flow *f)
{
    while (!list_empty(&f->copies))
        let_go(CONTAINER_OF(f->copies.next, struct copy, link), false);
}
