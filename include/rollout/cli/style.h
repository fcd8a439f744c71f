/* How to draw: the terminal's width, colours, and which characters it can show.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_STYLE_H
#define SERIN_ROLLOUT_CLI_STYLE_H

#include <stdbool.h>
#include <stddef.h>

#define STYLE_WIDTH_DEFAULT 80u /* where there is no terminal to ask */
#define STYLE_WIDTH_MIN     30u
#define STYLE_WIDTH_MAX     100u /* longer lines are hard to read */
#define STYLE_COLUMNS_MAX   500u /* of a terminal; bounds what a frame takes */

struct style {
    size_t width;   /* columns that text may use */
    size_t columns; /* that there are: at least width; for what gains by length, as sparklines do */
    size_t height;  /* rows of the terminal; 0 = no terminal */
    bool is_screen; /* a terminal that can be drawn on: not a dumb one */
    bool has_colour; /* the same, and NO_COLOR is unset or empty (no-color.org) */
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
    GLYPH_ELLIPSIS,
    GLYPH_SPARK_TOP /* the highest bar of spark.h */
};

/* A character, or its ASCII stand-in; each takes one column but the ASCII arrow, which takes two.
 * Pure. */
const char *style_glyph(const struct style *s, enum glyph g);

#endif
