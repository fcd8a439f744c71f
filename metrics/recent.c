/* The last ten minutes of a histogram, in slices.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/recent.h"

#include <string.h>

void recent_start(struct recent *r, const struct hist_sum *now, int64_t now_ms)
{
    memset(r, 0, sizeof *r);
    r->before = *now;
    r->slice_until_ms = now_ms + RECENT_SLICE_MS;
}

/* Moves on to the slice of this moment; those that were slept through stay empty. */
static void turn(struct recent *r, int64_t now_ms)
{
    for (unsigned i = 0; i < RECENT_SLICES && now_ms >= r->slice_until_ms; i++) {
        r->slice = (r->slice + 1) % RECENT_SLICES;
        memset(r->slices[r->slice], 0, sizeof r->slices[0]);
        r->slice_until_ms += RECENT_SLICE_MS;
    }
    if (now_ms >= r->slice_until_ms)
        r->slice_until_ms = now_ms + RECENT_SLICE_MS;
}

void recent_look(struct recent *r, const struct hist_sum *now, int64_t now_ms)
{
    struct hist_sum fresh = *now;
    hist_subtract(&fresh, &r->before);
    r->before = *now;
    turn(r, now_ms);
    uint32_t *slice = r->slices[r->slice];
    for (unsigned i = 0; i < HIST_CELLS; i++) {
        uint64_t room = UINT32_MAX - slice[i];
        slice[i] += (uint32_t)(fresh.cells[i] < room ? fresh.cells[i] : room);
    }
}

void recent_sum(const struct recent *r, struct hist_sum *sum)
{
    memset(sum, 0, sizeof *sum);
    for (unsigned s = 0; s < RECENT_SLICES; s++)
        for (unsigned i = 0; i < HIST_CELLS; i++)
            sum->cells[i] += r->slices[s][i];
}
