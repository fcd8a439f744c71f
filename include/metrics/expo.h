/* Totals and gauges as Prometheus text 0.0.4 or OpenMetrics 1.0.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_EXPO_H
#define SERIN_METRICS_EXPO_H

#include "base/slice.h"
#include "metrics/catalog.h"
#include "metrics/totals.h"

enum expo_format { EXPO_PROMETHEUS, EXPO_OPENMETRICS };

/* Growing text; the caller frees text. failed: memory was short, the text is not whole. Starts
 * zeroed but for the format. */
struct expo {
    enum expo_format format;
    char *text;
    size_t len, room;
    bool failed;
};

/* Writes one sample of the family that is being written: label values in the order of the catalog's
 * labels, any bytes (what is not UTF-8 becomes U+FFFD); NULL where the family has none. */
void expo_sample(struct expo *e, enum metric_id id, const char *const *labels, double value);

/* Writes the buckets, sum and count of one histogram sample. Labels as above. */
void expo_histogram(struct expo *e, enum metric_id id, const char *const *labels,
                    const struct hist_sum *sum);

/* The host writes the samples of a gauge or counter that it alone knows (endpoints, rollouts,
 * reloads
 * ...): called once per family that has no cells of its own, in catalog order, after its HELP and
 * TYPE. Writing nothing leaves the family out. */
typedef void expo_host_fn(void *host, struct expo *e, enum metric_id id);

/* The whole page. Families without a sample are left out. host_fn may be NULL. Control thread.
 *
 * Which series are there: of a version in each role that it is used in (metrics_variant_use, or it
 * has counted), the usual codes (200 404 500 502 503 504) assigned by weight and every error reason
 * stand there from the start, at 0 if need be, since a rate cannot see a series' first steps
 * without the zero before them; the same codes for every other way of assignment as soon as it has
 * counted once. Other codes follow when they have counted. A series that has been there stays.
 *
 * Duration buckets: a duration counts as the top of its cell, as in hist_quantile_us, so that no
 * request is shown as faster than it was; a bucket's true bound is therefore up to 1.7 % below its
 * le, and never above. _count is the +Inf bucket; _sum is read apart and may be a few requests off.
 * le is written as 1.0 in both formats, so that the series are the same. O(versions * workers *
 * cells). */
void expo_write(struct expo *e, const struct metrics *m, expo_host_fn *host_fn, void *host);

/* The better format that an Accept header takes; Prometheus text where it names neither. Pure. */
enum expo_format expo_negotiate(struct slice accept);

/* The Content-Type of a format's pages. Never NULL. Pure. */
const char *expo_content_type(enum expo_format format);

#endif
