/* The file of one recorded rollout: appended to, bounded in size, gone on with after a restart.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_RECORDING_FILE_H
#define SERIN_ROLLOUT_RECORDING_FILE_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guards the disk, and the time in which a file is read: some eight hours of a line a
 * second. It is thinned in 30 ms then. */
#define RECORDING_BYTES_MAX ((size_t)16 << 20)

/* Files that are kept of a route. */
#define RECORDINGS_MAX 10u

#define RECORDING_NAME_MAX 256

struct recording_file {
    int fd;         /* -1 = none */
    unsigned every; /* a line every that many ticks: 1, 2, 4 ... */
    size_t size, bytes_max;
    char name[RECORDING_NAME_MAX]; /* in its directory */
};

/* What a file that is gone on with ends in. */
struct recording_tail {
    bool has_tick;
    int64_t t_ms; /* of its last tick */
    char *hist;   /* the newest line with histograms, the caller's to free; NULL = none */
};

/* ROUTE.ID.jsonl. route: as the journal names its files; of the id what makes it unlike the others,
 * in bytes that a file's name can have. Pure. */
void recording_file_name(char name[RECORDING_NAME_MAX], const char *route, const char *id);

/* A file that is not open yet. Pure. */
void recording_file_init(struct recording_file *f, const char *name, size_t bytes_max);

/* Makes a new one; one of the same name is emptied. ERR_IO. */
enum err recording_file_make(struct recording_file *f, int dir_fd, struct why *why) MUST_USE;

/* Opens one from before a restart. What is torn, or was written after until_ms (the record that the
 * rollout goes on from may be older), is cut off. The caller frees tail->hist. ERR_NOT_FOUND: there
 * is none; ERR_INVALID: it is not ours; ERR_LIMIT: too large; ERR_IO. O(size). */
enum err recording_file_continue(struct recording_file *f, int dir_fd, int64_t until_ms,
                                 struct recording_tail *tail, struct why *why) MUST_USE;

/* Appends whole lines by one write. Where they would go beyond the bound, the file is thinned
 * before: every other tick goes, and every is doubled. ERR_IO: nothing was appended, and it can be
 * tried again; ERR_LIMIT: no room could be made, and the file is closed. Not synced. */
enum err recording_file_append(struct recording_file *f, int dir_fd, const char *lines, size_t len,
                               struct why *why) MUST_USE;

/* NULL is not allowed; one that is not open is. */
void recording_file_close(struct recording_file *f);

/* Removes the oldest files of the route until most are left. route: as in recording_file_name.
 * Failure is not an error. O(files in the directory). */
void recording_file_retain(int dir_fd, const char *route, unsigned most);

#endif
