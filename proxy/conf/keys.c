/* Finds keys in the table of fields, and the one that a mistyped key was meant to be.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/fields.h"
#include "base/nearest.h"

const char *config_field_key(const struct config_field *f, const char *prefix)
{
    size_t len = strlen(prefix);
    if (strncmp(f->path, prefix, len) != 0)
        return NULL;
    const char *key = f->path + len;
    return strpbrk(key, ".[") ? NULL : key;
}

const struct config_field *config_field_find(const char *prefix, struct slice key)
{
    for (size_t i = 0; i < config_fields_n; i++) {
        const char *name = config_field_key(&config_fields[i], prefix);
        if (name && slice_equal(slice_str(name), key))
            return &config_fields[i];
    }
    return NULL;
}

const char *config_field_suggest(const char *prefix, struct slice key)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < config_fields_n; i++) {
        const char *name = config_field_key(&config_fields[i], prefix);
        size_t d = name ? nearest_distance(key, slice_str(name)) : SIZE_MAX;
        if (d < best) {
            best = d;
            nearest = name;
        }
    }
    return nearest;
}

const char *config_field_elsewhere(struct slice key)
{
    const char *place = NULL;
    for (size_t i = 0; i < config_fields_n; i++) {
        const char *dot = strrchr(config_fields[i].path, '.');
        if (!slice_equal(slice_str(dot ? dot + 1 : config_fields[i].path), key))
            continue;
        if (!place || strlen(config_fields[i].path) < strlen(place))
            place = config_fields[i].path;
    }
    return place;
}
