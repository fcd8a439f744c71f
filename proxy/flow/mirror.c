/* Copies of stable's requests for the canary, whose answers are thrown away.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/mirror.h"

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

enum mirror_state {
    MIRROR_CONNECT, /* a connection is under way */
    MIRROR_HEAD,    /* the request goes out, the response head is awaited */
    MIRROR_BODY,    /* what follows the head is read and thrown away */
    MIRROR_OVER,
};

struct mirror {
    struct flow *flow;
    struct world *world; /* of the request: holds route, canary and pool */
    const struct route *route;
    struct upstream_conn *up;
    struct list link; /* flow->mirrors */
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
    uint8_t state; /* enum mirror_state */
    uint8_t method, n_interim;
    bool got_bytes, was_stale, send_failed, up_keep_alive;
    char head[]; /* the request's */
};

static void on_connected(void *owner, bool ok);
static void on_readable(void *owner);
static void on_writable(void *owner);

/* It waits in no queue: no on_room. */
static const struct upstream_events mirror_events = {on_connected, on_readable, on_writable, NULL};

static const struct config *conf_of(const struct mirror *m)
{
    return m->world->snapshot->config;
}

static struct variant_cells *cells_of(const struct mirror *m)
{
    return m->route->canary.metrics->cells[m->flow->worker];
}

static struct pool *pool_of(const struct mirror *m)
{
    return m->world->pools[m->route->canary.first_endpoint + m->endpoint];
}

static struct endpoint_state *state_of(const struct mirror *m)
{
    return m->route->canary.endpoints[m->endpoint].state;
}

static void mirror_goto(struct mirror *m, enum mirror_state next)
{
    static const uint8_t allowed[] = {
        [MIRROR_CONNECT] = 1 << MIRROR_HEAD | 1 << MIRROR_OVER,
        [MIRROR_HEAD] = 1 << MIRROR_CONNECT | 1 << MIRROR_BODY | 1 << MIRROR_OVER,
        [MIRROR_BODY] = 1 << MIRROR_OVER,
        [MIRROR_OVER] = 0,
    };
    CHECK(allowed[m->state] & 1 << next);
    m->state = (uint8_t)next;
}

/* ---- which ---- */

bool mirror_chooses(const struct exchange *x)
{
    const struct route *r = x->route;
    return (r->conf->mirror_methods & 1u << x->method) != 0 && !x->flow->head.upgrade_websocket &&
           split_mirrors(r->mirror_bp, x->flow->order, &x->place->mirror_cursor);
}

void mirror_note_stable(struct exchange *x, unsigned status, bool failed)
{
    int64_t until_us = x->head_us ? x->head_us : x->flow->now_us;
    x->stable_did = (struct mirror_side){.is_known = true,
                                         .failed = failed,
                                         .client_error = !failed && status >= 400,
                                         .age_us = until_us - x->start_us};
}

/* ---- the end ---- */

static void free_mirror(struct grave *g)
{
    free(CONTAINER_OF(g, struct mirror, grave));
}

static void release(struct mirror *m, bool may_reuse)
{
    struct upstream_conn *up = m->up;
    if (!up)
        return;
    m->up = NULL;
    up->events = m->flow->upstream.events;
    if (may_reuse)
        pool_put(up, m->flow->now_us, m->body.kind == BODY_NONE);
    else
        pool_close(up);
}

static void let_go(struct mirror *m, bool may_reuse)
{
    struct flow *f = m->flow;
    mirror_goto(m, MIRROR_OVER);
    release(m, may_reuse);
    wheel_cancel(&f->wheel, &m->timer);
    held_drop(&m->held);
    free(m->request_body);
    list_remove(&m->link);
    f->n_mirrors--;
    cell_sub(&cells_of(m)->mirror.inflight, 1);
    world_unref(m->world);
    grave_bury(&f->graves, &m->grave, free_mirror);
}

static void count_side(const struct mirror *m, enum metric_role role, const struct mirror_side *did)
{
    struct mirror_cells *c = &cells_of(m)->mirror;
    unsigned slow = judged_crossed(m->route->live, role, did->age_us);
    if (did->failed)
        cell_add(&c->failed[role], 1);
    if (did->client_error)
        cell_add(&c->client_errors[role], 1);
    for (unsigned q = 0; q < JUDGED_QUANTILES; q++)
        if (slow & 1u << q)
            cell_add(&c->slow[role][q], 1);
}

/* Counts the copy, and the pair that it makes with what stable did. Ejection and breaker are about users: they are not
 * told. may_reuse: the whole answer has come, and nothing more. */
static void end(struct mirror *m, enum metric_mirrored result, bool may_reuse)
{
    int64_t until_us = m->head_us ? m->head_us : m->flow->now_us;
    struct mirror_side canary = {.failed = result >= MIRRORED_5XX,
                                 .client_error = result == MIRRORED_4XX,
                                 .age_us = until_us - m->start_us};
    struct mirror_cells *c = &cells_of(m)->mirror;
    cell_add(&c->results[result], 1);
    cell_add(&c->pairs, 1);
    count_side(m, ROLE_STABLE, &m->stable);
    count_side(m, ROLE_CANARY, &canary);
    if (canary.failed)
        log_debug("mirror_failed", "route=%s version=%s endpoint=%s result=%s status=%u",
                  m->route->conf->name, m->route->canary.name,
                  m->route->canary.endpoints[m->endpoint].text, metric_mirrored_text(result),
                  m->status);
    let_go(m, may_reuse);
}

static void end_by_status(struct mirror *m, bool may_reuse)
{
    end(m,
        m->status >= 500   ? MIRRORED_5XX
        : m->status >= 400 ? MIRRORED_4XX
                           : MIRRORED_OK,
        may_reuse);
}

/* Our own want of something is no outcome. */
static void give_up(struct mirror *m)
{
    cell_add(&cells_of(m)->mirror.skipped[MIRROR_SKIP_LIMIT], 1);
    let_go(m, false);
}

/* ---- deadlines ---- */

/* The wait for the next sign of the canary, within what is left of the whole. */
static void set_deadline(struct mirror *m, uint32_t in_ms)
{
    int64_t left_ms = m->until_ms - flow_now_ms(m->flow);
    if (left_ms < in_ms)
        in_ms = left_ms > 0 ? (uint32_t)left_ms : 1;
    flow_deadline(m->flow, &m->timer, in_ms);
}

/* Of a handshake that failed there is a line, as for users. */
static void note_connected(const struct mirror *m, bool ok)
{
    if (!pool_count_handshake(m->up, ok) || ok)
        return;
    const char *why = tls_why(&m->up->stream);
    log_warn("tls_failed", "route=%s version=%s endpoint=%s why=\"%s\"", m->route->conf->name,
             m->route->canary.name, m->route->canary.endpoints[m->endpoint].text,
             why[0] ? why : "no handshake within timeouts.connect");
}

static void note_connect_failed(const struct mirror *m)
{
    const struct route_variant *v = &m->route->canary;
    struct eject_place place = {v->endpoints, v->n_endpoints, m->endpoint};
    eject_note_connect(&place, m->route->conf->health.path != NULL, m->flow->now_us);
}

static void on_due(struct wheel_entry *e)
{
    struct mirror *m = CONTAINER_OF(e, struct mirror, timer);
    if (m->state == MIRROR_CONNECT) {
        note_connected(m, false);
        note_connect_failed(m);
    }
    if (m->state == MIRROR_BODY && flow_now_ms(m->flow) >= m->until_ms)
        end_by_status(m, false);
    else
        end(m, MIRRORED_TIMEOUT, false);
}

/* ---- the request ---- */

static void after_send(struct mirror *m, enum stream_result r)
{
    if (r != STREAM_FAILED)
        return;
    m->send_failed = true; /* the answer may already be on the way */
    stream_wake(&m->up->stream);
}

static void send_request(struct mirror *m)
{
    struct iovec parts[] = {{m->head, m->head_len}, {m->request_body, m->request_body_len}};
    mirror_goto(m, MIRROR_HEAD);
    m->up->events = &mirror_events;
    stream_read_on(&m->up->stream);
    set_deadline(m, conf_of(m)->timeouts.response_header_ms);
    after_send(m, stream_send(&m->up->stream, parts, m->request_body_len ? 2 : 1));
}

static void on_writable(void *owner)
{
    struct mirror *m = owner;
    flow_refresh_now(m->flow);
    after_send(m, stream_flush(&m->up->stream));
}

/* There is no connection. EAGAIN: the queue of a UNIX socket is full. */
static void dial_failed(struct mirror *m, int failure)
{
    if (failure == EAGAIN || dial_is_own_fault(failure)) {
        give_up(m);
        return;
    }
    note_connect_failed(m);
    end(m, MIRRORED_CONNECT, false);
}

static void dial(struct mirror *m)
{
    struct pool *p = pool_of(m);
    struct quota *shared;
    if (!room_take(p, state_of(m)->quota, &shared)) {
        give_up(m);
        return;
    }
    m->up = pool_dial(p, m);
    if (!m->up) {
        int failure = errno;
        room_give(p, shared);
        dial_failed(m, failure);
        return;
    }
    room_use(m->up, shared);
    pool_count(m->up, cells_of(m));
    m->up->events = &mirror_events;
    flow_deadline(m->flow, &m->timer, conf_of(m)->timeouts.connect_ms);
}

static void on_connected(void *owner, bool ok)
{
    struct mirror *m = owner;
    int failure = errno;
    flow_refresh_now(m->flow);
    note_connected(m, ok);
    if (ok) {
        eject_note_connected(state_of(m), m->route->conf->health.path != NULL, m->flow->now_us);
        send_request(m);
    } else {
        dial_failed(m, failure);
    }
}

/* ---- the response ---- */

/* An idle connection that had closed tells nothing of the canary: once more, on a fresh one. */
static void upstream_gone(struct mirror *m, bool is_eof)
{
    if (m->state == MIRROR_BODY) {
        bool is_whole = is_eof && m->body.kind == BODY_UNTIL_CLOSE && !m->send_failed;
        if (is_whole)
            end_by_status(m, false);
        else
            end(m, MIRRORED_RESET, false);
        return;
    }
    if (!m->up->is_reused || m->got_bytes || m->was_stale) {
        end(m, MIRRORED_RESET, false);
        return;
    }
    m->was_stale = true;
    pool_note_surprise(m->up, m->flow->now_us);
    release(m, false);
    m->send_failed = false;
    mirror_goto(m, MIRROR_CONNECT);
    dial(m);
}

static void take_body(struct mirror *m, char *buf, size_t len)
{
    struct slice data;
    ssize_t used = body_feed(&m->body, buf, len, &data);
    m->body_bytes += len;
    if (used < 0) {
        end(m, MIRRORED_MALFORMED, false);
    } else if (m->body.done) {
        bool is_clean = (size_t)used == len && !m->send_failed && !stream_pending(&m->up->stream);
        end_by_status(m, is_clean && m->up_keep_alive);
    } else if (m->body_bytes > MIRROR_BODY_BYTES_MAX) {
        end_by_status(m, false);
    } else {
        set_deadline(m, conf_of(m)->timeouts.response_idle_ms);
    }
}

static void begin_body(struct mirror *m, char *buf, size_t len)
{
    const struct head *head = &m->flow->head;
    m->status = head->status;
    m->head_us = m->flow->now_us;
    mirror_goto(m, MIRROR_BODY);
    if (body_plan_response(&m->body, head, m->method == METHOD_HEAD) < 0) {
        end(m, MIRRORED_MALFORMED, false);
        return;
    }
    m->up_keep_alive = head->keep_alive && m->body.kind != BODY_UNTIL_CLOSE;
    int64_t until_ms = flow_now_ms(m->flow) + MIRROR_BODY_MS;
    m->until_ms = until_ms < m->until_ms ? until_ms : m->until_ms;
    take_body(m, buf, len);
}

static void take_head(struct mirror *m, char *at, size_t len)
{
    static const struct head_limits limits = {FLOW_HELD_MAX, FLOW_HELD_MAX, HEAD_FIELDS_MAX};
    struct head *head = &m->flow->head;
    for (;;) {
        ssize_t n = head_feed(head, at, len, &limits);
        if (n == 0) {
            enum err e = len ? held_keep(&m->held, at, len, head) : OK;
            if (e == ERR_MEMORY)
                give_up(m);
            else if (e != OK)
                end(m, MIRRORED_MALFORMED, false);
            return;
        }
        if (n > 0 && head->status >= 200) {
            begin_body(m, at + n, len - (size_t)n);
            return;
        }
        if (n < 0 || head->status == 101 || m->n_interim == PUMP_INTERIM_MAX) {
            end(m, MIRRORED_MALFORMED, false);
            return;
        }
        m->n_interim++;
        set_deadline(m, conf_of(m)->timeouts.response_header_ms);
        at += n;
        len -= (size_t)n;
        head_init(head, true);
    }
}

static void on_readable(void *owner)
{
    struct mirror *m = owner;
    struct flow *f = m->flow;
    flow_refresh_now(f);
    bool is_body = m->state == MIRROR_BODY;
    size_t len = is_body ? 0 : held_restore(&m->held, f->in, &f->head, true);
    ssize_t got = stream_recv(&m->up->stream, f->in + len, FLOW_RECV_BYTES);
    if (got == STREAM_AGAIN) {
        if (len && held_keep(&m->held, f->in, len, &f->head) != OK)
            give_up(m);
        return;
    }
    if (got <= 0) {
        upstream_gone(m, got == STREAM_EOF);
        return;
    }
    m->got_bytes = true;
    if (is_body)
        take_body(m, f->in, (size_t)got);
    else
        take_head(m, f->in, len + (size_t)got);
}

/* ---- the beginning ---- */

/* Users come first: half of what an endpoint may have stays theirs, of connections and of places in the queue. */
static bool has_room(const struct exchange *x, uint32_t endpoint)
{
    const struct route_variant *v = &x->route->canary;
    const struct pool *p = x->world->pools[v->first_endpoint + endpoint];
    struct quota *q = v->endpoints[endpoint].state->quota;
    uint32_t most = x->world->snapshot->config->limits.pending_per_endpoint;
    return room_leaves_half(p, q) && quota_read(&q->pending) < (most + 1) / 2;
}

/* Why the request is not copied; MIRROR_SKIP_COUNT: it is, to *endpoint. */
static enum metric_mirror_skip find_place(const struct exchange *x, uint32_t *endpoint)
{
    const struct route *r = x->route;
    if (!x->stable_did.is_known)
        return MIRROR_SKIP_UNANSWERED;
    if (!x->request_body.done || !x->is_replayable)
        return MIRROR_SKIP_BODY;
    if (x->flow->is_draining)
        return MIRROR_SKIP_DRAINING;
    if (x->flow->n_mirrors >= MIRROR_INFLIGHT_MAX)
        return MIRROR_SKIP_LIMIT;
    if (breaker_is_open(r->live->breaker, &r->conf->breaker))
        return MIRROR_SKIP_BREAKER;
    *endpoint = attempt_choose(x, &r->canary, PICK_NONE);
    if (*endpoint == PICK_NONE)
        return MIRROR_SKIP_ENDPOINT;
    return has_room(x, *endpoint) ? MIRROR_SKIP_COUNT : MIRROR_SKIP_CONNECTIONS;
}

/* The head that stable got, with our field in front of its empty line. NULL: out of memory. */
static struct mirror *make(struct exchange *x, uint32_t endpoint)
{
    static const char last[] = MIRROR_FIELD "\r\n";
    struct flow *f = x->flow;
    size_t fields_len = x->head_out.len - 2, head_len = fields_len + sizeof last - 1;
    struct mirror *m = malloc(sizeof *m + head_len);
    if (!m)
        return NULL;
    uint32_t total_ms = x->world->snapshot->config->timeouts.request_total_ms;
    *m = (struct mirror){.flow = f,
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
    memcpy(m->head, x->head_out.at, fields_len);
    memcpy(m->head + fields_len, last, sizeof last - 1);
    x->replay = NULL;
    wheel_entry_init(&m->timer);
    m->timer.on_due = on_due;
    list_push_back(&f->mirrors, &m->link);
    f->n_mirrors++;
    cell_add(&cells_of(m)->mirror.inflight, 1);
    return m;
}

void mirror_start(struct exchange *x)
{
    uint32_t endpoint = PICK_NONE;
    enum metric_mirror_skip skip = find_place(x, &endpoint);
    struct mirror *m = skip == MIRROR_SKIP_COUNT ? make(x, endpoint) : NULL;
    if (!m) {
        struct mirror_cells *c = &x->route->canary.metrics->cells[x->flow->worker]->mirror;
        cell_add(&c->skipped[skip == MIRROR_SKIP_COUNT ? MIRROR_SKIP_LIMIT : skip], 1);
        return;
    }
    m->up = pool_take(pool_of(m), m, m->flow->now_us);
    if (m->up)
        send_request(m);
    else
        dial(m);
}

void mirrors_end(struct flow *f)
{
    while (!list_empty(&f->mirrors))
        let_go(CONTAINER_OF(f->mirrors.next, struct mirror, link), false);
}
