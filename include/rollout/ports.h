/* What the rollout controller asks of its host: counts up, a split down, health and time. The
 * host's whole duty. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_PORTS_H
#define SERIN_ROLLOUT_PORTS_H

#include "metrics/hist.h"
#include "metrics/shard.h"
#include "metrics/totals.h"
#include "rollout/cluster.h"
#include "rollout/http.h"
#include <stdbool.h>
#include <stdint.h>

struct cJSON;
struct rollout_event;

/* Room for a rollout's id with its NUL; the id is also the salt of sticky assignment. */
#define ROLLOUT_ID_MAX 96

/* Who serves a route now. */
struct rollout_split {
    const char *stable; /* serves everyone that the canary does not; the effective one (after a
                           promotion: v2) */
    const char *canary; /* NULL where there is none */
    uint32_t weight_bp; /* share of the canary, 0 to 10000 */
    bool
        active; /* a rollout runs: override, sticky and mirror may reach the canary; false: nothing does */
    char salt[ROLLOUT_ID_MAX]; /* the rollout's id; same id, same users; "" before the first one */
};

enum rollout_breaker {
    ROLLOUT_BREAKER_CLOSED,
    ROLLOUT_BREAKER_OPEN,    /* the data plane sends nobody to the canary */
    ROLLOUT_BREAKER_TRICKLE, /* one request at a time, to see whether it is over */
};

/* What the data plane knows of the endpoints of a route's two versions. */
struct rollout_health {
    unsigned stable_endpoints, stable_available;
    unsigned canary_endpoints, canary_available;
    enum rollout_breaker breaker;
    unsigned failed_trickles; /* since the breaker was last closed */
};

/* All are called on the control thread, from rollout_tick, rollout_command, rollout_configure and
 * the readers (status, metrics); never from rollout_open or rollout_close. None may call back into
 * the rollout. Strings are borrowed until return. */
struct rollout_ports {
    void *host;

    /* The judged counters of one version in one role, cumulative since the process started. */
    struct judged_totals (*counts)(void *host, const char *route, const char *version,
                                   enum metric_role role);

    /* The same of the requests that were copied to a canary: how it did with the copies (ROLE_CANARY), and how stable had
     * done with the very same requests (ROLE_STABLE). NULL = there is no mirror. */
    struct judged_totals (*mirrored)(void *host, const char *route, const char *canary,
                                     enum metric_role role);

    /* Requests that the weight alone assigned to one version in one role, cumulative since the process started. NULL =
     * the observed share is not watched. */
    uint64_t (*weighed)(void *host, const char *route, const char *version, enum metric_role role);

    /* Adds the durations of one version in one role, cumulative since the process started, to *sum.
     * For show. */
    void (*durations)(void *host, const char *route, const char *version, enum metric_role role,
                      struct hist_sum *sum);

    /* The durations of the version that serves as stable, over the last ten minutes; all 0 where
     * nothing is known. NULL = never known: latency is not judged. */
    void (*recent_durations)(void *host, const char *route, struct hist_sum *sum);

    /* From when on a request counts as slow, by the role of its version and the quantile
     * (microseconds; 0 = not counted). May be called again with the same limits. NULL is allowed. */
    void (*apply_slow_limits)(void *host, const char *route,
                              uint64_t const limits_us[ROLE_COUNT][JUDGED_QUANTILES]);

    /* Puts a split in force at once (publishes a snapshot). May be called again with the same
     * split. */
    void (*apply_split)(void *host, const char *route, const struct rollout_split *split);

    /* True when every worker has adopted the newest split of this route. */
    bool (*split_confirmed)(void *host, const char *route);

    /* canary may be NULL. */
    struct rollout_health (*health)(void *host, const char *route, const char *stable,
                                    const char *canary);

    int64_t (*monotonic_ms)(void *host); /* since an arbitrary start; never goes back */
    int64_t (*wall_ms)(void *host);      /* since 1970 UTC; may jump */

    /* Asks somebody over HTTP, and gives a question up (http.h). NULL = nobody can be asked: checks are errors and gates
     * stay closed. */
    struct http_call *(*ask)(void *host, const struct http_ask *ask);
    void (*ask_cancel)(void *host, struct http_call *call);

    /* What a rollout wants of the cluster behind its versions, and what is seen there; may be called
     * several times a tick. NULL = no route has one. */
    void (*cluster)(void *host, const char *route, const struct cluster_want *want,
                    struct cluster_seen *seen);

    /* The record, for the cluster's objects; without durable it may wait. NULL where cluster is. */
    void (*cluster_store)(void *host, const char *route, const char *record, uint64_t seq,
                          bool durable);

    /* The sequence number of the newest record of an epoch that the cluster's objects are known to hold; 0 = none. */
    uint64_t (*cluster_stored)(void *host, const char *route, uint64_t epoch);

    /* A state change or a tick for server-sent events. name: RolloutStarted, WeightChanged ... or
     * "tick". json is borrowed. NULL = nobody listens. */
    void (*event)(void *host, const char *route, const char *name, const struct cJSON *json);

    /* The same change for people elsewhere, told only by the process that decides, and once: not again after a restart. NULL =
     * nobody is told. */
    void (*tell)(void *host, const struct rollout_event *event);

    /* Whether anybody follows the events now; otherwise no status is made for them each second. NULL = somebody does. */
    bool (*is_followed)(void *host);
};

#endif
