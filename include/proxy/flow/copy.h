/* One copy of a request on its way through the canary: own connection, deadlines and end; nobody waits for it, and it is
 * never sent again.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_COPY_H
#define SERIN_PROXY_FLOW_COPY_H

#include "proxy/flow/exchange.h"

/* Says to the canary that it answers nobody; a client's own field of this name is dropped (FIELD_X_SERIN_MIRROR). */
#define COPY_FIELD "X-Serin-Mirror: 1\r\n"

/* What is read of an answer before its head is all there is to count: guards the canary's endpoint, and the place of the
 * next copy, against downloads and streams without end. */
#define COPY_BODY_BYTES_MAX (1u << 20)
#define COPY_BODY_MS        30000u

/* Sends a copy of the request of x, which is whole, to an endpoint of the canary. Takes what x kept of its body, and x's
 * stable_did for the pair. It may have ended on return. False: out of memory, and nothing is taken. */
bool copy_begin(struct exchange *x, uint32_t endpoint);

/* Ends all copies that are under way, uncounted: for flow_fini. Nobody waits for one. */
void copies_end(struct flow *f);

#endif
