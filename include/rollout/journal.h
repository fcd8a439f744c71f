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

/* Whether a state of the route lies in state_dir (a record or its mark). Touches nothing. */
bool journal_exists(const char *state_dir, const char *route);

/* Whether a state was ever written here: tells a lost record from a first run. */
bool journal_was_used(const struct journal *j);

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

/* The file name that stands for a route: letters, digits, '_', '-' and inner '.' as they are, other
 * bytes as %XX, long ones cut and hashed. Never empty, never a path. size at least
 * JOURNAL_NAME_MAX. Pure. */
#define JOURNAL_NAME_MAX 224
void journal_name(const char *route, char *name, size_t size);

#endif
