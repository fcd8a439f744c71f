/* Error replies that the proxy writes by itself.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_REPLY_H
#define SERIN_PROXY_FLOW_REPLY_H

#include "proxy/flow/client.h"

struct reply {
    unsigned status;
    bool keep_alive;
    bool is_head;            /* answer to HEAD: no body */
    uint8_t minor;           /* the client's HTTP/1.minor */
    struct slice request_id; /* empty = none */
    const char *why;         /* what the client should know besides the status; NULL = nothing */
    uint32_t body_bytes;     /* set by reply_send: of the body that was sent */
};

/* Sends a small plain-text reply to the client. The stream's answer is its result. */
enum stream_result reply_send(struct client *c, struct reply *r);

#endif
