/* Stable salted 64-bit hash: SipHash-2-4 (Aumasson and Bernstein, 2012).
 * Sticky assignment depends on it, so it never changes between releases.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_HASH_H
#define SERIN_BASE_HASH_H

#include "base/slice.h"

struct hash_salt {
    uint64_t k0, k1;
};

static inline uint64_t hash_rotl(uint64_t x, unsigned b)
{
    return (x << b) | (x >> (64 - b));
}

static inline void hash_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = hash_rotl(v[1], 13) ^ v[0];
    v[0] = hash_rotl(v[0], 32);
    v[2] += v[3];
    v[3] = hash_rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = hash_rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = hash_rotl(v[1], 17) ^ v[2];
    v[2] = hash_rotl(v[2], 32);
}

static inline uint64_t hash_le64(const unsigned char *p)
{
    uint64_t w = 0;
    for (unsigned i = 0; i < 8; i++)
        w |= (uint64_t)p[i] << (8 * i);
    return w;
}

/* Hash of the bytes under the salt; the same on every machine and in every release. Pure. O(len). */
static inline uint64_t hash_bytes(struct hash_salt salt, struct slice s)
{
    uint64_t v[4] = {salt.k0 ^ 0x736f6d6570736575u, salt.k1 ^ 0x646f72616e646f6du,
                     salt.k0 ^ 0x6c7967656e657261u, salt.k1 ^ 0x7465646279746573u};
    const unsigned char *p = (const unsigned char *)s.at;
    size_t whole = s.len & ~(size_t)7;
    for (size_t i = 0; i < whole; i += 8) {
        uint64_t m = hash_le64(p + i);
        v[3] ^= m;
        hash_round(v);
        hash_round(v);
        v[0] ^= m;
    }
    uint64_t last = (uint64_t)(s.len & 0xff) << 56;
    for (size_t i = whole; i < s.len; i++)
        last |= (uint64_t)p[i] << (8 * (i - whole));
    v[3] ^= last;
    hash_round(v);
    hash_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        hash_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* A salt from any text (a rollout's id): two different texts draw two different assignments. Pure. */
static inline struct hash_salt hash_salt_of(struct slice text)
{
    return (struct hash_salt){hash_bytes((struct hash_salt){1, 2}, text),
                              hash_bytes((struct hash_salt){3, 4}, text)};
}

#endif
