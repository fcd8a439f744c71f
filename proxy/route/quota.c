/* How much of one address is in use: made and freed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/route/quota.h"

#include <stdlib.h>

struct quota *quota_new(void)
{
    struct quota *q = calloc(1, sizeof *q);
    if (q)
        atomic_init(&q->refs, 1);
    return q;
}

struct quota *quota_ref(struct quota *q)
{
    atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
    return q;
}

void quota_unref(struct quota *q)
{
    if (atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) == 1)
        free(q);
}
