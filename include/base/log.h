/* One event, one line: level, event name, key=value pairs. The sink is metrics/log.c.
 * error = the operator must act, warn = degraded, info = a state changed, debug = per request.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_BASE_LOG_H
#define SERIN_BASE_LOG_H

#include "base/err.h"
#include "base/slice.h"
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

/* Room for a quoted value of outside bytes; a longer one is cut and ends with "...". */
#define LOG_QUOTED_BYTES 1024u

struct log_quoted {
    char text[LOG_QUOTED_BYTES];
};

/* Outside bytes (a path, a header, a peer's message) as one value in double quotes that cannot begin
 * another key=value pair: log_warn("x", "path=%s", log_quote(&q, path)). Returns out->text. Pure. */
static inline const char *log_quote(struct log_quoted *out, struct slice s)
{
    static const char hex[] = "0123456789abcdef";
    const size_t room = LOG_QUOTED_BYTES - sizeof "...\"" - 4; /* one escape may still begin here */
    size_t n = 0;
    out->text[n++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.at[i];
        if (n > room) {
            memcpy(out->text + n, "...", 3);
            n += 3;
            break;
        }
        if (c == '"' || c == '\\') {
            out->text[n++] = '\\';
            out->text[n++] = (char)c;
        } else if (c < 0x20 || c == 0x7f) {
            memcpy(out->text + n, "\\x", 2);
            out->text[n + 2] = hex[c >> 4];
            out->text[n + 3] = hex[c & 15];
            n += 4;
        } else {
            out->text[n++] = (char)c;
        }
    }
    out->text[n++] = '"';
    out->text[n] = '\0';
    return out->text;
}

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
