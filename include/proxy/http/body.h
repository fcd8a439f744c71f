/* Where a message body ends: framing decided once, decoded in place, ambiguity refused.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_HTTP_BODY_H
#define SERIN_PROXY_HTTP_BODY_H

#include "proxy/http/head.h"
#include <sys/types.h>

enum body_kind {
    BODY_NONE,        /* the message ends with its head */
    BODY_LENGTH,      /* Content-Length */
    BODY_CHUNKED,     /* Transfer-Encoding: chunked */
    BODY_UNTIL_CLOSE, /* a response that ends with the connection */
};

/* The size line of a chunk with its extensions: guards against bytes that carry no data. */
#define CHUNK_LINE_BYTES_MAX 1024
/* Hexadecimal digits of a chunk size, leading zeros included: 64 bits. */
#define CHUNK_SIZE_DIGITS_MAX 16
/* All trailer lines of a message together; they are dropped. */
#define TRAILER_BYTES_MAX 8192

struct body {
    uint8_t kind;      /* enum body_kind */
    uint8_t state;     /* of the chunk decoder; private to body.c */
    bool done;         /* every byte of the body has been fed */
    uint32_t line;     /* bytes of the present chunk line or of all trailers so far; bounded */
    uint64_t left;     /* bytes still to come: of the body, or of the present chunk */
    const char *fault; /* after a refusal: a constant text for the log */
};

/* Decides how the body of a request is framed (RFC 9112 section 6.3). 0, or the negated status of
 * the refusal, and b->fault (-400 conflicting or malformed framing, also Transfer-Encoding in
 * HTTP/1.0; -501 unknown transfer coding). Pure. */
int body_plan_request(struct body *b, const struct head *h);

/* The same for a response to a request; to_head: the request was HEAD. 1xx, 204 and 304 have none,
 * whatever their fields say; ambiguous framing is refused for them too. Pure. 0, or -502 and
 * b->fault. */
int body_plan_response(struct body *b, const struct head *h, bool to_head);

/* Takes bytes of the body. Decodes chunks in place: *data are the decoded bytes, inside buf, in one
 * piece: the data of the first chunk stays where it is, that of later ones is moved down behind it.
 * Chunk extensions and trailers are checked and dropped. Returns how many bytes of buf belonged to
 * the body (fewer than len only when done is set, and 0 from then on), or -1 when the framing is
 * broken (fault says how; *data is empty; do not feed it again). Pure. O(len). */
ssize_t body_feed(struct body *b, char *buf, size_t len, struct slice *data);

/* Bytes of a body with a length have passed without being looked at: n of them, no more than are left. Pure. */
void body_pass(struct body *b, uint64_t n);

/* How many bytes body_chunk_head writes at most. */
#define BODY_CHUNK_HEAD_MAX 18

/* Writes the size line of one chunk of n > 0 bytes ("1f\r\n"). The chunk's data and "\r\n" follow
 * it. Returns its length. Pure. */
size_t body_chunk_head(char out[BODY_CHUNK_HEAD_MAX], size_t n);

#endif
