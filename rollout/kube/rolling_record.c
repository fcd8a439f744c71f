/* What a rolling update keeps in the annotations of its controllers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "rollout/kube/rolling.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOOL "rolling-update" /* whose record it is */

static const char *const phases[] = {
    [ROLLING_NONE] = "",         [ROLLING_FORWARD] = "forward",   [ROLLING_BACK] = "back",
    [ROLLING_REVERT] = "revert", [ROLLING_FINISHED] = "finished", [ROLLING_RENAMING] = "renaming",
};

static void take(char *out, size_t room, const cJSON *json, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, name));
    if (text && strlen(text) < room)
        memcpy(out, text, strlen(text) + 1);
}

static int take_count(const cJSON *json, const char *name)
{
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!cJSON_IsNumber(value) || value->valuedouble < 0 || value->valuedouble > KUBE_REPLICAS_MAX)
        return -1;
    return (int)value->valuedouble;
}

struct rolling_record rolling_record_read(const struct cJSON *object)
{
    struct rolling_record record = {.phase = ROLLING_NONE, .original = -1, .replicas = -1};
    char tool[32] = "", phase[16] = "";
    const char *text = kube_annotation(object, KUBE_ROLLOUT);
    cJSON *json = text ? cJSON_Parse(text) : NULL;
    take(tool, sizeof tool, json, "tool");
    take(phase, sizeof phase, json, "phase");
    for (size_t i = 1; i < ARRAY_LEN(phases); i++)
        if (strcmp(tool, TOOL) == 0 && strcmp(phase, phases[i]) == 0)
            record.phase = (enum rolling_phase)i;
    if (record.phase != ROLLING_NONE) {
        take(record.id, sizeof record.id, json, "id");
        take(record.source, sizeof record.source, json, "source");
        record.original = take_count(json, "original");
        record.replicas = take_count(json, "replicas");
        record.takes_name = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "rename"));
    }
    record.is_foreign = record.phase == ROLLING_NONE && cJSON_IsObject(json) && json->child;
    cJSON_Delete(json);
    return record;
}

enum err rolling_check_hands(const struct rolling_object *object, struct why *why)
{
    if (!object->record.is_foreign)
        return OK;
    return why_set(why, ERR_CONFLICT,
                   "%s is in the hands of a serin proxy (annotation %s): give --route, or remove "
                   "the annotation where that proxy is no more",
                   object->w.name, KUBE_ROLLOUT);
}

enum err rolling_record_write(struct cJSON *object, const struct rolling_record *record)
{
    if (record->phase == ROLLING_NONE)
        return kube_annotate(object, KUBE_ROLLOUT, NULL);
    cJSON *json = cJSON_CreateObject();
    bool is_good = cJSON_AddStringToObject(json, "tool", TOOL) &&
                   cJSON_AddStringToObject(json, "phase", phases[record->phase]) &&
                   cJSON_AddStringToObject(json, "id", record->id) &&
                   cJSON_AddStringToObject(json, "source", record->source);
    if (record->original >= 0)
        is_good = is_good && cJSON_AddNumberToObject(json, "original", record->original);
    if (record->replicas >= 0)
        is_good = is_good && cJSON_AddNumberToObject(json, "replicas", record->replicas);
    if (record->takes_name)
        is_good = is_good && cJSON_AddTrueToObject(json, "rename");
    char *text = is_good ? cJSON_PrintUnformatted(json) : NULL;
    enum err e = text ? kube_annotate(object, KUBE_ROLLOUT, text) : ERR_MEMORY;
    cJSON_free(text);
    cJSON_Delete(json);
    return e;
}

void rolling_source(char source[ROLLING_SOURCE_MAX], const struct rolling_side *side)
{
    (void)snprintf(source, ROLLING_SOURCE_MAX, "%s:%s", side->name, side->uid);
}

bool rolling_source_is(const char *source, const struct rolling_side *side)
{
    char expected[ROLLING_SOURCE_MAX];
    rolling_source(expected, side);
    return strcmp(source, expected) == 0 || strcmp(source, side->name) == 0; /* no uid: the design
                                                                                note's */
}

enum err rolling_annotate_count(struct cJSON *object, const char *key, int count)
{
    char text[16];
    (void)snprintf(text, sizeof text, "%d", count);
    return kube_annotate(object, key, count < 0 ? NULL : text);
}

enum err rolling_annotations_clear(struct cJSON *object)
{
    static const char *const keys[] = {KUBE_SOURCE_ID, KUBE_DESIRED,     KUBE_ORIGINAL,
                                       KUBE_NEXT,      KUBE_OLD_DESIRED, KUBE_OLD_PARTNER};
    enum err e = OK;
    for (size_t i = 0; i < ARRAY_LEN(keys) && !e; i++)
        e = kube_annotate(object, keys[i], NULL);
    return e;
}

static int by_key(const void *a, const void *b)
{
    const cJSON *const *x = a, *const *y = b;
    return strcmp((*x)->string, (*y)->string);
}

void rolling_annotations_show(const struct cJSON *object, char *out, size_t room)
{
    const cJSON *metadata = cJSON_GetObjectItemCaseSensitive(object, "metadata");
    const cJSON *all = cJSON_GetObjectItemCaseSensitive(metadata, "annotations"), *one;
    size_t n = (size_t)cJSON_GetArraySize(all), i = 0, len = 0;
    const cJSON **sorted = calloc(n + 1, sizeof *sorted);
    (void)snprintf(out, room, "map[");
    if (sorted) {
        cJSON_ArrayForEach(one, all)
        {
            sorted[i++] = one;
        }
        qsort(sorted, n, sizeof *sorted, by_key);
    }
    for (i = 0; sorted && i < n; i++) {
        len = strlen(out);
        (void)snprintf(out + len, room - len, "%s%s:%s", i ? " " : "", sorted[i]->string,
                       cJSON_IsString(sorted[i]) ? sorted[i]->valuestring : "");
    }
    len = strlen(out);
    (void)snprintf(out + len, room - len, "]");
    free(sorted);
}

bool rolling_covers(const struct cJSON *live, const struct cJSON *wanted)
{
    const cJSON *member;
    if (!cJSON_IsObject(wanted) && !cJSON_IsArray(wanted))
        return cJSON_Compare(live, wanted, true);
    if (cJSON_IsArray(wanted)) {
        const cJSON *other = live ? live->child : NULL;
        if (!cJSON_IsArray(live) || cJSON_GetArraySize(live) != cJSON_GetArraySize(wanted))
            return false;
        for (member = wanted->child; member; member = member->next, other = other->next)
            if (!rolling_covers(other, member))
                return false;
        return true;
    }
    cJSON_ArrayForEach(member, wanted)
    {
        if (!cJSON_IsNull(member) &&
            !rolling_covers(cJSON_GetObjectItemCaseSensitive(live, member->string), member))
            return false;
    }
    return true;
}
