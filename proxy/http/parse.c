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

/* Finds the end of the line that begins at h->parsed: behind its LF, or the next byte to come. Sets
 * found. The bytes before h->scanned hold no LF. */
static inline size_t line_end(struct head *h, const char *buf, size_t len, bool *found)
{
    const char *lf = len > h->scanned ? memchr(buf + h->scanned, '\n', len - h->scanned) : NULL;
    *found = lf != NULL;
    return lf ? (size_t)(lf - buf) + 1 : len + 1;
}

/* The line that ends before end, without its CR LF; the next one begins at end. 0, or -400. */
static inline int cut_line(struct head *h, const char *buf, size_t end, struct span *line)
{
    if (end - h->parsed < 2 || buf[end - 2] != '\r')
        return head_refuse(h, 400, "line ends with a bare LF");
    *line = (struct span){h->parsed, (uint32_t)(end - 2) - h->parsed};
    h->parsed = h->scanned = (uint32_t)end;
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

/* The feed functions refuse the same bytes for the same reason, however they are cut: what can be
 * said of a line before its end has come is said first. 0, or the negated status. */
static int feed_start_line(struct head *h, const char *buf, size_t len,
                           const struct head_limits *limits)
{
    bool found = true;
    while (h->state == HEAD_START && found) {
        struct span line;
        int status = len > h->parsed ? check_first_byte(h, buf[h->parsed]) : 0;
        if (status < 0)
            return status;
        size_t end = line_end(h, buf, len, &found);
        if (!h->is_response &&
            end - h->parsed > (uint64_t)limits->uri_bytes + REQUEST_LINE_REST_BYTES)
            return head_refuse(h, 414, "request line too long");
        if (end > limits->head_bytes)
            return head_refuse(h, 431, "head too long");
        if (!found)
            break;
        status = cut_line(h, buf, end, &line);
        if (status == 0)
            status = take_start_line(h, buf, line, limits);
        if (status < 0)
            return status;
    }
    return 0;
}

static int feed_fields(struct head *h, const char *buf, size_t len,
                       const struct head_limits *limits)
{
    size_t most = len < limits->head_bytes ? len : limits->head_bytes;
    for (;;) {
        bool found;
        struct span line;
        int status = h->scanned > h->parsed ? 0 : fields_add_plain(h, buf, most, limits->fields);
        if (status < 0)
            return status;
        if (h->scanned < h->parsed)
            h->scanned = h->parsed;
        size_t end = line_end(h, buf, len, &found);
        if (end > limits->head_bytes)
            return head_refuse(h, 431, "head too long");
        if (!found)
            return 0;
        status = cut_line(h, buf, end, &line);
        if (status < 0)
            return status;
        if (line.len == 0)
            break;
        if (h->n_fields >= limits->fields)
            return head_refuse(h, 431, "too many fields");
        status = fields_add(h, buf, line);
        if (status < 0)
            return status;
    }
    h->state = HEAD_DONE;
    return fields_end(h, buf);
}

ssize_t head_feed(struct head *h, const char *buf, size_t len, const struct head_limits *limits)
{
    CHECK(h->state == HEAD_START || h->state == HEAD_FIELDS);
    CHECK(limits->fields <= HEAD_FIELDS_MAX && limits->head_bytes < UINT32_MAX);
    int status = feed_start_line(h, buf, len, limits);
    if (status == 0 && h->state == HEAD_FIELDS)
        status = feed_fields(h, buf, len, limits);
    if (status < 0) {
        h->state = HEAD_REFUSED;
        return h->is_response ? -502 : status;
    }
    if (h->state == HEAD_DONE)
        return (ssize_t)h->parsed;
    h->scanned = (uint32_t)len;
    return 0;
}
