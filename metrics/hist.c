/* Log-linear histogram: cell bounds, sums, differences, quantiles.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/hist.h"
#include "base/check.h"

uint64_t hist_cell_top_us(unsigned cell)
{
    CHECK(cell < HIST_CELLS);
    if (cell < (2u << HIST_SUB_BITS))
        return cell;
    unsigned shift = (cell >> HIST_SUB_BITS) - 1;
    uint64_t low = ((uint64_t)(cell & ((1u << HIST_SUB_BITS) - 1)) + (1u << HIST_SUB_BITS))
                   << shift;
    return low + ((uint64_t)1 << shift) - 1;
}

static uint64_t cell_load(const _Atomic uint64_t *c)
{
    return atomic_load_explicit((_Atomic uint64_t *)(uintptr_t)c, memory_order_relaxed);
}

void hist_add(struct hist_sum *sum, const struct hist *h)
{
    for (unsigned i = 0; i < HIST_CELLS; i++)
        sum->cells[i] += cell_load(&h->cells[i]);
    sum->sum_us += cell_load(&h->sum_us);
}

void hist_merge(struct hist_sum *sum, const struct hist_sum *other)
{
    for (unsigned i = 0; i < HIST_CELLS; i++)
        sum->cells[i] += other->cells[i];
    sum->sum_us += other->sum_us;
}

void hist_subtract(struct hist_sum *later, const struct hist_sum *earlier)
{
    for (unsigned i = 0; i < HIST_CELLS; i++)
        if (later->cells[i] < earlier->cells[i])
            return;
    for (unsigned i = 0; i < HIST_CELLS; i++)
        later->cells[i] -= earlier->cells[i];
    /* Wraps like the live sum does, so that the difference stays right. */
    later->sum_us -= earlier->sum_us;
}

uint64_t hist_count(const struct hist_sum *s)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < HIST_CELLS; i++)
        n += s->cells[i];
    return n;
}

/* ceil(q * n), 1 at least; the product's rounding error (0.07 * 100 > 7) does not count as a
 * fraction. */
static uint64_t rank_of(double q, uint64_t n)
{
    double exact = q * (double)n;
    uint64_t rank = (uint64_t)exact;
    if (exact - (double)rank > exact * 1e-12)
        rank++;
    if (rank < 1)
        rank = 1;
    return rank < n ? rank : n;
}

uint64_t hist_quantile_us(const struct hist_sum *s, double q)
{
    CHECK(q > 0 && q <= 1);
    uint64_t n = hist_count(s);
    if (n == 0)
        return 0;
    uint64_t rank = rank_of(q, n), seen = 0;
    for (unsigned i = 0; i < HIST_CELLS; i++) {
        seen += s->cells[i];
        if (seen >= rank)
            return hist_cell_top_us(i);
    }
    return hist_cell_top_us(HIST_CELLS - 1);
}
