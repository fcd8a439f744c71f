/* How to draw: the terminal's width, colours, and which characters it can show.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_STYLE_H
#define SERIN_ROLLOUT_CLI_STYLE_H

#include <stdbool.h>
#include <stddef.h>

#define STYLE_WIDTH_DEFAULT 80u /* where there is no terminal to ask */
#define STYLE_WIDTH_MIN     30u
#define STYLE_WIDTH_MAX     100u /* longer lines are hard to read */

struct style {
    size_t width;  /* columns that may be used */
    size_t height; /* rows of the terminal; 0 = no terminal */
    bool is_terminal;
    bool has_colour; /* a terminal, not a dumb one, and NO_COLOR is not set (no-color.org) */
    bool is_utf8;
};

/* What suits a descriptor, at this moment: a window changes. setlocale must have been called. */
struct style style_of(int fd);

enum colour {
    COLOUR_NONE,
    COLOUR_BOLD,
    COLOUR_DIM,
    COLOUR_GREEN,
    COLOUR_YELLOW,
    COLOUR_RED,
    COLOUR_CYAN
};

/* The sequences that begin and end a colour; "" where there are no colours. Pure. */
const char *style_begin(const struct style *s, enum colour c);
const char *style_end(const struct style *s, enum colour c);

enum glyph {
    GLYPH_ARROW,
    GLYPH_DOT,
    GLYPH_DASH,
    GLYPH_BAR_FULL,
    GLYPH_BAR_HALF,
    GLYPH_BAR_EMPTY,
    GLYPH_ELLIPSIS
};

/* A character, or its ASCII stand-in; each takes one column but the ASCII arrow, which takes two.
 * Pure. */
const char *style_glyph(const struct style *s, enum glyph g);

#endif
