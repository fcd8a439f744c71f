/* Where a message body ends: the one framing decision, and the decoder of chunks.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/body.h"
#include "base/check.h"
#include "proxy/http/syntax.h"

/* What the decoder expects next. chunk = size [ext] CR LF data CR LF (RFC 9112 section 7.1). */
enum chunk_state {
    CHUNK_SIZE_FIRST,    /* the first digit of a size */
    CHUNK_SIZE,          /* another digit, or what may follow a size */
    CHUNK_EXT_BLANK,     /* blanks before a ";" */
    CHUNK_EXT_START,     /* the name of an extension, behind ";" and blanks */
    CHUNK_EXT_NAME,      /* more of it */
    CHUNK_EXT_NAME_END,  /* "=" or ";", behind a name and blanks */
    CHUNK_EXT_VALUE,     /* a value, behind "=" and blanks */
    CHUNK_EXT_TOKEN,     /* more of a token */
    CHUNK_EXT_QUOTED,    /* more of a quoted string */
    CHUNK_EXT_ESCAPED,   /* the byte behind a backslash */
    CHUNK_EXT_END,       /* what may follow a quoted string */
    CHUNK_LINE_END,      /* LF of the size line */
    CHUNK_DATA,          /* data */
    CHUNK_DATA_CR,       /* CR behind the data */
    CHUNK_DATA_LF,       /* LF behind it */
    CHUNK_TRAILER,       /* a trailer, or the CR of the empty line */
    CHUNK_TRAILER_NAME,  /* more of a trailer's name */
    CHUNK_TRAILER_VALUE, /* more of its value */
    CHUNK_TRAILER_LF,    /* LF of a trailer */
    CHUNK_LAST_LF,       /* LF of the empty line */
};

static int refuse(struct body *b, int status, const char *fault)
{
    b->fault = fault;
    return -status;
}

/* Refuses framing that another reader could understand in another way. unknown_status: for a coding
 * that is not ours. 0, or the negated status. */
static int check_framing(struct body *b, const struct head *h, int status, int unknown_status)
{
    if (h->coding == CODING_NONE)
        return 0;
    if (h->has_length)
        return refuse(b, status, "both Transfer-Encoding and Content-Length");
    if (h->minor == 0)
        return refuse(b, status, "Transfer-Encoding in HTTP/1.0");
    if (h->coding == CODING_MALFORMED)
        return refuse(b, status, "malformed Transfer-Encoding");
    if (h->coding == CODING_UNKNOWN)
        return refuse(b, unknown_status, "unknown transfer coding");
    return 0;
}

static void plan(struct body *b, const struct head *h, enum body_kind otherwise)
{
    b->kind = (uint8_t)otherwise;
    if (h->coding == CODING_CHUNKED) {
        b->kind = BODY_CHUNKED;
    } else if (h->has_length) {
        b->kind = BODY_LENGTH;
        b->left = h->content_length;
    }
    b->done = b->kind == BODY_NONE || (b->kind == BODY_LENGTH && b->left == 0);
}

int body_plan_request(struct body *b, const struct head *h)
{
    *b = (struct body){.done = true};
    int status = check_framing(b, h, 400, 501);
    if (status == 0)
        plan(b, h, BODY_NONE);
    return status;
}

int body_plan_response(struct body *b, const struct head *h, bool to_head)
{
    *b = (struct body){.done = true};
    int status = check_framing(b, h, 502, 502);
    if (status < 0 || to_head || h->status < 200 || h->status == 204 || h->status == 304)
        return status;
    plan(b, h, BODY_UNTIL_CLOSE);
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static bool broken(struct body *b, const char *fault)
{
    b->fault = fault;
    return false;
}

static bool go(struct body *b, enum chunk_state state)
{
    b->state = (uint8_t)state;
    return true;
}

static bool add_digit(struct body *b, char c)
{
    if (b->line > CHUNK_SIZE_DIGITS_MAX)
        return broken(b, "chunk size with too many digits");
    unsigned digit =
        syntax_is(c, SYNTAX_DIGIT) ? (unsigned)(c - '0') : (unsigned)((c | 0x20) - 'a') + 10;
    b->left = b->left << 4 | digit;
    return go(b, CHUNK_SIZE);
}

/* What may follow a size or a whole extension: blanks, then ";" or the end of the line. A blank
 * asks for a ";". */
static bool feed_after(struct body *b, char c, const char *fault)
{
    if (c == '\r')
        return go(b, CHUNK_LINE_END);
    if (c == ';')
        return go(b, CHUNK_EXT_START);
    return is_blank(c) ? go(b, CHUNK_EXT_BLANK) : broken(b, fault);
}

static bool feed_ext_name(struct body *b, char c)
{
    if (syntax_is(c, SYNTAX_TOKEN))
        return true;
    if (c == '=')
        return go(b, CHUNK_EXT_VALUE);
    if (is_blank(c))
        return go(b, CHUNK_EXT_NAME_END);
    return feed_after(b, c, "forbidden byte in a chunk extension");
}

/* One byte of an extension (RFC 9112 section 7.1.1). */
static bool feed_ext(struct body *b, char c)
{
    static const char fault[] = "malformed chunk extension";
    switch (b->state) {
    case CHUNK_EXT_BLANK:
        return is_blank(c) || (c == ';' ? go(b, CHUNK_EXT_START) : broken(b, fault));
    case CHUNK_EXT_START:
        if (is_blank(c))
            return true;
        return syntax_is(c, SYNTAX_TOKEN) ? go(b, CHUNK_EXT_NAME) : broken(b, fault);
    case CHUNK_EXT_NAME:
        return feed_ext_name(b, c);
    case CHUNK_EXT_NAME_END:
        if (is_blank(c))
            return true;
        if (c == '=')
            return go(b, CHUNK_EXT_VALUE);
        return c == ';' ? go(b, CHUNK_EXT_START) : broken(b, fault);
    case CHUNK_EXT_VALUE:
        if (is_blank(c))
            return true;
        if (c == '"')
            return go(b, CHUNK_EXT_QUOTED);
        return syntax_is(c, SYNTAX_TOKEN) ? go(b, CHUNK_EXT_TOKEN) : broken(b, fault);
    case CHUNK_EXT_TOKEN:
        return syntax_is(c, SYNTAX_TOKEN) || feed_after(b, c, fault);
    case CHUNK_EXT_QUOTED:
        if (c == '"')
            return go(b, CHUNK_EXT_END);
        if (c == '\\')
            return go(b, CHUNK_EXT_ESCAPED);
        return syntax_is(c, SYNTAX_VALUE) || broken(b, fault);
    case CHUNK_EXT_ESCAPED:
        return syntax_is(c, SYNTAX_VALUE) ? go(b, CHUNK_EXT_QUOTED) : broken(b, fault);
    default:
        return feed_after(b, c, fault);
    }
}

/* The size line is whole: data follows, or the trailers. */
static bool end_size_line(struct body *b, char c)
{
    if (c != '\n')
        return broken(b, "chunk line does not end with CR LF");
    if (b->left > INT64_MAX)
        return broken(b, "chunk size out of range");
    b->line = 0;
    return go(b, b->left ? CHUNK_DATA : CHUNK_TRAILER);
}

/* One byte of the trailer section; its fields are checked like those of a head. */
static bool feed_trailer(struct body *b, char c)
{
    switch (b->state) {
    case CHUNK_TRAILER:
        if (c == '\r')
            return go(b, CHUNK_LAST_LF);
        return syntax_is(c, SYNTAX_TOKEN) ? go(b, CHUNK_TRAILER_NAME)
                                          : broken(b, "malformed trailer");
    case CHUNK_TRAILER_NAME:
        if (c == ':')
            return go(b, CHUNK_TRAILER_VALUE);
        return syntax_is(c, SYNTAX_TOKEN) || broken(b, "malformed name of a trailer");
    case CHUNK_TRAILER_VALUE:
        if (c == '\r')
            return go(b, CHUNK_TRAILER_LF);
        return syntax_is(c, SYNTAX_VALUE) || broken(b, "control byte in a trailer");
    case CHUNK_TRAILER_LF:
        return c == '\n' ? go(b, CHUNK_TRAILER) : broken(b, "bare CR in a trailer");
    default:
        b->done = c == '\n';
        return b->done || broken(b, "bare CR behind the last chunk");
    }
}

/* One byte that is not data. */
static bool feed_framing(struct body *b, char c)
{
    bool in_trailer = b->state >= CHUNK_TRAILER;
    if (++b->line > (in_trailer ? TRAILER_BYTES_MAX : CHUNK_LINE_BYTES_MAX))
        return broken(b, in_trailer ? "trailers too long" : "chunk line too long");
    if (in_trailer)
        return feed_trailer(b, c);
    switch (b->state) {
    case CHUNK_SIZE_FIRST:
        return syntax_is(c, SYNTAX_HEX) ? add_digit(b, c) : broken(b, "malformed chunk size");
    case CHUNK_SIZE:
        return syntax_is(c, SYNTAX_HEX) ? add_digit(b, c)
                                        : feed_after(b, c, "malformed chunk size");
    case CHUNK_LINE_END:
        return end_size_line(b, c);
    case CHUNK_DATA_CR:
        return c == '\r' ? go(b, CHUNK_DATA_LF) : broken(b, "chunk longer than its size");
    case CHUNK_DATA_LF:
        b->line = 0;
        return c == '\n' ? go(b, CHUNK_SIZE_FIRST) : broken(b, "bare CR behind a chunk");
    default:
        return feed_ext(b, c);
    }
}

/* Takes data that stands at buf; returns its length. It becomes one piece with what was found
 * before. */
static size_t take_data(struct body *b, char *buf, size_t len, struct slice *data)
{
    size_t n = b->left < len ? (size_t)b->left : len;
    if (data->len == 0) {
        data->at = buf;
    } else {
        size_t gap = (size_t)(buf - (data->at + data->len));
        memmove(buf - gap, buf, n);
    }
    data->len += n;
    b->left -= n;
    if (b->left == 0)
        b->state = CHUNK_DATA_CR;
    return n;
}

static ssize_t feed_chunks(struct body *b, char *buf, size_t len, struct slice *data)
{
    size_t i = 0;
    while (i < len && !b->done) {
        if (b->state == CHUNK_DATA) {
            i += take_data(b, buf + i, len - i, data);
        } else if (!feed_framing(b, buf[i++])) {
            *data = slice_of(buf, 0);
            return -1;
        }
    }
    return (ssize_t)i;
}

void body_pass(struct body *b, uint64_t n)
{
    CHECK(b->kind == BODY_LENGTH && n <= b->left);
    b->left -= n;
    b->done = b->left == 0;
}

ssize_t body_feed(struct body *b, char *buf, size_t len, struct slice *data)
{
    *data = slice_of(buf, 0);
    if (b->done)
        return 0;
    if (b->kind == BODY_CHUNKED)
        return feed_chunks(b, buf, len, data);
    size_t n = len;
    if (b->kind == BODY_LENGTH) {
        n = b->left < len ? (size_t)b->left : len;
        body_pass(b, n);
    }
    data->len = n;
    return (ssize_t)n;
}

size_t body_chunk_head(char out[BODY_CHUNK_HEAD_MAX], size_t n)
{
    CHECK(n > 0);
    char digits[16];
    size_t count = 0;
    for (; n; n >>= 4)
        digits[count++] = "0123456789abcdef"[n & 15];
    for (size_t i = 0; i < count; i++)
        out[i] = digits[count - 1 - i];
    out[count] = '\r';
    out[count + 1] = '\n';
    return count + 2;
}
