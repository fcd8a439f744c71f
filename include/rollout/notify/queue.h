/* What one receiver is yet to be told, in order: bounded, and what to do after a try.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_QUEUE_H
#define SERIN_ROLLOUT_NOTIFY_QUEUE_H

#include "base/list.h"
#include "rollout/event.h"
#include "rollout/notify/message.h"

/* Events that wait for one receiver: guards memory against one that is away. The newest state of a route is kept beyond it. */
#define QUEUE_ITEMS_MAX 100u
/* After this an event is old news, and is given up. */
#define QUEUE_AGE_MAX_MS (60 * 60 * 1000)
/* The first pause after a failure; each further one is twice as long, up to the longest. */
#define QUEUE_PAUSE_FIRST_MS 1000
#define QUEUE_PAUSE_MAX_MS   (5 * 60 * 1000)
/* A receiver that asks for a longer pause (Retry-After) is asked again all the same. */
#define QUEUE_RETRY_AFTER_MAX_S 600u

struct queue_item {
    struct list link;
    struct rollout_event event;
    char id[MESSAGE_ID_MAX];
    int64_t born_ms;    /* monotonic */
    unsigned tries;     /* that have failed */
    bool is_state;      /* says where its rollout is */
    bool is_superseded; /* a later one in the queue does, of the same route */
};

struct queue {
    struct list items; /* struct queue_item, the oldest first */
    size_t n;
};

void queue_init(struct queue *q);

/* Puts an event of the heap at the end. Where there are too many, gives back the oldest that may go, for the caller to free;
 * NULL: none has to, or none may. is_busy: the first is being sent and stays. Pure. O(items). */
struct queue_item *queue_push(struct queue *q, struct queue_item *item, bool is_busy);

/* The oldest; NULL where there is none. Pure. */
struct queue_item *queue_first(const struct queue *q);

/* Takes the oldest out, for the caller to free; NULL where there is none. Pure. */
struct queue_item *queue_take(struct queue *q);

enum queue_outcome {
    QUEUE_SENT,    /* 2xx */
    QUEUE_RETRY,   /* no answer, 408, 425, 429, 5xx: it may go well later */
    QUEUE_REFUSED, /* anything else, a redirect too: the same again would be refused again */
};

/* What an answer means; status 0: there was none. Pure. */
enum queue_outcome queue_outcome_of(unsigned status);

/* How long to wait after so many failures (from 1): doubled each time, half of it random, so that receivers that come back
 * are not met by everybody at once; what the receiver asks for (Retry-After, 0 = nothing) where that is longer, within
 * bounds. random: any bits. Pure. */
int64_t queue_pause_ms(unsigned tries, unsigned retry_after_s, uint32_t random);

#endif
