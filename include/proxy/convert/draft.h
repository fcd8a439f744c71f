/* A configuration that is being written from foreign objects, and what could not be carried over into it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_DRAFT_H
#define SERIN_PROXY_CONVERT_DRAFT_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cJSON;

#define DRAFT_OBJECTS_MAX 1024u /* of one file: guards the time of looking one up by its name */
#define DRAFT_ROUTES_MAX  256u  /* of one file: each is held against the others */
#define DRAFT_NOTES_MAX                                                                            \
    256u /* kept: more are no list to work through, and each takes a walk of the file */
#define DRAFT_PATH_MAX 192u /* bytes of a place in an object; a longer one is cut */

/* A key of the draft whose value is a comment above the next key; it may stand in an object several times. */
#define DRAFT_COMMENT "#"

enum note_kind {
    NOTE_LEFT, /* the result does without it */
    NOTE_NEAR, /* the result does something like it */
};

struct note {
    enum note_kind kind;
    unsigned line; /* 0: not known (JSON) */
    char *object;  /* "Ingress/shop" */
    char *path;    /* "spec.tls" */
    char *text;    /* why, and what to do instead */
};

/* Everything that one conversion reads and makes. Embedded; draft_init and draft_fini. */
struct draft {
    const char *file;                               /* for messages; borrowed */
    const struct cJSON *objects[DRAFT_OBJECTS_MAX]; /* borrowed; lists are taken apart */
    size_t n_objects;
    struct cJSON *config, *listener, *routes; /* the result; the others are parts of config */
    const struct cJSON *route_from[DRAFT_ROUTES_MAX]; /* what each route was made from; borrowed */
    size_t n_routes;
    const struct cJSON
        *subject; /* what is being converted: comments name all other objects; NULL = all */
    const char *name_space; /* in which its workloads are; borrowed, NULL = none yet */
    struct note notes[DRAFT_NOTES_MAX];
    size_t n_notes, n_dropped, n_left; /* n_left: of kind NOTE_LEFT, dropped ones too */
    bool failed;                       /* sticky: memory was short */
};

/* Takes the objects of a file (what manifest_parse gave, which must outlive the draft) and begins a configuration with
 * a listener. ERR_INVALID: what is no object of Kubernetes, or too many. draft_fini in any case. */
enum err draft_init(struct draft *d, const char *file, const struct cJSON *documents,
                    struct why *why) MUST_USE;
void draft_fini(struct draft *d);

/* Says that something of the file was left out, or is only something like it: as a note with the place of `at` (of the
 * file, not NULL), and as a comment in `into` (of the draft; NULL: at its head) above what is put there next. */
void draft_note(struct draft *d, enum note_kind kind, const struct cJSON *at, struct cJSON *into,
                const char *fmt, ...) PRINTF_LIKE(5, 6);

/* Brings the notes into the order of the file. Stable. */
void draft_sort_notes(struct draft *d);

/* A comment above what is put into `into` next. */
void draft_comment(struct draft *d, struct cJSON *into, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Each puts a value at the end of an object (or, with key NULL, of a list). into NULL: nothing happens. Those that
 * make a container return it: borrowed, NULL where memory was short (d->failed then). */
struct cJSON *draft_put_object(struct draft *d, struct cJSON *into, const char *key);
struct cJSON *draft_put_list(struct draft *d, struct cJSON *into, const char *key);
void draft_put_text(struct draft *d, struct cJSON *into, const char *key, const char *text);
void draft_put_count(struct draft *d, struct cJSON *into, const char *key, int64_t count);
void draft_put_bool(struct draft *d, struct cJSON *into, const char *key, bool value);
void draft_put_share(struct draft *d, struct cJSON *into, const char *key, int64_t bp);
void draft_put_duration(struct draft *d, struct cJSON *into, const char *key, int64_t ms);

#endif
