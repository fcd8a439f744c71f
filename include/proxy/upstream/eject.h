/* Which endpoints are left out for having failed: passive ejection with growing times, and what failed connects mean.
 * Pure: time comes in as a value; the state is shared by all workers, so that it holds for the process. The success
 * path reads one cell; the failure path writes relaxed atomics, never locks.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_UPSTREAM_EJECT_H
#define SERIN_PROXY_UPSTREAM_EJECT_H

#include "proxy/conf/config.h"
#include "proxy/route/endpoint.h"

#define EJECT_LONGEST_MS 300000 /* of one ejection, or eject.base where that is longer */
#define EJECT_CONNECTS                                                                             \
    3u /* failed connects in a row that take the last endpoint of a version, too */

/* The endpoints of one version, and the one that is meant. */
struct eject_place {
    const struct endpoint *endpoints;
    uint32_t n, at;
};

/* A request has come through: the row of failures has ended. */
static inline void eject_note_success(struct endpoint_state *s)
{
    if (__builtin_expect(ENDPOINT_LOAD(s->failures) != 0, 0))
        ENDPOINT_STORE(s->failures, 0);
}

/* A request has failed there. Returns for how many milliseconds that ejects the endpoint: base, twice base … up to
 * EJECT_LONGEST_MS, one step less for each base that it has served since the last one. 0: it does not, since the row is
 * too short, it is out already, more than max_ejected of the version would be out, or no other one would be left to
 * serve. O(n) from the failure on that reaches conf->consecutive, else O(1). Any worker. */
uint32_t eject_note_failure(const struct eject_place *p, const struct config_eject *conf,
                            int64_t now_us);

/* A connect has failed there: takes it down until one succeeds, at once where another endpoint serves or it never was
 * up, else with EJECT_CONNECTS in a row. is_checked: active checks look after it, and a single failed connect tells
 * them nothing. O(n). Any worker. */
void eject_note_connect(const struct eject_place *p, bool is_checked, int64_t now_us);

/* A connect has come through there: the row of failures has ended, and where active checks do not look after it, it is
 * up. Any worker. */
void eject_note_connected(struct endpoint_state *s, bool is_checked, int64_t now_us);

/* A failed connect of the control thread. */
void eject_note_probe(struct endpoint_state *s);

/* Lets an ejected endpoint serve again now, with everything forgotten: a reload has switched ejection off. */
void eject_forget(struct endpoint_state *s, int64_t now_us);

#endif
