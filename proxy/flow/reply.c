/* Error replies that the proxy writes by itself.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/reply.h"

static const char *reason_of(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 408:
        return "Request Timeout";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 417:
        return "Expectation Failed";
    case 431:
        return "Request Header Fields Too Large";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Error";
    }
}

/* A field that only this status needs; "" for the others. */
static const char *field_of(unsigned status)
{
    if (status == 405)
        return "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n"; /* RFC 9110 section 15.5.6 */
    if (status == 503)
        return "Retry-After: 1\r\n";
    return "";
}

enum stream_result reply_send(struct client *c, struct reply *r)
{
    char body[96];
    int body_len = snprintf(body, sizeof body, "%u %s%s%s\n", r->status, reason_of(r->status),
                            r->why ? ": " : "", r->why ? r->why : "");
    r->body_bytes = r->is_head ? 0 : (uint32_t)body_len;
    const char *connection = !r->keep_alive  ? "Connection: close\r\n"
                             : r->minor == 0 ? "Connection: keep-alive\r\n"
                                             : "";
    struct slice date = flow_date(c->flow);
    int len = snprintf(
        c->flow->out, FLOW_OUT_BYTES,
        "HTTP/1.1 %u %s\r\nDate: %.*s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
        "%s%s%s%.*s%s\r\n%s",
        r->status, reason_of(r->status), SLICE_ARG(date), body_len, field_of(r->status), connection,
        r->request_id.len ? "X-Request-ID: " : "", SLICE_ARG(r->request_id),
        r->request_id.len ? "\r\n" : "", r->is_head ? "" : body);
    struct iovec part = {c->flow->out, (size_t)len};
    return stream_send(&c->stream, &part, 1);
}
