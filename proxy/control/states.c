/* The part of an endpoint that workers and snapshots share: made and let go of.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/states.h"

#include "base/hash.h"
#include "proxy/wire/time.h"

/* One quota an address, whoever names it. NULL when memory is short. */
static struct quota *find_quota(const struct known *k, const struct wire_addr *addr)
{
    const struct known_endpoint *other = known_find_address(k, addr);
    return other ? quota_ref(other->state->quota) : quota_new();
}

struct endpoint_state *endpoint_state_new(const struct known *k, const char *text,
                                          const struct wire_addr *addr)
{
    struct endpoint_state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->quota = find_quota(k, addr);
    if (!s->quota) {
        free(s);
        return NULL;
    }
    atomic_init(&s->refs, 1);
    atomic_init(&s->serves_from_us, time_monotonic_us());
    s->hash = hash_bytes((struct hash_salt){0, 0}, slice_str(text));
    return s;
}

void endpoint_state_unref(struct endpoint_state *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    quota_unref(s->quota);
    free(s);
}
