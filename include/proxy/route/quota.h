/* How much of one address is in use, by all workers together: connections to it, requests that wait for one. Shared by
 * every route and version that names the address; relaxed atomics, touched where a connection is opened, closed or
 * waited for, and by no request that finds an idle one.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_QUOTA_H
#define SERIN_PROXY_ROUTE_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One per address; whoever points to it holds a reference. */
struct quota {
    _Atomic uint32_t refs;
    _Atomic uint32_t shared; /* connections beyond the one that each worker may always have */
    _Atomic uint32_t
        pending; /* requests that wait for a connection: it comes up, or there is no room yet */
    _Atomic uint32_t queued; /* those of them for which there is no room */
};

/* With one reference; NULL when memory is short. */
struct quota *quota_new(void);

struct quota *quota_ref(struct quota *q);

/* Any thread; the last one frees. */
void quota_unref(struct quota *q);

/* Counts one more where that is at most most; false: it is not counted. Any thread. */
static inline bool quota_take(_Atomic uint32_t *count, uint32_t most)
{
    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < most)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

static inline void quota_give(_Atomic uint32_t *count)
{
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
}

static inline uint32_t quota_read(_Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

#endif
