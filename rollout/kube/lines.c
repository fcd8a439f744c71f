/* A watch's stream cut into its lines, and a line into its event.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/lines.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* Most events fit; the room doubles from there. */
#define ROOM_FIRST 8192u

void kube_lines_init(struct kube_lines *l)
{
    memset(l, 0, sizeof *l);
}

void kube_lines_fini(struct kube_lines *l)
{
    free(l->text);
    kube_lines_init(l);
}

static enum err keep(struct kube_lines *l, const char *bytes, size_t n)
{
    if (n > KUBE_LINE_MAX - l->len)
        return ERR_LIMIT;
    size_t room = l->room ? l->room : ROOM_FIRST;
    while (room < l->len + n)
        room *= 2;
    char *text = room == l->room ? l->text : realloc(l->text, room);
    if (!text)
        return ERR_MEMORY;
    l->text = text;
    l->room = room;
    memcpy(text + l->len, bytes, n);
    l->len += n;
    return OK;
}

enum err kube_lines_feed(struct kube_lines *l, const char *bytes, size_t n,
                         bool (*on_line)(void *arg, const char *line, size_t len), void *arg)
{
    const char *end = n ? memchr(bytes, '\n', n) : NULL;
    for (; end; end = n ? memchr(bytes, '\n', n) : NULL) {
        size_t len = (size_t)(end - bytes);
        bool goes_on = true;
        if (l->len) {
            enum err err = keep(l, bytes, len);
            if (err != OK)
                return err;
            goes_on = on_line(arg, l->text, l->len);
            l->len = 0;
        } else if (len) {
            goes_on = on_line(arg, bytes, len);
        }
        if (!goes_on)
            return OK;
        bytes += len + 1;
        n -= len + 1;
    }
    return n ? keep(l, bytes, n) : OK;
}

enum err kube_event_read(const char *line, size_t len, enum kube_event_type *type,
                         struct cJSON **object)
{
    static const char *const types[KUBE_EVENT_TYPES] = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK",
                                                        "ERROR"};
    struct cJSON *json = cJSON_ParseWithLength(line, len);
    const struct cJSON *word = cJSON_GetObjectItemCaseSensitive(json, "type");
    struct cJSON *body = cJSON_GetObjectItemCaseSensitive(json, "object");
    enum err err = ERR_INVALID;
    if (cJSON_IsString(word) && cJSON_IsObject(body)) {
        unsigned t = 0;
        while (t < KUBE_EVENT_TYPES && strcmp(word->valuestring, types[t]) != 0)
            t++;
        err = t < KUBE_EVENT_TYPES ? OK : ERR_UNSUPPORTED;
        *type = (enum kube_event_type)t;
    }
    if (err == OK)
        *object = cJSON_DetachItemViaPointer(json, body);
    cJSON_Delete(json);
    return err;
}
