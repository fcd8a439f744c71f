/* Bytes of a connection that wait: a partial head with the parser's progress, or input read ahead. A connection
 * owns memory for input only while it has some.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_HELD_H
#define SERIN_PROXY_FLOW_HELD_H

#include "base/err.h"
#include "proxy/http/head.h"
#include <stdlib.h>

/* One allocation, since every connection pays for what refers to it. */
struct held_bytes {
    uint32_t len;
    uint32_t head_len; /* of the progress behind the bytes, as far as its fields go; 0 = none */
    char at[];
};

struct held {
    struct held_bytes *bytes; /* NULL = nothing is held */
};

static inline size_t held_len(const struct held *h)
{
    return h->bytes ? h->bytes->len : 0;
}

/* Bytes that no parser has seen: they were read ahead. */
static inline bool held_is_ahead(const struct held *h)
{
    return held_len(h) && h->bytes->head_len == 0;
}

/* Keeps bytes, and the progress of head over them where head is not NULL. What was held before is replaced (bytes
 * may not point into it). ERR_MEMORY, ERR_LIMIT above FLOW_HELD_MAX: nothing is held then. */
enum err held_keep(struct held *h, const char *bytes, size_t len, const struct head *head) MUST_USE;

/* Copies what is held to the start of buf and the progress to *head, which is begun anew where there is none; then
 * holds nothing. Returns the number of bytes. */
size_t held_restore(struct held *h, char *buf, struct head *head, bool is_response);

static inline void held_drop(struct held *h)
{
    if (!h->bytes)
        return;
    free(h->bytes);
    h->bytes = NULL;
}

#endif
