/* Field lines of a head: each checked and classified as it comes, all of them together at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/fields.h"
#include "base/check.h"
#include "proxy/http/syntax.h"

/* The names that mean something to the proxy, with their first letters. */
#define KNOWN_FIELDS(X)                                                                            \
    X(FIELD_CONNECTION, 'c', "connection")                                                         \
    X(FIELD_CONTENT_LENGTH, 'c', "content-length")                                                 \
    X(FIELD_COOKIE, 'c', "cookie")                                                                 \
    X(FIELD_DATE, 'd', "date")                                                                     \
    X(FIELD_EXPECT, 'e', "expect")                                                                 \
    X(FIELD_FORWARDED, 'f', "forwarded")                                                           \
    X(FIELD_HOST, 'h', "host")                                                                     \
    X(FIELD_HTTP2_SETTINGS, 'h', "http2-settings")                                                 \
    X(FIELD_KEEP_ALIVE, 'k', "keep-alive")                                                         \
    X(FIELD_MAX_FORWARDS, 'm', "max-forwards")                                                     \
    X(FIELD_PROXY, 'p', "proxy")                                                                   \
    X(FIELD_PROXY_AUTHENTICATE, 'p', "proxy-authenticate")                                         \
    X(FIELD_PROXY_AUTHORIZATION, 'p', "proxy-authorization")                                       \
    X(FIELD_PROXY_CONNECTION, 'p', "proxy-connection")                                             \
    X(FIELD_SERVER, 's', "server")                                                                 \
    X(FIELD_TE, 't', "te")                                                                         \
    X(FIELD_TRACEPARENT, 't', "traceparent")                                                       \
    X(FIELD_TRACESTATE, 't', "tracestate")                                                         \
    X(FIELD_TRAILER, 't', "trailer")                                                               \
    X(FIELD_TRANSFER_ENCODING, 't', "transfer-encoding")                                           \
    X(FIELD_UPGRADE, 'u', "upgrade")                                                               \
    X(FIELD_VIA, 'v', "via")                                                                       \
    X(FIELD_X_FORWARDED_FOR, 'x', "x-forwarded-for")                                               \
    X(FIELD_X_FORWARDED_HOST, 'x', "x-forwarded-host")                                             \
    X(FIELD_X_FORWARDED_PROTO, 'x', "x-forwarded-proto")                                           \
    X(FIELD_X_REQUEST_ID, 'x', "x-request-id")                                                     \
    X(FIELD_X_SERIN_MIRROR, 'x', "x-serin-mirror")

#define NAME_BYTES_MAX 19 /* of these */

/* No two of them have both their length and their first letter in common (the compiler refuses those that do): one look
 * says which one a name may be. */
#define SLOT(len, letter) ((size_t)(len) << 5 | ((letter)&31))

#define SLOT_OF(id, letter, text) [SLOT(sizeof(text) - 1, letter)] = (id),
static const uint8_t known_ids[SLOT(NAME_BYTES_MAX + 1, 0)] = {KNOWN_FIELDS(SLOT_OF)};

#define NAME_OF(id, letter, text) [id] = (text),
static const char known_names[][NAME_BYTES_MAX + 1] = {KNOWN_FIELDS(NAME_OF)};

static inline enum field_id classify(struct slice name)
{
    if (name.len - 1 >= NAME_BYTES_MAX) /* 0, too */
        return FIELD_OTHER;
    enum field_id id = (enum field_id)known_ids[SLOT(name.len, name.at[0])];
    return id != FIELD_OTHER && syntax_token_is(name, known_names[id], name.len) ? id : FIELD_OTHER;
}

enum field_id field_classify(struct slice name)
{
    return classify(name);
}

static int take_host(struct head *h, struct slice value, struct span at)
{
    if (h->is_response)
        return 0;
    if (h->has_host)
        return head_refuse(h, 400, "several Host fields");
    if (!syntax_is_authority(value))
        return head_refuse(h, 400, "malformed Host");
    h->has_host = true;
    if (!h->is_absolute)
        h->authority = at;
    return 0;
}

/* Digits only, once, and a length that a signed 64-bit number holds. A list of equal numbers is
 * refused as well. */
static int take_content_length(struct head *h, struct slice value)
{
    if (h->has_length)
        return head_refuse(h, 400, "several Content-Length fields");
    if (!slice_parse_u64(value, &h->content_length) || h->content_length > INT64_MAX)
        return head_refuse(h, 400, "malformed Content-Length");
    h->has_length = true;
    return 0;
}

/* Only told apart here: body_plan refuses, for it knows the rest of the framing. */
static void take_transfer_encoding(struct head *h, struct slice value)
{
    struct slice list = value, element, second;
    if (h->coding != CODING_NONE || !syntax_list_next(&list, &element))
        h->coding = CODING_MALFORMED;
    else if (slice_equal_nocase(value, SLICE("chunked")))
        h->coding = CODING_CHUNKED;
    else if (slice_equal_nocase(element, SLICE("chunked")) && syntax_list_next(&list, &second))
        h->coding = CODING_MALFORMED;
    else
        h->coding = CODING_UNKNOWN;
    h->chunked = h->coding == CODING_CHUNKED;
}

static int take_expect(struct head *h, struct slice value)
{
    if (h->is_response || h->minor == 0)
        return 0;
    if (!slice_equal_nocase(value, SLICE("100-continue")))
        return head_refuse(h, 417, "unknown expectation");
    h->expect_continue = true;
    return 0;
}

static int take_max_forwards(struct head *h, struct slice value)
{
    uint64_t hops = 0;
    if (h->is_response || h->method != METHOD_OPTIONS)
        return 0;
    if (!slice_parse_u64(value, &hops))
        return head_refuse(h, 400, "malformed Max-Forwards");
    if (hops == 0)
        return head_refuse(h, 405, "OPTIONS with Max-Forwards: 0 ends here");
    return 0;
}

/* Several of them are as bad as none that can be read: two readers could each believe another one. */
static void take_traceparent(struct head *h, struct slice value)
{
    h->trace = h->trace == TRACE_NONE && syntax_is_traceparent(value) ? TRACE_VALID : TRACE_INVALID;
}

/* Those that only the rewrite or a look-up asks for. */
#define MEANINGLESS                                                                                \
    (FIELD_SET(FIELD_OTHER) | FIELD_SET(FIELD_COOKIE) | FIELD_SET(FIELD_DATE) |                    \
     FIELD_SET(FIELD_FORWARDED) | FIELD_SET(FIELD_SERVER) | FIELD_SET(FIELD_TRACESTATE) |          \
     FIELD_SET(FIELD_VIA) | FIELD_SET(FIELD_X_FORWARDED_FOR) | FIELD_SET(FIELD_X_FORWARDED_HOST) | \
     FIELD_SET(FIELD_X_FORWARDED_PROTO) | FIELD_SET(FIELD_X_REQUEST_ID) |                          \
     FIELD_SET(FIELD_X_SERIN_MIRROR))

/* What a field means to the proxy itself. 0, or the negated status. Not inlined: most fields do not come here, and would pay
 * for its locals. */
static __attribute__((noinline)) int take_meaning(struct head *h, const char *buf, struct field *f)
{
    struct slice value = span_in(f->value, buf);
    switch (f->id) {
    case FIELD_HOST:
        return take_host(h, value, f->value);
    case FIELD_CONTENT_LENGTH:
        return take_content_length(h, value);
    case FIELD_TRANSFER_ENCODING:
        f->hop = 1;
        take_transfer_encoding(h, value);
        return 0;
    case FIELD_EXPECT:
        return take_expect(h, value);
    case FIELD_MAX_FORWARDS:
        return take_max_forwards(h, value);
    case FIELD_CONNECTION:
        f->hop = 1;
        h->has_connection = true;
        return 0;
    case FIELD_TRACEPARENT:
        take_traceparent(h, value);
        return 0;
    /* Hop-by-hop (RFC 9110 section 7.6.1), and what only harms behind a proxy: Proxy (httpoxy),
     * h2c's settings. */
    case FIELD_HTTP2_SETTINGS:
    case FIELD_KEEP_ALIVE:
    case FIELD_PROXY:
    case FIELD_PROXY_AUTHENTICATE:
    case FIELD_PROXY_AUTHORIZATION:
    case FIELD_PROXY_CONNECTION:
    case FIELD_TE:
    case FIELD_TRAILER:
    case FIELD_UPGRADE:
        f->hop = 1;
        return 0;
    default:
        return 0;
    }
}

static const char *name_fault(struct slice line, size_t n)
{
    if (n == 0)
        return line.at[0] == ' ' || line.at[0] == '\t' ? "folded line" : "field without a name";
    if (n == line.len)
        return "field without a colon";
    return line.at[n] == ' ' || line.at[n] == '\t' ? "space before the colon of a field"
                                                   : "forbidden byte in the name of a field";
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The value between the colon and the end of the line, without the blanks around it. The colon in
 * front and the CR behind end the search. */
static struct slice trim_value(const char *colon, const char *end)
{
    const char *start = colon + 1;
    while (is_blank(*start))
        start++;
    while (is_blank(end[-1]))
        end--;
    return slice_of(start, end > start ? (size_t)(end - start) : 0);
}

/* Notes a field that is well formed. 0, or the negated status where its meaning is refused. */
static inline int note(struct head *h, const char *buf, struct span name, struct span value,
                       bool is_plain)
{
    enum field_id id = classify(span_in(name, buf));
    struct field *f = &h->fields[h->n_fields++];
    *f = (struct field){.name = name, .value = value, .id = (uint8_t)id, .is_plain = is_plain};
    h->field_ids |= FIELD_SET(id);
    return FIELD_SET(id) & MEANINGLESS ? 0 : take_meaning(h, buf, f);
}

int fields_add(struct head *h, const char *buf, struct span line)
{
    CHECK(h->n_fields < HEAD_FIELDS_MAX);
    struct slice text = span_in(line, buf);
    size_t n = syntax_token_bytes(text);
    if (n == 0 || text.at[n] != ':')
        return head_refuse(h, 400, name_fault(text, n));
    struct slice value = trim_value(text.at + n, text.at + text.len);
    if (!syntax_is_value(value))
        return head_refuse(h, 400, "control byte in the value of a field");
    return note(h, buf, span_of(buf, slice_of(text.at, n)), span_of(buf, value), false);
}

static inline bool is_pair(const char *at, const char two[2])
{
    return memcmp(at, two, 2) == 0;
}

/* Cuts a plain line that begins at line, with room bytes there. Returns the length of its name and sets that of the value;
 * 0: it is not plain, or not whole. A blank that is no space is a control byte. */
static inline uint32_t cut_plain(const char *line, size_t room, uint32_t *value_len)
{
    if (room < SYNTAX_BLOCK)
        return 0;
    size_t n = syntax_name_bytes(line);
    if (n == SYNTAX_BLOCK && room >= 2 * SYNTAX_BLOCK)
        n += syntax_name_bytes(line + SYNTAX_BLOCK);
    if (room - n < sizeof ": x" || !is_pair(line + n, ": ") || line[n + 2] == ' ')
        return 0;
    const char *start = line + n + 2, *end = line + room, *stop = syntax_control(start, end);
    if (!stop || end - stop < 2 || !is_pair(stop, "\r\n") || stop[-1] == ' ')
        return 0;
    *value_len = (uint32_t)(stop - start);
    return (uint32_t)n;
}

int fields_add_plain(struct head *h, const char *buf, size_t len, uint16_t most)
{
    uint32_t n, value_len;
    int status = 0;
    if (h->parsed > len) /* a reload has lowered the bound */
        return 0;
    while (status == 0 && h->n_fields < most &&
           (n = cut_plain(buf + h->parsed, len - h->parsed, &value_len)) > 0) {
        struct span name = {h->parsed, n}, value = {h->parsed + n + 2, value_len};
        h->parsed = value.at + value_len + 2;
        status = note(h, buf, name, value, true);
    }
    return status;
}

/* What Connection says for the connection itself. */
struct persistence {
    bool close, keep_alive, upgrade;
};

/* End-to-end fields that Connection must not take away from the upstream (RFC 9110 section 7.6.1: a
 * sender must not name them): a client could drop what a proxy before this one, or the
 * application's login, relies on. */
static bool is_end_to_end(const struct field *f, struct slice name)
{
    static const struct slice names[] = {
        SLICE("authorization"),    SLICE("cache-control"), SLICE("content-encoding"),
        SLICE("content-language"), SLICE("content-range"), SLICE("content-type"),
        SLICE("origin"),           SLICE("range"),         SLICE("set-cookie"),
        SLICE("x-real-ip"),
    };
    if (f->id != FIELD_OTHER)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (slice_equal_nocase(name, names[i]))
            return true;
    return false;
}

static void mark_named(struct head *h, const char *buf, struct slice option)
{
    for (uint16_t i = 0; i < h->n_fields; i++) {
        struct field *f = &h->fields[i];
        struct slice name = span_in(f->name, buf);
        if (name.len == option.len && slice_equal_nocase(name, option) && !is_end_to_end(f, name))
            f->hop = 1;
    }
}

static void take_option(struct head *h, const char *buf, struct slice option, struct persistence *p)
{
    if (slice_equal_nocase(option, SLICE("close")))
        p->close = true;
    else if (slice_equal_nocase(option, SLICE("keep-alive")))
        p->keep_alive = true;
    else if (slice_equal_nocase(option, SLICE("upgrade")))
        p->upgrade = true;
    else
        mark_named(h, buf, option);
}

static int take_connection(struct head *h, const char *buf, struct persistence *p)
{
    unsigned options = 0;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        if (h->fields[i].id != FIELD_CONNECTION)
            continue;
        struct slice list = span_in(h->fields[i].value, buf), option;
        while (syntax_list_next(&list, &option)) {
            if (++options > CONNECTION_OPTIONS_MAX)
                return head_refuse(h, 400, "too many connection options");
            take_option(h, buf, option, p);
        }
    }
    return 0;
}

/* Of several protocols each reader may take another one: then it is none of them. */
static bool asks_for_websocket(const struct head *h, const char *buf)
{
    bool is_asked = false;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        if (h->fields[i].id != FIELD_UPGRADE)
            continue;
        if (is_asked || !slice_equal_nocase(span_in(h->fields[i].value, buf), SLICE("websocket")))
            return false;
        is_asked = true;
    }
    return is_asked;
}

int fields_end(struct head *h, const char *buf)
{
    struct persistence p = {0};
    if (!h->is_response && h->minor == 1 && !h->has_host)
        return head_refuse(h, 400, "no Host field");
    if (h->has_connection) {
        int status = take_connection(h, buf, &p);
        if (status < 0)
            return status;
    }
    h->keep_alive = !p.close && (h->minor == 1 || p.keep_alive);
    h->upgrade_websocket = h->minor == 1 && p.upgrade && asks_for_websocket(h, buf);
    return 0;
}
