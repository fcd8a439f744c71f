/* Intrusive hash index: finds objects by a text or several, with a node embedded in each; grows with what it holds.
 * It stays where it is while it holds anything: nodes point into it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_INDEX_H
#define SERIN_BASE_INDEX_H

#include "base/hash.h"
#include <stdlib.h>

#define INDEX_FIRST 16u /* buckets that it begins with, of its own: adding needs no memory */

struct index_node {
    struct index_node *next, **at; /* in its bucket; `at` points to what points here */
    uint64_t hash;
};

struct index {
    struct hash_salt salt;     /* secret where others than the operator choose what is looked up */
    size_t n, n_buckets;       /* a power of two, at least n as long as memory was there */
    struct index_node **grown; /* NULL: `first` are the buckets */
    struct index_node *first[INDEX_FIRST];
};

static inline void index_init(struct index *x, struct hash_salt salt)
{
    *x = (struct index){.salt = salt, .n_buckets = INDEX_FIRST};
}

/* What it holds is the owner's, and is not touched. */
static inline void index_fini(struct index *x)
{
    free(x->grown);
    index_init(x, x->salt);
}

/* The hash of bytes behind others: `before` is the hash of those, 0 for the first. Pure. O(len). */
static inline uint64_t index_hash(const struct index *x, uint64_t before, struct slice bytes)
{
    return hash_bytes((struct hash_salt){x->salt.k0 ^ before, x->salt.k1}, bytes);
}

static inline struct index_node **index_bucket(struct index *x, uint64_t hash)
{
    return &(x->grown ? x->grown : x->first)[hash & (x->n_buckets - 1)];
}

static inline void index_link(struct index_node **bucket, struct index_node *node)
{
    node->next = *bucket;
    node->at = bucket;
    if (node->next)
        node->next->at = &node->next;
    *bucket = node;
}

/* Twice the buckets. Where memory is short it stays as it is: slower, and whole. */
static inline void index_grow(struct index *x)
{
    struct index_node **old = x->grown, **from = old ? old : x->first;
    size_t n_old = x->n_buckets;
    struct index_node **grown = calloc(2 * n_old, sizeof(struct index_node *));
    if (!grown)
        return;
    x->grown = grown;
    x->n_buckets = 2 * n_old;
    for (size_t i = 0; i < n_old; i++)
        for (struct index_node *node = from[i], *next; node; node = next) {
            next = node->next;
            index_link(index_bucket(x, node->hash), node);
        }
    free(old);
}

/* hash: of index_hash. The node stays where it is until it is removed; equal ones are allowed. Never fails. O(1) in the mean. */
static inline void index_add(struct index *x, struct index_node *node, uint64_t hash)
{
    if (x->n >= x->n_buckets) /* more where memory was short before */
        index_grow(x);
    node->hash = hash;
    index_link(index_bucket(x, hash), node);
    x->n++;
}

/* The node must be in it. O(1). */
static inline void index_remove(struct index *x, struct index_node *node)
{
    *node->at = node->next;
    if (node->next)
        node->next->at = node->at;
    *node = (struct index_node){0};
    x->n--;
}

static inline struct index_node *index_skip(struct index_node *node, uint64_t hash)
{
    while (node && node->hash != hash)
        node = node->next;
    return node;
}

/* Those of one hash, one after the other, the newest first; NULL behind the last. The caller compares the texts: two may
 * share a hash. O(1) in the mean. */
static inline struct index_node *index_first(const struct index *x, uint64_t hash)
{
    struct index_node *const *buckets = x->grown ? x->grown : x->first;
    return index_skip(buckets[hash & (x->n_buckets - 1)], hash);
}

static inline struct index_node *index_next(const struct index_node *node)
{
    return index_skip(node->next, node->hash);
}

#endif
