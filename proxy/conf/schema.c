/* Applies the table of fields to a tree: what is unknown, wrong, missing or not built yet.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/schema.h"
#include "base/check.h"
#include "proxy/conf/describe.h"
#include "proxy/conf/value.h"

#define PREFIX_MAX 128 /* of a path in the table; a unit test holds the table to that */

struct schema {
    struct tree *tree;
    struct arena *keep; /* of the configuration */
    struct config_errors *errors;
    struct value *standards; /* by field */
    void *images[SCOPES]; /* one struct of each scope, filled with its defaults; kept in the tree's
                             arena */
};

/* What is walked: a mapping, the path of its keys in the table, and the struct that they are kept
 * in. */
struct place {
    struct node *node;
    const char *prefix;
    void *target;
};

static bool walk_mapping(struct schema *s, struct place p);

static void refuse_unknown(struct schema *s, const struct place *p, struct node *child)
{
    char quoted[TREE_QUOTE_MAX];
    struct config_error e = {.line = child->key_line, .column = child->key_column};
    node_path(p->node, e.path, sizeof e.path);
    const char *near = config_field_suggest(p->prefix, child->key);
    const char *elsewhere = near ? NULL : config_field_elsewhere(child->key);
    tree_quote(child->key, quoted);
    if (near)
        (void)snprintf(e.text, sizeof e.text, "unknown key %s (did you mean \"%s\"?)", quoted,
                       near);
    else if (elsewhere)
        (void)snprintf(e.text, sizeof e.text, "unknown key %s (its place is %s)", quoted,
                       elsewhere);
    else
        (void)snprintf(e.text, sizeof e.text, "unknown key %s", quoted);
    config_errors_add(s->errors, ERR_INVALID, &e);
    child->bad = true;
}

static void refuse_missing(struct schema *s, const struct place *p)
{
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        const char *key = f->flags & FIELD_REQUIRED ? config_field_key(f, p->prefix) : NULL;
        if (key && !node_child(p->node, key))
            node_complain_key(p->node, key, s->errors, "is missing (%s)", f->help);
    }
}

static bool refuse_kind(struct schema *s, const struct config_field *f, struct node *node)
{
    char expected[DESCRIBE_MAX];
    node_complain(node, s->errors, "%s (expected %s)", node_kind_text(node),
                  describe_expectation(f, expected));
    return true;
}

/* False from here on: out of memory. A wrong value is an error in the file and true. */
static bool walk_value(struct schema *s, const struct config_field *f, struct node *node,
                       void *target)
{
    struct value v;
    if (!value_read(&v, f, node, &s->tree->arena, s->errors))
        return !s->tree->arena.failed;
    return value_store(&v, f, target, s->keep);
}

static bool walk_group(struct schema *s, const struct config_field *f, struct node *node,
                       void *target)
{
    char prefix[PREFIX_MAX];
    if (node_is_null(node))
        return true; /* every key of the group is commented out */
    if (node->kind != NODE_MAPPING)
        return node->bad || refuse_kind(s, f, node);
    if (f->scope != SCOPE_NONE)
        memcpy((char *)target + f->offset, &(bool){true}, sizeof(bool));
    (void)snprintf(prefix, sizeof prefix, "%s.", f->path);
    return walk_mapping(s, (struct place){node, prefix, target});
}

/* The struct of the next item: a copy of its scope's defaults. */
static void *item_target(struct schema *s, const struct config_field *f, char *items, size_t i)
{
    size_t size = config_scope_size(f->items);
    if (!items)
        return NULL;
    memcpy(items + i * size, s->images[f->items], size);
    return items + i * size;
}

/* The name of an item is the first member of what is kept by name. False: out of memory. */
static bool take_name(struct schema *s, struct node *item, void *target)
{
    char quoted[TREE_QUOTE_MAX];
    struct why why;
    if (text_check(TEXT_NAME, item->key, &why)) {
        node_complain(item, s->errors, "%s %s (%s)", tree_quote(item->key, quoted), why.text,
                      text_expectation(TEXT_NAME));
        return true;
    }
    const char *name = arena_copy(s->keep, slice_of(item->key.at, item->key.len + 1)).at;
    memcpy(target, &name, sizeof name);
    return name != NULL;
}

static bool walk_item(struct schema *s, const struct config_field *f, struct node *item,
                      void *target)
{
    char prefix[PREFIX_MAX];
    if (item->bad)
        return true;
    if (f->type == TYPE_NAMED && !take_name(s, item, target))
        return false;
    if (f->short_key && item->kind == NODE_SCALAR && !node_is_null(item) &&
        !tree_wrap(s->tree, item, f->short_key))
        return false;
    if (item->kind != NODE_MAPPING) {
        node_complain(item, s->errors, "%s (expected a mapping of keys)", node_kind_text(item));
        return true;
    }
    (void)snprintf(prefix, sizeof prefix, "%s%s.", f->path, f->type == TYPE_NAMED ? ".*" : "[]");
    return walk_mapping(s, (struct place){item, prefix, target});
}

/* Room for n items, in the struct or from the arena, and their number noted. items stays NULL for a
 * list that is not kept. False: out of memory. */
static bool open_items(struct schema *s, const struct config_field *f, void *target, size_t n,
                       char **items)
{
    *items = NULL;
    if (f->scope == SCOPE_NONE)
        return true;
    char *place = (char *)target + f->offset;
    memcpy((char *)target + f->count_offset, &n, sizeof n);
    if (f->flags & FIELD_INLINE) {
        CHECK(n * config_scope_size(f->items) <= f->width);
        memset(place, 0, f->width);
        *items = place;
        return true;
    }
    *items = arena_alloc(s->keep, n * config_scope_size(f->items));
    memcpy(place, items, sizeof *items);
    return *items != NULL;
}

static bool walk_items(struct schema *s, const struct config_field *f, struct node *node,
                       void *target)
{
    char expected[DESCRIBE_MAX];
    char *items;
    if (node->kind != (f->type == TYPE_NAMED ? NODE_MAPPING : NODE_LIST))
        return refuse_kind(s, f, node);
    size_t n = node->n;
    if ((int64_t)n < f->min || (int64_t)n > f->max)
        node_complain(node, s->errors, "has %zu items (%s)", n, describe_expectation(f, expected));
    if ((int64_t)n > f->max)
        n = (size_t)f->max;
    if (!open_items(s, f, target, n, &items))
        return false;
    struct node *item = node->first;
    for (size_t i = 0; i < n; i++, item = item->next)
        if (!walk_item(s, f, item, item_target(s, f, items, i)))
            return false;
    return true;
}

static bool walk_field(struct schema *s, const struct config_field *f, struct node *node,
                       void *target)
{
    if (node->bad)
        return true;
    if (f->type == TYPE_MAPPING)
        return walk_group(s, f, node, target);
    if (f->type == TYPE_LIST || f->type == TYPE_NAMED)
        return walk_items(s, f, node, target);
    return walk_value(s, f, node, target);
}

static bool walk_mapping(struct schema *s, struct place p)
{
    for (struct node *child = p.node->first; child; child = child->next) {
        const struct config_field *f = config_field_find(p.prefix, child->key);
        if (!f)
            refuse_unknown(s, &p, child);
        else if (!walk_field(s, f, child, p.target))
            return false;
    }
    refuse_missing(s, &p);
    return true;
}

/* "[a, b]" or "a" as a node; the table's own text, so no more of YAML is needed. */
static struct node *standard_node(struct tree *t, const char *text)
{
    struct slice item, rest = slice_str(text);
    bool is_list = text[0] == '[';
    struct node *node = tree_add(t, NULL, is_list ? NODE_LIST : NODE_SCALAR, slice_of(NULL, 0));
    if (!node || !is_list) {
        if (node)
            node->text = rest;
        return node;
    }
    rest = slice_of(text + 1, rest.len - 2);
    while (rest.len) {
        (void)slice_cut(rest, ',', &item, &rest);
        struct node *child = tree_add(t, node, NODE_SCALAR, slice_of(NULL, 0));
        if (!child)
            return NULL;
        child->text = slice_trim(item);
    }
    return node;
}

/* Puts the defaults of one scope's fields into a struct of it. */
static bool fill_scope(struct schema *s, enum config_scope scope, void *target)
{
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        if (f->scope != scope)
            continue;
        if (f->absent) {
            struct value absent = {.number = f->absent};
            if (!value_store(&absent, f, target, s->keep))
                return false;
        }
        if (!f->standard)
            continue;
        if (f->type == TYPE_LIST) {
            struct node *node = standard_node(s->tree, f->standard);
            if (!node || !walk_items(s, f, node, target))
                return false;
        } else if (!value_store(&s->standards[i], f, target, s->keep)) {
            return false;
        }
    }
    return true;
}

static bool read_standards(struct schema *s)
{
    s->standards = arena_alloc(&s->tree->arena, config_fields_n * sizeof *s->standards);
    if (!s->standards)
        return false;
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        s->standards[i] = (struct value){.number = 0};
        if (!f->standard || f->type == TYPE_LIST)
            continue;
        struct node *node = standard_node(s->tree, f->standard);
        if (!node || !value_read(&s->standards[i], f, node, &s->tree->arena, s->errors))
            return false;
    }
    return true;
}

static bool fill_images(struct schema *s)
{
    /* steps stand in the default of a route, so they come first */
    static const enum config_scope order[] = {SCOPE_STEP,    SCOPE_CERTIFICATE,  SCOPE_LISTENER,
                                              SCOPE_VERSION, SCOPE_MORE_CHECK,   SCOPE_GATE,
                                              SCOPE_WINDOW,  SCOPE_NOTIFICATION, SCOPE_ROUTE};
    s->images[SCOPE_NONE] = NULL;
    for (size_t i = 0; i < ARRAY_LEN(order); i++) {
        size_t size = config_scope_size(order[i]);
        void *image = arena_alloc(&s->tree->arena, size);
        if (!image)
            return false;
        memset(image, 0, size);
        s->images[order[i]] = image;
        if (!fill_scope(s, order[i], image))
            return false;
    }
    return true;
}

enum err schema_apply(struct tree *tree, struct config *config, struct config_errors *errors)
{
    struct schema s = {.tree = tree, .keep = &config->arena, .errors = errors};
    bool ok = read_standards(&s) && fill_images(&s) && fill_scope(&s, SCOPE_CONFIG, config) &&
              walk_mapping(&s, (struct place){tree->root, "", config});
    return ok ? OK : ERR_MEMORY;
}
