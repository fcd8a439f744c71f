/* Bytes of a connection that wait: a partial head with the parser's progress, or input read ahead. A connection
 * owns memory for input only while it has some.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_HELD_H
#define SERIN_PROXY_FLOW_HELD_H

#include "base/err.h"
#include "proxy/http/head.h"

struct held {
    char *bytes; /* NULL = nothing is held */
    struct head *
        head; /* progress over bytes; allocated only as far as its fields go; NULL = not looked at yet */
    uint32_t len;
};

/* Keeps bytes, and the progress of head over them where head is not NULL. What was held before is replaced (bytes
 * may not point into it). ERR_MEMORY, ERR_LIMIT above FLOW_HELD_MAX: nothing is held then. */
enum err held_keep(struct held *h, const char *bytes, size_t len, const struct head *head) MUST_USE;

/* Copies what is held to the start of buf and the progress to *head, which is begun anew where there is none; then
 * holds nothing. Returns the number of bytes. */
size_t held_restore(struct held *h, char *buf, struct head *head, bool is_response);

void held_drop(struct held *h);

#endif
