/* A manifest as people write it: one YAML or JSON object, as cJSON. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_MANIFEST_H
#define SERIN_ROLLOUT_KUBE_MANIFEST_H

#include "base/err.h"

#include <stddef.h>

struct cJSON;

#define MANIFEST_BYTES_MAX (1u << 20)

/* Parses every document of a text (YAML 1.1 as Kubernetes reads it: plain true, 4, ~ are typed, quoted ones are
 * strings; anchors, merge keys, tags and duplicate keys are refused; JSON is YAML). The caller owns the array, which
 * may be empty: a document without a value is none. NULL with line, column and reason. name: for the reason. Pure. */
struct cJSON *manifest_parse(const char *name, const char *text, size_t len,
                             struct why *why) MUST_USE;

/* The same of a file; "-" is standard input. Blocks. */
struct cJSON *manifest_read(const char *path, struct why *why) MUST_USE;

/* The line of a value: of its key where it is a mapping or a list that has one. 0 where that is not known: of JSON.
 * Only of what manifest_parse gave: it keeps the line in valueint, so that a number's value is in valuedouble alone. */
unsigned manifest_line(const struct cJSON *value);

#endif
