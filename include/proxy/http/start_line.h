/* The first line of a message: request line and status line (RFC 9112 sections 3 and 4).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_START_LINE_H
#define SERIN_PROXY_HTTP_START_LINE_H

#include "proxy/http/head.h"

/* The longest method: guards the log and what goes upstream; longer than any that is registered. */
#define METHOD_BYTES_MAX 32

/* What a request line has besides its target: method, two spaces, version, CR LF. */
#define REQUEST_LINE_REST_BYTES (METHOD_BYTES_MAX + 12)

/* Parses a request line without its CR LF and fills method, minor, target, path and, for an
 * absolute target, authority. 0, or the negated status with h->fault (-400, -405, -414, -501,
 * -505). Pure. O(line). */
int start_line_request(struct head *h, const char *buf, struct span line, uint32_t uri_bytes);

/* Parses a status line without its CR LF and fills minor, status and reason. 0, or -502 with
 * h->fault. Pure. */
int start_line_response(struct head *h, const char *buf, struct span line);

#endif
