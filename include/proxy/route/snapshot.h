/* The immutable world that one request sees: routes, versions, endpoints, the split in force. Built by the control
 * thread, adopted by every worker, freed by whoever lets go last.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_ROUTE_SNAPSHOT_H
#define SERIN_PROXY_ROUTE_SNAPSHOT_H

#include "metrics/totals.h"
#include "proxy/conf/config.h"
#include "proxy/route/breaker.h"
#include "proxy/route/endpoint.h"
#include "proxy/route/failed_keys.h"
#include "proxy/route/match.h"
#include "proxy/route/retry_budget.h"
#include "proxy/route/split.h"

struct ssl_ctx_st; /* OpenSSL's context, which only proxy/control makes and proxy/wire uses */

struct route_variant {
    const char *name;
    enum metric_role role;
    struct endpoint *endpoints;
    uint32_t n_endpoints;
    uint32_t first_endpoint; /* number of its first endpoint among all of the snapshot */
    struct variant_metrics *metrics;
    struct ssl_ctx_st
        *tls; /* to its endpoints; NULL = plain. Lives as long as the snapshot's config */
    const char *tls_name; /* what they must prove to be; NULL = each its own IP address */
};

/* Facts about a route that outlive snapshots: owned by the control thread, shared by relaxed atomics. */
struct route_live {
    struct breaker *breaker;
    struct retry_budget *retries;
    struct failed_keys *_Atomic failed_keys; /* NULL where no rollout of the route was sticky */
    _Atomic uint64_t stable_p99_us;          /* of the last ten minutes; 0 = not known */
    /* A request older than this is slow, by the role of its version and the quantile; 0 = not known. The judge's
     * margin is in it already. */
    _Atomic uint64_t slow_us[ROLE_COUNT][JUDGED_QUANTILES];
};

struct route {
    const struct config_route *conf; /* lives as long as the snapshot's config */
    struct route_variant stable;
    struct route_variant canary; /* n_endpoints 0 where there is none */
    struct split split;
    uint32_t mirror_bp; /* share of stable's requests that is copied to the canary now; 0 = none */
    struct route_live *live;
    struct route_metrics *metrics;
};

struct snapshot {
    _Atomic uint32_t refs;
    uint64_t generation;
    struct arena arena;
    const struct config *config; /* shared by the snapshots of one file; kept alive by keep */
    void *keep;                  /* for release: what the builder holds for this snapshot */
    struct ssl_ctx_st *
        *listener_tls; /* [config->n_listeners], NULL entry = plain; NULL where all are. As above */
    struct match match;
    struct route *routes;
    uint32_t n_routes, n_endpoints;
    void (*release)(
        struct snapshot
            *s); /* lets go of config and endpoint states; called once, by the last unref */
};

/* An empty snapshot with one reference; NULL when memory is short. */
struct snapshot *snapshot_new(void);

struct snapshot *snapshot_ref(struct snapshot *s);

/* Any thread. NULL is allowed. */
void snapshot_unref(struct snapshot *s);

/* True while at least one endpoint of the version can be reached. Pure but for the health. */
static inline bool variant_may_serve(const struct route_variant *v)
{
    for (uint32_t i = 0; i < v->n_endpoints; i++)
        if (endpoint_is_reachable(v->endpoints[i].state))
            return true;
    return false;
}

#endif
