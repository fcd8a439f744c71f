/* A collection of objects, kept as the API server has it: list, then watch, from the beginning
 * when the thread is lost. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_WATCH_H
#define SERIN_ROLLOUT_KUBE_WATCH_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;
struct kube;
struct kube_watch;

/* Guards memory against a selector that matches a whole cluster. */
#define KUBE_WATCH_OBJECTS_MAX 5000u

struct kube_watch_setup {
    const char *path;     /* of the collection, "/api/v1/namespaces/x/pods"; copied */
    const char *selector; /* labelSelector, unescaped; NULL = none; copied */
    const char *name;     /* metadata.name of the only object; NULL = all; copied */
    /* Something changed, or the state did. May read the watch, not free it. */
    void (*on_change)(void *arg);
    void *arg;
};

/* Begins at once. A watch asks for bookmarks, ends by itself after five minutes and goes on from
 * the last version; after 410 it lists again; what fails is tried again with waits that double up
 * to 30 s. NULL when memory is short. */
struct kube_watch *kube_watch_new(struct kube *k, const struct kube_watch_setup *setup) MUST_USE;
void kube_watch_free(struct kube_watch *w);

/* Whether a list was whole once: before that nothing is known, and an object that is not there may
 * exist. What was known stays when the server goes away. */
bool kube_watch_is_synced(const struct kube_watch *w);

/* "" while the watch stands; otherwise why it does not. */
const char *kube_watch_trouble(const struct kube_watch *w);

/* Whether it was tried in vain since the last success: a watch that has only begun has a trouble, too. */
bool kube_watch_has_failed(const struct kube_watch *w);

/* By name, NULL where it is not there; by index below kube_watch_count, sorted by name. Borrowed until the loop's next turn. */
const struct cJSON *kube_watch_find(const struct kube_watch *w, const char *name);
size_t kube_watch_count(const struct kube_watch *w);
const struct cJSON *kube_watch_at(const struct kube_watch *w, size_t index);

/* Takes the answer of a write at once, so that the next look does not see the object of before it.
 * Older than what is known already: ignored. */
void kube_watch_note(struct kube_watch *w, const struct cJSON *object);

#endif
