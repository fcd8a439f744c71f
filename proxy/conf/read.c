/* Turns the events of libyaml into a tree with places, bounded and without YAML's surprises.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/tree.h"
#include <yaml.h>

struct reader {
    struct tree *tree;
    struct config_errors *errors;
    const char *bytes;
    size_t len;
    struct node *open; /* the mapping or list that is being filled; NULL at the root */
    uint32_t depth;
    bool has_key; /* open is a mapping and its next value's key has been read */
    bool key_is_repeated;
    struct slice key;
    uint32_t key_line, key_column;
    bool done;
};

static enum err refuse(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
static enum err refuse(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
{
    struct config_error e = {.line = (uint32_t)mark->line + 1,
                             .column = (uint32_t)mark->column + 1};
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(e.text, sizeof e.text, fmt, ap);
    va_end(ap);
    if (r->open)
        node_path(r->open, e.path, sizeof e.path);
    config_errors_add(r->errors, ERR_INVALID, &e);
    return ERR_INVALID;
}

static enum err no_memory(struct reader *r)
{
    struct config_error e = {.text = "out of memory"};
    config_errors_add(r->errors, ERR_MEMORY, &e);
    return ERR_MEMORY;
}

/* Where the byte at offset stands: libyaml gives only that for bytes that are no UTF-8. */
static yaml_mark_t mark_of_offset(const struct reader *r, size_t offset)
{
    yaml_mark_t mark = {.index = offset};
    for (size_t i = 0; i < offset && i < r->len; i++) {
        unsigned char c = (unsigned char)r->bytes[i];
        if (c == '\n') {
            mark.line++;
            mark.column = 0;
        } else if ((c & 0xc0) != 0x80) {
            mark.column++;
        }
    }
    return mark;
}

static bool is_indented_by_tab(const struct reader *r, size_t line)
{
    size_t i = 0;
    for (; i < r->len && line > 0; i++)
        line -= r->bytes[i] == '\n';
    while (i < r->len && r->bytes[i] == ' ')
        i++;
    return i < r->len && r->bytes[i] == '\t';
}

static enum err refuse_syntax(struct reader *r, const yaml_parser_t *p)
{
    if (p->error == YAML_MEMORY_ERROR)
        return no_memory(r);
    const char *problem = p->problem ? p->problem : "cannot be read";
    r->open = NULL; /* where syntax is broken, no key is to be trusted */
    if (p->error == YAML_READER_ERROR) {
        yaml_mark_t mark = mark_of_offset(r, p->problem_offset);
        return refuse(r, &mark, "not valid YAML: %s", problem);
    }
    const char *hint = is_indented_by_tab(r, p->problem_mark.line)
                           ? " (YAML is indented by spaces, not tabs)"
                           : "";
    if (!p->context || p->context_mark.index == p->problem_mark.index)
        return refuse(r, &p->problem_mark, "not valid YAML: %s%s", problem, hint);
    return refuse(r, &p->problem_mark,
                  "not valid YAML: %s%s, %s that begins at line %zu, column %zu", problem, hint,
                  p->context, p->context_mark.line + 1, p->context_mark.column + 1);
}

/* A repeated key is an error, and its value is still read, so that the file's other errors are
 * found too. */
static void refuse_repeated(struct reader *r, struct slice key, const yaml_mark_t *mark)
{
    char quoted[TREE_QUOTE_MAX];
    const struct node *it = r->open->first;
    while (it && !slice_equal(it->key, key))
        it = it->next;
    r->key_is_repeated = it != NULL;
    if (it)
        (void)refuse(r, mark, "key %s is repeated (first at line %u)", tree_quote(key, quoted),
                     it->key_line);
}

static enum err take_key(struct reader *r, const yaml_event_t *event, struct slice text)
{
    if (r->open->n >= TREE_KEYS_MAX)
        return refuse(r, &event->start_mark, "more than %u keys in one mapping", TREE_KEYS_MAX);
    if (text.len == 0)
        return refuse(r, &event->start_mark, "an empty key");
    refuse_repeated(r, text, &event->start_mark);
    r->key = text;
    r->key_line = (uint32_t)event->start_mark.line + 1;
    r->key_column = (uint32_t)event->start_mark.column + 1;
    r->has_key = true;
    return OK;
}

/* Adds the value that begins with this event below the open mapping or list. */
static enum err add_node(struct reader *r, const yaml_event_t *event, enum node_kind kind,
                         struct node **added)
{
    if (r->tree->n_nodes >= TREE_NODES_MAX)
        return refuse(r, &event->start_mark, "more than %u values in the file", TREE_NODES_MAX);
    struct node *node = tree_add(r->tree, r->open, kind, r->has_key ? r->key : slice_of(NULL, 0));
    if (!node)
        return no_memory(r);
    node->line = (uint32_t)event->start_mark.line + 1;
    node->column = (uint32_t)event->start_mark.column + 1;
    node->key_line = r->has_key ? r->key_line : node->line;
    node->key_column = r->has_key ? r->key_column : node->column;
    if (kind != NODE_SCALAR) {
        node->line = node->key_line;
        node->column = node->key_column;
    }
    node->bad = r->has_key && r->key_is_repeated;
    r->has_key = false;
    if (!r->open)
        r->tree->root = node;
    *added = node;
    return OK;
}

static enum err on_scalar(struct reader *r, const yaml_event_t *event)
{
    size_t len = event->data.scalar.length;
    char *copy = arena_alloc(&r->tree->arena, len + 1);
    if (!copy)
        return no_memory(r);
    memcpy(copy, event->data.scalar.value, len);
    copy[len] = '\0';
    if (r->open && r->open->kind == NODE_MAPPING && !r->has_key)
        return take_key(r, event, slice_of(copy, len));
    struct node *node;
    enum err e = add_node(r, event, NODE_SCALAR, &node);
    if (e)
        return e;
    node->text = slice_of(copy, len);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return OK;
}

static enum err on_open(struct reader *r, const yaml_event_t *event, enum node_kind kind)
{
    struct node *node;
    if (r->open && r->open->kind == NODE_MAPPING && !r->has_key)
        return refuse(r, &event->start_mark, "a key that is a list or a mapping (expected a word)");
    if (r->depth >= TREE_DEPTH_MAX)
        return refuse(r, &event->start_mark, "nested deeper than %u levels", TREE_DEPTH_MAX);
    enum err e = add_node(r, event, kind, &node);
    if (e)
        return e;
    r->open = node;
    r->depth++;
    return OK;
}

static void on_close(struct reader *r)
{
    r->open = r->open->parent;
    r->depth--;
}

/* Anchors and tags change what a value means from afar; a configuration that is read by people does
 * without. */
static void refuse_decoration(struct reader *r, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor)
        (void)refuse(r, &event->start_mark, "an anchor (&…) is not accepted here");
    if (tag)
        (void)refuse(r, &event->start_mark, "a tag (!…) is not accepted here");
}

/* The value that the alias stands for is not known here: a node that the schema leaves out. */
static enum err on_alias(struct reader *r, const yaml_event_t *event)
{
    struct node *node;
    (void)refuse(r, &event->start_mark, "an alias (*…) is not accepted here");
    if (r->open && r->open->kind == NODE_MAPPING && !r->has_key)
        return ERR_INVALID;
    enum err e = add_node(r, event, NODE_SCALAR, &node);
    if (e)
        return e;
    node->text = slice_of("", 0);
    node->bad = true;
    return OK;
}

static enum err on_event(struct reader *r, const yaml_event_t *event)
{
    refuse_decoration(r, event);
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (r->tree->root)
            return refuse(r, &event->start_mark, "a second document begins (expected one)");
        return OK;
    case YAML_STREAM_END_EVENT:
        r->done = true;
        return OK;
    case YAML_ALIAS_EVENT:
        return on_alias(r, event);
    case YAML_SCALAR_EVENT:
        return on_scalar(r, event);
    case YAML_SEQUENCE_START_EVENT:
        return on_open(r, event, NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return on_open(r, event, NODE_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_close(r);
        return OK;
    default:
        return OK;
    }
}

static enum err read_events(struct reader *r, yaml_parser_t *p)
{
    while (!r->done) {
        yaml_event_t event;
        if (!yaml_parser_parse(p, &event))
            return refuse_syntax(r, p);
        enum err e = on_event(r, &event);
        yaml_event_delete(&event);
        if (e)
            return e;
    }
    return OK;
}

/* An empty file is an empty mapping, so that the schema says what is missing. */
static enum err settle_root(struct reader *r)
{
    struct node *root = r->tree->root;
    if (!root) {
        root = r->tree->root = tree_add(r->tree, NULL, NODE_MAPPING, slice_of(NULL, 0));
        if (!root)
            return no_memory(r);
        root->line = root->column = 1;
    }
    if (node_is_null(root))
        root->kind = NODE_MAPPING;
    if (root->kind == NODE_MAPPING)
        return OK;
    node_complain(root, r->errors, "is %s (expected a mapping of keys)",
                  root->kind == NODE_LIST ? "a list" : "a single value");
    return ERR_INVALID;
}

enum err tree_read(struct tree *t, const char *bytes, size_t len, struct config_errors *errors)
{
    struct reader r = {.tree = t, .errors = errors, .bytes = bytes, .len = len};
    yaml_parser_t parser;
    *t = (struct tree){.n_nodes = 0};
    if (len >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        r.bytes += 3;
        r.len -= 3;
    }
    arena_init(&t->arena, NULL, 0, TREE_ARENA_BYTES_MAX);
    if (len > TREE_FILE_BYTES_MAX) {
        yaml_mark_t start = {0};
        return refuse(&r, &start, "larger than %u bytes", TREE_FILE_BYTES_MAX);
    }
    if (!yaml_parser_initialize(&parser))
        return no_memory(&r);
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)r.bytes, r.len);
    enum err e = read_events(&r, &parser);
    yaml_parser_delete(&parser);
    return e ? e : settle_root(&r);
}
