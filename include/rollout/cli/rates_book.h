/* The failure rates of the routes that a watch shows, asked for from time to time.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_RATES_BOOK_H
#define SERIN_ROLLOUT_CLI_RATES_BOOK_H

#include "rollout/cli/rates.h"
#include <stdint.h>

struct client;

/* Routes whose rates are kept: more have no room on a terminal, and each costs a question. */
#define RATES_BOOK_MAX 24u

struct rates_book {
    struct {
        uint64_t route;     /* hash of its name */
        int64_t asked_at_s; /* by the caller's clock */
        struct rates rates;
    } of[RATES_BOOK_MAX];
    size_t n;
};

/* The rates of a route; NULL: none are kept. Pure. */
const struct rates *rates_book_find(const struct rates_book *b, const char *route);

/* Keeps rates for a route; what was kept of it is overwritten. A full book takes no more. */
void rates_book_put(struct rates_book *b, const char *route, const struct rates *rates,
                    int64_t now_s);

/* Asks for a route's rates where they are older than one of their steps. A server that does not
 * answer, or keeps none, leaves those that are known. Blocks as client_ask does. */
void rates_book_refresh(struct rates_book *b, struct client *c, const char *route, int64_t now_s);

#endif
