/* The head of one HTTP/1 message: start line and fields, as spans into the bytes that were fed.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_HEAD_H
#define SERIN_PROXY_HTTP_HEAD_H

#include "base/slice.h"

#define HEAD_FIELDS_MAX 256 /* upper bound of limits.headers: sizes the table below */

/* Fields that the proxy itself reads, rewrites or drops; all others are passed on as they are. */
enum field_id {
    FIELD_OTHER,
    FIELD_CONNECTION,
    FIELD_CONTENT_LENGTH,
    FIELD_COOKIE,
    FIELD_DATE,
    FIELD_EXPECT,
    FIELD_FORWARDED,
    FIELD_HOST,
    FIELD_HTTP2_SETTINGS,
    FIELD_KEEP_ALIVE,
    FIELD_MAX_FORWARDS,
    FIELD_PROXY,
    FIELD_PROXY_AUTHENTICATE,
    FIELD_PROXY_AUTHORIZATION,
    FIELD_PROXY_CONNECTION,
    FIELD_SERVER,
    FIELD_TE,
    FIELD_TRACEPARENT,
    FIELD_TRACESTATE,
    FIELD_TRAILER,
    FIELD_TRANSFER_ENCODING,
    FIELD_UPGRADE,
    FIELD_VIA,
    FIELD_X_FORWARDED_FOR,
    FIELD_X_FORWARDED_HOST,
    FIELD_X_FORWARDED_PROTO,
    FIELD_X_REQUEST_ID,
    FIELD_X_SERIN_MIRROR,
};

/* A set of them. */
#define FIELD_SET(id) (UINT32_C(1) << (id))
_Static_assert(FIELD_X_SERIN_MIRROR < 32, "field ids fit into one word");

enum method {
    METHOD_OTHER,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_OPTIONS,
    METHOD_PATCH,
    METHOD_CONNECT,
    METHOD_TRACE,
};

/* What Transfer-Encoding says. */
enum transfer_coding {
    CODING_NONE,
    CODING_CHUNKED,
    CODING_UNKNOWN,   /* a coding that is not chunked, alone or in a list */
    CODING_MALFORMED, /* no coding, several fields, or chunked twice */
};

/* What a request says of the trace that it belongs to (W3C Trace Context, section 3.2). */
enum trace_context {
    TRACE_NONE,
    TRACE_VALID,
    TRACE_INVALID, /* malformed, or several: the trace begins anew */
};

/* A place in the buffer that head_feed was given. The buffer may move between calls; offsets stay
 * true. */
struct span {
    uint32_t at, len;
};

struct field {
    struct span name, value; /* the value without OWS around it */
    uint8_t id;              /* enum field_id */
    uint8_t hop;             /* named by Connection or hop-by-hop itself: never forwarded */
    bool is_plain; /* stands as it would be written: name, colon, one blank, value, CR LF */
};

/* One head. Large: a worker has one to parse into; a connection keeps a copy only while its head is
 * partial. For an absolute target, path is what follows the authority: it may be empty or begin
 * with "?". head_path names the path to route by; rewrite_request writes the origin form. */
struct head {
    bool is_response;
    uint8_t minor;           /* HTTP/1.minor: 0 or 1 */
    uint8_t method;          /* enum method; requests */
    uint16_t status;         /* responses */
    struct span method_text; /* requests */
    struct span target;      /* as received */
    struct span path; /* origin form with query, or "*"; for absolute form the rest: see above */
    struct span authority; /* of an absolute target, else the Host value; len 0 = none (HTTP/1.0) */
    struct span reason;    /* responses */
    bool keep_alive;       /* what version and Connection say of the sender's connection */
    bool expect_continue;  /* Expect: 100-continue on an HTTP/1.1 request; body or not */
    bool
        upgrade_websocket; /* HTTP/1.1, Upgrade: websocket and nothing else, which Connection names too */
    uint64_t content_length; /* where has_length */
    bool has_length;
    uint8_t coding; /* enum transfer_coding */
    bool chunked;   /* Transfer-Encoding: chunked, alone and last */
    uint8_t trace;  /* enum trace_context; requests */
    uint16_t n_fields;
    uint32_t field_ids;  /* FIELD_SET of each that it has */
    uint8_t state;       /* of head_feed; private to parse.c */
    uint8_t blank_lines; /* passed over before a request */
    bool is_absolute;    /* target in absolute form */
    bool has_host;
    bool has_connection; /* a Connection field to work through at the end of the head */
    uint32_t scanned;    /* bytes that head_feed has looked at */
    uint32_t parsed;     /* start of the first unparsed line; at the end the length of the head */
    const char *fault;   /* after a refusal: what was wrong, a constant text for the log */
    struct field fields[HEAD_FIELDS_MAX];
};

/* Where a slice of buf stands in buf. */
static inline struct span span_of(const char *buf, struct slice s)
{
    return (struct span){(uint32_t)(s.at - buf), (uint32_t)s.len};
}

/* Notes a fault and hands back the negated status, so that a refusal is one line. For the files of
 * the parser. */
static inline int head_refuse(struct head *h, int status, const char *fault)
{
    h->fault = fault;
    return -status;
}

static inline struct slice span_in(struct span s, const char *buf)
{
    return slice_of(buf + s.at, s.len);
}

/* The path of a request without its query, for routing: "/" where an absolute target has none, "*"
 * for OPTIONS of the server itself (RFC 9112 section 3.2.4). Pure. */
struct slice head_path(const struct head *h, const char *buf);

/* The value of the first field with this id; false where there is none. Pure. O(fields). */
bool head_find(const struct head *h, const char *buf, enum field_id id, struct slice *value);

/* The same by name, in any case. Pure. O(fields). */
bool head_find_name(const struct head *h, const char *buf, struct slice name, struct slice *value);

/* Takes all fields of that name out of a parsed head, in every spelling that a server behind a gateway interface may take for
 * it: there X_Name and X.Name become one variable with X-Name (RFC 3875 section 4.1.18). Pure. O(fields). */
void head_remove(struct head *h, const char *buf, struct slice name);

/* The value of one cookie over all Cookie fields (RFC 6265 section 4.2.1), quotes kept; the first
 * one wins. False where there is none. Names compare exactly. Pure. */
bool head_find_cookie(const struct head *h, const char *buf, struct slice name,
                      struct slice *value);

#endif
