/* How a client connection ends without losing a reply.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/parting.h"

#include "proxy/flow/slow.h"

#define LINGER_MS                                                                                  \
    5000 /* a closing connection waits so long for the next sign of its peer: input, or output taken */
#define LINGER_GAP_MS (2 * LINGER_MS) /* output that nobody takes: two looks */
#define LINGER_MAX_MS 30000           /* a peer that goes on sending holds it no longer than this */
#define LINGER_IDLE_MS                                                                             \
    1000 /* an idle connection that a drain closes: what its peer sent before it saw the end arrives */

static void linger(struct client *c, uint32_t first_ms)
{
    if (!stream_end(&c->stream)) {
        client_hang_up(c);
        return;
    }
    c->state = CLIENT_LINGER;
    c->until_ms = flow_now_ms(c->flow) + LINGER_MAX_MS;
    held_drop(&c->held);
    stream_read_on(&c->stream);
    pace_wait(&c->pace, flow_now_ms(c->flow));
    flow_deadline(c->flow, &c->timer, first_ms);
}

void parting_linger(struct client *c)
{
    linger(c, LINGER_MS);
}

void parting_linger_idle(struct client *c)
{
    linger(c, LINGER_IDLE_MS);
}

/* What is still in the kernel behind stream_expect_end leaves together with the end. To close with input unread would throw
 * it away: then it leaves first. */
void parting_close(struct client *c)
{
    if (!c->has_ended && (held_len(&c->held) || stream_unread(&c->stream)))
        parting_linger(c);
    else
        client_hang_up(c);
}

void parting_on_readable(struct client *c)
{
    ssize_t n = stream_recv(&c->stream, c->flow->in, FLOW_RECV_BYTES);
    int64_t left_ms = c->until_ms - flow_now_ms(c->flow);
    if (n == STREAM_EOF || n == STREAM_ERROR || left_ms <= 0)
        client_hang_up(c);
    else
        flow_deadline(c->flow, &c->timer, (uint32_t)(left_ms < LINGER_MS ? left_ms : LINGER_MS));
}

void parting_cut(struct client *c, enum pace_verdict verdict)
{
    cell_add(&c->flow->cells->client_errors[slow_error(verdict)], 1);
    client_abort(c, true);
}

/* To close with input unread would throw away what the kernel still has for it. */
void parting_due(struct client *c)
{
    uint32_t unread = stream_unacknowledged(&c->stream);
    enum pace_verdict verdict = unread ? slow_look(c, LINGER_GAP_MS) : PACE_STALLED;
    bool has_time = unread <= SLOW_SMALL_BYTES && flow_now_ms(c->flow) < c->until_ms;
    if (verdict == PACE_OK || (verdict == PACE_SLOW && has_time))
        flow_deadline(c->flow, &c->timer, LINGER_MS);
    else if (verdict == PACE_SLOW && unread > SLOW_SMALL_BYTES)
        parting_cut(c, verdict);
    else
        client_hang_up(c);
}

uint32_t parting_idle_ms(const struct client *c)
{
    const struct flow *f = c->flow;
    uint32_t ms = f->world->snapshot->config->timeouts.client_idle_ms;
    return f->is_draining && f->drain_idle_ms < ms ? f->drain_idle_ms : ms;
}

void parting_drain(struct client *c)
{
    const struct config_timeouts *conf = &c->flow->world->snapshot->config->timeouts;
    int64_t since_ms =
        c->until_ms - (c->n_requests ? conf->client_idle_ms : conf->client_header_ms);
    int64_t until_ms = since_ms + c->flow->drain_idle_ms;
    if (until_ms >= c->until_ms)
        return;
    c->until_ms = until_ms;
    flow_deadline_at(c->flow, &c->timer, until_ms);
}
