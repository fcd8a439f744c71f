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
    held_drop(h);
    if (len > FLOW_HELD_MAX)
        return ERR_LIMIT;
    h->bytes = malloc(len ? len : 1);
    if (head)
        h->head = malloc(used_bytes(head));
    if (!h->bytes || (head && !h->head)) {
        held_drop(h);
        return ERR_MEMORY;
    }
    memcpy(h->bytes, bytes, len);
    h->len = (uint32_t)len;
    if (head)
        memcpy(h->head, head, used_bytes(head));
    return OK;
}

size_t held_restore(struct held *h, char *buf, struct head *head, bool is_response)
{
    size_t len = h->len;
    if (h->bytes)
        memcpy(buf, h->bytes, len);
    if (h->head)
        memcpy(head, h->head, used_bytes(h->head));
    else
        head_init(head, is_response);
    held_drop(h);
    return len;
}

void held_drop(struct held *h)
{
    free(h->bytes);
    free(h->head);
    *h = (struct held){NULL, NULL, 0};
}
