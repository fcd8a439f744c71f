/* Reads foreign objects: nothing about them is taken for granted.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <math.h>

#define YEAR_MS (365.0 * 24 * 3600 * 1000)

const struct cJSON *source_get(const struct cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const struct cJSON *source_at(const struct cJSON *object, const char *keys)
{
    char key[SOURCE_TEXT_MAX];
    struct slice word, rest = slice_str(keys);
    for (bool more = true; more && object;) {
        more = slice_cut(rest, '.', &word, &rest);
        (void)snprintf(key, sizeof key, "%.*s", SLICE_ARG(word));
        object = source_get(object, key);
    }
    return object;
}

const char *source_text(const struct cJSON *object, const char *key)
{
    const struct cJSON *item = source_get(object, key);
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

bool source_is_true(const struct cJSON *object, const char *key)
{
    const struct cJSON *item = source_get(object, key);
    return cJSON_IsTrue(item) || (cJSON_IsString(item) && strcmp(item->valuestring, "true") == 0);
}

bool source_count(const struct cJSON *item, int64_t most, int64_t *out)
{
    uint64_t value;
    if (cJSON_IsString(item)) {
        if (!slice_parse_u64(slice_str(item->valuestring), &value) || value > (uint64_t)most)
            return false;
        *out = (int64_t)value;
        return true;
    }
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= (double)most) ||
        floor(item->valuedouble) != item->valuedouble)
        return false;
    *out = (int64_t)item->valuedouble;
    return true;
}

const char *source_as_text(const struct cJSON *item, char out[SOURCE_TEXT_MAX])
{
    out[0] = '\0';
    if (cJSON_IsString(item))
        (void)snprintf(out, SOURCE_TEXT_MAX, "%s", item->valuestring);
    else if (cJSON_IsNumber(item))
        (void)snprintf(out, SOURCE_TEXT_MAX, "%.15g", item->valuedouble);
    return out;
}

/* Takes "1.5" off the front; false: there is no number. */
static bool take_number(struct slice *s, double *value)
{
    double scale = 1;
    size_t i = 0, digits = 0;
    bool is_behind_point = false;
    *value = 0;
    for (; i < s->len && i < 20; i++) {
        if (s->at[i] == '.' && !is_behind_point) {
            is_behind_point = true;
            continue;
        }
        if (s->at[i] < '0' || s->at[i] > '9')
            break;
        scale = is_behind_point ? scale / 10 : 1;
        *value =
            is_behind_point ? *value + (s->at[i] - '0') * scale : *value * 10 + (s->at[i] - '0');
        digits++;
    }
    *s = slice_of(s->at + i, s->len - i);
    return digits > 0;
}

/* Takes a unit off the front; 0: there is none. */
static double take_unit_ms(struct slice *s)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"ns", 1e-6}, {"us", 1e-3}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct slice name = slice_str(units[i].name);
        if (!slice_starts(*s, name))
            continue;
        *s = slice_of(s->at + name.len, s->len - name.len);
        return units[i].ms;
    }
    return 0;
}

static bool parse_duration(struct slice s, double *ms)
{
    *ms = 0;
    if (s.len == 0)
        return false;
    while (s.len) {
        double value, unit;
        bool is_first = *ms == 0;
        if (!take_number(&s, &value))
            return false;
        unit = s.len ? take_unit_ms(&s) : is_first ? 1000 : 0;
        if (unit == 0)
            return false;
        *ms += value * unit;
    }
    return true;
}

bool source_duration(const struct cJSON *item, int64_t *ms)
{
    double value = -1;
    if (cJSON_IsNumber(item))
        value = item->valuedouble * 1000;
    else if (!cJSON_IsString(item) || !parse_duration(slice_str(item->valuestring), &value))
        return false;
    if (!(value >= 0 && value <= YEAR_MS))
        return false;
    *ms = llround(value);
    return true;
}

const char *source_name(const struct cJSON *object)
{
    const char *name = source_text(source_get(object, "metadata"), "name");
    return name ? name : "";
}

const char *source_namespace(const struct cJSON *object)
{
    const char *name = source_text(source_get(object, "metadata"), "namespace");
    return name && *name ? name : "default";
}

bool source_is(const struct cJSON *object, const char *group, const char *kind)
{
    const char *version = source_text(object, "apiVersion"), *mine = source_text(object, "kind");
    if (!mine || strcmp(mine, kind) != 0)
        return false;
    if (!group)
        return true;
    const char *slash = version ? strchr(version, '/') : NULL;
    struct slice has = slash ? slice_of(version, (size_t)(slash - version)) : slice_str("");
    return version && slice_equal(has, slice_str(group));
}

const struct cJSON *source_find(const struct draft *d, const char *group, const char *kind,
                                const char *name, const char *name_space)
{
    for (size_t i = 0; name && i < d->n_objects; i++) {
        const struct cJSON *o = d->objects[i];
        if (source_is(o, group, kind) && strcmp(source_name(o), name) == 0 &&
            (!name_space || strcmp(source_namespace(o), name_space) == 0))
            return o;
    }
    return NULL;
}

void source_leave(struct draft *d, const struct cJSON *object, const struct source_field *fields,
                  size_t n, struct cJSON *into)
{
    if (!cJSON_IsObject(object))
        return;
    const struct cJSON *child;
    cJSON_ArrayForEach(child, object)
    {
        size_t i = 0;
        while (i < n && strcmp(fields[i].key, child->string) != 0)
            i++;
        if (i == n)
            draft_note(d, NOTE_LEFT, child, into, "serin has no such setting");
        else if (fields[i].advice)
            draft_note(d, NOTE_LEFT, child, into, "%s", fields[i].advice);
    }
}
