/* Growing text for the terminal: what is shown is measured in columns, and foreign bytes are made
 * harmless.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_TEXT_H
#define SERIN_ROLLOUT_CLI_TEXT_H

#include "base/err.h"
#include <stdbool.h>
#include <stddef.h>

/* NUL-terminated while not failed; the owner frees it with text_fini. */
struct text {
    char *at; /* NULL while empty */
    size_t len, room;
    bool failed; /* sticky: memory was short, or the ceiling was reached */
};

/* Largest text that is ever shown. */
#define TEXT_CEILING_BYTES (1024u * 1024u)

void text_fini(struct text *t);

/* Empties it; the memory stays. */
void text_clear(struct text *t);

void text_add(struct text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
void text_add_bytes(struct text *t, const char *bytes, size_t len);

/* The whole text; "" where it is empty or failed. Borrowed until the next change. */
const char *text_str(const struct text *t);

/* Foreign text as printable UTF-8: control characters (a terminal would obey them) and broken
 * sequences become '?', runs of blanks one space. O(n). */
void text_add_clean(struct text *t, const char *foreign);

/* Columns that a text takes on a terminal: one a character; colours (ESC[...m) none. Pure. O(n). */
size_t text_columns(const char *s);

/* Bytes of the longest beginning of s that takes at most columns, colours that follow included.
 * Pure. O(n). */
size_t text_cut(const char *s, size_t columns);

/* Adds spaces until the last line has columns; none when it is longer already. */
void text_pad(struct text *t, size_t columns);

/* Adds words broken at spaces so that no line passes width columns; further lines begin with indent
 * spaces. The first begins at column indent, where the caller stands. A longer word gets a line of
 * its own. */
void text_add_wrapped(struct text *t, const char *words, size_t indent, size_t width);

#endif
