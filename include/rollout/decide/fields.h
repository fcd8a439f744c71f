/* Structs to JSON objects and back by a table: every member is required (but for what a later
 * release added), checked for type and range, and no other is accepted. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_DECIDE_FIELDS_H
#define SERIN_ROLLOUT_DECIDE_FIELDS_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

/* Whole numbers up to this are exact in JSON. */
#define FIELDS_WHOLE_MAX 9007199254740992.0

enum field_type {
    FIELD_BOOL,
    FIELD_INT, /* int, unsigned, or an enum without names */
    FIELD_I64,
    FIELD_U64,
    FIELD_DOUBLE,
    FIELD_TEXT, /* char[size], NUL-terminated */
    FIELD_ENUM, /* an enum of int's size, written as its name */
};

struct field {
    const char *name;
    enum field_type type;
    size_t offset;
    size_t size; /* FIELD_TEXT: of the array, with the NUL */
    double min,
        max; /* numbers: the range that is accepted; FIELD_ENUM: max is the count of names */
    const char *(*name_of)(int value); /* FIELD_ENUM */
    bool is_later; /* a later release added it: where it is missing, the base keeps what it holds */
};

/* An object: its plain members, and the names of those that the caller reads itself. */
struct field_set {
    const struct field *fields;
    size_t n;
    const char *const *nested;
    size_t n_nested;
};

/* Rows for a table; s is the struct, m the member. */
#define FIELD_ROW_BOOL(key, s, m)                                                                  \
    {                                                                                              \
        .name = key, .type = FIELD_BOOL, .offset = offsetof(s, m)                                  \
    }
#define FIELD_ROW_NUMBER(key, t, s, m, low, high)                                                  \
    {                                                                                              \
        .name = key, .type = t, .offset = offsetof(s, m), .min = low, .max = high                  \
    }
#define FIELD_ROW_TEXT(key, s, m)                                                                  \
    {                                                                                              \
        .name = key, .type = FIELD_TEXT, .offset = offsetof(s, m), .size = sizeof(((s *)0)->m)     \
    }
#define FIELD_ROW_ENUM(key, s, m, count, names)                                                    \
    {                                                                                              \
        .name = key, .type = FIELD_ENUM, .offset = offsetof(s, m), .max = count, .name_of = names  \
    }

/* Adds the plain members of *base to object. ERR_MEMORY. */
enum err fields_write(struct cJSON *object, const struct field_set *set, const void *base) MUST_USE;

/* Reads them back. path names the object in messages ("run."). ERR_INVALID names the member; then
 * *base may be half filled. */
enum err fields_read(const struct cJSON *object, const struct field_set *set, void *base,
                     const char *path, struct why *why) MUST_USE;

/* Adds a list or object that stays its owner's, for no longer than that lives: what into prints, not what it frees. False when
 * memory is short; cJSON's own call for this loses the memory of its reference then. */
bool fields_lend(struct cJSON *into, const char *name, const struct cJSON *item);

#endif
