/* Which call of the API server is tried again, and after how long. Reads always may be; a write only
 * where it is certain that nothing was done. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/retry.h"

#include "rollout/http.h"

#define WAIT_FIRST_MS 100
#define WAIT_MOST_MS  5000

static int64_t doubled_ms(unsigned tries, uint32_t random)
{
    uint32_t ms = WAIT_FIRST_MS;
    for (unsigned i = 1; i < tries && ms < WAIT_MOST_MS; i++)
        ms *= 2;
    if (ms > WAIT_MOST_MS)
        ms = WAIT_MOST_MS;
    return ms / 2 + random % (ms / 2 + 1);
}

/* The server said how long: never less, a tenth more at most (and a tick). */
static int64_t told_ms(unsigned seconds, uint32_t random)
{
    int64_t ms = http_retry_after_ms(seconds);
    return ms + random % (ms / 10 + 1);
}

static bool may_try_again(const struct kube_try *t)
{
    bool is_read = t->verb == KUBE_GET;
    if (t->status == 0)
        return !t->is_lasting && (is_read || !t->is_sent);
    return t->status == 429 || (t->status >= 500 && is_read);
}

int64_t kube_retry_wait_ms(const struct kube_try *t, uint32_t random)
{
    if (t->status == 401)
        return t->refusals == 1 ? 0 : -1;
    if (t->status == 403)
        return t->is_rbac && t->denied_ms < KUBE_DENIED_PATIENCE_MS ? WAIT_FIRST_MS : -1;
    if (!may_try_again(t))
        return -1;
    return t->retry_after_s ? told_ms(t->retry_after_s, random) : doubled_ms(t->tries, random);
}

bool kube_try_is_unknown(const struct kube_try *t)
{
    if (t->verb == KUBE_GET)
        return false;
    return t->status == 0 ? t->is_sent : t->status >= 500;
}
