/* How many connections one address may have, and the queue of those for whom there is no room.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/upstream/room.h"

#include "proxy/wire/time.h"

/* What is left of the limit when each worker has its own connection. */
static uint32_t shared_max(const struct upstream *u)
{
    return u->connections_max > u->workers ? u->connections_max - u->workers : 0;
}

bool room_take(struct pool *p, struct quota *q, struct quota **shared)
{
    const struct upstream *u = p->upstream;
    *shared = NULL;
    if (u->connections_max == 0 || p->n_open == p->n_shared)
        return true;
    if (!quota_take(&q->shared, shared_max(u)))
        return false;
    p->n_shared++;
    *shared = quota_ref(q);
    return true;
}

void room_use(struct upstream_conn *c, struct quota *shared)
{
    c->shared = shared;
}

void room_give(struct pool *p, struct quota *shared)
{
    if (shared) {
        p->n_shared--;
        quota_give(&shared->shared);
        quota_unref(shared);
    }
    if (p->n_waiting)
        room_tell(p);
}

bool room_may_keep(const struct upstream_conn *c)
{
    const struct pool *p = c->pool;
    if (c->shared)
        return (p->n_waiting || quota_read(&c->shared->queued) == 0) &&
               quota_read(&c->shared->shared) <= shared_max(p->upstream);
    return p->upstream->connections_max == 0 || p->n_open - p->n_shared <= 1;
}

void room_wait(struct pool *p, struct quota *q, struct upstream_waiter *w, bool is_first)
{
    if (is_first) {
        list_push_front(&p->waiting, &w->link);
        list_remove(&p->due); /* or it would be asked again at once, without end */
    } else {
        list_push_back(&p->waiting, &w->link);
    }
    w->pool = p;
    w->quota = q;
    p->n_waiting++;
    p->load++;
    atomic_fetch_add_explicit(&q->queued, 1, memory_order_relaxed);
    if (list_empty(&p->poll.link))
        wheel_set(p->upstream->wheel, &p->poll, time_monotonic_ms() + ROOM_POLL_MS);
}

void room_leave(struct upstream_waiter *w)
{
    struct pool *p = w->pool;
    if (!p)
        return;
    list_remove(&w->link);
    w->pool = NULL;
    p->n_waiting--;
    p->load--;
    quota_give(&w->quota->queued);
    if (p->n_waiting == 0)
        wheel_cancel(p->upstream->wheel, &p->poll);
}

void room_tell(struct pool *p)
{
    struct upstream *u = p->upstream;
    if (list_empty(&p->due))
        list_push_back(&u->due, &p->due);
    event_active(&u->serve, EV_TIMEOUT, 1);
}

static bool may_have_room(const struct pool *p, const struct quota *q)
{
    const struct upstream *u = p->upstream;
    return p->n_idle || u->connections_max == 0 || p->n_open == p->n_shared ||
           quota_read(&((struct quota *)(uintptr_t)q)->shared) < shared_max(u);
}

/* One waiter; the next one is due after it. The pool may be gone with it. */
static void serve(struct pool *p)
{
    if (list_empty(&p->waiting))
        return;
    struct upstream_waiter *w = CONTAINER_OF(p->waiting.next, struct upstream_waiter, link);
    if (!may_have_room(p, w->quota))
        return;
    room_leave(w);
    if (p->n_waiting)
        room_tell(p);
    p->upstream->events->on_room(w->owner);
}

bool room_leaves_half(const struct pool *p, struct quota *q)
{
    const struct upstream *u = p->upstream;
    uint32_t shared = quota_read(&q->shared), most = shared_max(u);
    if (p->n_waiting || quota_read(&q->queued))
        return false;
    uint64_t left =
        (uint64_t)p->n_idle + (p->n_open == p->n_shared) + (most > shared ? most - shared : 0);
    return u->connections_max == 0 || (left > 0 && 2 * (left - 1) >= u->connections_max);
}

static void on_serve(evutil_socket_t fd, short what, void *arg)
{
    struct upstream *u = arg;
    struct list now, *node;
    (void)fd;
    (void)what;
    list_init(&now);
    while ((node = list_pop_front(&u->due)))
        list_push_back(&now, node);
    while ((node = list_pop_front(&now)))
        serve(CONTAINER_OF(node, struct pool, due));
}

static void on_poll(struct wheel_entry *e)
{
    struct pool *p = CONTAINER_OF(e, struct pool, poll);
    wheel_set(p->upstream->wheel, &p->poll, time_monotonic_ms() + ROOM_POLL_MS);
    room_tell(p);
}

void room_init(struct upstream *u)
{
    list_init(&u->due);
    u->workers = 1;
    CHECK(event_assign(&u->serve, u->base, -1, 0, on_serve, u) == 0);
}

void room_fini(struct upstream *u)
{
    (void)event_del(&u->serve);
}

void room_init_pool(struct pool *p)
{
    list_init(&p->waiting);
    list_init(&p->due);
    wheel_entry_init(&p->poll);
    p->poll.on_due = on_poll;
}

void room_fini_pool(struct pool *p)
{
    CHECK(list_empty(&p->waiting));
    wheel_cancel(p->upstream->wheel, &p->poll);
    list_remove(&p->due);
}
