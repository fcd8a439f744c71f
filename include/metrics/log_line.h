/* One log event as one line of text or JSON that no outside byte can break or forge.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_METRICS_LOG_LINE_H
#define SERIN_METRICS_LOG_LINE_H

#include "base/log.h"
#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest line with its line feed, also the largest write that a pipe takes as one piece
 * (PIPE_BUF), so that the lines of two threads never mix. A longer message is cut and ends with
 * cut=true. */
#define LOG_LINE_BYTES 4096u

struct log_line {
    char text[LOG_LINE_BYTES];
    size_t len;
    bool cut; /* something did not fit */
};

struct log_event {
    int64_t wall_ms; /* since 1970 UTC */
    enum log_level level;
    const char *name;
    struct slice pairs; /* key=value ...; a value with spaces in double quotes, \" and \\ inside */
    bool cut;           /* pairs is not whole */
};

/* 2026-11-25T03:52:57.123Z info name key=value ... and a line feed. Control bytes (C0, DEL, C1,
 * line separators, bidirectional overrides) and bytes that are not UTF-8 become \n, \t, \xNN. Pure.
 */
void log_line_text(struct log_line *line, const struct log_event *event);

/* {"time":"...","level":"info","event":"name","key":"value", ...} and a line feed, always valid
 * JSON. Quoted values lose their quotes and escapes. A bare value is a number only where its key
 * names a quantity (ends in _ms _us _seconds _bytes _bp _total, or is one of a short list: status,
 * step, lines
 * ...) and it has at most 15 digits; all else is a string, so that version=1.10 stays 1.10 and a
 * key never changes its type from line to line. What is not key=value, and a key for the second
 * time, goes to the member "message". Pure. */
void log_line_json(struct log_line *line, const struct log_event *event);

#endif
