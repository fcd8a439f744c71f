/* How many connections one address may have, and the queue of those for whom there is no room.
 *
 * limits.upstream_connections_per_endpoint is the process's. One connection a worker is its own, so that no worker ever
 * starves; the rest belongs to whoever comes first, by one shared counter. A worker that has room again serves its queue
 * in its next turn; what another one has given back is seen within ROOM_POLL_MS.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_ROOM_H
#define SERIN_PROXY_UPSTREAM_ROOM_H

#include "proxy/upstream/pool.h"

#define ROOM_POLL_MS 50

/* A request in a queue; embedded in whoever waits. */
struct upstream_waiter {
    struct list link;
    struct pool *pool;   /* NULL = in no queue */
    struct quota *quota; /* of the pool's address */
    void *owner;
};

/* True where p may open one more connection; *shared is then q where it is counted there, else NULL: pass it to
 * room_use with the new connection, or to room_give where there came none. */
bool room_take(struct pool *p, struct quota *q, struct quota **shared);

/* The new connection holds what room_take gave, until it is closed. */
void room_use(struct upstream_conn *c, struct quota *shared);

/* Gives back; NULL is allowed. Who waits gets it in the next turn. */
void room_give(struct pool *p, struct quota *shared);

/* Puts a waiter, which is in no queue, in that of the pool: on_room comes when it is its turn and there may be room.
 * is_first: it was there before, and met no room after all. */
void room_wait(struct pool *p, struct quota *q, struct upstream_waiter *w, bool is_first);

/* Takes it out; nothing happens where it is in none. */
void room_leave(struct upstream_waiter *w);

/* Whether one more connection may be taken for something that no user waits for: nobody is in a queue of this address,
 * and at least half of its connections could still be had after that. q: of the pool's address. */
bool room_leaves_half(const struct pool *p, struct quota *q);

/* --- for pool.c --- */

void room_init(struct upstream *u);
void room_fini(struct upstream *u);
void room_init_pool(struct pool *p);
void room_fini_pool(struct pool *p);

/* The pool has an idle connection again. */
void room_tell(struct pool *p);

/* False: another worker waits for what this connection takes up, or a reload has lowered the limit. */
bool room_may_keep(const struct upstream_conn *c);

#endif
