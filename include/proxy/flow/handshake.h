/* The TLS handshakes of clients: a few steps in each turn of the loop, and all within timeouts.client_header.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_HANDSHAKE_H
#define SERIN_PROXY_FLOW_HANDSHAKE_H

#include "proxy/flow/client.h"

/* Steps of handshakes in one turn of the loop: one costs as much as twenty requests (ECDSA; with RSA as many as a hundred),
 * and those that are served already wait meanwhile. The others take their turn in the order in which their bytes came. */
#define HANDSHAKE_STEPS 4u

/* So many that wait for a step are told of their bytes again in every turn, as that is cheaper than to rest an event and to
 * arm it anew; of a crowd beyond them it would not be. */
#define HANDSHAKE_ARMED_MAX 64u

/* Embedded in the flow. */
void handshakes_init(struct flow *f);

/* All clients must have ended. */
void handshakes_fini(struct flow *f);

/* Of a connection just accepted, before anything of it was read. True where its listener has TLS: it is in
 * CLIENT_HANDSHAKE then, and its bytes are awaited. A session is made for it when the first ones come: who only connects
 * costs no memory for one. */
bool handshake_begin(struct client *c);

/* The client has sent more, or has ended. Goes on with client_on_handshake_done, or closes the connection: plain HTTP is
 * answered in plain text, failures are counted. */
void handshake_on_readable(struct client *c);

/* The handshake was not over in time: counts that. */
void handshake_late(struct client *c);

/* A connection ends within its handshake. */
void handshake_leave(struct client *c);

/* A connection with TLS ends: counts it where the peer has flooded it (TLS_FAILED_FLOOD). */
void handshake_note_end(struct client *c);

#endif
