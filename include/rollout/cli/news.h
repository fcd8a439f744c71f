/* Which routes have changed since they were last told of: for lines that are printed once a change.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_NEWS_H
#define SERIN_ROLLOUT_CLI_NEWS_H

#include "rollout/cli/status_view.h"
#include <stdint.h>

/* Routes that are told apart; further ones are told of each time. */
#define NEWS_ROUTES_MAX 256u

struct news {
    struct {
        uint64_t route, key; /* hashes; two that collide cost one line */
    } seen[NEWS_ROUTES_MAX];
    unsigned count;
};

/* Whether the status differs from the last one of the same route, as status_add_key sees it; takes
 * note of it. O(routes). */
bool news_take(struct news *n, const struct status_view *v);

#endif
