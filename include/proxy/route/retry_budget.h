/* How many requests of a route may be sent again: a share of those of the last ten seconds, for the whole process. So a
 * version that is down never doubles the load on the other one. Pure: time comes in as a value. The success path touches
 * nothing of it: requests are counted as responses already, and the failure path shares a few atomics.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_RETRY_BUDGET_H
#define SERIN_PROXY_ROUTE_RETRY_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define RETRY_BUDGET_S 10u /* the window, in seconds */

/* Retries in any window that are always allowed, 3 a second: a quiet route has few requests to share in. */
#define RETRY_BUDGET_FLOOR 30u

/* One per route; outlives snapshots. */
struct retry_budget {
    /* One second each: its number in the upper half, the retries begun in it in the lower. */
    _Atomic uint64_t seconds[RETRY_BUDGET_S];
    _Atomic uint64_t said;             /* the second of the last retry_budget_say that was true */
    _Atomic uint64_t responses_before; /* of the route, when the window began */
    uint64_t looks[RETRY_BUDGET_S];    /* responses at the last looks; control thread only */
    unsigned look;                     /* the oldest one */
};

/* Nothing taken, nothing seen. NULL when memory is short; freed by free. */
struct retry_budget *retry_budget_new(void);

/* Takes one retry where fewer than most were taken within the window. Any worker: never more than most are taken,
 * however many ask at once; in a race for the last one all may be refused. now_us: monotonic. O(RETRY_BUDGET_S). */
bool retry_budget_take(struct retry_budget *b, uint64_t most, int64_t now_us);

/* How many were taken within the window. Any thread. */
uint64_t retry_budget_taken(const struct retry_budget *b, int64_t now_us);

/* True once in a window, for whoever asks first: that the budget is used up is worth one line. Any worker. */
bool retry_budget_say(struct retry_budget *b, int64_t now_us);

/* The route's responses so far, once a second. Control thread. A look that comes late makes the window longer. */
void retry_budget_look(struct retry_budget *b, uint64_t responses);

/* The route's responses when the window began. Any thread; who then sums them up anew finds no fewer. */
uint64_t retry_budget_before(const struct retry_budget *b);

#endif
