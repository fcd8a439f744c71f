/* What stands in the objects of a file. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_SOURCE_H
#define SERIN_PROXY_CONVERT_SOURCE_H

#include "base/slice.h"
#include "proxy/convert/draft.h"

#define SOURCE_TEXT_MAX 64 /* room for a number, or a short text, as text */

/* The value of a key, or NULL; object may be NULL. Pure, as all of these. */
const struct cJSON *source_get(const struct cJSON *object, const char *key);

/* Down several keys: source_at(o, "spec.strategy.canary"). */
const struct cJSON *source_at(const struct cJSON *object, const char *keys);

/* The text of a key; NULL: none, or it is no text. */
const char *source_text(const struct cJSON *object, const char *key);

/* Whether a key is true, or the text "true" as annotations have it. */
bool source_is_true(const struct cJSON *object, const char *key);

/* A whole number from 0 to most, also as text ("20"), as annotations and IntOrString have it. */
bool source_count(const struct cJSON *item, int64_t most, int64_t *out);

/* A text or number as text, cut at room; "" for anything else. Returns out. */
const char *source_as_text(const struct cJSON *item, char out[SOURCE_TEXT_MAX]);

/* A length of time in milliseconds: "1h30m", "500ms" as Go writes it; a bare number is seconds. False: none, negative,
 * or above a year. */
bool source_duration(const struct cJSON *item, int64_t *ms);

/* metadata.name ("" = none), metadata.namespace ("default" where left out). Borrowed. */
const char *source_name(const struct cJSON *object);
const char *source_namespace(const struct cJSON *object);

/* Whether the object is of a kind of an API group (the part of apiVersion before the slash, "" = core); group NULL: of
 * any. */
bool source_is(const struct cJSON *object, const char *group, const char *kind);

/* The object of a kind by its name, in a namespace (NULL = any), or NULL. */
const struct cJSON *source_find(const struct draft *d, const char *group, const char *kind,
                                const char *name, const char *name_space);

/* A key that an object may have. advice NULL: carried over, or of no matter to anybody. Else what stands in the note
 * about it. */
struct source_field {
    const char *key, *advice;
};

/* A note, of kind NOTE_LEFT, for each key of an object (NULL: none) that the table does not call carried over. */
void source_leave(struct draft *d, const struct cJSON *object, const struct source_field *fields,
                  size_t n, struct cJSON *into);

#endif
