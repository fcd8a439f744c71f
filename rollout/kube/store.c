/* Objects by name, each in its newest version; replaced ones live until they are buried.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/store.h"
#include "base/slice.h"
#include "rollout/kube/watch.h"

#include <cjson/cJSON.h>
#include <stdlib.h>

static const struct cJSON *metadata_text(const struct cJSON *object, const char *key)
{
    const struct cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    const struct cJSON *value = cJSON_GetObjectItemCaseSensitive(metadata, key);
    return cJSON_IsString(value) && value->valuestring[0] ? value : NULL;
}

uint64_t kube_version(const struct cJSON *object)
{
    const struct cJSON *text = metadata_text(object, "resourceVersion");
    uint64_t version = 0;
    return text && slice_parse_u64(slice_str(text->valuestring), &version) ? version : 0;
}

void kube_store_init(struct kube_store *s)
{
    memset(s, 0, sizeof *s);
}

void kube_store_bury(struct kube_store *s)
{
    cJSON_Delete(s->retired); /* all that are linked */
    s->retired = NULL;
}

void kube_store_fini(struct kube_store *s)
{
    kube_store_bury(s);
    for (size_t i = 0; i < s->n; i++)
        cJSON_Delete(s->items[i].object);
    free(s->items);
}

static void retire(struct kube_store *s, struct cJSON *object)
{
    object->next = s->retired;
    s->retired = object;
    s->has_changed = true;
}

/* The first that is not before name. */
static size_t place_of(const struct kube_store *s, const char *name)
{
    size_t low = 0, high = s->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(s->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_at(const struct kube_store *s, size_t at, const char *name)
{
    return at < s->n && strcmp(s->items[at].name, name) == 0;
}

static enum err make_room(struct kube_store *s)
{
    if (s->n >= KUBE_WATCH_OBJECTS_MAX)
        return ERR_LIMIT;
    if (s->n < s->room)
        return OK;
    size_t room = s->room ? s->room * 2 : 16;
    struct kube_store_item *items = realloc(s->items, room * sizeof *items);
    if (!items)
        return ERR_MEMORY;
    s->items = items;
    s->room = room;
    return OK;
}

static enum err insert(struct kube_store *s, size_t at, const struct kube_store_item *item)
{
    enum err err = make_room(s);
    if (err != OK) {
        cJSON_Delete(item->object);
        return err;
    }
    memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof *s->items);
    s->items[at] = *item;
    s->n++;
    s->has_changed = true;
    return OK;
}

enum err kube_store_put(struct kube_store *s, struct cJSON *object)
{
    const struct cJSON *name = metadata_text(object, "name");
    struct kube_store_item item = {.object = object, .version = kube_version(object)};
    if (!name || !item.version) {
        cJSON_Delete(object);
        return ERR_INVALID;
    }
    item.name = name->valuestring;
    item.is_listed = true;
    size_t at = place_of(s, item.name);
    if (!is_at(s, at, item.name))
        return insert(s, at, &item);
    if (s->items[at].version >= item.version) {
        s->items[at].is_listed = true;
        cJSON_Delete(object);
        return OK;
    }
    retire(s, s->items[at].object);
    s->items[at] = item;
    return OK;
}

static void remove_at(struct kube_store *s, size_t at)
{
    retire(s, s->items[at].object);
    s->n--;
    memmove(s->items + at, s->items + at + 1, (s->n - at) * sizeof *s->items);
}

void kube_store_remove(struct kube_store *s, const struct cJSON *object)
{
    const struct cJSON *name = metadata_text(object, "name");
    size_t at = name ? place_of(s, name->valuestring) : s->n;
    if (name && is_at(s, at, name->valuestring) && s->items[at].version <= kube_version(object))
        remove_at(s, at);
}

enum err kube_store_take_list(struct kube_store *s, struct cJSON *items, uint64_t version)
{
    enum err err = OK;
    for (size_t i = 0; i < s->n; i++)
        s->items[i].is_listed = false;
    while (items->child && err == OK)
        err = kube_store_put(s, cJSON_DetachItemViaPointer(items, items->child));
    if (err != OK)
        return err;
    for (size_t i = s->n; i-- > 0;)
        if (!s->items[i].is_listed && s->items[i].version <= version)
            remove_at(s, i);
    return OK;
}

const struct cJSON *kube_store_find(const struct kube_store *s, const char *name)
{
    size_t at = place_of(s, name);
    return is_at(s, at, name) ? s->items[at].object : NULL;
}
