/* Slow clients: when the proxy waits for one, when it looks how that goes, and what it finds.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_SLOW_H
#define SERIN_PROXY_FLOW_SLOW_H

#include "proxy/flow/exchange.h"

/* So much of a response may wait in the kernel for as long as the connection may be idle or linger: a peer that has lost
 * its network for a moment gets it yet, and it holds next to no memory. */
#define SLOW_SMALL_BYTES (16u << 10)

/* The request body is waited for, and nothing else: the account of x->pace runs, and the client's deadline is set. */
void slow_await_body(struct exchange *x);

void slow_rest_body_now(struct exchange *x);

/* The body is whole, or whoever takes it is the slow one. */
static inline void slow_rest_body(struct exchange *x)
{
    if (pace_is_waiting(&x->pace))
        slow_rest_body_now(x);
}

/* The client has to take what it is sent before anything else can happen: the account of c->pace runs, and the client's
 * deadline is set. Bytes count when the peer has acknowledged them: the kernel's buffer takes megabytes from us that nobody
 * reads. */
void slow_await_reader(struct client *c);

void slow_rest_reader_now(struct client *c);

/* The client has taken what waited. */
static inline void slow_rest_reader(struct client *c)
{
    if (pace_is_waiting(&c->pace))
        slow_rest_reader_now(c);
}

/* The client's deadline has come: what is to be said of it. PACE_OK: it may go on, and the deadline is set anew where it
 * is still waited for. gap_ms: the longest time in which nothing moves. */
enum pace_verdict slow_look(struct client *c, uint32_t gap_ms);

/* How a verdict is counted. */
static inline enum metric_client_error slow_error(enum pace_verdict verdict)
{
    return verdict == PACE_SLOW ? CLIENT_ERROR_SLOW : CLIENT_ERROR_TIMEOUT;
}

#endif
