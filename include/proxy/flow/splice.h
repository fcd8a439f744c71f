/* Large bodies with a known length between plain sockets: the kernel moves their bytes, which this process never sees. Where
 * there is no pipe for that the pump copies them, as it does all others; a body may go in either way from piece to piece.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_SPLICE_H
#define SERIN_PROXY_FLOW_SPLICE_H

#include "proxy/flow/exchange.h"
#include "proxy/flow/failover.h"

/* A body of which at least so much is still to come: two system calls for a piece of any size cost as much as to copy some
 * 20 KiB, and what comes with the head (at most FLOW_RECV_BYTES) is copied anyway. */
#define SPLICE_LEAST FLOW_RECV_BYTES

/* What is read first of a message on a connection whose last one was large: its head, and of its body so little that next to
 * nothing is copied. A guess: where it is wrong, a body takes one more piece, and so does a head of more than that. */
#define SPLICE_FIRST_BYTES (4u << 10)

/* Whether a body that has just been planned is large in this sense, between plain sockets. */
static inline bool splice_is_large(const struct exchange *x, const struct body *b)
{
    return b->left >= SPLICE_FIRST_BYTES + SPLICE_LEAST && b->kind == BODY_LENGTH &&
           !x->client->stream.tls;
}

/* How much to read where a head is awaited. TLS needs room for whole records (TLS_RECV_BYTES). */
static inline size_t splice_first_bytes(const struct stream *from, bool was_large)
{
    return was_large && !from->tls ? SPLICE_FIRST_BYTES : FLOW_RECV_BYTES;
}

/* Whether so much of a body goes this way. */
static inline bool splice_is_worth(const struct body *b)
{
    return b->left >= SPLICE_LEAST && b->kind == BODY_LENGTH;
}

/* Not to a client of a UNIX socket: what it has taken is known by whole pieces only, and they are larger than copied ones, so
 * that a slow one would seem to take nothing (proxy/flow/slow.c). */
static inline bool splice_may_reply(const struct exchange *x)
{
    return splice_is_worth(&x->response_body) && x->client->has_address && !x->up->stream.tls &&
           !x->client->stream.tls && stream_pending(&x->client->stream) == 0;
}

/* Sends the head of a response and what came with it of the body. splice_may_reply(x) must be true. x may be gone on return. */
void splice_begin_reply(struct exchange *x, const struct iovec *parts, int n);

/* Moves what is there of the response. splice_may_reply(x) must be true. False: nothing was done, it is to be read. x may be
 * gone on return. */
bool splice_reply(struct exchange *x);

/* Not what is kept for another attempt, as long as one may be made. */
static inline bool splice_may_request(const struct exchange *x)
{
    return splice_is_worth(&x->request_body) && !x->send_failed && x->up && !x->up->is_connecting &&
           !x->up->stream.tls && !x->client->stream.tls && stream_pending(&x->up->stream) == 0 &&
           (!x->is_replayable || !failover_may_resend(x));
}

/* Moves what is there of the request's body. splice_may_request(x) must be true. Returns what stream_recv would, or
 * STREAM_NO_PIPE: nothing was done, it is to be read. */
ssize_t splice_request(struct exchange *x);

#endif
