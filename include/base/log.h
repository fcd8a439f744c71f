/* One event, one line: level, event name, key=value pairs. The sink is metrics/log.c.
 * error = the operator must act, warn = degraded, info = a state changed, debug = per request.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_LOG_H
#define SERIN_BASE_LOG_H

#include "base/err.h"
#include <stdatomic.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* One per call site, so that a flood at one place does not silence the others. */
struct log_site {
    _Atomic int64_t window;      /* second in which count began */
    _Atomic uint32_t count;      /* lines in that second */
    _Atomic uint64_t suppressed; /* lines not written since the last written one */
};

/* Writes one line when level is on and the site is under its rate. event: words without spaces ("reload_failed").
 * fmt: key=value pairs; a value with spaces stands in double quotes. Any thread. Never fails. */
void log_write(struct log_site *site, enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        static struct log_site log_site_;                                                          \
        log_write(&log_site_, level, event, __VA_ARGS__);                                          \
    } while (0)

#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)

#endif
