/* Where access lines go: each worker puts whole lines into a ring of its own, one thread writes them out. A full disk or a
 * reader that stalls keeps that thread waiting and nobody else: what a ring has no room for is dropped and counted.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_ACCESS_LOG_H
#define SERIN_METRICS_ACCESS_LOG_H

#include "base/err.h"
#include "metrics/totals.h"
#include <stdbool.h>

#define ACCESS_RING_BYTES                                                                          \
    (1u << 20)               /* of one worker: what waits while nobody takes it; a power of two */
#define ACCESS_LOOK_MS  250  /* a line is written at the latest so long after its request */
#define ACCESS_STALL_MS 500  /* so long a stop waits for a reader that takes nothing ... */
#define ACCESS_END_MS   5000 /* ... and for a disk that is slow */

struct access_log;
struct access_ring;

/* Nothing is opened, started or large yet. m: its workers count dropped lines; outlives the log. NULL when memory is short.
 * Control thread, like all functions here unless they say otherwise. */
struct access_log *access_log_new(struct metrics *m);

/* Lines go to this file from now on (appended to, made with mode 0640), "-" = standard output. Those that wait go there
 * too, each whole. The first call starts the thread and makes the rings, before any worker may be told to write. On ERR_IO
 * and ERR_MEMORY, with the reason, everything stays as it was. */
enum err access_log_open(struct access_log *log, const char *file, struct why *why) MUST_USE;

/* Opens the present file anew (USR1, after a rotation). OK where there is none, or it is standard output. */
enum err access_log_reopen(struct access_log *log, struct why *why) MUST_USE;

/* The file is closed after what waits has been written; what comes later is thrown away. */
void access_log_close(struct access_log *log);

/* Writes what waits, within ACCESS_STALL_MS and ACCESS_END_MS, and frees. No worker may use its ring any more. May be NULL. */
void access_log_free(struct access_log *log);

/* The ring of one worker. Borrowed; as long as the log. */
struct access_ring *access_log_ring(struct access_log *log, unsigned worker);

/* Takes a whole line, with its line feed, at most ACCESS_LINE_MAX bytes, or drops and counts it. The ring's worker, after
 * the first access_log_open. Copies; a system call once in 256 KiB. */
void access_ring_put(struct access_ring *ring, const char *line, size_t len);

/* Counts a line that could not even be made. The ring's worker. */
void access_ring_drop(struct access_ring *ring);

#endif
