/* Deadlines of one thread: a hashed timer wheel with lazy entries.
 * A deadline that moves later costs one store: the entry stays in its slot and is moved on when the slot comes up.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_WHEEL_H
#define SERIN_BASE_WHEEL_H

#include "base/check.h"
#include "base/list.h"
#include <stdint.h>

#define WHEEL_SLOTS   512u
#define WHEEL_TICK_MS 50 /* resolution; 512 slots reach 25.6 s, a later deadline goes round again */
#define WHEEL_NEVER                                                                                \
    (INT64_MAX / 2) /* a deadline that is never due: cheaper than cancelling one that comes back */

struct wheel_entry {
    struct list link;    /* unlinked = no deadline */
    int64_t deadline_ms; /* when it is due */
    int64_t slot_ms;     /* when its slot comes up; never after the deadline's own slot */
    void (*on_due)(struct wheel_entry *e); /* for whoever pops it; the wheel itself never calls */
};

struct wheel {
    struct list slots[WHEEL_SLOTS];
    int64_t now_ms; /* everything due up to here has been handed out */
    uint32_t count;
};

static inline void wheel_init(struct wheel *w, int64_t now_ms)
{
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        list_init(&w->slots[i]);
    w->now_ms = now_ms - now_ms % WHEEL_TICK_MS;
    w->count = 0;
}

static inline void wheel_entry_init(struct wheel_entry *e)
{
    list_init(&e->link);
    e->deadline_ms = e->slot_ms = 0;
    e->on_due = NULL;
}

static inline void wheel_place(struct wheel *w, struct wheel_entry *e)
{
    int64_t tick = (e->deadline_ms + WHEEL_TICK_MS - 1) / WHEEL_TICK_MS;
    int64_t current = w->now_ms / WHEEL_TICK_MS;
    if (tick <= current)
        tick = current + 1;
    if (tick > current + (int64_t)WHEEL_SLOTS - 1)
        tick = current + (int64_t)WHEEL_SLOTS - 1;
    e->slot_ms = tick * WHEEL_TICK_MS;
    list_push_back(&w->slots[tick % (int64_t)WHEEL_SLOTS], &e->link);
}

/* Takes the deadline away; safe where there is none. */
static inline void wheel_cancel(struct wheel *w, struct wheel_entry *e)
{
    if (list_empty(&e->link))
        return;
    list_remove(&e->link);
    w->count--;
}

/* Sets or moves a deadline (monotonic milliseconds). O(1); a later one than before touches the entry only. */
static inline void wheel_set(struct wheel *w, struct wheel_entry *e, int64_t deadline_ms)
{
    e->deadline_ms = deadline_ms;
    if (!list_empty(&e->link)) {
        if (deadline_ms >= e->slot_ms)
            return;
        list_remove(&e->link);
        w->count--;
    }
    wheel_place(w, e);
    w->count++;
}

/* Moves all entries that are due at now_ms to the list due (in no order), each unlinked from the wheel; entries
 * that were put off are placed anew. The caller pops them one by one, since a handler may cancel another. */
static inline void wheel_advance(struct wheel *w, int64_t now_ms, struct list *due)
{
    int64_t last = now_ms - now_ms % WHEEL_TICK_MS;
    int64_t turns = (last - w->now_ms) / WHEEL_TICK_MS;
    if (turns >
        (int64_t)WHEEL_SLOTS) { /* the thread slept long: one full round visits every slot */
        w->now_ms = last - (int64_t)WHEEL_SLOTS * WHEEL_TICK_MS;
    }
    while (w->now_ms < last) {
        w->now_ms += WHEEL_TICK_MS;
        struct list pending, *node;
        struct list *slot = &w->slots[w->now_ms / WHEEL_TICK_MS % (int64_t)WHEEL_SLOTS];
        list_init(&pending);
        while ((node = list_pop_front(slot)))
            list_push_back(&pending, node);
        while ((node = list_pop_front(&pending))) {
            struct wheel_entry *e = CONTAINER_OF(node, struct wheel_entry, link);
            if (e->deadline_ms <= now_ms)
                list_push_back(due, node);
            else
                wheel_place(w, e);
        }
    }
}

/* Takes one entry off a due list (wheel_advance), or NULL when it is empty. One whose deadline was moved while it
 * waited in the list goes back to the wheel. */
static inline struct wheel_entry *wheel_pop_due(struct wheel *w, struct list *due, int64_t now_ms)
{
    struct list *node;
    while ((node = list_pop_front(due))) {
        struct wheel_entry *e = CONTAINER_OF(node, struct wheel_entry, link);
        if (e->deadline_ms <= now_ms) {
            w->count--;
            return e;
        }
        wheel_place(w, e);
    }
    return NULL;
}

#endif
