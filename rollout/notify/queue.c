/* What one receiver is yet to be told.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/queue.h"

#include "rollout/http.h"
#include <string.h>

static struct queue_item *item_of(struct list *l)
{
    return CONTAINER_OF(l, struct queue_item, link);
}

void queue_init(struct queue *q)
{
    list_init(&q->items);
    q->n = 0;
}

struct queue_item *queue_first(const struct queue *q)
{
    return q->n ? item_of(q->items.next) : NULL;
}

static struct queue_item *take(struct queue *q, struct queue_item *item)
{
    list_remove(&item->link);
    q->n--;
    return item;
}

struct queue_item *queue_take(struct queue *q)
{
    struct queue_item *first = queue_first(q);
    return first ? take(q, first) : NULL;
}

static void supersede(struct queue *q, const char *route)
{
    for (struct list *l = q->items.next; l != &q->items; l = l->next)
        if (strcmp(item_of(l)->event.route, route) == 0)
            item_of(l)->is_superseded = true;
}

struct queue_item *queue_push(struct queue *q, struct queue_item *item, bool is_busy)
{
    item->is_state = notify_kind_is_state(notify_kind_of(item->event.name));
    item->is_superseded = false;
    if (item->is_state)
        supersede(q, item->event.route);
    list_push_back(&q->items, &item->link);
    q->n++;
    struct list *l = is_busy ? q->items.next->next : q->items.next;
    for (; q->n > QUEUE_ITEMS_MAX && l != &q->items; l = l->next)
        if (!item_of(l)->is_state || item_of(l)->is_superseded)
            return take(q, item_of(l));
    return NULL;
}

enum queue_outcome queue_outcome_of(unsigned status)
{
    if (status / 100 == 2)
        return QUEUE_SENT;
    return status == 0 || status == 408 || status == 425 || status == 429 || status / 100 == 5
               ? QUEUE_RETRY
               : QUEUE_REFUSED;
}

int64_t queue_pause_ms(unsigned tries, unsigned retry_after_s, uint32_t random)
{
    int64_t pause_ms = QUEUE_PAUSE_FIRST_MS;
    for (unsigned i = 1; i < tries && pause_ms < QUEUE_PAUSE_MAX_MS; i++)
        pause_ms *= 2;
    if (pause_ms > QUEUE_PAUSE_MAX_MS)
        pause_ms = QUEUE_PAUSE_MAX_MS;
    pause_ms = pause_ms / 2 + (int64_t)(random % (uint32_t)(pause_ms / 2 + 1));
    if (retry_after_s > QUEUE_RETRY_AFTER_MAX_S)
        retry_after_s = QUEUE_RETRY_AFTER_MAX_S;
    int64_t told_ms = retry_after_s ? http_retry_after_ms(retry_after_s) : 0;
    return pause_ms > told_ms ? pause_ms : told_ms;
}
