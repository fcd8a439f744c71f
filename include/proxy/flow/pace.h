/* The rule for slow clients: how fast a body must come or go while the proxy waits for the client alone. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_FLOW_PACE_H
#define SERIN_PROXY_FLOW_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_GRACE_MS 5000 /* a client may be below the rate for so long before it is cut */
#define PACE_LOOK_MS  1000 /* how often one that is waited for is looked at */

struct pace_rule {
    uint32_t rate;   /* least bytes a second; 0 = off */
    uint32_t gap_ms; /* longest time in which nothing moves */
};

enum pace_verdict {
    PACE_OK,
    PACE_STALLED, /* nothing has moved for gap_ms */
    PACE_SLOW,    /* below the rate for too long */
};

/* One direction of one client: an account of its time. Waiting spends it, bytes earn it back; what is ahead at most lets
 * a client be silent for gap_ms, so that a burst does not pay for hours of dribble. All zero = fresh, and at rest. */
struct pace {
    uint64_t total; /* bytes moved when last looked at */
    int64_t
        since_ms; /* when the present wait began, as far as it has not been accounted for; 0 = at rest */
    uint32_t moved_ms; /* when bytes last moved, or the wait began: of this clock the low bits */
    int32_t spent_ms;  /* of PACE_GRACE_MS; below 0 = ahead */
};

static inline bool pace_is_waiting(const struct pace *p)
{
    return p->since_ms != 0;
}

/* From now on (monotonic ms, not 0) the client alone is waited for. Nothing changes where it is already. */
static inline void pace_wait(struct pace *p, int64_t now_ms)
{
    if (!pace_is_waiting(p))
        p->moved_ms = (uint32_t)(p->since_ms = now_ms);
}

/* Bytes have moved. */
static inline void pace_moved(struct pace *p, int64_t now_ms)
{
    p->moved_ms = (uint32_t)now_ms;
}

/* Somebody else is waited for now, or nobody: the time of the client stands still. */
static inline void pace_rest(struct pace *p, int64_t now_ms)
{
    if (!pace_is_waiting(p))
        return;
    int64_t spent_ms = p->spent_ms + now_ms - p->since_ms;
    p->spent_ms = spent_ms < INT32_MAX ? (int32_t)spent_ms : INT32_MAX;
    p->since_ms = 0;
}

/* Judges a client that is waited for. total: bytes moved in its life so far, never less than before. O(1). */
enum pace_verdict pace_look(struct pace *p, struct pace_rule rule, uint64_t total, int64_t now_ms);

/* In how many ms, at least 1, to look again. */
uint32_t pace_next_ms(const struct pace *p, struct pace_rule rule, int64_t now_ms);

#endif
