/* Redraws a few lines in place on a terminal: plain cursor movement, nothing cleared that is not
 * ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/screen.h"

#include <stdint.h>
#include <string.h>

#define CLEAR_REST_OF_LINE "\033[K"
#define CLEAR_BELOW        "\033[J"
#define CLEAR_ALL          "\033[H\033[2J"
/* While a frame is drawn: a character that takes two columns must not begin a line more. */
#define WRAP_OFF "\033[?7l"
#define WRAP_ON  "\033[?7h"

void screen_resized(struct screen *screen)
{
    screen->is_unknown = true;
}

void screen_add_frame(struct text *out, struct screen *screen, const char *drawing,
                      const struct style *s)
{
    struct text line = {0};
    size_t lines = 0, lines_max = s->height > 1 ? s->height - 1 : SIZE_MAX;
    text_add(out, WRAP_OFF);
    if (screen->is_unknown)
        text_add(out, CLEAR_ALL);
    else if (screen->lines)
        text_add(out, "\033[%zuA", screen->lines);
    text_add(out, "\r");
    while (*drawing && lines < lines_max) {
        size_t len = strcspn(drawing, "\n");
        text_clear(&line);
        text_add_bytes(&line, drawing, len);
        size_t cut = text_cut(text_str(&line), s->columns);
        text_add_bytes(out, text_str(&line), cut);
        text_add(out, "%s" CLEAR_REST_OF_LINE "\n", cut < len && s->has_colour ? "\033[0m" : "");
        drawing += drawing[len] ? len + 1 : len;
        lines++;
    }
    text_add(out, CLEAR_BELOW WRAP_ON);
    screen->lines = lines;
    screen->is_unknown = false;
    text_fini(&line);
}
