/* Objects that have ended wait here until the turn of the event loop is over, so that no callback frees the ground
 * that it stands on.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_WIRE_GRAVE_H
#define SERIN_PROXY_WIRE_GRAVE_H

#include "base/list.h"
#include <event2/event.h>
#include <event2/event_struct.h>

/* Embedded in an object that may end inside a callback. */
struct grave {
    struct list link;
    void (*free)(struct grave *g);
};

struct graveyard {
    struct list dead;
    struct event reap;
};

void graveyard_init(struct graveyard *y, struct event_base *base);

/* Frees what still waits. */
void graveyard_fini(struct graveyard *y);

/* Frees the object by free_fn once the callbacks of this turn have run. At most once per object. */
void grave_bury(struct graveyard *y, struct grave *g, void (*free_fn)(struct grave *g));

#endif
