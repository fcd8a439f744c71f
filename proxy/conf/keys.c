/* Finds keys in the table of fields, and the one that a mistyped key was meant to be.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/fields.h"

#define KEY_MAX 48 /* bytes of a key that may be a mistyped one; longer ones get no suggestion */

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

static size_t least(size_t a, size_t b, size_t c)
{
    size_t ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Edit distance in which two neighbours changing places count once (optimal string alignment). Both
 * at most KEY_MAX long. */
static size_t distance(struct slice a, struct slice b)
{
    size_t rows[3][KEY_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *now = rows[2];
    for (size_t j = 0; j <= b.len; j++)
        before[j] = last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t differs = ascii_lower(a.at[i - 1]) != ascii_lower(b.at[j - 1]);
            now[j] = least(last[j] + 1, now[j - 1] + 1, last[j - 1] + differs);
            if (i > 1 && j > 1 && a.at[i - 1] == b.at[j - 2] && a.at[i - 2] == b.at[j - 1])
                now[j] = least(now[j], before[j - 2] + 1, now[j]);
        }
        size_t *spare = before;
        before = last;
        last = now;
        now = spare;
    }
    return last[b.len];
}

const char *config_field_suggest(const char *prefix, struct slice key)
{
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    if (key.len > KEY_MAX)
        return NULL;
    for (size_t i = 0; i < config_fields_n; i++) {
        const char *name = config_field_key(&config_fields[i], prefix);
        if (!name || strlen(name) > KEY_MAX)
            continue;
        size_t d = distance(key, slice_str(name));
        if (d < best && d <= 1 + strlen(name) / 4) {
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

bool config_field_is_later(const struct config_field *f)
{
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *around = &config_fields[i];
        size_t len = strlen(around->path);
        if ((around->flags & FIELD_LATER) && strncmp(f->path, around->path, len) == 0 &&
            (f->path[len] == '\0' || f->path[len] == '.' || f->path[len] == '['))
            return true;
    }
    return false;
}
