/* Bytes of a connection that wait: a partial head with the parser's progress, or input read ahead.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/held.h"

#include "proxy/flow/ctx.h"
#include "proxy/http/parse.h"

/* The part of a head that is in use: the table of fields is cut at the last one. */
static size_t used_bytes(const struct head *head)
{
    return offsetof(struct head, fields) + head->n_fields * sizeof head->fields[0];
}

enum err held_keep(struct held *h, const char *bytes, size_t len, const struct head *head)
{
    size_t head_len = head ? used_bytes(head) : 0;
    held_drop(h);
    if (len > FLOW_HELD_MAX)
        return ERR_LIMIT;
    h->bytes = malloc(sizeof *h->bytes + len + head_len);
    if (!h->bytes)
        return ERR_MEMORY;
    h->bytes->len = (uint32_t)len;
    h->bytes->head_len = (uint32_t)head_len;
    memcpy(h->bytes->at, bytes, len);
    if (head)
        memcpy(h->bytes->at + len, head, head_len);
    return OK;
}

size_t held_restore(struct held *h, char *buf, struct head *head, bool is_response)
{
    const struct held_bytes *b = h->bytes;
    if (!b) {
        head_init(head, is_response);
        return 0;
    }
    size_t len = b->len;
    memcpy(buf, b->at, len);
    if (b->head_len)
        memcpy(head, b->at + len, b->head_len);
    else
        head_init(head, is_response);
    held_drop(h);
    return len;
}
