/* A watch's stream cut into its lines, and a line into its event. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_LINES_H
#define SERIN_ROLLOUT_KUBE_LINES_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct cJSON;

/* Guards memory against a line without an end: the server takes objects of up to 3 MiB. */
#define KUBE_LINE_MAX (4u << 20)

struct kube_lines {
    char *text;
    size_t len, room;
};

void kube_lines_init(struct kube_lines *l);
void kube_lines_fini(struct kube_lines *l);

/* Takes bytes and calls on_line (borrowed, without its end) for each line that is whole now; empty
 * ones are left out. Stops where on_line returns false. ERR_LIMIT: a line is too long; ERR_MEMORY. */
enum err kube_lines_feed(struct kube_lines *l, const char *bytes, size_t n,
                         bool (*on_line)(void *arg, const char *line, size_t len),
                         void *arg) MUST_USE;

enum kube_event_type {
    KUBE_EVENT_ADDED,
    KUBE_EVENT_MODIFIED,
    KUBE_EVENT_DELETED,
    KUBE_EVENT_BOOKMARK,
    KUBE_EVENT_ERROR,
    KUBE_EVENT_TYPES
};

/* Reads {"type": "ADDED", "object": {...}}; the caller owns *object. ERR_INVALID: not so; ERR_UNSUPPORTED: a type that
 * is not known. */
enum err kube_event_read(const char *line, size_t len, enum kube_event_type *type,
                         struct cJSON **object) MUST_USE;

#endif
