/* The catalog of metrics as a table.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/catalog.h"
#include "base/check.h"

#define ROW(id, name, type, unit, source, labels, help)                                            \
    [METRIC_##id] = {name, METRIC_##type, unit, METRIC_FROM_##source, labels, help},

static const struct metric catalog[METRIC_COUNT] = {METRIC_CATALOG(ROW)};

const struct metric *metric_get(enum metric_id id)
{
    CHECK((unsigned)id < METRIC_COUNT);
    return &catalog[id];
}

unsigned metric_labels(const struct metric *metric)
{
    unsigned n = 0;
    while (n < METRIC_LABELS_MAX && metric->labels[n])
        n++;
    return n;
}
