/* One-slot pointer exchange between two threads: the newest message wins, an unread older one comes back.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_MAILBOX_H
#define SERIN_BASE_MAILBOX_H

#include <stdatomic.h>
#include <stddef.h>

struct mailbox {
    _Atomic(void *) slot;
};

static inline void mailbox_init(struct mailbox *m)
{
    atomic_init(&m->slot, NULL);
}

/* Sender: ownership of message moves in. Returns the unread older message, now the sender's again, or NULL. */
static inline void *mailbox_put(struct mailbox *m, void *message)
{
    return atomic_exchange_explicit(&m->slot, message, memory_order_acq_rel);
}

/* Receiver: takes the message out and owns it, or NULL when there is none. */
static inline void *mailbox_take(struct mailbox *m)
{
    return atomic_exchange_explicit(&m->slot, NULL, memory_order_acq_rel);
}

#endif
