/* Which certificates a server name asks for.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/sni.h"

#include <stdbool.h>
#include <stdlib.h>

struct entry {
    char name[SNI_NAME_MAX + 1]; /* in lower case; "*.shop.example" as it is */
    struct sni_match match;
    int kinds[SNI_KINDS_MAX]; /* of the keys of the certificates */
};

struct sni {
    struct entry *entries;
    size_t n, room;
};

struct sni *sni_new(void)
{
    return calloc(1, sizeof(struct sni));
}

void sni_free(struct sni *s)
{
    if (s)
        free(s->entries);
    free(s);
}

/* A name as the table has it. False: no host name, so nothing to find. */
static bool normalise(struct slice name, char out[SNI_NAME_MAX + 1])
{
    if (name.len && name.at[name.len - 1] == '.')
        name.len--;
    if (name.len == 0 || name.len > SNI_NAME_MAX || memchr(name.at, '\0', name.len))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.at[i];
        out[i] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
    }
    out[name.len] = '\0';
    return true;
}

/* The whole first label and nothing else (RFC 6125 section 6.4.3), above two labels at least: *.example is nobody's. */
static bool is_good_pattern(const char *name)
{
    const char *star = strchr(name, '*');
    if (!star)
        return true;
    return star == name && name[1] == '.' && !strchr(name + 1, '*') && strchr(name + 2, '.');
}

static struct entry *entry_of(struct sni *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->entries[i].name, name) == 0)
            return &s->entries[i];
    if (s->n == s->room) {
        size_t room = s->room ? 2 * s->room : 8;
        struct entry *grown = realloc(s->entries, room * sizeof *grown);
        if (!grown)
            return NULL;
        s->entries = grown;
        s->room = room;
    }
    struct entry *e = &s->entries[s->n++];
    *e = (struct entry){.match = {.n = 0}};
    memcpy(e->name, name, strlen(name) + 1);
    return e;
}

enum err sni_add(struct sni *s, struct slice name, uint16_t certificate, int kind)
{
    char text[SNI_NAME_MAX + 1];
    if (!normalise(name, text) || !is_good_pattern(text))
        return OK;
    struct entry *e = entry_of(s, text);
    if (!e)
        return ERR_MEMORY;
    for (uint16_t i = 0; i < e->match.n; i++)
        if (e->kinds[i] == kind)
            return OK;
    if (e->match.n < SNI_KINDS_MAX) {
        e->kinds[e->match.n] = kind;
        e->match.certificates[e->match.n++] = certificate;
    }
    return OK;
}

static int compare(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    return strcmp(a->name, b->name);
}

void sni_sort(struct sni *s)
{
    if (s->n)
        qsort(s->entries, s->n, sizeof *s->entries, compare);
}

static int compare_name(const void *name, const void *entry)
{
    return strcmp(name, ((const struct entry *)entry)->name);
}

static const struct entry *find(const struct sni *s, const char *name)
{
    return s->n ? bsearch(name, s->entries, s->n, sizeof *s->entries, compare_name) : NULL;
}

const struct sni_match *sni_find(const struct sni *s, struct slice name)
{
    char text[SNI_NAME_MAX + 1];
    if (!normalise(name, text) || strchr(text, '*'))
        return NULL;
    const struct entry *e = find(s, text);
    char *dot = strchr(text, '.');
    if (!e && dot && dot > text) {
        dot[-1] = '*'; /* the pattern ends where the name does */
        e = find(s, dot - 1);
    }
    return e ? &e->match : NULL;
}
