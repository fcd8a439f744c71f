/* What the access log says of a request: noted while its head is there, written where it ends.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_ACCESS_H
#define SERIN_PROXY_FLOW_ACCESS_H

#include "metrics/access.h"
#include "metrics/access_log.h"
#include "proxy/flow/exchange.h"

/* True where requests that begin now are written. */
static inline bool access_is_on(const struct flow *f)
{
    return f->world->snapshot->config->log.access != ACCESS_OFF;
}

/* Keeps what only the head knows, in the request's arena: f->head over buf. Where memory is short the line is dropped, and
 * counted. */
void access_note(struct exchange *x, const char *buf);

/* Writes the line of an exchange that ends, where it was noted. */
void access_end(struct exchange *x, enum exchange_end end);

/* Writes the line of what never became a request. status, bytes, request_id: of the reply. */
void access_refused(struct client *c, unsigned status, uint64_t bytes, struct slice request_id,
                    const char *why);

/* What the line of a tunnel will say: all of its own, for it outlives the exchange and its snapshot. NULL where nothing is
 * to be written. Ends with access_tunnel_end. */
struct access_tunnel *access_tunnel_new(struct exchange *x);

/* Writes the line and frees. bytes: that went down. NULL is allowed. */
void access_tunnel_end(struct access_tunnel *t, struct flow *f, uint64_t bytes, const char *why);

#endif
