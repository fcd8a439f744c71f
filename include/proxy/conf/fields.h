/* Every key of the configuration once: type, range, default, unit, effect of a reload, help.
 * The same table parses the file, fills the defaults and prints `serin check --defaults`.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONF_FIELDS_H
#define SERIN_PROXY_CONF_FIELDS_H

#include "proxy/conf/text.h"

enum config_type {
    TYPE_MAPPING, /* a group of keys */
    TYPE_LIST,    /* of mappings */
    TYPE_NAMED,   /* a mapping from free names to mappings */
    TYPE_INTEGER,
    TYPE_DURATION, /* milliseconds */
    TYPE_SIZE,     /* bytes */
    TYPE_SHARE,    /* basis points; kept as a fraction where its place is a double */
    TYPE_BOOL,
    TYPE_CHOICE, /* one of choices */
    TYPE_SET,    /* a list of choices, kept as the sum of their values */
    TYPE_TEXT,
    TYPE_TEXTS,  /* a list of texts */
    TYPE_SHARES, /* a list of shares, kept as fractions */
    TYPE_AMOUNT, /* a count or a share, kept as a struct plan_amount; min and max are the count's */
};

/* The struct that a key's value is kept in. */
enum config_scope {
    SCOPE_NONE, /* checked, not kept: its feature is not built yet */
    SCOPE_CONFIG,
    SCOPE_CERTIFICATE,
    SCOPE_LISTENER,
    SCOPE_NOTIFICATION,
    SCOPE_ROUTE,
    SCOPE_VERSION,
    SCOPE_STEP,
    SCOPE_MORE_CHECK,
    SCOPE_GATE,
    SCOPE_WINDOW,
    SCOPES,
};

enum config_reload {
    RELOAD_YES,     /* a reload applies it to the next request */
    RELOAD_ROLLOUT, /* to the next rollout: a plan is frozen when it starts */
    RELOAD_RESTART, /* only a restart does */
};

/* Sets of flags of a key. */
#define FIELD_REQUIRED   1u /* the mapping around it must have it */
#define FIELD_INLINE     2u /* a list whose items stand in the struct itself, room for max of them */
#define FIELD_LOWER_CASE 4u /* kept in lower case: texts that compare without regard to case */
#define FIELD_SECRET     8u /* a text that no message shows */

struct config_choice {
    const char *name; /* NULL ends the list */
    uint32_t value;
};

struct config_field {
    const char *path; /* "routes[].versions.*.endpoints": [] an item of a list, * a free name */
    enum config_type type;
    const char *standard; /* the default as a file would write it; NULL: none */
    int64_t min, max;     /* of the value; of the number of items for lists */
    enum config_reload reload;
    const char *help;

    /* where its value is kept; width 0: nowhere */
    enum config_scope scope;
    size_t offset, width;
    size_t count_offset; /* of a size_t, for TYPE_LIST, TYPE_NAMED and TYPE_SHARES */

    unsigned flags;
    enum config_scope items; /* TYPE_LIST, TYPE_NAMED: what an item is */
    const char *short_key;   /* TYPE_LIST: an item that is a scalar is this key's value */
    enum text_form form;     /* TYPE_TEXT, TYPE_TEXTS */
    const struct config_choice *choices; /* TYPE_CHOICE, TYPE_SET */
    const char *word;                    /* a word that stands for 0: "auto" */
    const char *zero; /* what 0 means, where 0 is allowed beside min to max: "off" */
    int64_t absent;   /* kept where neither the file nor standard says; what that is: absent_help */
    const char *absent_help;
};

/* All keys, in the order of the documentation. */
extern const struct config_field config_fields[];
extern const size_t config_fields_n;

/* Bytes of one scope's struct; 0 for SCOPE_NONE. Pure. */
size_t config_scope_size(enum config_scope scope);

/* Whether the field stands directly below a prefix ("routes[].", "" for the root), and its key if
 * so: what is behind the prefix; NULL: no. Pure. */
const char *config_field_key(const struct config_field *f, const char *prefix);

/* The field of a key below a prefix, or NULL. O(keys). Pure. */
const struct config_field *config_field_find(const char *prefix, struct slice key);

/* The known key below the prefix that is most like this one, or NULL where none is near. O(keys *
 * length^2). Pure. */
const char *config_field_suggest(const char *prefix, struct slice key);

/* Where in the file a key of this name is known, when just one place knows it: its path, or NULL.
 * Pure. */
const char *config_field_elsewhere(struct slice key);

#endif
