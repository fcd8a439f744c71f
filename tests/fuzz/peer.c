/* The same bytes read by serin's HTTP/1 core and by llhttp: what both accept they frame alike.
 * SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"
#include "base/check.h"
#include "proxy/http/body.h"
#include "proxy/http/parse.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>

/* Serin refuses on purpose what llhttp takes, for one of these faults. */
static const struct {
    const char *fault, *why;
} stricter[] = {
    {"CONNECT or TRACE", "a reverse proxy serves neither (405)"},
    {"HTTP version is neither 1.0 nor 1.1", "another major version has another framing"},
    {"HTTP version is not 1.x", "likewise"},
    {"OPTIONS with Max-Forwards: 0 ends here", "RFC 9110 7.6.2"},
    {"Transfer-Encoding in HTTP/1.0", "RFC 9112 6.1: framing is faulty"},
    {"both Transfer-Encoding and Content-Length", "with a value that llhttp takes for no coding"},
    {"chunk line does not end with CR LF", "llhttp does not look at what follows a CR there"},
    {"chunk line too long", "a limit"},
    {"chunk size out of range", "a sum with it must not overflow"},
    {"chunk size with too many digits", "a limit"},
    {"control byte in the reason phrase", "RFC 9112 4"},
    {"empty lines before the request", "a limit"},
    {"field without a name", "RFC 9110 5.1: a name is a token"},
    {"folded line", "RFC 9112 5.2: a server answers 400, a gateway 502"},
    {"line ends with a bare LF", "RFC 9112 2.2 leaves it open: two readings of one head"},
    {"malformed Content-Length", "over 2^63-1: a sum with it must not overflow"},
    {"malformed Host", "RFC 9112 3.2: an invalid value is answered with 400"},
    {"malformed Max-Forwards", "RFC 9110 7.6.2: a number"},
    {"malformed Transfer-Encoding", "several fields, or no coding: RFC 9112 6.1"},
    {"malformed chunk extension", "RFC 9112 7.1.1: a name behind each semicolon"},
    {"malformed method", "a CR alone before the request"},
    {"malformed request line", "RFC 9112 3: single spaces, and a version"},
    {"malformed status line", "RFC 9112 4: single spaces, three digits"},
    {"malformed trailer", "folded lines, names that are no tokens"},
    {"method too long", "a limit"},
    {"no Host field", "RFC 9112 3.2: 400"},
    {"not an HTTP request", "an empty line that is CR or LF alone"},
    {"not an HTTP response", "bytes before the status line"},
    {"request target in no known form", "RFC 9112 3.2"},
    {"request target with a forbidden byte", "RFC 3986 3.3 and 3.4, or a fragment"},
    {"request target with a malformed authority", "RFC 9110 4.2: user information, no host"},
    {"several Host fields", "RFC 9112 3.2: 400"},
    {"status code outside of 100 to 599", "RFC 9110 15: no class of status"},
    {"too many connection options", "a limit"},
    {"too many fields", "a limit"},
    {"unknown expectation", "RFC 9110 10.1.1: 417"},
    {"unknown transfer coding",
     "RFC 9112 6.1: 501; llhttp passes over what is in front of chunked"},
};

/* One message, as one of the two sees it. */
struct message {
    bool has_head, is_whole, keep_alive;
    unsigned minor, status;
    size_t end; /* bytes of the input that belong to it */
    struct slice method, target, names[HEAD_FIELDS_MAX], values[HEAD_FIELDS_MAX];
    size_t n_fields, body_len;
    char body[PEER_BYTES_MAX];
    const char *refusal; /* NULL where it is accepted so far */
};

static struct message ours, theirs;

static void clear(struct message *m)
{
    memset(m, 0, offsetof(struct message, names));
    m->n_fields = m->body_len = 0;
    m->refusal = NULL;
}

/* ---- serin ---- */

static void take_head(struct message *m, const struct head *h, const char *buf)
{
    m->has_head = true;
    m->minor = h->minor;
    m->status = h->status;
    m->keep_alive = h->keep_alive;
    m->method = span_in(h->method_text, buf);
    m->target = span_in(h->target, buf);
    m->n_fields = h->n_fields;
    for (size_t i = 0; i < h->n_fields; i++) {
        m->names[i] = span_in(h->fields[i].name, buf);
        m->values[i] = span_in(h->fields[i].value, buf);
    }
}

static void take_body(struct message *m, struct body *b, struct slice rest, size_t head)
{
    struct slice data;
    char *copy = malloc(rest.len ? rest.len : 1);
    CHECK(copy);
    if (rest.len)
        memcpy(copy, rest.at, rest.len);
    ssize_t n = body_feed(b, copy, rest.len, &data);
    if (n >= 0) {
        memcpy(m->body, data.at, data.len);
        m->body_len = data.len;
        m->end = head + (size_t)n;
        m->is_whole = b->done || b->kind == BODY_UNTIL_CLOSE;
        m->keep_alive = m->keep_alive && b->kind != BODY_UNTIL_CLOSE;
    }
    m->refusal = n < 0 ? b->fault : NULL;
    free(copy);
}

static void read_ours(struct message *m, struct slice in, bool is_response, bool to_head)
{
    static const struct head_limits limits = {PEER_BYTES_MAX, PEER_BYTES_MAX, HEAD_FIELDS_MAX};
    static struct head h;
    struct body b;
    clear(m);
    head_init(&h, is_response);
    ssize_t n = head_feed(&h, in.at, in.len, &limits);
    m->refusal = n < 0 ? h.fault : NULL;
    if (n <= 0)
        return;
    int plan = is_response ? body_plan_response(&b, &h, to_head) : body_plan_request(&b, &h);
    m->refusal = plan < 0 ? b.fault : NULL;
    if (plan < 0)
        return;
    take_head(m, &h, in.at);
    take_body(m, &b, slice_of(in.at + n, in.len - (size_t)n), (size_t)n);
}

/* ---- llhttp ---- */

struct reader {
    struct message *m;
    bool to_head, in_value, is_bodiless;
};

static struct message *message_of(llhttp_t *p)
{
    return ((struct reader *)p->data)->m;
}

/* Pieces of one element follow each other in the input. */
static void extend(struct slice *s, const char *at, size_t len)
{
    if (!s->at)
        *s = slice_of(at, 0);
    s->len = (size_t)(at + len - s->at);
}

static int on_method(llhttp_t *p, const char *at, size_t len)
{
    extend(&message_of(p)->method, at, len);
    return 0;
}

static int on_url(llhttp_t *p, const char *at, size_t len)
{
    extend(&message_of(p)->target, at, len);
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t len)
{
    struct reader *r = p->data;
    struct message *m = r->m;
    if (m->has_head) /* a trailer: serin drops them */
        return 0;
    if (m->n_fields == 0 || r->in_value) {
        if (m->n_fields == HEAD_FIELDS_MAX)
            return -1;
        m->names[m->n_fields] = m->values[m->n_fields] = slice_of(NULL, 0);
        m->n_fields++;
        r->in_value = false;
    }
    extend(&m->names[m->n_fields - 1], at, len);
    return 0;
}

static int on_field_complete(llhttp_t *p)
{
    ((struct reader *)p->data)->in_value = true;
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct message *m = message_of(p);
    if (!m->has_head)
        extend(&m->values[m->n_fields - 1], at, len);
    return 0;
}

/* llhttp leaves to its user what has no body whatever its fields say (RFC 9112 section 6.3): 1 tells it. */
static int on_headers_complete(llhttp_t *p)
{
    struct reader *r = p->data;
    unsigned status = (unsigned)llhttp_get_status_code(p);
    r->m->has_head = true;
    r->m->minor = llhttp_get_http_minor(p);
    r->m->status = status;
    bool is_bodiless = status && (status < 200 || status == 204 || status == 304 || r->to_head);
    /* asked here, where trailers have not changed its flags yet; it then knows nothing of HEAD */
    r->m->keep_alive = llhttp_should_keep_alive(p);
    r->is_bodiless = is_bodiless;
    return is_bodiless;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct message *m = message_of(p);
    CHECK(len <= sizeof m->body - m->body_len);
    memcpy(m->body + m->body_len, at, len);
    m->body_len += len;
    return 0;
}

static int on_message_complete(llhttp_t *p)
{
    const struct reader *r = p->data;
    r->m->is_whole = true;
    if (r->is_bodiless)
        r->m->keep_alive = llhttp_should_keep_alive(p);
    return HPE_PAUSED;
}

static void read_theirs(struct message *m, struct slice in, bool is_response, bool to_head)
{
    static llhttp_settings_t settings;
    struct reader reader = {.m = m, .to_head = to_head};
    llhttp_t parser;
    clear(m);
    settings = (llhttp_settings_t){.on_method = on_method,
                                   .on_url = on_url,
                                   .on_header_field = on_field,
                                   .on_header_field_complete = on_field_complete,
                                   .on_header_value = on_value,
                                   .on_headers_complete = on_headers_complete,
                                   .on_body = on_body,
                                   .on_message_complete = on_message_complete};
    llhttp_init(&parser, is_response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    parser.data = &reader;
    llhttp_errno_t e = llhttp_execute(&parser, in.at, in.len);
    if (e == HPE_OK && m->has_head && is_response && llhttp_message_needs_eof(&parser)) {
        m->end = in.len;
        (void)llhttp_finish(&parser);
        return;
    }
    if (m->is_whole)
        m->end = (size_t)(llhttp_get_error_pos(&parser) - in.at);
    else if (e != HPE_OK)
        m->refusal = llhttp_get_error_reason(&parser);
}

/* ---- what llhttp alone refuses: narrow, for it hides what serin may be wrong about ---- */

/* A method that is not in its list, or in that of another protocol only. */
static bool is_extension_method(struct slice in)
{
    static const struct slice known[] = {
#define NAME(number, name, string) SLICE(#string),
        HTTP_METHOD_MAP(NAME)
#undef NAME
    };
    (void)in;
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (slice_equal(known[i], ours.method))
            return false;
    return ours.method.len > 0;
}

static bool is_pri(struct slice in)
{
    (void)in;
    return slice_equal(ours.method, SLICE("PRI"));
}

static bool has_later_minor(struct slice in)
{
    return in.len > 7 && ours.status && in.at[7] >= '2' && in.at[7] <= '9';
}

static bool has_tab_in_head(struct slice in)
{
    return memchr(in.at, '\t', ours.end < in.len ? ours.end : in.len);
}

static bool has_extension(struct slice in)
{
    return theirs.has_head && memchr(in.at, ';', in.len);
}

static bool has_blank_in_body(struct slice in)
{
    const char *head_end = memmem(in.at, in.len, "\r\n\r\n", 4);
    if (!theirs.has_head || !head_end)
        return false;
    size_t len = (size_t)(in.at + in.len - head_end);
    return memchr(head_end, ' ', len) || memchr(head_end, '\t', len);
}

static bool is_in_trailer(struct slice in)
{
    (void)in;
    return theirs.has_head;
}

static const struct {
    const char *refusal, *why;
    bool (*holds)(struct slice in);
} laxer[] = {
    {"Invalid method encountered", "it has a list of them; RFC 9110 9.1 leaves it open",
     is_extension_method},
    {"Expected space after method", "likewise", is_extension_method},
    {"Expected HTTP/2 Connection Preface", "to HTTP/1.1 it is a method like any other", is_pri},
    {"Invalid HTTP version", "HTTP/1.2 to 1.9 of a response is read as 1.1: RFC 9110 2.5",
     has_later_minor},
    {"Invalid character in Content-Length", "a tab is white space too: RFC 9110 5.6.3",
     has_tab_in_head},
    {"Request has invalid `Transfer-Encoding`", "likewise", has_tab_in_head},
    {"Invalid character in chunk size", "an extension with a value: RFC 9112 7.1.1", has_extension},
    {"Invalid character in chunk size", "white space in front of an extension: likewise",
     has_blank_in_body},
    {"Invalid character in chunk extensions", "likewise", has_blank_in_body},
    {"Invalid character in chunk extensions name", "likewise", has_extension},
    {"Invalid character in chunk extensions value", "likewise", has_extension},
    {"Invalid character in chunk extensions quoted value", "likewise", has_extension},
    {"Invalid `Transfer-Encoding` header value", "a trailer, which goes nowhere: RFC 9110 6.5.1",
     is_in_trailer},
    {"Invalid character in Content-Length", "likewise", is_in_trailer},
    {"Duplicate Content-Length", "likewise", is_in_trailer},
    {"Empty Content-Length", "likewise", is_in_trailer},
    {"Content-Length overflow", "likewise", is_in_trailer},
};

static bool may_refuse(struct slice in, const char *refusal)
{
    for (size_t i = 0; i < ARRAY_LEN(laxer); i++)
        if (strcmp(laxer[i].refusal, refusal) == 0 && laxer[i].holds(in))
            return true;
    return false;
}

/* ---- both ---- */

static bool is_stricter(const char *fault)
{
    for (size_t i = 0; i < ARRAY_LEN(stricter); i++)
        if (strcmp(stricter[i].fault, fault) == 0)
            return true;
    return false;
}

static bool differs(struct peer_report *r, const char *what, struct slice a, struct slice b)
{
    (void)snprintf(r->text, sizeof r->text, "%s: serin has \"%.*s\", llhttp \"%.*s\"", what,
                   (int)(a.len < 120 ? a.len : 120), a.at, (int)(b.len < 120 ? b.len : 120), b.at);
    return false;
}

static bool differs_in(struct peer_report *r, const char *what, size_t a, size_t b)
{
    (void)snprintf(r->text, sizeof r->text, "%s: serin has %zu, llhttp %zu", what, a, b);
    return false;
}

static bool heads_are_alike(struct peer_report *r)
{
    if (!slice_equal(ours.method, theirs.method))
        return differs(r, "method", ours.method, theirs.method);
    if (!slice_equal(ours.target, theirs.target))
        return differs(r, "target", ours.target, theirs.target);
    if (ours.minor != theirs.minor || ours.status != theirs.status)
        return differs_in(r, "version and status", ours.minor * 1000 + ours.status,
                          theirs.minor * 1000 + theirs.status);
    if (ours.n_fields != theirs.n_fields)
        return differs_in(r, "number of fields", ours.n_fields, theirs.n_fields);
    for (size_t i = 0; i < ours.n_fields; i++) {
        struct slice value = slice_trim(theirs.values[i]);
        if (!slice_equal(ours.names[i], theirs.names[i]))
            return differs(r, "name", ours.names[i], theirs.names[i]);
        if (!slice_equal(ours.values[i], value))
            return differs(r, "value", ours.values[i], value);
    }
    return true;
}

static bool has_field(struct slice name)
{
    for (size_t i = 0; i < ours.n_fields; i++)
        if (slice_equal_nocase(ours.names[i], name))
            return true;
    return false;
}

/* llhttp takes Proxy-Connection for Connection, which it is not (RFC 9112 appendix C.2.2), and a tab beside an option for a part
 * of it (it is white space: RFC 9110 5.6.3). In HTTP/1.0 keep-alive wins over close there, here close does (RFC 9112 9.3). */
static bool may_differ_in_keep_alive(struct slice in)
{
    return has_field(SLICE("proxy-connection")) || has_tab_in_head(in) ||
           (ours.minor == 0 && !ours.keep_alive && has_field(SLICE("connection")));
}

/* llhttp takes a tab behind the last coding for a part of its name (RFC 9110 5.6.3: it is white space), and reads such a response
 * until the connection ends. */
static bool has_tab_behind_coding(struct slice in)
{
    for (size_t i = 0; i < ours.n_fields; i++) {
        const char *at = ours.values[i].at + ours.values[i].len;
        if (!slice_equal_nocase(ours.names[i], SLICE("transfer-encoding")))
            continue;
        while (at < in.at + in.len && *at == ' ')
            at++;
        if (at < in.at + in.len && *at == '\t')
            return true;
    }
    return false;
}

static bool bodies_are_alike(struct peer_report *r, struct slice in)
{
    if (ours.is_whole != theirs.is_whole)
        return differs_in(r, "whole", ours.is_whole, theirs.is_whole);
    if (ours.body_len != theirs.body_len || memcmp(ours.body, theirs.body, ours.body_len) != 0)
        return differs(r, "body", slice_of(ours.body, ours.body_len),
                       slice_of(theirs.body, theirs.body_len));
    if (!ours.is_whole)
        return true;
    if (ours.end != theirs.end)
        return differs_in(r, "length", ours.end, theirs.end);
    if (ours.keep_alive != theirs.keep_alive && !may_differ_in_keep_alive(in))
        return differs_in(r, "keep-alive", ours.keep_alive, theirs.keep_alive);
    return true;
}

/* What serin does not accept, or not yet. */
static bool refusal_is_known(struct peer_report *r)
{
    if (!ours.refusal)
        return theirs.has_head
                   ? differs_in(r, "serin needs more; llhttp has a head, whole", 0, theirs.is_whole)
                   : true;
    if (theirs.refusal || !theirs.has_head)
        return true;
    if (!is_stricter(ours.refusal))
        return differs(r, "refused without a known reason", slice_str(ours.refusal),
                       slice_str(theirs.is_whole ? "accepts it" : "accepts its head"));
    r->stricter++;
    return true;
}

static bool compare_one(struct peer_report *r, struct slice in)
{
    if (ours.has_head && theirs.has_head && ours.status && has_tab_behind_coding(in))
        return heads_are_alike(r);
    if (ours.refusal || !ours.has_head)
        return refusal_is_known(r);
    if (theirs.refusal)
        return may_refuse(in, theirs.refusal) ||
               differs(r, "refused by llhttp alone", slice_str("accepted"),
                       slice_str(theirs.refusal));
    if (!theirs.has_head)
        return differs_in(r, "has a head", 1, 0);
    return heads_are_alike(r) && bodies_are_alike(r, in);
}

bool peer_compare(struct slice bytes, bool is_response, bool to_head, struct peer_report *report)
{
    *report = (struct peer_report){0};
    if (bytes.len > PEER_BYTES_MAX)
        return true;
    for (size_t at = 0; at < bytes.len;) {
        struct slice rest = slice_of(bytes.at + at, bytes.len - at);
        read_ours(&ours, rest, is_response, to_head);
        read_theirs(&theirs, rest, is_response, to_head);
        if (!compare_one(report, rest))
            return false;
        if (ours.refusal || theirs.refusal || !ours.is_whole)
            return true;
        report->alike++;
        if (!ours.keep_alive)
            return true;
        at += ours.end;
        to_head = to_head && ours.status < 200;
    }
    return true;
}
