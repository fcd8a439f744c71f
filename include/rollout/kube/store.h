/* Objects by name, each in its newest version; replaced ones live until they are buried. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_STORE_H
#define SERIN_ROLLOUT_KUBE_STORE_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

struct kube_store_item {
    struct cJSON *object;
    const char *name; /* in object */
    uint64_t version;
    bool is_listed; /* while a list is taken in */
};

struct kube_store {
    struct kube_store_item *items; /* sorted by name */
    size_t n, room;
    struct cJSON *retired; /* linked by next */
    bool has_changed;      /* set here, cleared by the owner */
};

void kube_store_init(struct kube_store *s);
void kube_store_fini(struct kube_store *s);

/* metadata.resourceVersion as a number; 0 where it is none. Kubernetes calls it opaque, and orders by it itself. */
uint64_t kube_version(const struct cJSON *object);

/* Takes the object (also where it fails): newer than what is there, it replaces that; not newer, it
 * is dropped. ERR_INVALID: no name or version; ERR_LIMIT: KUBE_WATCH_OBJECTS_MAX. O(log n), and O(n) where a name is new. */
enum err kube_store_put(struct kube_store *s, struct cJSON *object) MUST_USE;

/* Removes what has the object's name and is not newer. */
void kube_store_remove(struct kube_store *s, const struct cJSON *object);

/* Makes the store what a list of that version says: its items are taken out of it; what it does not
 * have goes, unless it is newer than the list. Errors as of put. */
enum err kube_store_take_list(struct kube_store *s, struct cJSON *items, uint64_t version) MUST_USE;

/* NULL where it is not there. */
const struct cJSON *kube_store_find(const struct kube_store *s, const char *name);

/* Frees what was replaced or removed. */
void kube_store_bury(struct kube_store *s);

#endif
