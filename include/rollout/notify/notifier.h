/* Passes events of rollouts on to people: each receiver has a queue, is told one event after the other, and waited for by
 * nobody. Control thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_NOTIFY_NOTIFIER_H
#define SERIN_ROLLOUT_NOTIFY_NOTIFIER_H

#include "base/err.h"
#include "rollout/event.h"
#include "rollout/notify/kinds.h"

struct event_base;
struct http;
struct notifier;

/* Receivers of one configuration: each may hold a queue and a call. */
#define NOTIFIER_TARGETS_MAX 16
/* How long a stop waits for what is under way, at most. */
#define NOTIFIER_FLUSH_MS 2000

/* What happened to events, each counted when it happened. */
enum notifier_result {
    NOTIFIER_SENT,    /* an event, taken by its receiver */
    NOTIFIER_RETRIED, /* a try that failed and is followed by another */
    NOTIFIER_DROPPED, /* an event: too old, too many, or the process ended */
    NOTIFIER_REFUSED, /* an event, by a receiver that will not have it */
    NOTIFIER_RESULTS,
};

/* One receiver. Borrowed until return. */
struct notifier_target {
    const char *name;
    const char *url;    /* a secret: never shown */
    const char *secret; /* to sign with; NULL = not signed */
    enum notify_format format;
    uint32_t events;           /* sum of enum notify_kind */
    const char *const *routes; /* whose events; none = every route's */
    size_t n_routes;
    uint32_t timeout_ms;
};

struct notifier_setup {
    struct event_base *base; /* outlives the notifier, as does http */
    struct http *http;
    int64_t (*monotonic_ms)(void);
    int64_t (*wall_ms)(void);
};

/* Without a receiver. NULL when memory is short. */
struct notifier *notifier_new(const struct notifier_setup *setup) MUST_USE;

/* What is still queued is dropped, with a line in the log. NULL is allowed. */
void notifier_free(struct notifier *n);

/* These are the receivers from here on. One of a name that was there before keeps its queue and its counts; the queue of one
 * that is gone is dropped. page: where people reach the page, NULL = not known. ERR_MEMORY: nothing has changed. */
enum err notifier_configure(struct notifier *n, const struct notifier_target *targets,
                            size_t n_targets, const char *page) MUST_USE;

/* Queues an event for each receiver that wants it and begins to send. Never waits. O(receivers * (routes + queue)). */
void notifier_tell(struct notifier *n, const struct rollout_event *event);

/* Sends a test to each receiver, whatever it wants. Returns how many there are. */
size_t notifier_test(struct notifier *n);

/* Before a stop: what waits is tried at once, once more. True while something is under way that is worth waiting for: at
 * most NOTIFIER_FLUSH_MS from the first call on. */
bool notifier_flush(struct notifier *n);

/* How often a result was counted, by receiver; i from 0. NULL, and nothing in counts, behind the last one. */
const char *notifier_counts(const struct notifier *n, size_t i, uint64_t counts[NOTIFIER_RESULTS]);

/* "sent", "retried" ... Pure. */
const char *notifier_result_name(enum notifier_result result);

#endif
