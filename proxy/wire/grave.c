/* Objects that have ended wait here until the turn of the event loop is over.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/grave.h"

#include "base/check.h"

static void reap(struct graveyard *y)
{
    struct list *node;
    while ((node = list_pop_front(&y->dead))) {
        struct grave *g = CONTAINER_OF(node, struct grave, link);
        g->free(g);
    }
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    reap(arg);
}

void graveyard_init(struct graveyard *y, struct event_base *base)
{
    list_init(&y->dead);
    CHECK(event_assign(&y->reap, base, -1, 0, on_reap, y) == 0);
    /* after the callbacks of the sockets, should the base have more than one priority */
    (void)event_priority_set(&y->reap, event_base_get_npriorities(base) - 1);
}

void graveyard_fini(struct graveyard *y)
{
    (void)event_del(&y->reap);
    reap(y);
}

void grave_bury(struct graveyard *y, struct grave *g, void (*free_fn)(struct grave *g))
{
    g->free = free_fn;
    if (list_empty(&y->dead))
        event_active(&y->reap, EV_TIMEOUT, 0);
    list_push_back(&y->dead, &g->link);
}
