/* How many requests of a route may be sent again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/retry_budget.h"

#include <stdlib.h>

#define SECOND_SHIFT 32u

/* Two cache lines, since processors fetch them in pairs: what failures write lies beside nothing that successes read. */
#define BUDGET_ALIGN 128u

struct retry_budget *retry_budget_new(void)
{
    size_t bytes = (sizeof(struct retry_budget) + BUDGET_ALIGN - 1) & ~(size_t)(BUDGET_ALIGN - 1);
    struct retry_budget *b = aligned_alloc(BUDGET_ALIGN, bytes);
    if (b)
        *b = (struct retry_budget){.look = 0};
    return b;
}

/* Seconds are counted from the window's length on, so that an untouched one (0) lies outside every window, also while the
 * monotonic clock is young. */
static uint64_t second_of(int64_t now_us)
{
    return (uint64_t)now_us / 1000000 + RETRY_BUDGET_S;
}

static uint64_t taken_at(const struct retry_budget *b, uint64_t second)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < RETRY_BUDGET_S; i++) {
        uint64_t cell = atomic_load(&((struct retry_budget *)(uintptr_t)b)->seconds[i]);
        if ((cell >> SECOND_SHIFT) + RETRY_BUDGET_S > second)
            sum += (uint32_t)cell;
    }
    return sum;
}

/* Each worker has its own idea of now, some milliseconds old: who comes late to a second counts in the one that has begun.
 * Returns the second. */
static uint64_t reserve(_Atomic uint64_t *cell, uint64_t second)
{
    uint64_t old = atomic_load(cell), next;
    do {
        next = old >> SECOND_SHIFT >= second ? old + 1 : (second << SECOND_SHIFT) + 1;
    } while (!atomic_compare_exchange_weak(cell, &old, next));
    return next >> SECOND_SHIFT;
}

/* Nothing where the second has gone round the ring meanwhile, and what was reserved with it. */
static void give_back(_Atomic uint64_t *cell, uint64_t second)
{
    uint64_t old = atomic_load(cell);
    do {
        if (old >> SECOND_SHIFT != second || (uint32_t)old == 0)
            return;
    } while (!atomic_compare_exchange_weak(cell, &old, old - 1));
}

/* Reserved before it is summed, in sequentially consistent order: of two that race at least one sees the other. */
bool retry_budget_take(struct retry_budget *b, uint64_t most, int64_t now_us)
{
    uint64_t second = second_of(now_us);
    _Atomic uint64_t *cell = &b->seconds[second % RETRY_BUDGET_S];
    uint64_t reserved = reserve(cell, second);
    if (taken_at(b, second) <= most)
        return true;
    give_back(cell, reserved);
    return false;
}

uint64_t retry_budget_taken(const struct retry_budget *b, int64_t now_us)
{
    return taken_at(b, second_of(now_us));
}

bool retry_budget_say(struct retry_budget *b, int64_t now_us)
{
    uint64_t second = second_of(now_us), said = atomic_load(&b->said);
    return said + RETRY_BUDGET_S <= second &&
           atomic_compare_exchange_strong(&b->said, &said, second);
}

void retry_budget_look(struct retry_budget *b, uint64_t responses)
{
    b->looks[b->look] = responses;
    b->look = (b->look + 1) % RETRY_BUDGET_S;
    /* whoever reads this number, and then the cells, finds no less in them */
    atomic_store_explicit(&b->responses_before, b->looks[b->look], memory_order_release);
}

uint64_t retry_budget_before(const struct retry_budget *b)
{
    return atomic_load_explicit(&((struct retry_budget *)(uintptr_t)b)->responses_before,
                                memory_order_acquire);
}
