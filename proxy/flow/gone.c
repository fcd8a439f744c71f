/* Clients that break while nobody reads from them: found by looking.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/gone.h"

#include "proxy/flow/exchange.h"

void gone_look(struct flow *f)
{
    struct list *next;
    for (struct list *l = f->exchanges.next; l != &f->exchanges; l = next) {
        struct exchange *x = CONTAINER_OF(l, struct exchange, link);
        const struct stream *s = &x->client->stream;
        next = l->next; /* ending x ends no other */
        if (!s->is_reading && !s->is_writing && stream_is_gone(s))
            exchange_on_client_gone(x, CLIENT_ERROR_ABORTED);
    }
}
