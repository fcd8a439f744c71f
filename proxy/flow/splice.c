/* Large bodies with a known length between plain sockets: the kernel moves their bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/splice.h"

#include "proxy/flow/pump.h"
#include "proxy/flow/replay.h"

static void count(const struct exchange *x, enum metric_direction direction, ssize_t n)
{
    cell_add(&x->flow->cells->spliced_bytes[direction], (uint64_t)n);
}

/* Where more is there already, the next turn of the loop moves it: head and body need not be segments of their own, nor wake
 * the client twice. */
void splice_begin_reply(struct exchange *x, const struct iovec *parts, int n)
{
    struct stream *to = &x->client->stream;
    bool has_more = stream_unread(&x->up->stream);
    pump_after_reply(x, has_more ? stream_send_more(to, parts, n) : stream_send(to, parts, n));
}

bool splice_reply(struct exchange *x)
{
    struct body *b = &x->response_body;
    enum stream_result sent;
    ssize_t n = stream_splice(&x->up->stream, &x->client->stream, &x->flow->pipes, b->left, &sent);
    if (n == STREAM_NO_PIPE || n == STREAM_AGAIN)
        return n == STREAM_AGAIN;
    if (n <= 0) {
        pump_upstream_gone(x, n == STREAM_EOF);
        return true;
    }
    count(x, DIRECTION_RESPONSE, n);
    body_pass(b, (uint64_t)n);
    x->body_sent += (uint64_t)n;
    if (b->done && stream_unread(&x->up->stream)) /* what is behind the body was not read with it */
        pump_distrust(x);
    pump_after_reply(x, sent);
    return true;
}

ssize_t splice_request(struct exchange *x)
{
    struct body *b = &x->request_body;
    enum stream_result sent;
    ssize_t n = stream_splice(&x->client->stream, &x->up->stream, &x->flow->pipes, b->left, &sent);
    if (n <= 0)
        return n;
    if (x->is_replayable)
        replay_forget(x);
    count(x, DIRECTION_REQUEST, n);
    pace_moved(&x->pace, flow_now_ms(x->flow));
    body_pass(b, (uint64_t)n);
    x->body_bytes += (uint64_t)n;
    x->body_received += (uint64_t)n;
    pump_after_send(x, sent);
    return n;
}
