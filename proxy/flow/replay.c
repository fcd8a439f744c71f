/* What is kept of a request's body, framed as it goes up, for another attempt.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/flow/replay.h"

#include "proxy/flow/failover.h"
#include "proxy/wire/parts.h"

#define FRAMING_BYTES 64u /* chunk lines around the first bytes of a body */
#define FIRST_BYTES   4096u

/* False: no room or no memory. */
static bool keep(struct exchange *x, const struct iovec *parts, int n)
{
    size_t want = x->replay_len + parts_len(parts, n);
    if (want > x->replay_room && want <= EXCHANGE_REPLAY_MAX + FRAMING_BYTES) {
        size_t room = x->replay_room ? x->replay_room : FIRST_BYTES;
        while (room < want)
            room *= 2;
        char *grown = realloc(x->replay, room);
        if (grown) {
            x->replay = grown;
            x->replay_room = (uint32_t)room;
        }
    }
    if (want > x->replay_room)
        return false;
    parts_copy(x->replay + x->replay_len, parts, n);
    x->replay_len = (uint32_t)want;
    return true;
}

bool replay_take(struct exchange *x, const struct iovec *parts, int n, bool is_open)
{
    if (!n || !x->is_replayable)
        return true;
    if ((!is_open || x->is_mirrored || failover_may_resend(x)) && keep(x, parts, n))
        return true;
    if (is_open)
        replay_forget(x);
    return is_open;
}

void replay_forget(struct exchange *x)
{
    x->is_replayable = false;
    free(x->replay);
    x->replay = NULL;
    x->replay_len = x->replay_room = 0;
}
