/* The terminal while something is redrawn on it: keys come one by one, the cursor is hidden, and
 * everything is put right again at the end.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_CLI_TERMINAL_H
#define SERIN_ROLLOUT_CLI_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <termios.h>

struct terminal {
    bool has_keys; /* standard input is this terminal, and ours */
    bool is_ready;
    struct termios before;
};

/* Hides the cursor of standard output, and where standard input is a terminal whose foreground job
 * this is, takes its keys without a line's end and without showing them. Signals of keys (Ctrl-C,
 * Ctrl-Z) stay. */
void terminal_begin(struct terminal *t);

/* Puts everything back; does nothing where there is nothing to put back. */
void terminal_end(struct terminal *t);

/* Reads the keys that have been pressed; true: q was among them. To be called when standard input
 * can be read; never blocks then. The end of the input takes the keys away. */
bool terminal_has_quit(struct terminal *t);

/* Writes all of it to standard output with as few calls as it takes, one as a rule: a frame that
 * comes in pieces flickers. False: standard output is closed. */
bool terminal_write(const char *bytes, size_t len);

#endif
