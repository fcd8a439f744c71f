/* Manifests: the events of libyaml to cJSON, bounded and without YAML's surprises.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/manifest.h"
#include "base/check.h"
#include "rollout/kube/scalar.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* Guards the stack of whoever walks the result. */
#define DEPTH_MAX 64
/* Guards the time that the search for repeated keys takes. */
#define KEYS_MAX 4096
/* Guards memory: a value of one byte costs a node of some sixty. */
#define VALUES_MAX 100000u

struct reader {
    const char *name;
    struct why *why;
    struct cJSON *documents;
    struct cJSON *root;            /* of the document that is being read */
    struct cJSON *open[DEPTH_MAX]; /* the containers that are being filled */
    unsigned depth, values;
    char *key;       /* of the next value of a mapping */
    size_t key_line; /* from 0 */
};

static enum err refuse(struct reader *r, const yaml_mark_t *at, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static enum err refuse(struct reader *r, const yaml_mark_t *at, const char *fmt, ...)
{
    char text[WHY_MAX / 2];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    return why_set(r->why, ERR_INVALID, "%s:%zu:%zu: %s", r->name, at->line + 1, at->column + 1,
                   text);
}

static enum err no_memory(struct reader *r)
{
    return why_set(r->why, ERR_MEMORY, "%s: out of memory", r->name);
}

static enum err refuse_syntax(struct reader *r, const yaml_parser_t *p)
{
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    if (p->error == YAML_READER_ERROR)
        return why_set(r->why, ERR_INVALID, "%s: not valid YAML: %s (byte %zu)", r->name, problem,
                       p->problem_offset);
    return refuse(r, &p->problem_mark, "not valid YAML: %s", problem);
}

static struct cJSON *top(const struct reader *r)
{
    return r->depth ? r->open[r->depth - 1] : NULL;
}

/* Where a person looks for a value: at its key. A text, or an item of a list, has only its own place. */
static size_t line_of(const struct reader *r, const yaml_mark_t *at, const struct cJSON *item)
{
    bool has_key = r->key && (cJSON_IsObject(item) || cJSON_IsArray(item));
    return has_key ? r->key_line : at->line;
}

/* Takes item, also where it fails. */
static enum err add(struct reader *r, const yaml_mark_t *at, struct cJSON *item)
{
    struct cJSON *into = top(r);
    if (!item)
        return no_memory(r);
    if (++r->values > VALUES_MAX) {
        cJSON_Delete(item);
        return refuse(r, at, "more than %u values", VALUES_MAX);
    }
    item->valueint = (int)line_of(r, at, item) + 1;
    if (!into) {
        r->root = item;
        return OK;
    }
    bool is_added = cJSON_IsArray(into) ? cJSON_AddItemToArray(into, item)
                                        : cJSON_AddItemToObject(into, r->key, item);
    free(r->key);
    r->key = NULL;
    if (is_added)
        return OK;
    cJSON_Delete(item);
    return no_memory(r);
}

static enum err check_properties(struct reader *r, const yaml_mark_t *at, const void *anchor,
                                 const void *tag)
{
    if (anchor)
        return refuse(r, at, "anchors are not taken here");
    if (tag)
        return refuse(r, at, "tags are not taken here");
    return OK;
}

static enum err check_plain_key(struct reader *r, const yaml_event_t *e, struct slice key)
{
    double number = 0;
    char canonical[32];
    if (slice_equal(key, SLICE("<<")))
        return refuse(r, &e->start_mark, "merge keys are not taken here");
    enum scalar_kind kind = scalar_read(key, &number);
    (void)snprintf(canonical, sizeof canonical, "%.0f", number);
    if (kind == SCALAR_TEXT ||
        (kind == SCALAR_NUMBER && slice_equal(key, slice_str(canonical)))) /* 80: x is "80": x */
        return OK;
    return refuse(r, &e->start_mark, "the key \"%.*s\" is no text to YAML: quote it",
                  SLICE_ARG(slice_of(key.at, key.len < 64 ? key.len : 64)));
}

static enum err take_key(struct reader *r, const yaml_event_t *e, struct slice key)
{
    struct cJSON *into = top(r);
    enum err err = OK;
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        err = check_plain_key(r, e, key);
    if (err != OK)
        return err;
    r->key = strndup(key.at, key.len);
    r->key_line = e->start_mark.line;
    if (!r->key)
        return no_memory(r);
    if (cJSON_GetObjectItemCaseSensitive(into, r->key))
        return refuse(r, &e->start_mark, "the key \"%.64s\" is repeated", r->key);
    if (cJSON_GetArraySize(into) >= KEYS_MAX)
        return refuse(r, &e->start_mark, "more than %d keys in one mapping", KEYS_MAX);
    return OK;
}

static enum err take_plain(struct reader *r, const yaml_event_t *e, struct slice text)
{
    double number = 0;
    switch (scalar_read(text, &number)) {
    case SCALAR_NULL:
        return add(r, &e->start_mark, cJSON_CreateNull());
    case SCALAR_TRUE:
        return add(r, &e->start_mark, cJSON_CreateTrue());
    case SCALAR_FALSE:
        return add(r, &e->start_mark, cJSON_CreateFalse());
    case SCALAR_NUMBER:
        return add(r, &e->start_mark, cJSON_CreateNumber(number));
    case SCALAR_INFINITE:
        return refuse(r, &e->start_mark, "JSON has no such number: quote it if it is text");
    case SCALAR_TOO_LARGE:
        return refuse(r, &e->start_mark, "the number is above 2^53: quote it if it is text");
    case SCALAR_TEXT:
        break;
    }
    return add(r, &e->start_mark, cJSON_CreateString(text.at));
}

static enum err on_scalar(struct reader *r, const yaml_event_t *e)
{
    struct slice text = slice_of((const char *)e->data.scalar.value, e->data.scalar.length);
    enum err err = check_properties(r, &e->start_mark, e->data.scalar.anchor, e->data.scalar.tag);
    if (err != OK)
        return err;
    if (text.len > 0 && memchr(text.at, '\0', text.len))
        return refuse(r, &e->start_mark, "a NUL byte in a text");
    if (cJSON_IsObject(top(r)) && !r->key)
        return take_key(r, e, text);
    if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE)
        return take_plain(r, e, text);
    return add(r, &e->start_mark, cJSON_CreateString(text.at));
}

static enum err on_container(struct reader *r, const yaml_event_t *e, struct cJSON *item)
{
    bool is_key = cJSON_IsObject(top(r)) && !r->key;
    if (is_key || r->depth >= DEPTH_MAX) {
        cJSON_Delete(item);
        return is_key ? refuse(r, &e->start_mark, "a key that is no text")
                      : refuse(r, &e->start_mark, "more than %d levels", DEPTH_MAX);
    }
    enum err err = add(r, &e->start_mark, item);
    if (err == OK)
        r->open[r->depth++] = item;
    return err;
}

static enum err on_mapping(struct reader *r, const yaml_event_t *e)
{
    enum err err = check_properties(r, &e->start_mark, e->data.mapping_start.anchor,
                                    e->data.mapping_start.tag);
    return err == OK ? on_container(r, e, cJSON_CreateObject()) : err;
}

static enum err on_sequence(struct reader *r, const yaml_event_t *e)
{
    enum err err = check_properties(r, &e->start_mark, e->data.sequence_start.anchor,
                                    e->data.sequence_start.tag);
    return err == OK ? on_container(r, e, cJSON_CreateArray()) : err;
}

/* A document of comments alone is none. */
static enum err on_document_end(struct reader *r)
{
    struct cJSON *root = r->root;
    r->root = NULL;
    if (!root || cJSON_IsNull(root)) {
        cJSON_Delete(root);
        return OK;
    }
    return cJSON_AddItemToArray(r->documents, root) ? OK : no_memory(r);
}

static enum err on_event(struct reader *r, const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_MAPPING_START_EVENT:
        return on_mapping(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_sequence(r, e);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        r->depth--;
        return OK;
    case YAML_DOCUMENT_END_EVENT:
        return on_document_end(r);
    case YAML_ALIAS_EVENT:
        return refuse(r, &e->start_mark, "aliases are not taken here");
    default:
        return OK;
    }
}

static enum err read_yaml(struct reader *r, const char *text, size_t len)
{
    yaml_parser_t parser;
    enum err err = OK;
    if (!yaml_parser_initialize(&parser))
        return no_memory(r);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    for (bool is_end = false; err == OK && !is_end;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            err = refuse_syntax(r, &parser);
            break;
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        err = on_event(r, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    return err;
}

/* No deeper than YAML may be, and no key twice: cJSON would take both. Its numbers lose their valueint: what
 * manifest_line takes for a line. */
static bool is_proper(struct cJSON *item, unsigned depth)
{
    int keys = 0;
    if (depth > DEPTH_MAX)
        return false;
    item->valueint = 0;
    for (struct cJSON *child = item->child; child; child = child->next) {
        bool is_member = cJSON_IsObject(item);
        if (is_member &&
            (++keys > KEYS_MAX || cJSON_GetObjectItemCaseSensitive(item, child->string) != child))
            return false;
        if (!is_proper(child, depth + 1))
            return false;
    }
    return true;
}

/* JSON is YAML but for its pairs of surrogates and some tabs: what cJSON takes whole is done; of
 * anything else YAML's reader says what is wrong and where. NULL: not so. */
static struct cJSON *read_json(const char *text, size_t len)
{
    const char *end = NULL;
    size_t space = 0;
    while (space < len && strchr(" \t\r\n", text[space]) && text[space])
        space++;
    if (space == len || text[space] != '{' || memchr(text, '\0', len))
        return NULL;
    struct cJSON *json = cJSON_ParseWithLengthOpts(text, len, &end, false);
    while (json && end < text + len && strchr(" \t\r\n", *end))
        end++;
    if (json && end == text + len && is_proper(json, 1))
        return json;
    cJSON_Delete(json);
    return NULL;
}

struct cJSON *manifest_parse(const char *name, const char *text, size_t len, struct why *why)
{
    struct reader r = {.name = name, .why = why, .documents = cJSON_CreateArray()};
    enum err err = OK;
    if (!r.documents)
        err = no_memory(&r);
    else if (len > MANIFEST_BYTES_MAX)
        err = why_set(why, ERR_LIMIT, "%s: more than %u bytes", name, MANIFEST_BYTES_MAX);
    else if ((r.root = read_json(text, len)))
        err = on_document_end(&r);
    else
        err = read_yaml(&r, text, len);
    if (err == OK)
        return r.documents;
    free(r.key);
    cJSON_Delete(r.root);
    cJSON_Delete(r.documents);
    return NULL;
}

unsigned manifest_line(const struct cJSON *value)
{
    return value && value->valueint > 0 ? (unsigned)value->valueint : 0;
}

struct cJSON *manifest_read(const char *path, struct why *why)
{
    bool is_input = strcmp(path, "-") == 0;
    const char *name = is_input ? "standard input" : path;
    struct cJSON *documents = NULL;
    FILE *f = is_input ? stdin : fopen(path, "re");
    if (!f) {
        (void)why_set(why, ERR_IO, "%s: %s", name, strerror(errno));
        return NULL;
    }
    char *text = malloc(MANIFEST_BYTES_MAX + 1u);
    size_t len = text ? fread(text, 1, MANIFEST_BYTES_MAX + 1u, f) : 0;
    if (!text)
        (void)why_set(why, ERR_MEMORY, "%s: out of memory", name);
    else if (ferror(f))
        (void)why_set(why, ERR_IO, "%s: %s", name, strerror(errno));
    else
        documents = manifest_parse(name, text, len, why);
    free(text);
    if (!is_input)
        (void)fclose(f);
    return documents;
}
