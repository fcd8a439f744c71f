/* Nodes of a configuration tree: building, finding, naming.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/tree.h"
#include "base/check.h"

void tree_free(struct tree *t)
{
    arena_reset(&t->arena);
    t->root = NULL;
}

struct node *tree_add(struct tree *t, struct node *parent, enum node_kind kind, struct slice key)
{
    if (t->n_nodes >= TREE_NODES_MAX)
        return NULL;
    struct node *node = arena_alloc(&t->arena, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct node){.kind = kind, .key = key, .parent = parent};
    t->n_nodes++;
    if (!parent)
        return node;
    node->index = parent->n++;
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    return node;
}

bool tree_wrap(struct tree *t, struct node *scalar, const char *key)
{
    CHECK(scalar->kind == NODE_SCALAR);
    struct node *value = tree_add(t, scalar, NODE_SCALAR, slice_str(key));
    if (!value)
        return false;
    value->text = scalar->text;
    value->quoted = scalar->quoted;
    value->line = value->key_line = scalar->line;
    value->column = value->key_column = scalar->column;
    scalar->kind = NODE_MAPPING;
    return true;
}

struct node *node_child(const struct node *node, const char *key)
{
    if (!node || node->kind != NODE_MAPPING)
        return NULL;
    for (struct node *child = node->first; child; child = child->next)
        if (slice_equal(child->key, slice_str(key)))
            return child;
    return NULL;
}

struct node *node_item(const struct node *node, size_t index)
{
    if (!node)
        return NULL;
    struct node *item = node->first;
    while (item && index--)
        item = item->next;
    return item;
}

bool node_is_null(const struct node *node)
{
    if (node->kind != NODE_SCALAR || node->quoted)
        return false;
    return node->text.len == 0 || slice_equal(node->text, SLICE("~")) ||
           slice_equal(node->text, SLICE("null"));
}

const char *node_kind_text(const struct node *node)
{
    if (node_is_null(node))
        return "has no value";
    return node->kind == NODE_LIST      ? "is a list"
           : node->kind == NODE_MAPPING ? "is a mapping"
                                        : "is a single value";
}

static size_t append(char *out, size_t room, size_t at, const char *text, size_t len)
{
    for (size_t i = 0; i < len && at + 1 < room; i++) {
        unsigned char c = (unsigned char)text[i];
        out[at++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
    }
    out[at] = '\0';
    return at;
}

void node_path(const struct node *node, char *out, size_t room)
{
    const struct node *chain[TREE_DEPTH_MAX + 2];
    size_t n = 0, at = 0;
    for (; node && node->parent && n < ARRAY_LEN(chain); node = node->parent)
        chain[n++] = node;
    out[0] = '\0';
    while (n--) {
        char number[16];
        if (chain[n]->key.at) {
            at = append(out, room, at, ".", at ? 1 : 0);
            at = append(out, room, at, chain[n]->key.at, chain[n]->key.len);
        } else {
            int len = snprintf(number, sizeof number, "[%u]", chain[n]->index);
            at = append(out, room, at, number, (size_t)len);
        }
    }
}

static void complain(struct node *node, const char *key, struct config_errors *errors,
                     const char *fmt, va_list ap) PRINTF_LIKE(4, 0);
static void complain(struct node *node, const char *key, struct config_errors *errors,
                     const char *fmt, va_list ap)
{
    struct config_error e = {.line = node->line, .column = node->column};
    node_path(node, e.path, sizeof e.path);
    if (key) {
        size_t at = strlen(e.path);
        at = append(e.path, sizeof e.path, at, ".", at ? 1 : 0);
        append(e.path, sizeof e.path, at, key, strlen(key));
    }
    (void)vsnprintf(e.text, sizeof e.text, fmt, ap);
    config_errors_add(errors, ERR_INVALID, &e);
}

void node_complain(struct node *node, struct config_errors *errors, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(node, NULL, errors, fmt, ap);
    va_end(ap);
    node->bad = true;
}

void node_complain_key(struct node *mapping, const char *key, struct config_errors *errors,
                       const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    complain(mapping, key, errors, fmt, ap);
    va_end(ap);
}

const char *tree_quote(struct slice text, char out[TREE_QUOTE_MAX])
{
    size_t at = 0, i = 0;
    out[at++] = '"';
    for (; i < text.len && at < TREE_QUOTE_MAX - 10; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(out + at, TREE_QUOTE_MAX - at, "\\x%02x", c);
        else
            out[at++] = (char)c;
    }
    if (i < text.len) {
        while (at > 1 &&
               ((unsigned char)out[at - 1] & 0xc0) == 0x80) /* no half of a UTF-8 character */
            at--;
        if (at > 1 && ((unsigned char)out[at - 1] & 0x80))
            at--;
        at += (size_t)snprintf(out + at, TREE_QUOTE_MAX - at, "…");
    }
    out[at++] = '"';
    out[at] = '\0';
    return out;
}
