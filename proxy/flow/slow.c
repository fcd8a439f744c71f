/* Slow clients: when the proxy waits for one, when it looks how that goes, and what it finds.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/slow.h"

#include "base/log.h"

/* A reload applies at once, also to those that are waited for already. */
static const struct config_timeouts *timeouts_of(const struct client *c)
{
    return &c->flow->world->snapshot->config->timeouts;
}

static struct pace_rule rule_of(const struct client *c, uint32_t gap_ms)
{
    return (struct pace_rule){timeouts_of(c)->min_rate_bytes, gap_ms};
}

/* A client that asked whether it may send waits for the answer (RFC 9110 section 10.1.1): the upstream is the slow one. */
static struct pace_rule body_rule(const struct exchange *x, uint32_t gap_ms)
{
    struct pace_rule rule = rule_of(x->client, gap_ms);
    if (x->expects_continue && x->n_interim == 0 && x->body_received == 0)
        rule.rate = 0;
    return rule;
}

/* Over a UNIX socket a piece of 64 KiB counts as taken only when all of it is: no rate can be told from that. */
static struct pace_rule reader_rule(const struct client *c, uint32_t gap_ms)
{
    struct pace_rule rule = rule_of(c, gap_ms);
    if (!c->has_address)
        rule.rate = 0;
    return rule;
}

/* Until the next look at everything that the client is waited for; 0 = nothing. */
static uint32_t next_look_ms(const struct client *c, uint32_t gap_ms)
{
    int64_t now = flow_now_ms(c->flow);
    const struct exchange *x = c->exchange;
    uint32_t next = 0;
    if (x && pace_is_waiting(&x->pace))
        next = pace_next_ms(&x->pace, body_rule(x, gap_ms), now);
    if (pace_is_waiting(&c->pace)) {
        uint32_t reader = pace_next_ms(&c->pace, reader_rule(c, gap_ms), now);
        if (next == 0 || reader < next)
            next = reader;
    }
    return next;
}

static void set_deadline(struct client *c)
{
    if (c->stream.is_deferred) /* the timer was to see to that */
        stream_read_on(&c->stream);
    flow_deadline(c->flow, &c->timer, next_look_ms(c, timeouts_of(c)->client_body_ms));
}

void slow_await_body(struct exchange *x)
{
    if (pace_is_waiting(&x->pace))
        return; /* the next look finds what has come */
    pace_wait(&x->pace, flow_now_ms(x->flow));
    set_deadline(x->client);
}

void slow_rest_body_now(struct exchange *x)
{
    pace_rest(&x->pace, flow_now_ms(x->flow));
    set_deadline(x->client);
}

void slow_await_reader(struct client *c)
{
    pace_wait(&c->pace, flow_now_ms(c->flow));
    set_deadline(c);
}

void slow_rest_reader_now(struct client *c)
{
    pace_rest(&c->pace, flow_now_ms(c->flow));
    set_deadline(c);
}

/* What the peer has taken of all that it was ever sent. */
static uint64_t taken(const struct client *c)
{
    uint32_t waits = stream_unacknowledged(&c->stream);
    return c->stream.sent > waits ? c->stream.sent - waits : 0;
}

static enum pace_verdict look_at_reader(struct client *c, uint32_t gap_ms)
{
    int64_t now = flow_now_ms(c->flow);
    uint64_t total = taken(c);
    if (total > c->pace.total)
        pace_moved(&c->pace, now);
    return pace_look(&c->pace, reader_rule(c, gap_ms), total, now);
}

enum pace_verdict slow_look(struct client *c, uint32_t gap_ms)
{
    struct exchange *x = c->exchange;
    enum pace_verdict verdict = PACE_OK;
    const char *what = "body";
    if (x && pace_is_waiting(&x->pace))
        verdict = pace_look(&x->pace, body_rule(x, gap_ms), x->body_received, flow_now_ms(c->flow));
    if (verdict == PACE_OK && pace_is_waiting(&c->pace)) {
        verdict = look_at_reader(c, gap_ms);
        what = "response";
    }
    if (verdict == PACE_OK)
        flow_deadline(c->flow, &c->timer, next_look_ms(c, gap_ms));
    else
        log_debug("slow_client", "client=%.*s what=%s request_id=%.*s why=%s",
                  SLICE_ARG(client_peer(c)), what, x ? (int)x->request_id.len : 0,
                  x ? x->request_id.at : "", verdict == PACE_SLOW ? "min_rate" : "stalled");
    return verdict;
}
