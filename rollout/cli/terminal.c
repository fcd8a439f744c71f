/* The terminal while something is redrawn on it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/terminal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#define CURSOR_HIDE "\033[?25l"
#define CURSOR_SHOW "\033[?25h"
/* An output that takes nothing for so long is taken for closed; a terminal is never so slow, unless
 * Ctrl-S holds it: then a frame is lost, and nothing else. */
#define OUTPUT_TIMEOUT_MS 1000

static bool owns_terminal(int fd)
{
    return isatty(fd) == 1 && tcgetpgrp(fd) == getpgrp();
}

void terminal_begin(struct terminal *t)
{
    struct termios keys;
    if (t->is_ready)
        return;
    t->has_keys = owns_terminal(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->before) == 0;
    if (t->has_keys) {
        keys = t->before;
        keys.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
        keys.c_cc[VMIN] = 1;
        keys.c_cc[VTIME] = 0;
        t->has_keys = tcsetattr(STDIN_FILENO, TCSANOW, &keys) == 0;
    }
    (void)terminal_write(CURSOR_HIDE, strlen(CURSOR_HIDE));
    t->is_ready = true;
}

void terminal_end(struct terminal *t)
{
    if (!t->is_ready)
        return;
    t->is_ready = false;
    if (t->has_keys)
        (void)tcsetattr(STDIN_FILENO, TCSADRAIN, &t->before);
    t->has_keys = false;
    (void)terminal_write(CURSOR_SHOW, strlen(CURSOR_SHOW));
}

bool terminal_has_quit(struct terminal *t)
{
    char keys[64];
    ssize_t n = read(STDIN_FILENO, keys, sizeof keys);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
        t->has_keys = false;
    for (ssize_t i = 0; i < n; i++)
        if (keys[i] == 'q' || keys[i] == 'Q')
            return true;
    return false;
}

bool terminal_write(const char *bytes, size_t len)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, bytes, len);
        if (n >= 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (errno == EAGAIN) { /* somebody else has made the terminal non-blocking */
            if (poll(&out, 1, OUTPUT_TIMEOUT_MS) == 0)
                return true;
        } else if (errno != EINTR) {
            return false;
        }
    }
    return true;
}
