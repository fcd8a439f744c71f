/* Log-linear histogram of durations: fixed cells, one writer, mergeable and subtractable.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_HIST_H
#define SERIN_METRICS_HIST_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Built with SERIN_NO_METRICS nothing is counted, and much does not work: to measure what counting costs, and for nothing else
 * (tests/bench/README.md). */
#ifdef SERIN_NO_METRICS
#define METRICS_COUNT 0
#else
#define METRICS_COUNT 1
#endif

/* 2^5 cells an octave: a cell is at most 3.2 % wide. Microseconds up to 2^32 (71 minutes); longer
 * falls into the last. */
#define HIST_SUB_BITS 5u
#define HIST_MAX_BITS 32u
#define HIST_CELLS    (((HIST_MAX_BITS - HIST_SUB_BITS) + 1u) << HIST_SUB_BITS)

struct hist {
    _Atomic uint64_t cells[HIST_CELLS];
    _Atomic uint64_t sum_us;
};

/* A plain copy: what a reader sums, subtracts and asks for quantiles. */
struct hist_sum {
    uint64_t cells[HIST_CELLS];
    uint64_t sum_us;
};

/* The cell of a duration. Monotone. Pure. */
static inline unsigned hist_cell(uint64_t us)
{
    if (us < (1u << HIST_SUB_BITS))
        return (unsigned)us;
    if (us >> HIST_MAX_BITS)
        return HIST_CELLS - 1;
    unsigned top = 63u - (unsigned)__builtin_clzll(us);
    unsigned shift = top - HIST_SUB_BITS;
    return ((shift + 1) << HIST_SUB_BITS) + (unsigned)((us >> shift) - (1u << HIST_SUB_BITS));
}

/* The largest duration that falls into a cell, in microseconds; of the last cell 2^32 - 1, though
 * longer ones fall into it too. cell < HIST_CELLS. Pure. */
uint64_t hist_cell_top_us(unsigned cell);

/* Counts one duration. Only the owner thread writes: two relaxed stores, no locked instruction. */
static inline void hist_record(struct hist *h, uint64_t us)
{
    if (!METRICS_COUNT)
        return;
    _Atomic uint64_t *c = &h->cells[hist_cell(us)];
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    atomic_store_explicit(&h->sum_us, atomic_load_explicit(&h->sum_us, memory_order_relaxed) + us,
                          memory_order_relaxed);
}

/* Adds a live histogram to a sum. Any thread. */
void hist_add(struct hist_sum *sum, const struct hist *h);

/* later - earlier of the same histogram: what happened between two moments. Where anything went
 * down, the process began anew in between and all of later is new. Pure. */
void hist_subtract(struct hist_sum *later, const struct hist_sum *earlier);

/* Adds a copy to a copy. Pure. */
void hist_merge(struct hist_sum *sum, const struct hist_sum *other);

/* How many durations it holds. Pure. O(HIST_CELLS). */
uint64_t hist_count(const struct hist_sum *s);

/* The smallest cell bound with at least ceil(q * count) durations at or below, in microseconds; 0
 * when empty. q in (0, 1]. Pure. */
uint64_t hist_quantile_us(const struct hist_sum *s, double q);

#endif
