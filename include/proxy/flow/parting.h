/* How a client connection ends without losing a reply: lingering behind the last one, and what a drain leaves to those that
 * wait for a request. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_PARTING_H
#define SERIN_PROXY_FLOW_PARTING_H

#include "proxy/flow/client.h"

/* The reply is out. Input that is still on its way would make the kernel answer with a reset, which can overtake
 * the reply: so the writing side closes first and the rest is thrown away (RFC 9112 section 9.6). c may be gone on return. */
void parting_linger(struct client *c);

/* The same for a connection that waits for a request, and for less long: its peer may be about to use it, and what crosses
 * our end is not met by a reset. */
void parting_linger_idle(struct client *c);

/* Closes, or lingers where input is unread, for which the kernel would send a reset. */
void parting_close(struct client *c);

/* While it lingers: input that is thrown away, and the deadline. A slow reader keeps its connection as long as it takes more
 * of the reply. */
void parting_on_readable(struct client *c);
void parting_due(struct client *c);

/* Takes too little of its last response: what the kernel has for it is thrown away, or it would be kept for as long as
 * the peer acknowledges that it is there. */
void parting_cut(struct client *c, enum pace_verdict verdict);

/* How long the next request may be awaited, in milliseconds. */
uint32_t parting_idle_ms(const struct client *c);

/* A drain begins, and it waits for a request. Its time began when it became idle: who was not used for long is closed first. */
void parting_drain(struct client *c);

#endif
