/* Strict incremental parser of HTTP/1 heads (RFC 9112): a head is right in every byte, or it is refused.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_PARSE_H
#define SERIN_PROXY_HTTP_PARSE_H

#include "proxy/http/head.h"
#include <sys/types.h>

struct head_limits {
    uint32_t head_bytes; /* whole head, all lines: guards memory per connection -> 431 */
    uint32_t uri_bytes;  /* request target -> 414 */
    uint16_t fields;     /* number of fields, at most HEAD_FIELDS_MAX -> 431 */
};

/* Begins a new head. O(1): the table of fields is not cleared. */
void head_init(struct head *h, bool is_response);

/* Parses as far as the bytes go. buf holds the message from its first byte (all that was fed before plus what is
 * new) and may have moved since the last call.
 * > 0: the head is whole and that many bytes long · 0: more is needed · < 0: refused, the HTTP status of the reply
 * negated (-400, -414, -431, -501, -505; a response head: always -502), and h->fault says why. Pure. */
ssize_t head_feed(struct head *h, const char *buf, size_t len, const struct head_limits *limits);

#endif
