/* How to draw: the terminal's width, colours, and which characters it can show.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/style.h"
#include "base/slice.h"

#include <langinfo.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static size_t width_of_environment(void)
{
    uint64_t columns;
    const char *text = getenv("COLUMNS");
    if (text && slice_parse_u64(slice_str(text), &columns) && columns <= STYLE_WIDTH_MAX)
        return (size_t)columns;
    return STYLE_WIDTH_DEFAULT;
}

static size_t clamp_width(size_t width)
{
    if (width < STYLE_WIDTH_MIN)
        return STYLE_WIDTH_MIN;
    return width > STYLE_WIDTH_MAX ? STYLE_WIDTH_MAX : width;
}

struct style style_of(int fd)
{
    struct style s = {.is_terminal = isatty(fd) == 1};
    struct winsize window;
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    s.width = width_of_environment();
    if (s.is_terminal && ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
        s.width = window.ws_col;
        s.height = window.ws_row;
    }
    s.width = clamp_width(s.width);
    s.has_colour =
        s.is_terminal && !(no_colour && no_colour[0]) && term && strcmp(term, "dumb") != 0;
    s.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    return s;
}

const char *style_begin(const struct style *s, enum colour c)
{
    static const char *const sequences[] = {
        [COLOUR_NONE] = "",          [COLOUR_BOLD] = "\033[1m",    [COLOUR_DIM] = "\033[2m",
        [COLOUR_GREEN] = "\033[32m", [COLOUR_YELLOW] = "\033[33m", [COLOUR_RED] = "\033[31m",
        [COLOUR_CYAN] = "\033[36m",
    };
    return s->has_colour ? sequences[c] : "";
}

const char *style_end(const struct style *s, enum colour c)
{
    return s->has_colour && c != COLOUR_NONE ? "\033[0m" : "";
}

const char *style_glyph(const struct style *s, enum glyph g)
{
    static const char *const glyphs[][2] = {
        [GLYPH_ARROW] = {"->", "→"},   [GLYPH_DOT] = {"-", "·"},
        [GLYPH_DASH] = {"-", "–"},     [GLYPH_BAR_FULL] = {"#", "━"},
        [GLYPH_BAR_HALF] = {">", "╸"}, [GLYPH_BAR_EMPTY] = {".", "─"},
        [GLYPH_ELLIPSIS] = {"~", "…"},
    };
    return glyphs[g][s->is_utf8];
}
