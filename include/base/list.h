/* Intrusive doubly linked list: a node embedded in the object, no memory of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_LIST_H
#define SERIN_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next,
        *prev; /* a head and its nodes form a ring; an unlinked node points to itself */
};

#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline void list_push_front(struct list *head, struct list *node)
{
    node->next = head->next;
    node->prev = head;
    head->next->prev = node;
    head->next = node;
}

static inline void list_push_back(struct list *head, struct list *node)
{
    list_push_front(head->prev, node);
}

/* Unlinks; safe on a node that is already unlinked. */
static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Takes the first node out, or NULL. */
static inline struct list *list_pop_front(struct list *head)
{
    struct list *node = head->next;
    if (node == head)
        return NULL;
    list_remove(node);
    return node;
}

#endif
