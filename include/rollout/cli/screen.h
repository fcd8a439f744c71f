/* Redraws a few lines in place on a terminal: plain cursor movement, nothing cleared that is not
 * ours (pure).
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_SCREEN_H
#define SERIN_ROLLOUT_CLI_SCREEN_H

#include "rollout/cli/style.h"
#include "rollout/cli/text.h"

struct screen {
    size_t lines;    /* drawn last time, above the cursor */
    bool is_unknown; /* whether they still stand there */
};

/* The terminal has another size, or something else has written on it: the next frame begins on an
 * empty screen. Pure but for *screen. */
void screen_resized(struct screen *screen);

/* Adds what a terminal needs to show drawing in place of the one before: each line cut to the
 * width, no more lines than the terminal has. drawing: lines, each ended. Pure but for *screen. */
void screen_add_frame(struct text *out, struct screen *screen, const char *drawing,
                      const struct style *s);

#endif
