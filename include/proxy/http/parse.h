/* Strict incremental parser of HTTP/1 heads (RFC 9112): right in every byte, or refused.
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

/* Empty lines that are passed over before a request (RFC 9112 section 2.2 asks for one): what old
 * clients send behind a body. Guards against an endless stream of them. */
#define HEAD_BLANK_LINES_MAX 2

/* Begins a new head. O(1): the table of fields is not cleared. */
void head_init(struct head *h, bool is_response);

/* Parses as far as the bytes go. buf holds the message from its first byte (all that was fed before
 * plus what is new) and may have moved since the last call. Bytes are looked at once: a line is
 * parsed when its end has come. Pure. O(new bytes).
 *
 * Returns > 0: the head is whole and that many bytes long, and spans point into them. 0: more is
 * needed. < 0: refused, and h->fault says why; do not feed it again. The refusal is the HTTP status
 * of the reply, negated:
 *
 * - 400: malformed; or Host is missing, repeated or no authority
 * - 405: CONNECT, TRACE, or OPTIONS with Max-Forwards: 0, which must not go on (RFC 9110 7.6.2)
 * - 414: the request line passes limits.uri_bytes
 * - 417: an expectation other than 100-continue (in HTTP/1.1; an HTTP/1.0 one is ignored)
 * - 431: the head passes limits.head_bytes or limits.fields
 * - 501: the method is longer than any known
 * - 502: any fault of a response head, where HTTP/1.2 to 1.9 counts as 1.1 (RFC 9110 2.5)
 * - 505: HTTP/digit.digit other than 1.0 and 1.1
 *
 * What Content-Length and Transfer-Encoding mean together is for body_plan to decide or refuse. */
ssize_t head_feed(struct head *h, const char *buf, size_t len, const struct head_limits *limits);

#endif
