/* How to draw: the terminal's width, colours, and which characters it can show.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/style.h"
#include "base/slice.h"

#include <langinfo.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

static size_t columns_of_environment(void)
{
    uint64_t columns;
    const char *text = getenv("COLUMNS");
    if (text && slice_parse_u64(slice_str(text), &columns) && columns <= STYLE_COLUMNS_MAX)
        return (size_t)columns;
    return STYLE_WIDTH_DEFAULT;
}

static size_t clamp(size_t columns, size_t most)
{
    if (columns < STYLE_WIDTH_MIN)
        return STYLE_WIDTH_MIN;
    return columns > most ? most : columns;
}

struct style style_of(int fd)
{
    bool is_terminal = isatty(fd) == 1;
    struct style s = {.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
    struct winsize window;
    const char *term = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    size_t columns = columns_of_environment();
    if (is_terminal && ioctl(fd, TIOCGWINSZ, &window) == 0 && window.ws_col > 0) {
        columns = window.ws_col;
        s.height = window.ws_row;
    }
    s.columns = clamp(columns, STYLE_COLUMNS_MAX);
    s.width = clamp(columns, STYLE_WIDTH_MAX);
    s.is_screen = is_terminal && term && term[0] && strcmp(term, "dumb") != 0;
    s.has_colour = s.is_screen && !(no_colour && no_colour[0]);
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
        [GLYPH_ELLIPSIS] = {"~", "…"}, [GLYPH_SPARK_TOP] = {"#", "█"},
    };
    return glyphs[g][s->is_utf8];
}
