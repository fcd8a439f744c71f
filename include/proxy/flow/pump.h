/* Bytes across: the request up, the response down, with back-pressure both ways.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_PUMP_H
#define SERIN_PROXY_FLOW_PUMP_H

#include "proxy/flow/exchange.h"

#define PUMP_INTERIM_MAX 16u /* 1xx responses to one request: a loop of them must end */

/* Sends head and kept body on the connection that is now there. */
void pump_request_begin(struct exchange *x);

/* Takes decoded bytes of the request body: keeps them for a retry and sends them where a connection is there. What comes
 * before the first attempt is only lent: pump_end_loan. False: they could not be kept (memory). */
bool pump_request_body(struct exchange *x, struct slice data);

/* Bytes of the request went up as r says: goes on with its body, or to the wait for the response. */
void pump_after_send(struct exchange *x, enum stream_result r);

/* Bytes of the response went down: ends a whole one, else waits for whoever is slower. x may be gone on return. */
void pump_after_reply(struct exchange *x, enum stream_result r);

/* The upstream has closed (is_eof) or broken its connection: the response is whole, cut, or asked for again. x may be gone on
 * return. */
void pump_upstream_gone(struct exchange *x, bool is_eof);

/* More came than one response: the connection never serves again. */
void pump_distrust(struct exchange *x);

/* The buffer with what came of the body behind the head is about to be used for other things: keeps what may still be
 * needed of it. x->is_lent must be true. False: out of memory, and the endpoint has not got it. */
bool pump_end_loan(struct exchange *x);

/* Callbacks of upstream_events. */
void pump_on_upstream_readable(void *owner);
void pump_on_upstream_writable(void *owner);

#endif
