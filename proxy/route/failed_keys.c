/* Sticky keys that have failed: a bitmap of hashes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/failed_keys.h"

/* Beyond this share (one in ten) too many keys would share a bit with a failed one. */
#define MARKED_MAX (FAILED_KEYS / 10)

/* The upper bits: the bucket of the split is taken from the whole number, by its remainder. */
static uint32_t bit_of(uint64_t hash)
{
    return (uint32_t)(hash >> (64 - FAILED_KEYS_BITS));
}

bool failed_keys_has(const struct failed_keys *k, uint64_t hash)
{
    uint32_t bit = bit_of(hash);
    _Atomic uint64_t *word = (_Atomic uint64_t *)(uintptr_t)&k->words[bit / 64];
    return atomic_load_explicit(word, memory_order_relaxed) >> (bit % 64) & 1;
}

bool failed_keys_mark(struct failed_keys *k, uint64_t hash)
{
    uint32_t bit = bit_of(hash);
    uint64_t mask = UINT64_C(1) << (bit % 64);
    if (atomic_fetch_or_explicit(&k->words[bit / 64], mask, memory_order_relaxed) & mask)
        return false;
    if (atomic_fetch_add_explicit(&k->marked, 1, memory_order_relaxed) >= MARKED_MAX)
        failed_keys_clear(k);
    return true;
}

void failed_keys_clear(struct failed_keys *k)
{
    atomic_store_explicit(&k->marked, 0, memory_order_relaxed);
    for (uint32_t i = 0; i < FAILED_KEYS / 64; i++)
        atomic_store_explicit(&k->words[i], 0, memory_order_relaxed);
}
