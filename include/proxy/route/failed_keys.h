/* Sticky keys that have failed: a broken client that asks again and again is one failure, not many. Pure but for the
 * bitmap, which all workers share by relaxed atomics: read for each sticky request, written by first failures only.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_FAILED_KEYS_H
#define SERIN_PROXY_ROUTE_FAILED_KEYS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAILED_KEYS_BITS 17u /* 16 KiB a route; at most a tenth of it is ever marked */
#define FAILED_KEYS      (1u << FAILED_KEYS_BITS)

struct failed_keys {
    _Atomic uint32_t marked; /* bits set: it is cleared when more than a tenth is */
    _Atomic uint64_t words[FAILED_KEYS / 64];
};

/* Whether a key with this hash has failed since the last clear, or shares its bit with one that has. Any thread. */
bool failed_keys_has(const struct failed_keys *k, uint64_t hash);

/* Marks a key as failed. True where it was not marked: its first failure. Any thread. */
bool failed_keys_mark(struct failed_keys *k, uint64_t hash);

/* Forgets all: another rollout. Any thread. */
void failed_keys_clear(struct failed_keys *k);

#endif
