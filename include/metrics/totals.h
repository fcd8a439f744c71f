/* Who counts where, and the sums over all workers: the registry of cells, owned by the control thread.
 * Cells live as long as the process, so that no counter ever goes back, whatever a reload does.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_TOTALS_H
#define SERIN_METRICS_TOTALS_H

#include "base/err.h"
#include "metrics/shard.h"

struct metrics;

/* Handles: stable addresses; the arrays hold one pointer per worker and never change once published. */
struct variant_metrics {
    const char *route, *version;
    unsigned workers;
    struct variant_cells **cells; /* [worker] */
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

/* NULL when memory is short. workers >= 1. Control thread, like all functions here unless they say otherwise. */
struct metrics *metrics_new(unsigned workers);
void metrics_free(struct metrics *m);

/* Finds or makes the cells of a name. Borrowed: owned by m. NULL when memory is short. */
struct variant_metrics *metrics_variant(struct metrics *m, const char *route, const char *version);
struct route_metrics *metrics_route(struct metrics *m, const char *route);
struct listener_metrics *metrics_listener(struct metrics *m, const char *listener);
struct worker_cells *metrics_worker(struct metrics *m, unsigned worker);

/* What the judge reads of one side: cumulative since the process started. */
struct judged_totals {
    uint64_t requests, failed, client_errors;
};

/* Sums the judged cells of one version in one role. Any thread. */
struct judged_totals metrics_judged(const struct variant_metrics *v, enum metric_role role);

/* Adds the durations of one version in one role over all workers to *sum. Any thread. */
void metrics_durations(const struct variant_metrics *v, enum metric_role role, struct hist_sum *sum);

/* Requests now in flight on a version. Any thread. */
uint64_t metrics_inflight(const struct variant_metrics *v);

#endif
