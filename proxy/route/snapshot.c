/* The immutable world that one request sees: references and release.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/snapshot.h"

#define SNAPSHOT_CEILING_BYTES (256u << 20) /* a thousand routes with hundreds of endpoints each */

struct snapshot *snapshot_new(void)
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    arena_init(&s->arena, NULL, 0, SNAPSHOT_CEILING_BYTES);
    return s;
}

struct snapshot *snapshot_ref(struct snapshot *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void snapshot_unref(struct snapshot *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (s->release)
        s->release(s);
    arena_reset(&s->arena);
    free(s);
}
