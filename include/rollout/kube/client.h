/* One Kubernetes API server, asked from the control thread's loop: retries what may be retried,
 * says plainly what failed. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_CLIENT_H
#define SERIN_ROLLOUT_KUBE_CLIENT_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct event_base;
struct http;
struct kube;
struct kube_auth;
struct kube_call;

enum kube_verb { KUBE_GET, KUBE_POST, KUBE_PUT, KUBE_PATCH /* merge */, KUBE_DELETE };

/* What came back. Borrowed until done returns. */
struct kube_answer {
    unsigned status;          /* of the last whole answer; 0: there was none */
    const char *reason;       /* of the Status object: "Conflict", "AlreadyExists", ... or "" */
    const char *error;        /* "" on 2xx; otherwise one sentence with verb, resource and name */
    const struct cJSON *json; /* NULL where the body is none */
    bool is_unknown; /* a write whose outcome nobody knows (cut, 5xx after it was sent): read again
                        before anything else */
};

struct kube_ask {
    enum kube_verb verb;
    const char *path;         /* "/api/v1/namespaces/x/pods?labelSelector=a%3Db", escaped */
    const struct cJSON *body; /* NULL = none */
    uint32_t timeout_ms;      /* for all tries together; 0 = KUBE_TIMEOUT_MS */
    /* In a later turn of the loop, exactly once. May start calls and cancel any. */
    void (*done)(void *arg, const struct kube_answer *answer);
    void *arg;

    /* What follows may be left out. */
    bool is_single; /* not tried again, but after 401 and an early 403: the asker waits by itself */
    /* A stream (watch): the body of a 2xx as it comes, cut anywhere; may cancel the call. The first
     * one, often of no bytes, says that it has begun. timeout_ms is for its head, idle_ms for every
     * silence behind it; a stream that has begun is not asked for again. json is NULL. */
    void (*on_bytes)(void *arg, const char *bytes, size_t len);
    uint32_t idle_ms;
};

#define KUBE_TIMEOUT_MS 30000u
/* Guards memory against an answer without an end; a list of thousands of pods has some MiB. */
#define KUBE_ANSWER_MAX (16u << 20)
/* A command that gets credentials may ask a person. */
#define KUBE_COMMAND_MS 60000u

/* Counts each answer: verb "GET", code 0 = none. NULL = nobody counts. */
typedef void kube_count_fn(void *arg, const char *verb, unsigned code);

/* Takes auth, also where it fails. NULL when memory is short. */
struct kube *kube_new(struct event_base *base, struct http *http, struct kube_auth *auth,
                      kube_count_fn *count, void *arg) MUST_USE;
/* Ends every call without an answer. NULL is allowed. */
void kube_free(struct kube *k);

const char *kube_namespace(const struct kube *k);
struct event_base *kube_base(const struct kube *k);

/* Begins a call. Reads are tried again on 429, 5xx and lost answers, writes on 429 (and on any
 * failure before a byte was sent); Retry-After is kept, otherwise the wait doubles. On 401 the
 * credentials are read again, once. A 403 of the authorizer is tried again for a second, as one that
 * has just started denies everybody. A write goes over a connection of its own, so that libcurl
 * never sends it twice. Where a wait would pass the deadline the last answer stands at once. NULL
 * when memory is short. */
struct kube_call *kube_start(struct kube *k, const struct kube_ask *ask) MUST_USE;
void kube_cancel(struct kube_call *call);

#endif
