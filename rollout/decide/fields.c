/* Structs to JSON objects and back by a table of members.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/fields.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static const char *enum_name(const struct field *f, const void *at)
{
    int value;
    memcpy(&value, at, sizeof value);
    CHECK(value >= 0 && value < (int)f->max);
    return f->name_of(value);
}

static double number_at(const struct field *f, const void *at)
{
    int i;
    int64_t wide;
    uint64_t count;
    double real;
    switch (f->type) {
    case FIELD_INT:
        memcpy(&i, at, sizeof i);
        return i;
    case FIELD_I64:
        memcpy(&wide, at, sizeof wide);
        return (double)wide;
    case FIELD_U64:
        memcpy(&count, at, sizeof count);
        return (double)count;
    default:
        memcpy(&real, at, sizeof real);
        return real;
    }
}

static bool write_one(cJSON *object, const struct field *f, const char *at)
{
    switch (f->type) {
    case FIELD_BOOL:
        return cJSON_AddBoolToObject(object, f->name, *(const bool *)at) != NULL;
    case FIELD_TEXT:
        return cJSON_AddStringToObject(object, f->name, at) != NULL;
    case FIELD_ENUM:
        return cJSON_AddStringToObject(object, f->name, enum_name(f, at)) != NULL;
    default:
        return cJSON_AddNumberToObject(object, f->name, number_at(f, at)) != NULL;
    }
}

enum err fields_write(cJSON *object, const struct field_set *set, const void *base)
{
    for (size_t i = 0; i < set->n; i++)
        if (!write_one(object, &set->fields[i], (const char *)base + set->fields[i].offset))
            return ERR_MEMORY;
    return OK;
}

static enum err refuse(const struct field *f, const char *path, const char *expected,
                       struct why *why)
{
    return why_set(why, ERR_INVALID, "%s%s: %s", path, f->name, expected);
}

static enum err read_number(const struct field *f, const cJSON *from, void *at, const char *path,
                            struct why *why)
{
    double v = from->valuedouble;
    if (!cJSON_IsNumber(from) || !isfinite(v))
        return refuse(f, path, "not a number", why);
    if (f->type != FIELD_DOUBLE && v != floor(v))
        return refuse(f, path, "not a whole number", why);
    if (!(v >= f->min && v <= f->max))
        return why_set(why, ERR_INVALID, "%s%s: %.17g is out of range (%.17g to %.17g)", path,
                       f->name, v, f->min, f->max);
    int i;
    int64_t wide;
    uint64_t count;
    switch (f->type) {
    case FIELD_INT:
        i = (int)v;
        memcpy(at, &i, sizeof i);
        break;
    case FIELD_I64:
        wide = (int64_t)v;
        memcpy(at, &wide, sizeof wide);
        break;
    case FIELD_U64:
        count = (uint64_t)v;
        memcpy(at, &count, sizeof count);
        break;
    default:
        memcpy(at, &v, sizeof v);
        break;
    }
    return OK;
}

static enum err read_text(const struct field *f, const cJSON *from, char *at, const char *path,
                          struct why *why)
{
    if (!cJSON_IsString(from))
        return refuse(f, path, "not a text", why);
    size_t len = strlen(from->valuestring);
    if (len >= f->size)
        return why_set(why, ERR_INVALID, "%s%s: %zu bytes are too long (at most %zu)", path,
                       f->name, len, f->size - 1);
    memcpy(at, from->valuestring, len + 1);
    return OK;
}

static enum err read_enum(const struct field *f, const cJSON *from, void *at, const char *path,
                          struct why *why)
{
    if (!cJSON_IsString(from))
        return refuse(f, path, "not a text", why);
    for (int i = 0; i < (int)f->max; i++) {
        if (strcmp(f->name_of(i), from->valuestring) == 0) {
            memcpy(at, &i, sizeof i);
            return OK;
        }
    }
    return why_set(why, ERR_INVALID, "%s%s: unknown word \"%.40s\"", path, f->name,
                   from->valuestring);
}

static enum err read_one(const struct field *f, const cJSON *from, char *at, const char *path,
                         struct why *why)
{
    switch (f->type) {
    case FIELD_BOOL:
        if (!cJSON_IsBool(from))
            return refuse(f, path, "neither true nor false", why);
        *(bool *)at = cJSON_IsTrue(from);
        return OK;
    case FIELD_TEXT:
        return read_text(f, from, at, path, why);
    case FIELD_ENUM:
        return read_enum(f, from, at, path, why);
    default:
        return read_number(f, from, at, path, why);
    }
}

static bool is_known(const struct field_set *set, const char *name)
{
    for (size_t i = 0; i < set->n; i++)
        if (strcmp(set->fields[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < set->n_nested; i++)
        if (strcmp(set->nested[i], name) == 0)
            return true;
    return false;
}

/* Every member once and no other. */
static enum err check_names(const cJSON *object, const struct field_set *set, const char *path,
                            struct why *why)
{
    const cJSON *child;
    size_t n = 0, expected = set->n_nested;
    for (size_t i = 0; i < set->n; i++)
        if (!set->fields[i].is_later ||
            cJSON_GetObjectItemCaseSensitive(object, set->fields[i].name))
            expected++;
    cJSON_ArrayForEach(child, object)
    {
        if (!is_known(set, child->string))
            return why_set(why, ERR_INVALID, "%s%.64s: unknown member", path, child->string);
        n++;
    }
    if (n != expected)
        return why_set(why, ERR_INVALID, "%s: a member stands twice", path);
    return OK;
}

enum err fields_read(const cJSON *object, const struct field_set *set, void *base, const char *path,
                     struct why *why)
{
    if (!cJSON_IsObject(object))
        return why_set(why, ERR_INVALID, "%s: not an object", path);
    for (size_t i = 0; i < set->n; i++) {
        const struct field *f = &set->fields[i];
        const cJSON *from = cJSON_GetObjectItemCaseSensitive(object, f->name);
        if (!from && f->is_later)
            continue;
        if (!from)
            return refuse(f, path, "missing", why);
        if (read_one(f, from, (char *)base + f->offset, path, why) != OK)
            return ERR_INVALID;
    }
    for (size_t i = 0; i < set->n_nested; i++)
        if (!cJSON_GetObjectItemCaseSensitive(object, set->nested[i]))
            return why_set(why, ERR_INVALID, "%s%s: missing", path, set->nested[i]);
    return check_names(object, set, path, why);
}

bool fields_lend(cJSON *into, const char *name, const cJSON *item)
{
    cJSON *reference = cJSON_IsArray(item) ? cJSON_CreateArrayReference(item->child)
                                           : cJSON_CreateObjectReference(item->child);
    if (reference && cJSON_AddItemToObject(into, name, reference))
        return true;
    cJSON_Delete(reference);
    return false;
}
