/* Looks things up in a parsed head.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/http/head.h"

struct slice head_path(const struct head *h, const char *buf)
{
    struct slice path, query;
    (void)slice_cut(span_in(h->path, buf), '?', &path, &query);
    if (path.len)
        return path;
    return h->method == METHOD_OPTIONS && query.len == 0 && h->path.len == 0 ? SLICE("*")
                                                                             : SLICE("/");
}

bool head_find(const struct head *h, const char *buf, enum field_id id, struct slice *value)
{
    if (!(h->field_ids & FIELD_SET(id)))
        return false;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        if (h->fields[i].id == id) {
            *value = span_in(h->fields[i].value, buf);
            return true;
        }
    }
    return false;
}

bool head_find_name(const struct head *h, const char *buf, struct slice name, struct slice *value)
{
    for (uint16_t i = 0; i < h->n_fields; i++) {
        if (slice_equal_nocase(span_in(h->fields[i].name, buf), name)) {
            *value = span_in(h->fields[i].value, buf);
            return true;
        }
    }
    return false;
}

/* Letters without their case, and one for everything that is neither letter nor digit. */
static char fold(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c + ('a' - 'A'));
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ? c : '-';
}

static bool is_alike(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (fold(a.at[i]) != fold(b.at[i]))
            return false;
    return true;
}

void head_remove(struct head *h, const char *buf, struct slice name)
{
    uint16_t kept = 0;
    h->field_ids = 0;
    for (uint16_t i = 0; i < h->n_fields; i++) {
        if (is_alike(span_in(h->fields[i].name, buf), name))
            continue;
        if (kept != i)
            h->fields[kept] = h->fields[i];
        h->field_ids |= FIELD_SET(h->fields[kept].id);
        kept++;
    }
    h->n_fields = kept;
}

/* The first pair of that name in one Cookie field. */
static bool find_pair(struct slice pairs, struct slice name, struct slice *value)
{
    while (pairs.len) {
        struct slice pair, key;
        (void)slice_cut(pairs, ';', &pair, &pairs);
        if (slice_cut(pair, '=', &key, &pair) && slice_equal(slice_trim(key), name)) {
            *value = slice_trim(pair);
            return true;
        }
    }
    return false;
}

bool head_find_cookie(const struct head *h, const char *buf, struct slice name, struct slice *value)
{
    for (uint16_t i = 0; i < h->n_fields; i++)
        if (h->fields[i].id == FIELD_COOKIE &&
            find_pair(span_in(h->fields[i].value, buf), name, value))
            return true;
    return false;
}
