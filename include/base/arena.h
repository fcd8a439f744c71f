/* One lifetime, one arena: bump allocation with a hard ceiling and a sticky overflow flag.
 * The owner lends a first block (usually inside its own struct), so that most lifetimes never call malloc.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_ARENA_H
#define SERIN_BASE_ARENA_H

#include "base/slice.h"
#include <stdlib.h>

#define ARENA_ALIGN       16u
#define ARENA_BLOCK_BYTES 4096u /* smallest further block */

struct arena_block {
    struct arena_block *next;
    size_t bytes;
};

struct arena {
    char *at, *end; /* free space of the current block */
    char *first;    /* lent by the owner; never freed here */
    size_t first_bytes;
    struct arena_block *blocks; /* from malloc, newest first */
    size_t held, ceiling;       /* bytes of all blocks, and their largest sum */
    bool failed;                /* sticky: some allocation did not get its memory */
};

/* first: aligned to ARENA_ALIGN, may be NULL with first_bytes 0. ceiling: bytes over all blocks. */
static inline void arena_init(struct arena *a, void *first, size_t first_bytes, size_t ceiling)
{
    *a = (struct arena){.at = first,
                        .end = first ? (char *)first + first_bytes : NULL,
                        .first = first,
                        .first_bytes = first_bytes,
                        .held = first_bytes,
                        .ceiling = ceiling};
}

/* Frees every block but the first; everything that was allocated is gone. Clears the overflow flag. */
static inline void arena_reset(struct arena *a)
{
    while (a->blocks) {
        struct arena_block *b = a->blocks;
        a->blocks = b->next;
        free(b);
    }
    arena_init(a, a->first, a->first_bytes, a->ceiling);
}

/* Bytes aligned to ARENA_ALIGN, not zeroed. NULL, and failed set, when malloc or the ceiling says no. */
static inline void *arena_alloc(struct arena *a, size_t bytes)
{
    if (bytes > SIZE_MAX / 2) {
        a->failed = true;
        return NULL;
    }
    bytes = (bytes + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    if (a->at && bytes <= (size_t)(a->end - a->at)) {
        char *p = a->at;
        a->at += bytes;
        return p;
    }
    size_t head = (sizeof(struct arena_block) + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1);
    size_t want = head + bytes < ARENA_BLOCK_BYTES ? ARENA_BLOCK_BYTES : head + bytes;
    if (want > a->ceiling - (a->held < a->ceiling ? a->held : a->ceiling)) {
        a->failed = true;
        return NULL;
    }
    struct arena_block *b = malloc(want);
    if (!b) {
        a->failed = true;
        return NULL;
    }
    *b = (struct arena_block){a->blocks, want};
    a->blocks = b;
    a->held += want;
    a->at = (char *)b + head + bytes;
    a->end = (char *)b + want;
    return (char *)b + head;
}

/* Gives back the end of the newest allocation: the first used of its bytes stay. p: what arena_alloc gave for asked bytes;
 * nothing happens where something was allocated after it. */
static inline void arena_shrink(struct arena *a, char *p, size_t asked, size_t used)
{
    size_t mask = ARENA_ALIGN - 1;
    if (p + ((asked + mask) & ~mask) == a->at)
        a->at = p + ((used + mask) & ~mask);
}

/* A copy that lives as long as the arena. On failure: an empty slice with at == NULL. */
static inline struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = arena_alloc(a, s.len ? s.len : 1);
    if (!p)
        return slice_of(NULL, 0);
    if (s.len)
        memcpy(p, s.at, s.len);
    return slice_of(p, s.len);
}

#endif
