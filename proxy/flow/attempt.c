/* One attempt of an exchange on one version: endpoint, connection, retry, and the one place where it is counted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/attempt.h"

#include "base/log.h"
#include "proxy/flow/failover.h"
#include "proxy/flow/judged.h"
#include "proxy/flow/pump.h"
#include "proxy/flow/slow.h"
#include "proxy/upstream/dial.h"
#include "proxy/upstream/eject.h"
#include "proxy/upstream/pick.h"
#include "proxy/upstream/retry.h"
#include "proxy/wire/tls.h"
#include <errno.h>

#define DIAL_AGAIN_MS                                                                              \
    50 /* how often a full queue of a UNIX socket is tried again, within timeouts.connect */

static const struct config *conf_of(const struct exchange *x)
{
    return x->world->snapshot->config;
}

static struct pool *pool_of(const struct exchange *x, uint32_t endpoint)
{
    return x->world->pools[x->attempt.variant->first_endpoint + endpoint];
}

static struct endpoint_state *state_of(const struct exchange *x)
{
    return x->attempt.variant->endpoints[x->attempt.endpoint].state;
}

static struct eject_place place_of(const struct exchange *x)
{
    const struct route_variant *v = x->attempt.variant;
    return (struct eject_place){v->endpoints, v->n_endpoints, x->attempt.endpoint};
}

static bool is_checked(const struct exchange *x)
{
    return x->route->conf->health.path != NULL;
}

static uint64_t bits_for_choice(const struct exchange *x, const struct route_variant *v)
{
    if (v->n_endpoints < 2)
        return 0;
    return x->route->conf->balance == BALANCE_HASH ? x->balance_hash : flow_random(x->flow);
}

uint32_t attempt_choose(const struct exchange *x, const struct route_variant *v, uint32_t avoid)
{
    struct pick p = {.endpoints = v->endpoints,
                     .n = v->n_endpoints,
                     .loads = x->world->loads + v->first_endpoint,
                     .balance = x->route->conf->balance,
                     .take_down = v == &x->route->stable,
                     .avoid = avoid,
                     .random = bits_for_choice(x, v),
                     .turn = &x->place->turn[v == &x->route->canary],
                     .now_us = x->flow->now_us};
    return pick_endpoint(&p);
}

/* A handshake of the attempt's connection is over, or its time is. */
static void note_handshake(const struct exchange *x, bool ok)
{
    if (x->up && pool_count_handshake(x->up, ok) && !ok)
        attempt_log_tls(x);
}

void attempt_log_tls(const struct exchange *x)
{
    const struct attempt *a = &x->attempt;
    const char *why = tls_why(&x->up->stream);
    log_warn("tls_failed", "route=%s version=%s endpoint=%s request_id=%.*s why=\"%s\"",
             x->route->conf->name, a->variant->name, a->variant->endpoints[a->endpoint].text,
             SLICE_ARG(x->request_id), why[0] ? why : "no handshake within timeouts.connect");
}

static void note_connect_failed(const struct exchange *x)
{
    struct eject_place place = place_of(x);
    eject_note_connect(&place, is_checked(x), x->flow->now_us);
}

/* There is no connection: it could not even be begun, or has failed. */
static void dial_failed(struct exchange *x, int error)
{
    if (dial_is_own_fault(error)) {
        log_warn("dial_failed", "route=%s version=%s request_id=%.*s why=\"%s\"",
                 x->route->conf->name, x->attempt.variant->name, SLICE_ARG(x->request_id),
                 strerror(error));
        x->why = metric_reason_text(REASON_REFUSED);
        attempt_settle(x, 503, REASON_REFUSED, true);
        exchange_reply(x, 503);
        return;
    }
    note_connect_failed(x);
    attempt_failed(x, REASON_CONNECT, RETRY_CONNECT);
}

static void rest_client(struct exchange *x)
{
    if (!exchange_wants_body(x))
        return;
    stream_read_off(&x->client->stream);
    slow_rest_body(x);
}

/* x waits for a connection. False: too many do. */
static bool begin_wait(struct exchange *x, struct quota *q)
{
    if (x->pending)
        return true;
    if (!quota_take(&q->pending, conf_of(x)->limits.pending_per_endpoint))
        return false;
    x->pending = q;
    return true;
}

/* It has one, or gives up. */
static void end_wait(struct exchange *x)
{
    room_leave(&x->waiter);
    quota_give(&x->pending->pending);
    x->pending = NULL;
}

/* Begins a connection where there is room for one, else x queues for it. 0, or the errno of what could not be begun;
 * EAGAIN: the queue of a UNIX socket is full, and there is no event for its having room. */
static int dial_or_queue(struct exchange *x, struct pool *p, bool is_first)
{
    struct quota *q = state_of(x)->quota, *shared;
    if ((p->n_waiting && !is_first) || !room_take(p, q, &shared)) {
        x->waiter.owner = x;
        room_wait(p, q, &x->waiter, is_first);
        return 0;
    }
    x->up = pool_dial(p, x);
    if (!x->up) {
        int failure = errno;
        room_give(p, shared);
        return failure;
    }
    room_use(x->up, shared);
    pool_count(x->up, x->attempt.cells);
    return 0;
}

/* is_first: x has waited already. */
static void dial(struct exchange *x, struct pool *p, bool is_first)
{
    uint32_t connect_ms = conf_of(x)->timeouts.connect_ms;
    if (!begin_wait(x, state_of(x)->quota)) {
        attempt_failed(x, REASON_REFUSED, RETRY_CONNECT);
        return;
    }
    int failure = dial_or_queue(x, p, is_first);
    if (failure && failure != EAGAIN) {
        dial_failed(x, failure);
        return;
    }
    if (x->state != EXCHANGE_CONNECT) {
        exchange_goto(x, EXCHANGE_CONNECT);
        x->connect_until_ms = flow_now_ms(x->flow) + connect_ms;
    }
    rest_client(x);
    int64_t left_ms = x->connect_until_ms - flow_now_ms(x->flow);
    if (x->waiter.pool)
        exchange_deadline(x, left_ms > 0 ? (uint32_t)left_ms : 1);
    else
        exchange_deadline(x, failure ? DIAL_AGAIN_MS : connect_ms);
}

bool attempt_dial_again(struct exchange *x)
{
    if (x->state != EXCHANGE_CONNECT || x->up || x->waiter.pool ||
        flow_now_ms(x->flow) >= x->connect_until_ms)
        return false;
    dial(x, pool_of(x, x->attempt.endpoint), true);
    return true;
}

void attempt_connect_late(struct exchange *x)
{
    if (x->waiter.pool) {
        attempt_failed(x, REASON_REFUSED, RETRY_CONNECT);
        return;
    }
    note_handshake(x, false);
    note_connect_failed(x);
    attempt_failed(x, REASON_TIMEOUT, RETRY_CONNECT);
}

/* endpoint: of the attempt's variant, or PICK_NONE. */
static void begin(struct exchange *x, uint32_t endpoint)
{
    struct attempt *a = &x->attempt;
    a->cells = a->variant->metrics->cells[x->flow->worker];
    a->start_us = x->flow->now_us;
    a->is_open = true;
    a->is_counted = a->is_judged = a->got_bytes = false;
    a->slow = 0;
    cell_add(&a->cells->inflight, 1);
    a->endpoint = endpoint;
    if (endpoint == PICK_NONE) {
        attempt_failed(x, REASON_REFUSED, RETRY_CONNECT);
        return;
    }
    struct pool *p = pool_of(x, endpoint);
    x->up = p->n_waiting ? NULL : pool_take(p, x, x->flow->now_us);
    if (!x->up) {
        dial(x, p, false);
        return;
    }
    exchange_goto(x, EXCHANGE_SEND);
    pump_request_begin(x);
}

void attempt_on_room(void *owner)
{
    struct exchange *x = owner;
    flow_refresh_now(x->flow);
    struct pool *p = pool_of(x, x->attempt.endpoint);
    x->up = pool_take(p, x, x->flow->now_us);
    if (!x->up) {
        dial(x, p, true);
        return;
    }
    end_wait(x);
    exchange_goto(x, EXCHANGE_SEND);
    pump_request_begin(x);
}

void attempt_start(struct exchange *x)
{
    begin(x, attempt_choose(x, x->attempt.variant, PICK_NONE));
}

void attempt_on_connected(void *owner, bool ok)
{
    struct exchange *x = owner;
    int failure = errno;
    flow_refresh_now(x->flow);
    end_wait(x);
    note_handshake(x, ok);
    if (!ok) {
        dial_failed(x, failure);
        return;
    }
    eject_note_connected(state_of(x), is_checked(x), x->flow->now_us);
    exchange_goto(x, EXCHANGE_SEND);
    pump_request_begin(x);
}

void attempt_release(struct exchange *x, bool may_reuse)
{
    if (x->pending)
        end_wait(x);
    if (!x->up)
        return;
    if (may_reuse && stream_settle(&x->up->stream))
        pool_put(x->up, x->flow->now_us, x->response_body.kind == BODY_NONE);
    else
        pool_close(x->up);
    x->up = NULL;
}

bool attempt_replace_stale(struct exchange *x)
{
    struct attempt *a = &x->attempt;
    if (!x->up->is_reused || a->got_bytes)
        return false;
    pool_note_surprise(x->up, x->flow->now_us);
    if (a->was_stale || !x->is_replayable || !retry_is_idempotent(x->method))
        return false;
    a->was_stale = true;
    attempt_release(x, false);
    x->send_failed = false;
    exchange_goto(x, EXCHANGE_ROUTE);
    dial(x, pool_of(x, a->endpoint), false);
    return true;
}

static void try_again(struct exchange *x, const struct failover *next)
{
    struct attempt *a = &x->attempt;
    x->tries++;
    x->send_failed = false;
    a->failed_role = (uint8_t)a->variant->role;
    a->variant = next->variant;
    a->is_canary = next->variant == &x->route->canary;
    a->was_stale = false;
    held_drop(&x->held);
    if (x->state != EXCHANGE_ROUTE)
        exchange_goto(x, EXCHANGE_ROUTE);
    begin(x, next->endpoint);
}

void attempt_failed(struct exchange *x, enum metric_reason reason, unsigned cause)
{
    unsigned status = reason == REASON_TIMEOUT ? 504 : reason == REASON_REFUSED ? 503 : 502;
    struct failover next;
    attempt_settle(x, status, reason, false);
    attempt_release(x, false);
    if (failover_find(x, cause, &next)) {
        try_again(x, &next);
        return;
    }
    x->why = metric_reason_text(reason);
    exchange_reply(x, status);
}

bool attempt_retry_status(struct exchange *x, unsigned status, bool is_whole)
{
    unsigned cause = status == 502   ? RETRY_502
                     : status == 503 ? RETRY_503
                     : status == 504 ? RETRY_504
                                     : RETRY_NEVER;
    struct failover next;
    if (!failover_find(x, cause, &next))
        return false;
    attempt_settle(x, status, REASON_NONE, false);
    attempt_release(x, is_whole);
    try_again(x, &next);
    return true;
}

static void end_trial(struct exchange *x, enum breaker_trial outcome)
{
    if (!x->attempt.is_trial)
        return;
    x->attempt.is_trial = false;
    breaker_trial_end(x->route->live->breaker, &x->route->conf->breaker, outcome, x->flow->now_us);
    if (outcome != TRIAL_VOID)
        log_info("breaker_trial", "route=%s canary=%s request_id=%.*s result=%s",
                 x->route->conf->name, x->attempt.variant->name, SLICE_ARG(x->request_id),
                 outcome == TRIAL_FAILED ? "failed" : "ok");
}

void attempt_note_head(struct exchange *x, unsigned status, bool is_endless)
{
    x->head_us = x->flow->now_us;
    if (status >= 500 || is_endless)
        attempt_count(x, status, REASON_NONE, false);
    else
        end_trial(x, TRIAL_OK);
}

/* What the outcome says of the endpoint. What it was not asked says nothing. */
static void note_endpoint(struct exchange *x, enum metric_reason reason, bool failed)
{
    struct attempt *a = &x->attempt;
    if (!failed) {
        eject_note_success(state_of(x));
        return;
    }
    if (reason == REASON_REFUSED || x->waiter.pool)
        return;
    struct eject_place place = place_of(x);
    uint32_t ms = eject_note_failure(&place, &x->route->conf->eject, x->flow->now_us);
    if (ms == 0)
        return;
    const char *text = a->variant->endpoints[a->endpoint].text;
    cell_add(&a->cells->ejections, 1);
    if (atomic_exchange_explicit(&state_of(x)->owes_return, 1, memory_order_relaxed))
        log_info("endpoint_returned", "route=%s version=%s endpoint=%s", x->route->conf->name,
                 a->variant->name, text);
    log_warn("endpoint_ejected",
             "route=%s version=%s endpoint=%s failures=%u for_ms=%u request_id=%.*s",
             x->route->conf->name, a->variant->name, text, x->route->conf->eject.consecutive, ms,
             SLICE_ARG(x->request_id));
}

void attempt_count(struct exchange *x, unsigned status, enum metric_reason reason, bool is_void)
{
    struct attempt *a = &x->attempt;
    bool failed = reason != REASON_NONE || status >= 500;
    enum metric_role role = a->variant->role;
    if (a->is_counted)
        return;
    a->is_counted = true;
    if (!is_void)
        note_endpoint(x, reason, failed);
    if (x->tries) {
        struct route_cells *cells = x->route->metrics->cells[x->flow->worker];
        cell_add(&cells->retries[a->failed_role][role][failed ? RETRY_FAILED : RETRY_OK], 1);
    } else {
        cell_add(&a->cells->requests[role][x->assigned][code_cell(status)], 1);
        hist_record(&a->cells->duration[role], (uint64_t)(x->flow->now_us - x->start_us));
        if (failed)
            cell_add(&a->cells->errors[role][reason == REASON_NONE ? REASON_5XX : reason], 1);
        judged_settle(x, status, failed, is_void);
    }
    end_trial(x, is_void ? TRIAL_VOID : failed ? TRIAL_FAILED : TRIAL_OK);
}

void attempt_settle(struct exchange *x, unsigned status, enum metric_reason reason, bool is_void)
{
    struct attempt *a = &x->attempt;
    if (a->is_open) {
        attempt_count(x, status, reason, is_void);
        cell_sub(&a->cells->inflight, 1);
        a->is_open = false;
    }
    end_trial(x, TRIAL_VOID); /* where the attempt was not even begun */
}
