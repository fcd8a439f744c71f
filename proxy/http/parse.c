/* Strict incremental parser of HTTP/1 heads: finds the lines and keeps the limits.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/parse.h"
#include "base/check.h"
#include "proxy/http/fields.h"
#include "proxy/http/start_line.h"
#include "proxy/http/syntax.h"

enum head_state { HEAD_START, HEAD_FIELDS, HEAD_DONE, HEAD_REFUSED };

void head_init(struct head *h, bool is_response)
{
    memset(h, 0, offsetof(struct head, fields));
    h->is_response = is_response;
}

/* Refuses what can no longer become a head: nobody waits for the end of the line when a TLS hello
 * or binary junk comes in. */
static int check_first_byte(struct head *h, char first)
{
    if (h->is_response)
        return first == 'H' ? 0 : head_refuse(h, 502, "not an HTTP response");
    return first == '\r' || first == '\n' || syntax_is(first, SYNTAX_TOKEN)
               ? 0
               : head_refuse(h, 400, "not an HTTP request");
}

/* end: where the present line ends, behind its LF, at the earliest. The same bytes are refused for
 * the same reason, however they are cut. */
static int check_limits(struct head *h, size_t end, const struct head_limits *limits)
{
    if (h->state == HEAD_START && !h->is_response &&
        end - h->parsed > (uint64_t)limits->uri_bytes + REQUEST_LINE_REST_BYTES)
        return head_refuse(h, 414, "request line too long");
    if (end > limits->head_bytes)
        return head_refuse(h, 431, "head too long");
    return 0;
}

static int take_start_line(struct head *h, const char *buf, struct span line,
                           const struct head_limits *limits)
{
    if (line.len == 0 && !h->is_response) {
        if (h->blank_lines++ == HEAD_BLANK_LINES_MAX)
            return head_refuse(h, 400, "empty lines before the request");
        return 0;
    }
    h->state = HEAD_FIELDS;
    return h->is_response ? start_line_response(h, buf, line)
                          : start_line_request(h, buf, line, limits->uri_bytes);
}

/* Takes the line that begins at h->parsed and ends before end. 0, or the negated status. */
static int take_line(struct head *h, const char *buf, size_t end, const struct head_limits *limits)
{
    if (end - h->parsed < 2 || buf[end - 2] != '\r')
        return head_refuse(h, 400, "line ends with a bare LF");
    struct span line = {h->parsed, (uint32_t)(end - 2) - h->parsed};
    h->parsed = (uint32_t)end;
    if (h->state == HEAD_START)
        return take_start_line(h, buf, line, limits);
    if (line.len == 0) {
        h->state = HEAD_DONE;
        return fields_end(h, buf);
    }
    if (h->n_fields >= limits->fields)
        return head_refuse(h, 431, "too many fields");
    return fields_add(h, buf, line);
}

/* Goes on to the end of the head or of the bytes. 0, or the negated status. */
static int feed_lines(struct head *h, const char *buf, size_t len, const struct head_limits *limits)
{
    while (h->state != HEAD_DONE) {
        int status = 0;
        if (h->state == HEAD_START && len > h->parsed)
            status = check_first_byte(h, buf[h->parsed]);
        if (status < 0)
            return status;
        const char *lf = len > h->scanned ? memchr(buf + h->scanned, '\n', len - h->scanned) : NULL;
        size_t end = lf ? (size_t)(lf - buf) + 1 : len + 1;
        status = check_limits(h, end, limits);
        if (status < 0)
            return status;
        h->scanned = (uint32_t)(lf ? end : len);
        if (!lf)
            return 0;
        status = take_line(h, buf, end, limits);
        if (status < 0)
            return status;
    }
    return 0;
}

ssize_t head_feed(struct head *h, const char *buf, size_t len, const struct head_limits *limits)
{
    CHECK(h->state != HEAD_DONE && h->state != HEAD_REFUSED);
    CHECK(limits->fields <= HEAD_FIELDS_MAX && limits->head_bytes < UINT32_MAX);
    int status = feed_lines(h, buf, len, limits);
    if (status < 0) {
        h->state = HEAD_REFUSED;
        return h->is_response ? -502 : status;
    }
    return h->state == HEAD_DONE ? (ssize_t)h->parsed : 0;
}
