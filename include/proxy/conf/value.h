/* One value of the configuration: read by its field, compared, put where it is kept.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_VALUE_H
#define SERIN_PROXY_CONF_VALUE_H

#include "proxy/conf/fields.h"
#include "proxy/conf/tree.h"

struct value {
    int64_t number;      /* integers, durations, sizes, shares, switches, choices, sets */
    bool is_share;       /* amounts: number is basis points */
    struct slice text;   /* texts */
    size_t n;            /* of a list */
    struct slice *texts; /* lists of texts */
    int64_t *shares_bp;  /* lists of shares */
};

/* Reads a value of a type that is no MAPPING, LIST or NAMED. False where it is wrong (the error is
 * reported at the node or item, which is marked bad) or where memory ran out (scratch->failed).
 * scratch: keeps what the value points to; texts point into the tree. O(bytes). */
bool value_read(struct value *v, const struct config_field *f, struct node *node,
                struct arena *scratch, struct config_errors *errors);

/* Puts the value at its place in the struct of the field's scope; texts are copied into keep.
 * Nothing happens for a field that is kept nowhere. False: out of memory. */
bool value_store(const struct value *v, const struct config_field *f, void *target,
                 struct arena *keep);

#endif
