/* What outlives snapshots and reloads: routes with their breaker and rollout, endpoints with their health.
 * Control thread only, but for the parts that say otherwise.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_KNOWN_H
#define SERIN_PROXY_CONTROL_KNOWN_H

#include "base/index.h"
#include "base/list.h"
#include "metrics/totals.h"
#include "proxy/control/seen.h"
#include "proxy/control/slowness.h"
#include "proxy/route/snapshot.h"
#include "proxy/upstream/dial.h"
#include "rollout/ports.h"
#include "rollout/rollout.h"

struct series;

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
    struct index_node by_name;
    struct list endpoints, versions; /* its own of those in struct known, in their order there */
    char name[KNOWN_NAME_MAX];
    const struct config_route
        *conf; /* of the present configuration; NULL once a reload dropped the route */
    struct rollout *rollout; /* NULL where the file asks for none */
    struct known_split split;
    struct known_split told;   /* the split that processes of before, which still drain, know */
    uint64_t split_generation; /* of the snapshot that first carried it, or SPLIT_UNPUBLISHED */
    struct route_live live;    /* shared with the workers by relaxed atomics */
    struct route_metrics *metrics;
    struct slowness slowness;
    struct seen seen;
    struct series *series;   /* for the page; NULL: none is kept (told.h) */
    bool was_judged;         /* at its last look */
    uint64_t endpoints_told; /* what followers of the events know of its endpoints (told.h) */
};

/* One endpoint of one version of one route. */
struct known_endpoint {
    struct list link, of_route;
    struct index_node by_name, by_addr;
    char route[KNOWN_NAME_MAX], version[KNOWN_NAME_MAX];
    char text[WIRE_TEXT_MAX];
    struct wire_addr addr;
    struct endpoint_state *state; /* one reference; snapshots hold others */
    bool is_named; /* by the present configuration, or given for one of its versions */
    bool is_given; /* at run time: a pod, or an address of a name; false: the file has it */
    bool
        is_barred; /* the address belongs to another version of the route, which had it first: nobody goes here */
    const struct config_route *conf; /* of its route, in the present configuration */
    uint32_t said;                   /* enum endpoint_health that the log knows */
    struct probe *probe;             /* a connect under way; NULL = none */
    struct check *check;             /* active checks (health.h); NULL = none */
};

/* The replicas of a workload as the cluster tells them. */
struct known_replicas {
    bool is_known;
    uint32_t wanted, current, ready, available;
};

/* One version whose endpoints come and go: a workload, or one with names. */
struct known_version {
    struct list link, of_route;
    char route[KNOWN_NAME_MAX], version[KNOWN_NAME_MAX];
    struct known_replicas replicas; /* of a workload */
    bool is_named;                  /* by the present configuration */
};

/* Endpoints of one version that are given at run time: guards the memory of a snapshot, and the time that it takes to
 * build one, against a selector that matches too much. The rest is left out, and the log says so. */
#define KNOWN_GIVEN_MAX 1024u

struct known {
    struct list routes, endpoints, versions;
    struct index route_names, endpoint_names, addresses; /* to find what the lists hold */
    struct metrics *metrics;
    unsigned workers;
    unsigned n_barred; /* endpoints that are */
    unsigned n_checks; /* active checks under way */
};

void known_init(struct known *k, struct metrics *metrics, unsigned workers);

/* Frees everything; the workers must have ended. Rollouts are closed. */
void known_fini(struct known *k);

/* How an endpoint is spoken to, by the present configuration: plain also where that does not name its version any more.
 * O(versions of its route). */
struct dial_tls known_tls(const struct known_endpoint *e);

/* NULL where there is none. O(1). */
struct known_route *known_find_route(const struct known *k, const char *name);

/* Finds or makes. NULL when memory is short. */
struct known_route *known_route(struct known *k, const char *name);

/* NULL where there is none. O(1). */
struct known_endpoint *known_find_endpoint(const struct known *k, const char *route,
                                           const char *version, const char *text);

/* Any endpoint of that address, whoever's it is; NULL where there is none. O(1). */
struct known_endpoint *known_find_address(const struct known *k, const struct wire_addr *addr);

/* The next endpoint of a version of the route: behind one, or the first where that is NULL. NULL: there is no other. All of
 * them O(endpoints of the route). */
struct known_endpoint *known_next_endpoint(const struct known_route *r, const char *version,
                                           const struct known_endpoint *behind);

/* Takes over what a configuration names: routes get their conf, endpoints that it does not name any more are
 * forgotten. Endpoints of a dynamic version stay: those that were given, and those of before it was one, until others
 * are given. ERR_MEMORY, ERR_INVALID (an address; the configuration's check lets none through). */
enum err known_configure(struct known *k, const struct config *c, struct why *why) MUST_USE;

/* Takes the addresses at which a dynamic version can be reached now, "10.1.2.3:80", besides those of the file and in place of
 * those given before; in any order. What is no address is left out, as are those beyond KNOWN_GIVEN_MAX and repeated ones. An
 * address that another version of the route has stays there until that one lets go; one that is in the file is the file's. An
 * address that goes gets no new request; the caller publishes where this says true: something changed for the data plane. False
 * also where the configuration has no such version. Where memory is short what is missing is said in the log, and taken by the
 * next call. O(n log n + endpoints of the route), for each new one O(endpoints of the route). */
bool known_take_endpoints(struct known *k, const char *route, const char *version,
                          const char *const *texts, size_t n);

/* The same, but nothing that is there goes: for a list that is not whole yet. */
bool known_add_endpoints(struct known *k, const char *route, const char *version,
                         const char *const *texts, size_t n);

/* NULL where the version is no dynamic one of the present configuration. O(dynamic versions of the route). */
struct known_version *known_find_version(const struct known *k, const char *route,
                                         const char *version);

/* Takes what the cluster tells of a workload's replicas; nothing happens where the configuration has none such. */
void known_take_replicas(struct known *k, const char *route, const char *version,
                         const struct known_replicas *replicas);

/* How many endpoints a version has, and how many of them may get requests; is_proven: counts only those that have
 * answered a connect or an active check. version "" or NULL, or an unknown route: 0 of 0. O(endpoints of the route). */
struct known_count {
    unsigned total, available;
};
struct known_count known_count(const struct known *k, const char *route, const char *version,
                               bool is_proven);

#endif
