/* Who a client is: the peer of its connection, or whom a balancer names in a PROXY header before all other bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_ORIGIN_H
#define SERIN_PROXY_FLOW_ORIGIN_H

#include "proxy/flow/client.h"

enum origin {
    ORIGIN_KNOWN,   /* client_peer says who */
    ORIGIN_AWAITED, /* the header is not whole yet: origin_read when more has come */
    ORIGIN_REFUSED, /* counted; the connection is to be closed without a word */
};

/* Bytes that client_peer may come to need, for its allocation: a peer is as long as its family's addresses, a balancer may
 * name any. peer, listener_index: of a connection just accepted. Never fails. */
size_t origin_room(const struct flow *f, unsigned listener_index, const struct wire_addr *peer);

/* Of a connection just accepted. peer: its other end. Where its listener has proxy_protocol, an untrusted peer is refused
 * unread, for it would choose its address by itself; from a trusted one the header is awaited. */
enum origin origin_begin(struct client *c, const struct wire_addr *peer);

/* Reads of the header what is there, and not a byte behind it: that is left for TLS or HTTP. */
enum origin origin_read(struct client *c);

/* The header did not come within timeouts.client_header. */
void origin_late(struct client *c);

#endif
