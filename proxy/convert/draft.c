/* Builds a configuration value by value, as a tree of JSON with comments, and keeps the notes.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/draft.h"
#include "proxy/conf/units.h"
#include "rollout/cli/text.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#define NOTE_TEXT_MAX 512 /* bytes of a note; a longer one is cut */

/* --- the objects of the file --- */

static enum err take(struct draft *d, const struct cJSON *object, struct why *why)
{
    const struct cJSON *kind = cJSON_GetObjectItemCaseSensitive(object, "kind");
    const struct cJSON *items = cJSON_GetObjectItemCaseSensitive(object, "items");
    if (!cJSON_IsObject(object) || !cJSON_IsString(kind))
        return why_set(why, ERR_INVALID,
                       "%s:%u: no object of Kubernetes: it has no kind (expected an Ingress, "
                       "Rollout or Canary)",
                       d->file, manifest_line(object));
    if (d->n_objects == DRAFT_OBJECTS_MAX)
        return why_set(why, ERR_LIMIT, "%s: more than %u objects", d->file, DRAFT_OBJECTS_MAX);
    size_t len = strlen(kind->valuestring);
    bool is_list = cJSON_IsArray(items) && len >= 4 && !strcmp(kind->valuestring + len - 4, "List");
    if (!is_list) {
        d->objects[d->n_objects++] = object;
        return OK;
    }
    const struct cJSON *item;
    cJSON_ArrayForEach(item, items)
    {
        const struct cJSON *inner = cJSON_GetObjectItemCaseSensitive(item, "items");
        enum err err = cJSON_IsArray(inner)
                           ? why_set(why, ERR_INVALID, "%s: a list within a list", d->file)
                           : take(d, item, why);
        if (err)
            return err;
    }
    return OK;
}

enum err draft_init(struct draft *d, const char *file, const struct cJSON *documents,
                    struct why *why)
{
    *d = (struct draft){.file = file, .config = cJSON_CreateObject()};
    d->failed = !d->config;
    const struct cJSON *document;
    cJSON_ArrayForEach(document, documents)
    {
        enum err err = take(d, document, why);
        if (err)
            return err;
    }
    draft_comment(d, d->config,
                  "Made by `serin convert`. Read what it says about what was left out, then `serin "
                  "check -c FILE`.");
    draft_put_text(d, d->config, "state_dir", "/var/lib/serin");
    d->listener = draft_put_object(d, draft_put_list(d, d->config, "listeners"), NULL);
    draft_put_text(d, d->listener, "bind", "0.0.0.0:8080");
    return d->failed ? why_set(why, ERR_MEMORY, "out of memory") : OK;
}

static void note_fini(struct note *n)
{
    free(n->object);
    free(n->path);
    free(n->text);
}

void draft_fini(struct draft *d)
{
    cJSON_Delete(d->config);
    for (size_t i = 0; i < d->n_notes; i++)
        note_fini(&d->notes[i]);
}

/* --- where something stands in the file --- */

struct place {
    char path[DRAFT_PATH_MAX];
    size_t len;
    unsigned line;
};

/* Walks down to the item; the path is whole where it was found. Depth is bounded by the reader of manifests. */
static bool find(const struct cJSON *in, const struct cJSON *wanted, struct place *p)
{
    size_t len = p->len, at = 0;
    unsigned line = p->line;
    if (manifest_line(in))
        p->line = manifest_line(in);
    if (in == wanted)
        return true;
    const struct cJSON *child;
    cJSON_ArrayForEach(child, in)
    {
        size_t room = sizeof p->path - len;
        int n = child->string ? snprintf(p->path + len, room, "%s%s", len ? "." : "", child->string)
                              : snprintf(p->path + len, room, "[%zu]", at);
        at++;
        p->len = n < 0 || (size_t)n >= room ? sizeof p->path - 1 : len + (size_t)n;
        if (find(child, wanted, p))
            return true;
    }
    p->len = len;
    p->path[len] = '\0';
    p->line = line;
    return false;
}

static const struct cJSON *find_object(const struct draft *d, const struct cJSON *wanted,
                                       struct place *p)
{
    for (size_t i = 0; i < d->n_objects; i++) {
        *p = (struct place){.line = 0};
        if (find(d->objects[i], wanted, p))
            return d->objects[i];
    }
    return NULL;
}

static char *clean(struct draft *d, const char *foreign)
{
    struct text t = {0};
    text_add_clean(&t, foreign);
    if (t.failed)
        d->failed = true;
    if (t.at && !t.failed)
        return t.at; /* ownership moves */
    text_fini(&t);
    char *empty = strdup("");
    if (!empty)
        d->failed = true;
    return empty;
}

/* What an object says for several routes is noted once. */
static bool is_noted(const struct draft *d, const struct note *n)
{
    for (size_t i = 0; i < d->n_notes; i++) {
        const struct note *other = &d->notes[i];
        if (other->line == n->line && strcmp(other->object, n->object) == 0 &&
            strcmp(other->path, n->path) == 0 && strcmp(other->text, n->text) == 0)
            return true;
    }
    return false;
}

static void keep(struct draft *d, enum note_kind kind, const struct place *p, const char *object,
                 const char *text)
{
    struct note note = {kind, p->line, clean(d, object), clean(d, p->path), clean(d, text)};
    bool is_known = d->failed || is_noted(d, &note);
    d->n_left += kind == NOTE_LEFT;
    if (is_known || d->n_notes == DRAFT_NOTES_MAX) {
        d->n_dropped += !is_known;
        note_fini(&note);
        return;
    }
    d->notes[d->n_notes++] = note;
}

void draft_sort_notes(struct draft *d)
{
    for (size_t i = 1; i < d->n_notes; i++) {
        struct note note = d->notes[i];
        size_t at = i;
        for (; at > 0 && d->notes[at - 1].line > note.line; at--)
            d->notes[at] = d->notes[at - 1];
        d->notes[at] = note;
    }
}

void draft_note(struct draft *d, enum note_kind kind, const struct cJSON *at, struct cJSON *into,
                const char *fmt, ...)
{
    char text[NOTE_TEXT_MAX], name[DRAFT_PATH_MAX] = "";
    struct place p = {.line = 0};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    const struct cJSON *object = d->n_notes < DRAFT_NOTES_MAX ? find_object(d, at, &p) : NULL;
    if (object) {
        const struct cJSON *kind_of = cJSON_GetObjectItemCaseSensitive(object, "kind");
        const struct cJSON *meta = cJSON_GetObjectItemCaseSensitive(object, "metadata");
        const struct cJSON *named = cJSON_GetObjectItemCaseSensitive(meta, "name");
        (void)snprintf(name, sizeof name, "%.64s/%.100s", kind_of->valuestring,
                       cJSON_IsString(named) ? named->valuestring : "?");
        bool is_named = object != d->subject || !p.path[0];
        draft_comment(d, into ? into : d->config, "%s: %s%s%s%s%s",
                      kind == NOTE_LEFT ? "not carried over" : "approximated", is_named ? name : "",
                      is_named ? ": " : "", p.path, p.path[0] ? ": " : "", text);
    }
    keep(d, kind, &p, name, text);
}

/* --- the configuration --- */

/* Takes item. */
static struct cJSON *put(struct draft *d, struct cJSON *into, const char *key, struct cJSON *item)
{
    bool is_put = item && into && !d->failed &&
                  (key ? cJSON_AddItemToObject(into, key, item) : cJSON_AddItemToArray(into, item));
    if (is_put)
        return item;
    if (into)
        d->failed = true;
    cJSON_Delete(item);
    return NULL;
}

void draft_comment(struct draft *d, struct cJSON *into, const char *fmt, ...)
{
    char text[NOTE_TEXT_MAX + DRAFT_PATH_MAX + 32];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    char *harmless = clean(d, text); /* a line end would end the comment */
    if (harmless)
        draft_put_text(d, into, DRAFT_COMMENT, harmless);
    free(harmless);
}

struct cJSON *draft_put_object(struct draft *d, struct cJSON *into, const char *key)
{
    return put(d, into, key, cJSON_CreateObject());
}

struct cJSON *draft_put_list(struct draft *d, struct cJSON *into, const char *key)
{
    return put(d, into, key, cJSON_CreateArray());
}

void draft_put_text(struct draft *d, struct cJSON *into, const char *key, const char *text)
{
    (void)put(d, into, key, cJSON_CreateString(text));
}

void draft_put_count(struct draft *d, struct cJSON *into, const char *key, int64_t count)
{
    (void)put(d, into, key, cJSON_CreateNumber((double)count));
}

void draft_put_bool(struct draft *d, struct cJSON *into, const char *key, bool value)
{
    (void)put(d, into, key, cJSON_CreateBool(value));
}

void draft_put_share(struct draft *d, struct cJSON *into, const char *key, int64_t bp)
{
    char text[UNITS_TEXT_MAX];
    draft_put_text(d, into, key, units_format_share(bp, text));
}

void draft_put_duration(struct draft *d, struct cJSON *into, const char *key, int64_t ms)
{
    char text[UNITS_TEXT_MAX];
    if (ms == 0)
        draft_put_count(d, into, key, 0);
    else
        draft_put_text(d, into, key, units_format_duration(ms, text));
}
