/* One route's state on disk: written whole, synced, renamed into place; a backup, a lock and a mark
 * beside it. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_JOURNAL_H
#define SERIN_ROLLOUT_JOURNAL_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* A record is some 40 KB; a file beyond this was not written by us. */
#define JOURNAL_BYTES_MAX (4u << 20)

struct journal;

enum journal_copy { JOURNAL_MAIN, JOURNAL_BACKUP };

/* Makes state_dir where only its last part is missing, takes the route's lock, and proves that it
 * can write. NULL with the reason: no such directory, not writable, disk full, locked by another
 * process. */
struct journal *journal_open(const char *state_dir, const char *route, struct why *why);

/* Lets the lock go. NULL is allowed. */
void journal_close(struct journal *j);

/* The directory, for files beside the record. Borrowed until the next write: the directory may have
 * been removed and made again. */
int journal_dir(const struct journal *j);

/* Whether a state of the route lies in state_dir (a record or its mark). Touches nothing. ERR_IO:
 * nobody knows, for the directory cannot be looked into. */
enum err journal_exists(const char *state_dir, const char *route, bool *found,
                        struct why *why) MUST_USE;

/* A file without content whose name says what a full disk kept from the record. */
enum journal_mark {
    JOURNAL_NEW,     /* no mark: no state was ever written here */
    JOURNAL_USED,    /* tells a lost record from a first run */
    JOURNAL_PAUSED,  /* the record is behind a pause */
    JOURNAL_ABORTED, /* the record is behind an abort or a revert */
    JOURNAL_MARKS
};

/* The mark as it was found, or set since. */
enum journal_mark journal_marked(const struct journal *j);

/* Renames the mark, which needs no room. A durable write takes it back to USED. ERR_IO. */
enum err journal_mark(struct journal *j, enum journal_mark mark, struct why *why) MUST_USE;

/* Reads a copy; the caller frees *text (NUL-terminated). ERR_NOT_FOUND, ERR_LIMIT, ERR_IO,
 * ERR_MEMORY. */
enum err journal_read(const struct journal *j, enum journal_copy copy, char **text, size_t *len,
                      struct why *why) MUST_USE;

/* Keeps an unreadable record aside as NAME.corrupt, for a person to look at. Failure is not an
 * error. */
void journal_keep_corrupt(const struct journal *j);

/* Replaces the record. durable: synced, and the backup replaced before it, so that the backup never
 * misses a state change; otherwise only renamed into place. ERR_IO: the record on disk is the one
 * before. */
enum err journal_write(struct journal *j, const char *text, bool durable, struct why *why) MUST_USE;

/* After journal_write failed: where that was for want of room, gives the backup's to the record.
 * For what must not be lost, as a stop. ERR_IO as journal_write; the backup may be gone then. */
enum err journal_write_alone(struct journal *j, const char *text, struct why *why) MUST_USE;

/* The file name that stands for a route: letters, digits, '_', '-' and inner '.' as they are, other
 * bytes as %XX, long ones cut and hashed. Never empty, never a path. size at least
 * JOURNAL_NAME_MAX. Pure. */
#define JOURNAL_NAME_MAX 224
void journal_name(const char *route, char *name, size_t size);

#endif
