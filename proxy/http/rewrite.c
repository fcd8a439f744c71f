/* Writes the head that goes on: always anew from its parsed form, never a copied line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/rewrite.h"
#include "base/decimal.h"
#include "proxy/http/syntax.h"

#define REQUEST_ID_BYTES_MIN 8

/* Bounded output; full is sticky. */
struct out {
    char *at, *end;
    bool full;
};

static inline void put(struct out *o, const char *bytes, size_t n)
{
    if (__builtin_expect((size_t)(o->end - o->at) < n, 0)) {
        o->full = true;
        o->end = o->at;
        return;
    }
    memcpy(o->at, bytes, n);
    o->at += n;
}

#define PUT(o, lit) put(o, "" lit, sizeof(lit) - 1)

static void put_slice(struct out *o, struct slice s)
{
    if (s.len)
        put(o, s.at, s.len);
}

static void put_number(struct out *o, uint64_t n)
{
    char digits[DECIMAL_CHARS], *end = digits + sizeof digits, *at = decimal_write(end, n);
    put(o, at, (size_t)(end - at));
}

static ssize_t written(const struct out *o, const char *start)
{
    return o->full ? -1 : (ssize_t)(o->at - start);
}

/* Writes one field. */
static void put_field(struct out *o, const char *buf, const struct field *f)
{
    size_t len = (size_t)f->name.len + 2 + f->value.len;
    if ((size_t)(o->end - o->at) < len + 2) {
        o->full = true;
        o->end = o->at;
        return;
    }
    memcpy(o->at, buf + f->name.at, f->name.len);
    memcpy(o->at + f->name.len, ": ", 2);
    memcpy(o->at + f->name.len + 2, buf + f->value.at, f->value.len);
    memcpy(o->at + len, "\r\n", 2);
    o->at += len + 2;
}

/* Copies the fields that are neither hop-by-hop nor in left_out; plain neighbours go in one copy. */
static void put_fields(struct out *o, const struct head *h, const char *buf, uint32_t left_out)
{
    uint32_t run = 0, run_end = 0;
    for (const struct field *f = h->fields, *end = f + h->n_fields; f < end; f++) {
        if (f->hop || left_out & FIELD_SET(f->id))
            continue;
        if (run_end != f->name.at || !f->is_plain) {
            put(o, buf + run, run_end - run);
            run = run_end = f->name.at;
        }
        if (f->is_plain)
            run_end = f->value.at + f->value.len + 2;
        else
            put_field(o, buf, f);
    }
    put(o, buf + run, run_end - run);
}

/* Writes all values of one field as the front of a list that goes on. */
static void put_list(struct out *o, const struct head *h, const char *buf, enum field_id id)
{
    for (uint16_t i = 0; i < h->n_fields; i++) {
        if (h->fields[i].id != id || h->fields[i].value.len == 0)
            continue;
        put_slice(o, span_in(h->fields[i].value, buf));
        PUT(o, ", ");
    }
}

static void put_via(struct out *o, uint8_t minor)
{
    if (minor == 0)
        PUT(o, "Via: 1.0 serin\r\n");
    else
        PUT(o, "Via: 1.1 serin\r\n");
}

static void put_request_id(struct out *o, struct slice id)
{
    if (id.len == 0)
        return;
    PUT(o, "X-Request-ID: ");
    put_slice(o, id);
    PUT(o, "\r\n");
}

static void put_traceparent(struct out *o, struct slice traceparent)
{
    if (traceparent.len == 0)
        return;
    PUT(o, "traceparent: ");
    put_slice(o, traceparent);
    PUT(o, "\r\n");
}

static void put_subject(struct out *o, const struct rewrite_request *r)
{
    if (r->subject_name.len == 0)
        return;
    put_slice(o, r->subject_name);
    PUT(o, ": ");
    put_slice(o, r->subject);
    PUT(o, "\r\n");
}

static void put_length(struct out *o, uint64_t length)
{
    PUT(o, "Content-Length: ");
    put_number(o, length);
    PUT(o, "\r\n");
}

struct slice request_id_received(const struct head *h, const char *buf)
{
    struct slice id, none = slice_of(buf, 0);
    if (!head_find(h, buf, FIELD_X_REQUEST_ID, &id) || id.len < REQUEST_ID_BYTES_MIN ||
        id.len > REQUEST_ID_MAX)
        return none;
    for (size_t i = 0; i < id.len; i++)
        if (!syntax_is(id.at[i], SYNTAX_HOST) && !memchr("+/=:@", id.at[i], 5))
            return none;
    return id;
}

static void put_request_line(struct out *o, const struct head *h, const char *buf)
{
    put(o, buf + h->method_text.at, h->method_text.len);
    PUT(o, " ");
    if (h->path.len == 0)
        put_slice(o, head_path(h, buf));
    else if (buf[h->path.at] == '?')
        PUT(o, "/");
    put(o, buf + h->path.at, h->path.len);
    PUT(o, " HTTP/1.1\r\n");
}

static void put_x_forwarded(struct out *o, const struct rewrite_request *r)
{
    PUT(o, "X-Forwarded-For: ");
    if (r->head->field_ids & FIELD_SET(FIELD_X_FORWARDED_FOR))
        put_list(o, r->head, r->buf, FIELD_X_FORWARDED_FOR);
    put_slice(o, r->client);
    if (r->is_tls)
        PUT(o, "\r\nX-Forwarded-Proto: https\r\n");
    else
        PUT(o, "\r\nX-Forwarded-Proto: http\r\n");
    if (r->head->authority.len == 0)
        return;
    PUT(o, "X-Forwarded-Host: ");
    put_slice(o, span_in(r->head->authority, r->buf));
    PUT(o, "\r\n");
}

/* RFC 7239 section 6: an IPv6 address stands in brackets and quotes. */
static void put_forwarded(struct out *o, const struct rewrite_request *r)
{
    bool is_ipv6 = r->client.len && memchr(r->client.at, ':', r->client.len);
    PUT(o, "Forwarded: ");
    if (r->head->field_ids & FIELD_SET(FIELD_FORWARDED))
        put_list(o, r->head, r->buf, FIELD_FORWARDED);
    PUT(o, "for=");
    if (is_ipv6)
        PUT(o, "\"[");
    put_slice(o, r->client);
    if (is_ipv6)
        PUT(o, "]\"");
    if (r->is_tls)
        PUT(o, ";proto=https");
    else
        PUT(o, ";proto=http");
    if (r->head->authority.len) {
        PUT(o, ";host=\"");
        put_slice(o, span_in(r->head->authority, r->buf));
        PUT(o, "\"");
    }
    PUT(o, "\r\n");
}

/* fields_end has refused what is malformed or 0. */
static void put_max_forwards(struct out *o, const struct head *h, const char *buf)
{
    struct slice value;
    uint64_t hops = 0;
    if (!head_find(h, buf, FIELD_MAX_FORWARDS, &value) || !slice_parse_u64(value, &hops) || !hops)
        return;
    PUT(o, "Max-Forwards: ");
    put_number(o, hops - 1);
    PUT(o, "\r\n");
}

static void put_request_framing(struct out *o, const struct rewrite_request *r)
{
    if (r->body->kind == BODY_CHUNKED)
        PUT(o, "Transfer-Encoding: chunked\r\n");
    else if (r->body->kind == BODY_LENGTH)
        put_length(o, r->head->content_length);
    if (r->head->expect_continue && r->body->kind != BODY_NONE)
        PUT(o, "Expect: 100-continue\r\n");
}

#define FORWARDING_FIELDS                                                                          \
    (FIELD_SET(FIELD_FORWARDED) | FIELD_SET(FIELD_X_FORWARDED_FOR) |                               \
     FIELD_SET(FIELD_X_FORWARDED_HOST) | FIELD_SET(FIELD_X_FORWARDED_PROTO))

static void put_upgrade(struct out *o)
{
    PUT(o, "Connection: Upgrade\r\nUpgrade: websocket\r\n");
}

static uint32_t request_left_out(const struct rewrite_request *r)
{
    uint32_t left_out = FIELD_SET(FIELD_HOST) | FIELD_SET(FIELD_CONTENT_LENGTH) |
                        FIELD_SET(FIELD_EXPECT) | FIELD_SET(FIELD_X_SERIN_MIRROR); /* ours to say */
    if (r->forwarded != FORWARDED_OFF)
        left_out |= FORWARDING_FIELDS;
    if (r->request_id.len)
        left_out |= FIELD_SET(FIELD_X_REQUEST_ID);
    if (r->traceparent.len) /* the state is that of the trace that is let go of */
        left_out |= FIELD_SET(FIELD_TRACEPARENT) | FIELD_SET(FIELD_TRACESTATE);
    if (r->head->method == METHOD_OPTIONS)
        left_out |= FIELD_SET(FIELD_MAX_FORWARDS);
    return left_out;
}

ssize_t rewrite_request(const struct rewrite_request *r, char *out, size_t room)
{
    const struct head *h = r->head;
    struct out o = {.at = out, .end = out + room};
    put_request_line(&o, h, r->buf);
    PUT(&o, "Host: ");
    put_slice(&o, h->authority.len ? span_in(h->authority, r->buf) : r->fallback_host);
    PUT(&o, "\r\n");
    put_fields(&o, h, r->buf, request_left_out(r));
    put_request_framing(&o, r);
    if (r->upgrade_websocket)
        put_upgrade(&o);
    if (h->method == METHOD_OPTIONS && (h->field_ids & FIELD_SET(FIELD_MAX_FORWARDS)))
        put_max_forwards(&o, h, r->buf);
    if (r->forwarded == FORWARDED_X || r->forwarded == FORWARDED_BOTH)
        put_x_forwarded(&o, r);
    if (r->forwarded == FORWARDED_RFC7239 || r->forwarded == FORWARDED_BOTH)
        put_forwarded(&o, r);
    put_request_id(&o, r->request_id);
    put_traceparent(&o, r->traceparent);
    put_subject(&o, r);
    put_via(&o, h->minor);
    PUT(&o, "\r\n");
    return written(&o, out);
}

bool rewrite_is_chunked(const struct rewrite_response *r)
{
    if (r->client_minor == 0)
        return false;
    return r->body->kind == BODY_CHUNKED || (r->body->kind == BODY_UNTIL_CLOSE && r->keep_alive);
}

static void put_status_line(struct out *o, const struct head *h, const char *buf)
{
    char start[] = "HTTP/1.1 000 "; /* three digits always: start_line_response has seen to it */
    start[9] = (char)('0' + h->status / 100);
    start[10] = (char)('0' + h->status / 10 % 10);
    start[11] = (char)('0' + h->status % 10);
    put(o, start, sizeof start - 1);
    put_slice(o, span_in(h->reason, buf));
    PUT(o, "\r\n");
}

/* A response without a body that says how long it would be: 304, or the answer to HEAD. */
static void put_announcement(struct out *o, const struct rewrite_response *r)
{
    if (r->head->status == 204)
        return;
    if (r->head->has_length)
        put_length(o, r->head->content_length);
    else if (r->head->chunked && r->head->status != 304 && r->client_minor == 1)
        PUT(o, "Transfer-Encoding: chunked\r\n");
}

static void put_date(struct out *o, const struct rewrite_response *r)
{
    if (r->date.len == 0 || r->head->field_ids & FIELD_SET(FIELD_DATE))
        return;
    PUT(o, "Date: ");
    put_slice(o, r->date);
    PUT(o, "\r\n");
}

static void put_response_framing(struct out *o, const struct rewrite_response *r)
{
    bool is_chunked = rewrite_is_chunked(r);
    bool keep_alive = r->keep_alive;
    if (r->body->kind == BODY_NONE)
        put_announcement(o, r);
    else if (r->body->kind == BODY_LENGTH)
        put_length(o, r->head->content_length);
    else if (is_chunked)
        PUT(o, "Transfer-Encoding: chunked\r\n");
    else
        keep_alive = false;
    if (!keep_alive)
        PUT(o, "Connection: close\r\n");
    else if (r->client_minor == 0)
        PUT(o, "Connection: keep-alive\r\n");
}

/* Nobody was served by a response that is not the final one. */
static void put_version(struct out *o, const struct rewrite_response *r)
{
    if (r->version_field.len == 0 || (r->head->status < 200 && r->head->status != 101))
        return;
    put_slice(o, r->version_field);
    PUT(o, ": ");
    put_slice(o, r->version);
    PUT(o, "\r\n");
}

ssize_t rewrite_response(const struct rewrite_response *r, char *out, size_t room)
{
    const struct head *h = r->head;
    struct out o = {.at = out, .end = out + room};
    put_status_line(&o, h, r->buf);
    put_fields(&o, h, r->buf,
               FIELD_SET(FIELD_CONTENT_LENGTH) |
                   (r->request_id.len ? FIELD_SET(FIELD_X_REQUEST_ID) : 0));
    if (h->status >= 200) {
        put_date(&o, r);
        put_response_framing(&o, r);
    } else if (h->status == 101) {
        put_upgrade(&o);
    }
    if (r->set_cookie.len) {
        PUT(&o, "Set-Cookie: ");
        put_slice(&o, r->set_cookie);
        PUT(&o, "\r\n");
    }
    put_version(&o, r);
    put_request_id(&o, r->request_id);
    put_via(&o, h->minor);
    PUT(&o, "\r\n");
    return written(&o, out);
}
