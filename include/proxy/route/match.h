/* Host and path to route: the most specific host wins, then the longest path. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_MATCH_H
#define SERIN_PROXY_ROUTE_MATCH_H

#include "base/arena.h"
#include "base/err.h"
#include "proxy/conf/config.h"

struct match_rule {
    struct slice host; /* lower case; "" = any; without the "*" of a wildcard (".example.org") */
    struct slice path; /* prefix, matched at a segment's end */
    uint32_t route;
};

/* Rules sorted by host, then by path from long to short: found by binary search. */
struct match {
    struct match_rule *rules;
    size_t n;
    bool is_catch_all; /* one rule for everything: nothing is looked up */
};

#define MATCH_NONE UINT32_MAX

/* Builds the table of all routes in the arena. ERR_MEMORY. */
enum err match_build(struct match *m, const struct config *c, struct arena *arena) MUST_USE;

/* The index of the route, or MATCH_NONE. authority: the Host value, with or without a port, any case. path: the
 * request path with its query. An exact host is tried first, then wildcards from the longest, then routes of any
 * host. O(log rules) per label of the host. */
uint32_t match_find(const struct match *m, struct slice authority, struct slice path);

#endif
