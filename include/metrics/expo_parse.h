/* Prometheus text 0.0.4 or OpenMetrics 1.0 back into samples, for peers and tests.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_EXPO_PARSE_H
#define SERIN_METRICS_EXPO_PARSE_H

#include "base/err.h"
#include "base/slice.h"
#include "metrics/expo.h"

/* What a page may hold: guards the reader's stack and time against a peer that is not what it
 * seems. */
#define EXPO_LINE_BYTES   8192u
#define EXPO_LABELS_MAX   16u
#define EXPO_FAMILIES_MAX 512u
#define EXPO_SAMPLES_MAX  1000000u

struct expo_label {
    struct slice name, value; /* the value with its escapes undone */
};

/* Borrowed until the callback returns. */
struct expo_parsed {
    struct slice name;   /* of the sample: with _total, _bucket ... */
    struct slice family; /* as HELP and TYPE name it; without these the sample's own name */
    struct slice type;   /* "counter" "gauge" "histogram" ...; empty without a TYPE line */
    struct expo_label labels[EXPO_LABELS_MAX];
    unsigned n_labels;
    double value;
    bool has_timestamp;
    double timestamp_seconds;
};

/* The value of a label, or an empty slice with at == NULL. Pure. */
struct slice expo_label_value(const struct expo_parsed *sample, const char *name);

/* Anything but OK stops the parser, which hands it on. */
typedef enum err expo_sample_fn(void *arg, const struct expo_parsed *sample);

/* Calls fn for every sample in order. Takes the plain form that serin and the client libraries
 * write: one space between tokens, no comma at the end of labels. ERR_INVALID with the line's
 * number for all else: a last line without line feed, bytes that are not UTF-8, a bad name, number
 * or escape, a label twice, HELP, TYPE or UNIT twice or behind samples, an unknown type, a family
 * in two pieces; in OpenMetrics also other comments, empty lines, a counter without _total, a unit
 * that does not end the name, # EOF missing or not at the end. Not checked: two samples with the
 * same labels, and whether a histogram makes sense. ERR_LIMIT above the bounds here,
 * ERR_UNSUPPORTED for exemplars. No memory of its own. why may be NULL. O(bytes + families^2).
 * Source: prometheus.io "Exposition formats", OpenMetrics 1.0.0. */
enum err expo_parse(struct slice text, enum expo_format format, expo_sample_fn *fn, void *arg,
                    struct why *why) MUST_USE;

#endif
