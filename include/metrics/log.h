/* Setting up the sink of base/log.h: level, text or JSON, destination, rate.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_LOG_H
#define SERIN_METRICS_LOG_H

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include <stdbool.h>

/* Lines a second from one call site: keeps a flood from filling the disk or stopping a worker. */
#define LOG_RATE_DEFAULT 50u

struct log_setup {
    enum log_level level;      /* this one and the more severe ones are written */
    bool json;                 /* one object a line; else text */
    const char *file;          /* appended to, made with mode 0640; NULL or "-" = stderr */
    uint32_t rate;             /* lines a second from one call site; 0 = LOG_RATE_DEFAULT */
    const struct clock *clock; /* outlives the sink; NULL = the system's */
};

/* Puts a set-up in force; also later, for a reload. Until the first call: info, text, stderr. On
 * ERR_IO (the file cannot be opened) and ERR_LIMIT (its path is too long) everything stays as it
 * was. Other threads may log meanwhile. Control thread. */
enum err log_open(const struct log_setup *setup, struct why *why) MUST_USE;

/* Opens the file of the set-up again (USR1, after a rotation). Lines of other threads land in the
 * old or the new file, none gets lost. OK where the destination is stderr. Control thread. */
enum err log_reopen(struct why *why) MUST_USE;

/* Lines not written since the process started. Any thread. */
uint64_t log_suppressed(void);

/* error warn info debug; NULL for other values. Pure. */
const char *log_level_text(enum log_level level);

#endif
