/* A configuration file as a tree of mappings, lists and scalars, each with its place in the file.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_TREE_H
#define SERIN_PROXY_CONF_TREE_H

#include "base/arena.h"
#include "proxy/conf/errors.h"

#define TREE_FILE_BYTES_MAX  (1024u * 1024u) /* of text: guards the memory and time of a reload */
#define TREE_NODES_MAX       65536u          /* likewise, for text such as [,,,,] */
#define TREE_DEPTH_MAX       16u             /* the schema needs 8; guards the stack of the walk */
#define TREE_KEYS_MAX        256u /* of one mapping: the search for a repeated key is quadratic */
#define TREE_ARENA_BYTES_MAX (48u * 1024u * 1024) /* ceiling of a tree's memory */

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAPPING };

struct node {
    enum node_kind kind;
    bool quoted; /* a scalar in quotes, or a block scalar */
    bool bad;    /* an error was reported here: rules that need its value leave it out */
    struct slice
        key; /* in a mapping; NUL-terminated. len 0 and at NULL: an item of a list, or the root */
    struct slice text; /* of a scalar; NUL-terminated, may hold any byte */
    uint32_t index;    /* place among its parent's children */
    uint32_t n;        /* children */
    uint32_t line,
        column; /* from 1: of the key where the value is a mapping or a list, else of the value */
    uint32_t key_line, key_column;
    struct node *parent, *first, *last, *next;
};

/* Embedded by whoever loads. */
struct tree {
    struct arena arena;
    uint32_t n_nodes;
    struct node *root; /* a mapping; an empty file is an empty one */
};

/* Reads YAML of one document. Refused with line and column: bad syntax, more than one document, a
 * root that is no mapping, and what exceeds the limits above (ERR_INVALID or ERR_MEMORY, and errors
 * says why). Repeated keys, anchors, aliases and tags go to errors too, but reading goes on and
 * gives OK: ask errors->code in the end. tree_free in every case. Touches no file. O(len). */
enum err tree_read(struct tree *t, const char *bytes, size_t len,
                   struct config_errors *errors) MUST_USE;

void tree_free(struct tree *t);

/* A new node at the end of parent's children (parent NULL: the root), at no place yet; NULL: out of
 * memory or over TREE_NODES_MAX. text and key are borrowed, so the tree's arena must hold them. */
struct node *tree_add(struct tree *t, struct node *parent, enum node_kind kind, struct slice key);

/* Turns a scalar into a mapping whose only key has the scalar as its value ("25%" into { weight:
 * 25% }): the short form of a list's item. key: borrowed for the life of the tree. False: out of
 * memory. */
bool tree_wrap(struct tree *t, struct node *scalar, const char *key);

/* The value of a key; NULL: no such key, or no mapping, or node is NULL. O(children). Pure. */
struct node *node_child(const struct node *node, const char *key);

/* The item of a list or mapping by its place, or NULL. O(index). Pure. */
struct node *node_item(const struct node *node, size_t index);

/* A plain scalar that stands for "nothing": empty, ~ or null. Pure. */
bool node_is_null(const struct node *node);

/* "is a list", "has no value" …: what it is instead of what was expected. Pure. */
const char *node_kind_text(const struct node *node);

/* "routes[0].versions.v1.endpoints[2]", cut at room. The root is "". Pure. */
void node_path(const struct node *node, char *out, size_t room);

/* Reports an error at a node and marks it bad. */
void node_complain(struct node *node, struct config_errors *errors, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Reports an error about a key below a mapping: one that is missing (the place is the mapping's).
 */
void node_complain_key(struct node *mapping, const char *key, struct config_errors *errors,
                       const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Bytes for a message: in double quotes, not printable ones as \xNN, long ones cut with "…".
 * Returns out. Pure. */
#define TREE_QUOTE_MAX 96
const char *tree_quote(struct slice text, char out[TREE_QUOTE_MAX]);

#endif
