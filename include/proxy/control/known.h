/* What outlives snapshots and reloads: routes with their breaker and rollout, endpoints with their health.
 * Control thread only, but for the parts that say otherwise.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_KNOWN_H
#define SERIN_PROXY_CONTROL_KNOWN_H

#include "base/list.h"
#include "metrics/totals.h"
#include "proxy/control/seen.h"
#include "proxy/control/slowness.h"
#include "proxy/route/snapshot.h"
#include "rollout/ports.h"
#include "rollout/rollout.h"

#define KNOWN_NAME_MAX                                                                             \
    65 /* a route's or version's name with its NUL: the configuration allows 64 bytes */

/* Who serves a route now: the copy of a rollout's split, or the file's static one. */
struct known_split {
    char stable[KNOWN_NAME_MAX], canary[KNOWN_NAME_MAX]; /* canary "" = none */
    char salt[ROLLOUT_ID_MAX];
    uint32_t weight_bp;
    bool is_active;
};

#define SPLIT_UNPUBLISHED UINT64_MAX

struct known_route {
    struct list link;
    char name[KNOWN_NAME_MAX];
    const struct config_route
        *conf; /* of the present configuration; NULL once a reload dropped the route */
    struct rollout *rollout; /* NULL where the file asks for none */
    struct known_split split;
    uint64_t split_generation; /* of the snapshot that first carried it, or SPLIT_UNPUBLISHED */
    struct route_live live;    /* shared with the workers by relaxed atomics */
    struct route_metrics *metrics;
    struct slowness slowness;
    struct seen seen;
};

/* One endpoint of one version of one route. */
struct known_endpoint {
    struct list link;
    char route[KNOWN_NAME_MAX], version[KNOWN_NAME_MAX];
    char text[WIRE_TEXT_MAX];
    struct wire_addr addr;
    struct endpoint_state *state; /* one reference; snapshots hold others */
    bool is_named;                /* by the present configuration */
    uint32_t said;                /* enum endpoint_health that the log knows */
    struct probe *probe;          /* a connect under way; NULL = none */
};

struct known {
    struct list routes, endpoints;
    struct metrics *metrics;
    unsigned workers;
};

void known_init(struct known *k, struct metrics *metrics, unsigned workers);

/* Frees everything; the workers must have ended. Rollouts are closed. */
void known_fini(struct known *k);

/* NULL where there is none. O(routes). */
struct known_route *known_find_route(const struct known *k, const char *name);

/* Finds or makes. NULL when memory is short. */
struct known_route *known_route(struct known *k, const char *name);

/* NULL where there is none. O(endpoints). */
struct known_endpoint *known_find_endpoint(const struct known *k, const char *route,
                                           const char *version, const char *text);

/* Takes over what a configuration names: routes get their conf, endpoints that it does not name any more are
 * forgotten. ERR_MEMORY, ERR_INVALID (an address; the configuration's check lets none through). */
enum err known_configure(struct known *k, const struct config *c, struct why *why) MUST_USE;

/* Lets go of a reference. Any thread. */
void endpoint_state_unref(struct endpoint_state *s);

/* How many endpoints a version has, and how many of them may get requests; is_proven: counts only those that have
 * answered a connect. version "" or NULL: 0 of 0. */
struct known_count {
    unsigned total, available;
};
struct known_count known_count(const struct known *k, const char *route, const char *version,
                               bool is_proven);

#endif
