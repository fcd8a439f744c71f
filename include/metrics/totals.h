/* Who counts where, and the sums over all workers: the control thread's registry of cells.
 * Cells live as long as the process, so that no counter ever goes back, whatever a reload does.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_TOTALS_H
#define SERIN_METRICS_TOTALS_H

#include "metrics/shard.h"
#include <stdbool.h>
#include <stddef.h>

struct metrics;

#define METRIC_WORKERS_MAX 1024u /* guards the cells' memory against an absurd worker count */
#define METRIC_NAME_MAX                                                                            \
    255u /* bytes of a route's, version's or listener's name: bounds the page                      \
          */
#define METRIC_ENTRIES_MAX                                                                         \
    16384u /* of each kind: bounds the cells that reloads with ever new names leave behind */

/* Handles: stable addresses; the arrays hold one pointer per worker and never change once
 * published. */
struct variant_metrics {
    const char *route, *version;
    unsigned workers;
    struct variant_cells **cells; /* [worker] */
    unsigned roles; /* set of 1u << role that metrics_variant_use has named; control thread only */
    bool is_mirror; /* metrics_variant_mirror was called; control thread only */
};

struct route_metrics {
    const char *route;
    unsigned workers;
    struct route_cells **cells;
};

struct listener_metrics {
    const char *listener;
    unsigned workers;
    struct listener_cells **cells;
};

/* NULL when memory is short. 1 <= workers <= METRIC_WORKERS_MAX. Control thread, like all functions
 * here unless they say otherwise. */
struct metrics *metrics_new(unsigned workers);

/* No thread may use a cell any more. NULL is allowed. */
void metrics_free(struct metrics *m);

/* Finds or makes the cells of a name. Borrowed: owned by m. NULL when memory is short, a name is
 * longer than METRIC_NAME_MAX or there are METRIC_ENTRIES_MAX of the kind. Expected O(1). */
struct variant_metrics *metrics_variant(struct metrics *m, const char *route, const char *version);
struct route_metrics *metrics_route(struct metrics *m, const char *route);
struct listener_metrics *metrics_listener(struct metrics *m, const char *listener);
struct worker_cells *metrics_worker(struct metrics *m, unsigned worker);

/* Says that a version serves in a role from now on: its series in this role are on the page from
 * then on, at 0 before the first request (a rate needs the zero to start from). A version of which
 * nothing was said has them in both roles. */
void metrics_variant_use(struct variant_metrics *v, enum metric_role role);

/* Says that a version may get copies of stable's requests from now on: the series of its mirror are
 * on the page from then on. */
void metrics_variant_mirror(struct variant_metrics *v);

unsigned metrics_workers(const struct metrics *m);

/* Everything that is registered, oldest first: index below the count, else CHECK. Borrowed. */
size_t metrics_variant_count(const struct metrics *m);
size_t metrics_route_count(const struct metrics *m);
size_t metrics_listener_count(const struct metrics *m);
const struct variant_metrics *metrics_variant_at(const struct metrics *m, size_t i);
const struct route_metrics *metrics_route_at(const struct metrics *m, size_t i);
const struct listener_metrics *metrics_listener_at(const struct metrics *m, size_t i);
const struct worker_cells *metrics_worker_at(const struct metrics *m, unsigned worker);

/* What the judge reads of one side: cumulative since the process started. */
struct judged_totals {
    uint64_t requests, failed, client_errors;
    uint64_t slow[JUDGED_QUANTILES];
    uint64_t key_requests, key_failed;
};

/* Sums the judged cells of one version in one role. No part is ever above its requests, and no sum ever goes back; but a
 * request that is counted at this very moment may show in requests now and in failed only the next time, so that the difference
 * of two moments may have failed above requests by one per worker. Any thread. */
struct judged_totals metrics_judged(const struct variant_metrics *v, enum metric_role role);

/* The same of the requests that were copied to a canary: how it did (ROLE_CANARY), and how stable had
 * done with the very same ones (ROLE_STABLE). Of sticky keys nothing is known here: each request is
 * its own. Any thread. */
struct judged_totals metrics_mirrored(const struct variant_metrics *canary, enum metric_role role);

/* Adds the durations of one version in one role over all workers to *sum. Any thread. */
void metrics_durations(const struct variant_metrics *v, enum metric_role role,
                       struct hist_sum *sum);

/* Requests that the weight alone assigned to a version in a role, cumulative. Any thread. */
uint64_t metrics_weighed(const struct variant_metrics *v, enum metric_role role);

/* Responses that the clients of a route saw, cumulative. Any thread. O(workers * CODE_CELLS). */
uint64_t metrics_responses(const struct route_metrics *r);

/* Requests now in flight on a version. Any thread. */
uint64_t metrics_inflight(const struct variant_metrics *v);

/* Upgraded connections now open on a version. Any thread. */
uint64_t metrics_tunnels(const struct variant_metrics *v);

#endif
