/* Bytes across: the request up, the response down, with back-pressure both ways.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/pump.h"

#include "base/log.h"
#include "proxy/flow/attempt.h"
#include "proxy/flow/replay.h"
#include "proxy/flow/slow.h"
#include "proxy/flow/splice.h"
#include "proxy/flow/tunnel.h"
#include "proxy/http/parse.h"
#include "proxy/http/rewrite.h"
#include "proxy/wire/tls.h"

#define CHUNK_LAST     "0\r\n\r\n"
#define CHUNK_END_LAST "\r\n0\r\n\r\n"

static const struct config_timeouts *timeouts_of(const struct exchange *x)
{
    return &x->world->snapshot->config->timeouts;
}

static struct iovec part(const char *at, size_t len)
{
    return (struct iovec){(char *)(uintptr_t)at, len};
}

/* Frames decoded bytes for the next hop: as they are, or as one chunk, with the last chunk where is_last. */
static int frame(struct iovec parts[3], char head[BODY_CHUNK_HEAD_MAX], struct slice data,
                 bool chunked, bool is_last)
{
    if (!chunked) {
        parts[0] = part(data.at, data.len);
        return data.len ? 1 : 0;
    }
    if (data.len == 0) {
        parts[0] = part(CHUNK_LAST, sizeof CHUNK_LAST - 1);
        return is_last ? 1 : 0;
    }
    parts[0] = part(head, body_chunk_head(head, data.len));
    parts[1] = part(data.at, data.len);
    parts[2] = part(CHUNK_END_LAST, is_last ? sizeof CHUNK_END_LAST - 1 : 2);
    return 3;
}

/* Puts a head in front of the body in the buffer where that was read, if there is room: one part costs the kernel less than
 * two. What stood there has been used. Returns how many parts are left. */
static int join(const struct flow *f, struct iovec *parts, int n)
{
    if (n != 2)
        return n;
    char *body = parts[1].iov_base;
    size_t head_len = parts[0].iov_len;
    if (body < f->in || body > f->in + FLOW_IN_BYTES ||
        (size_t)(body - f->in) + FLOW_FRONT_BYTES < head_len)
        return n;
    memcpy(body - head_len, parts[0].iov_base, head_len);
    parts[0] = part(body - head_len, head_len + parts[1].iov_len);
    return 1;
}

/* ---- up: the request ---- */

/* The upstream takes no more. Its answer may already be on the way: it is read in a turn of its own, since the
 * receive buffer may hold the client's bytes now. */
static void stop_sending(struct exchange *x)
{
    x->send_failed = true;
    if (!x->request_body.done)
        stream_read_off(&x->client->stream);
    slow_rest_body(x);
    if (x->state != EXCHANGE_REPLY)
        exchange_deadline(x, timeouts_of(x)->response_header_ms);
    stream_wake(&x->up->stream);
}

void pump_after_send(struct exchange *x, enum stream_result r)
{
    if (r == STREAM_FAILED) {
        stop_sending(x);
        return;
    }
    bool is_whole = x->request_body.done;
    if (r == STREAM_PENDING) {
        if (!is_whole)
            stream_read_off(&x->client->stream);
        slow_rest_body(x);
    } else if (!is_whole) {
        stream_read_on(&x->client->stream);
        slow_await_body(x);
    } else {
        slow_rest_body(x);
        if (x->state == EXCHANGE_SEND)
            exchange_goto(x, EXCHANGE_WAIT);
    }
    if (x->state != EXCHANGE_REPLY)
        exchange_deadline(x,
                          r == STREAM_PENDING || is_whole ? timeouts_of(x)->response_header_ms : 0);
}

void pump_request_begin(struct exchange *x)
{
    char chunk[BODY_CHUNK_HEAD_MAX];
    struct iovec parts[5];
    int n = 1;
    parts[0] = part(x->head_out.at, x->head_out.len);
    if (x->replay_len)
        parts[n++] = part(x->replay, x->replay_len);
    if (x->is_lent)
        n += frame(parts + n, chunk, x->lent, x->request_body.kind == BODY_CHUNKED,
                   x->request_body.done);
    stream_read_on(&x->up->stream);
    n = join(x->flow, parts, n);
    /* whether the upstream takes a head decides whose turn it is where a body follows */
    pump_after_send(x, x->request_body.done ? stream_send_soon(&x->up->stream, parts, n)
                                            : stream_send(&x->up->stream, parts, n));
}

static bool is_open(const struct exchange *x)
{
    return x->up && !x->up->is_connecting;
}

bool pump_request_body(struct exchange *x, struct slice data)
{
    struct iovec parts[3];
    char chunk[BODY_CHUNK_HEAD_MAX];
    if (x->state == EXCHANGE_ROUTE && !x->is_mirrored) {
        x->lent = data;
        x->is_lent = true;
        return true;
    }
    int n = frame(parts, chunk, data, x->request_body.kind == BODY_CHUNKED, x->request_body.done);
    if (!replay_take(x, parts, n, is_open(x)))
        return false;
    if (is_open(x) && !x->send_failed)
        pump_after_send(x, stream_send(&x->up->stream, parts, n));
    return true;
}

bool pump_end_loan(struct exchange *x)
{
    struct iovec parts[3];
    char chunk[BODY_CHUNK_HEAD_MAX];
    x->is_lent = false;
    int n =
        frame(parts, chunk, x->lent, x->request_body.kind == BODY_CHUNKED, x->request_body.done);
    return replay_take(x, parts, n, is_open(x));
}

void pump_on_upstream_writable(void *owner)
{
    struct exchange *x = owner;
    flow_refresh_now(x->flow);
    pump_after_send(x, stream_flush(&x->up->stream));
}

/* ---- down: the response ---- */

static void malformed(struct exchange *x, const char *fault)
{
    log_debug("bad_response", "route=%s version=%s endpoint=%s request_id=%.*s why=\"%s\"",
              x->route->conf->name, x->attempt.variant->name,
              x->attempt.variant->endpoints[x->attempt.endpoint].text, SLICE_ARG(x->request_id),
              fault ? fault : "");
    pool_note_surprise(x->up, x->flow->now_us); /* it may have been the rest of the answer before */
    attempt_failed(x, REASON_MALFORMED, RETRY_502);
}

static void client_broke(struct exchange *x)
{
    exchange_on_client_gone(x, CLIENT_ERROR_ABORTED);
}

void pump_after_reply(struct exchange *x, enum stream_result r)
{
    if (r == STREAM_FAILED) {
        client_broke(x);
    } else if (x->response_body.done) {
        attempt_settle(x, x->status, REASON_NONE, false);
        exchange_end(x, END_DONE);
    } else if (r == STREAM_PENDING) {
        stream_read_off(&x->up->stream);
        exchange_deadline(x, 0);
        slow_await_reader(x->client);
    } else {
        exchange_deadline(x, timeouts_of(x)->response_idle_ms);
    }
}

/* The response broke after its head had gone down: the client must not take it for a whole one. */
static void cut(struct exchange *x, enum metric_reason reason)
{
    x->why = metric_reason_text(reason);
    attempt_settle(x, x->status, reason, false);
    exchange_end(x, END_UPSTREAM_CUT);
}

/* TLS has failed on a connection that was up. Servers that close without a word are many, and their connections idle. */
static void note_tls(const struct exchange *x)
{
    enum tls_failure failure = tls_failure(&x->up->stream);
    if (failure != TLS_FAILED_NOT && failure != TLS_FAILED_CUT)
        attempt_log_tls(x);
}

void pump_upstream_gone(struct exchange *x, bool is_eof)
{
    if (!is_eof)
        note_tls(x);
    if (x->state == EXCHANGE_REPLY) {
        /* after a failed send the end may be a reset whose error that send has used up */
        if (is_eof && x->response_body.kind == BODY_UNTIL_CLOSE && !x->send_failed) {
            struct iovec last = part(CHUNK_LAST, sizeof CHUNK_LAST - 1);
            x->response_body.done = true;
            pump_after_reply(x, stream_send(&x->client->stream, &last, x->down_chunked ? 1 : 0));
        } else {
            cut(x, REASON_RESET);
        }
    } else if (!attempt_replace_stale(x)) {
        attempt_failed(x, REASON_RESET, RETRY_RESET);
    }
}

void pump_distrust(struct exchange *x)
{
    x->up_keep_alive = false;
    x->up->idle_since_us = x->flow->now_us;
    pool_note_surprise(x->up, x->flow->now_us);
}

static bool stays_open(const struct exchange *x)
{
    bool has_end =
        x->response_body.kind == BODY_NONE || x->response_body.kind == BODY_LENGTH || x->minor == 1;
    return has_end && x->keep_alive && x->request_body.done && client_may_continue(x->client);
}

/* Writes the response head in f->head over buf for the client into f->out. Returns its length, or -1. */
static ssize_t write_head(struct exchange *x, const char *buf, const struct body *body)
{
    const char *version_field = x->route->conf->headers.version;
    struct rewrite_response r = {.head = &x->flow->head,
                                 .buf = buf,
                                 .body = body,
                                 .client_minor = x->minor,
                                 .keep_alive = x->down_keep_alive,
                                 .set_cookie = x->set_cookie,
                                 .date = flow_date(x->flow)};
    if (version_field) {
        r.version_field = slice_str(version_field);
        r.version = slice_str(x->attempt.variant->name);
        head_remove(&x->flow->head, buf,
                    r.version_field); /* a version may not say that it is another */
    }
    x->down_chunked = rewrite_is_chunked(&r);
    return rewrite_response(&r, x->flow->out, FLOW_OUT_BYTES);
}

/* Passes one 1xx on. False where x has ended. */
static bool relay_interim(struct exchange *x, const char *buf)
{
    const struct body none = {.kind = BODY_NONE, .done = true};
    if (x->n_interim >= PUMP_INTERIM_MAX) {
        malformed(x, "too many 1xx responses");
        return false;
    }
    x->n_interim++;
    exchange_deadline(x, timeouts_of(x)->response_header_ms);
    if (x->minor == 0)
        return true; /* HTTP/1.0 clients know none (RFC 9110 section 15.2) */
    struct slice cookie = x->set_cookie;
    x->set_cookie = slice_of(NULL, 0);
    ssize_t len = write_head(x, buf, &none);
    x->set_cookie = cookie;
    struct iovec head = part(x->flow->out, len > 0 ? (size_t)len : 0);
    if (len > 0 && stream_send(&x->client->stream, &head, 1) == STREAM_FAILED) {
        client_broke(x);
        return false;
    }
    return true;
}

/* A 101 that was asked for, whole: what came behind it is the new protocol's already. The version has done what it was
 * asked; how the tunnel ends later says nothing about it. */
static void switch_protocols(struct exchange *x, const char *buf, size_t head_len, size_t len)
{
    const struct body none = {.kind = BODY_NONE, .done = true};
    const struct head *head = &x->flow->head;
    if (!x->is_upgrade || x->state != EXCHANGE_WAIT || !head->upgrade_websocket ||
        body_plan_response(&x->response_body, head, false) < 0) {
        malformed(x, "unexpected 101 response");
        return;
    }
    ssize_t out_len = write_head(x, buf, &none);
    struct tunnel *t = out_len < 0 ? NULL : tunnel_new(x);
    if (!t) {
        malformed(x, out_len < 0 ? "response head too large" : "out of memory");
        return;
    }
    exchange_goto(x, EXCHANGE_REPLY);
    x->head_down = true;
    x->status = 101;
    cell_add(&x->route->metrics->cells[x->flow->worker]->responses[code_cell(101)], 1);
    x->body_sent = len - head_len;
    struct iovec parts[] = {part(x->flow->out, (size_t)out_len),
                            part(buf + head_len, len - head_len)};
    if (stream_send(&x->client->stream, parts, 2) == STREAM_FAILED) {
        free(t);
        client_broke(x);
        return;
    }
    attempt_settle(x, 101, REASON_NONE, false);
    tunnel_start(t, x);
}

/* Server-sent events and their like last as long as the user looks: what the version does is known with the head. */
static bool is_stream(const struct head *head, const char *buf)
{
    struct slice type, parameters;
    if (!head_find_name(head, buf, SLICE("content-type"), &type))
        return false;
    (void)slice_cut(type, ';', &type, &parameters);
    return slice_equal_nocase(slice_trim(type), SLICE("text/event-stream"));
}

/* The whole answer stands in the buffer, to a request that is out whole: its connection may serve again. */
static bool is_all(const struct exchange *x, ssize_t used, size_t came)
{
    return used == (ssize_t)came && x->response_body.done && x->up_keep_alive &&
           x->request_body.done && !x->send_failed;
}

/* A final response head is whole: what came with it of the body goes down in the same send. */
static void begin_reply(struct exchange *x, char *buf, size_t head_len, size_t len)
{
    struct iovec parts[4];
    char chunk[BODY_CHUNK_HEAD_MAX];
    struct slice data = slice_of(buf, 0);
    const struct head *head = &x->flow->head;
    x->status = head->status;
    if (body_plan_response(&x->response_body, head, x->method == METHOD_HEAD) < 0) {
        malformed(x, x->response_body.fault);
        return;
    }
    bool is_large = splice_is_large(x, &x->response_body);
    ssize_t used = body_feed(&x->response_body, buf + head_len, len - head_len, &data);
    x->up_keep_alive = head->keep_alive && x->response_body.kind != BODY_UNTIL_CLOSE;
    if (used >= 0 && x->status >= 502 && x->status <= 504 &&
        attempt_retry_status(x, x->status, is_all(x, used, len - head_len)))
        return;
    x->down_keep_alive = stays_open(x);
    ssize_t out_len = used < 0 ? -1 : write_head(x, buf, &x->response_body);
    if (out_len < 0) {
        malformed(x, used < 0 ? x->response_body.fault : "response head too large");
        return;
    }
    if ((size_t)used < len - head_len)
        pump_distrust(x);
    exchange_goto(x, EXCHANGE_REPLY);
    x->head_down = true;
    cell_add(&x->route->metrics->cells[x->flow->worker]->responses[code_cell(x->status)], 1);
    bool is_endless =
        x->response_body.kind != BODY_LENGTH && !x->response_body.done && is_stream(head, buf);
    attempt_note_head(x, x->status, is_endless);
    x->body_sent = data.len;
    parts[0] = part(x->flow->out, (size_t)out_len);
    int n = 1 + frame(parts + 1, chunk, data, x->down_chunked, x->response_body.done);
    n = join(x->flow, parts, n);
    x->up->was_large = is_large;
    if (splice_may_reply(x)) {
        splice_begin_reply(x, parts, n);
        return;
    }
    if (x->response_body.done && x->down_keep_alive) {
        pump_after_reply(x, stream_send_soon(&x->client->stream, parts, n));
        return;
    }
    if (x->response_body.done)
        stream_expect_end(&x->client->stream);
    pump_after_reply(x, stream_send(&x->client->stream, parts, n));
}

static void read_response_head(struct exchange *x)
{
    static const struct head_limits limits = {FLOW_HELD_MAX, FLOW_HELD_MAX, HEAD_FIELDS_MAX};
    struct flow *f = x->flow;
    size_t len = held_restore(&x->held, f->in, &f->head, true);
    ssize_t got = stream_recv(&x->up->stream, f->in + len,
                              splice_first_bytes(&x->up->stream, x->up->was_large));
    if (got == STREAM_AGAIN) {
        if (len && held_keep(&x->held, f->in, len, &f->head) != OK)
            malformed(x, "out of memory");
        return;
    }
    if (got <= 0) {
        pump_upstream_gone(x, got == STREAM_EOF);
        return;
    }
    x->attempt.got_bytes = true;
    len += (size_t)got;
    char *at = f->in;
    for (;;) {
        ssize_t n = head_feed(&f->head, at, len, &limits);
        if (n < 0) {
            malformed(x, f->head.fault);
            return;
        }
        if (n == 0) {
            if (len && held_keep(&x->held, at, len, &f->head) != OK)
                malformed(x, "response head too large");
            return;
        }
        if (f->head.status >= 200) {
            begin_reply(x, at, (size_t)n, len);
            return;
        }
        if (f->head.status == 101) {
            switch_protocols(x, at, (size_t)n, len);
            return;
        }
        if (!relay_interim(x, at))
            return;
        at += n;
        len -= (size_t)n;
        head_init(&f->head, true);
    }
}

/* How much to read next of a body, behind what came with its head. Large pieces cost the least, but a client that takes
 * nothing keeps one waiting here: a thousand would hold 64 MiB. TLS gives what its records have. */
#define CROWD       64u /* requests under way with upstreams of this worker */
#define CROWD_PIECE (16u << 10)
static size_t piece_bytes(const struct exchange *x)
{
    bool is_last = x->response_body.kind == BODY_LENGTH && x->response_body.left <= FLOW_RECV_BYTES;
    bool is_small = x->flow->upstream.n_busy > CROWD && !is_last && !x->up->stream.tls;
    return is_small ? CROWD_PIECE : FLOW_RECV_BYTES;
}

static void read_response_body(struct exchange *x)
{
    struct iovec parts[3];
    char chunk[BODY_CHUNK_HEAD_MAX];
    struct slice data;
    char *in = x->flow->in;
    if (splice_may_reply(x) && splice_reply(x))
        return;
    ssize_t got = stream_recv(&x->up->stream, in, piece_bytes(x));
    if (got == STREAM_AGAIN)
        return;
    if (got <= 0) {
        pump_upstream_gone(x, got == STREAM_EOF);
        return;
    }
    ssize_t used = body_feed(&x->response_body, in, (size_t)got, &data);
    if (used < 0) {
        cut(x, REASON_MALFORMED);
        return;
    }
    if (used < got)
        pump_distrust(x);
    x->body_sent += data.len;
    int n = frame(parts, chunk, data, x->down_chunked, x->response_body.done);
    pump_after_reply(x, stream_send(&x->client->stream, parts, n));
}

void pump_on_upstream_readable(void *owner)
{
    struct exchange *x = owner;
    flow_refresh_now(x->flow);
    if (x->state == EXCHANGE_REPLY)
        read_response_body(x);
    else
        read_response_head(x);
}
