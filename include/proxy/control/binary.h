/* The program that this process was started from, and how: to start it again, which may be a newer one by then.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_BINARY_H
#define SERIN_PROXY_CONTROL_BINARY_H

#include "base/err.h"
#include <stdbool.h>
#include <sys/types.h>

struct binary {
    char *program; /* absolute, or a bare name that PATH leads to */
    char **argv;   /* as this process was started */
    char *words;   /* their bytes */
};

/* Remembers argv and where its program is. At the start: later the file may be another, and the working directory too.
 * ERR_IO: /proc cannot be read; ERR_MEMORY. */
enum err binary_remember(struct binary *b, struct why *why) MUST_USE;

void binary_fini(struct binary *b);

/* The descriptor that the new process finds its channel under, and the variable that says so. Every other one but standard input,
 * output and error is closed there. */
#define BINARY_CHANNEL_FD  3
#define BINARY_CHANNEL_ENV "SERIN_HANDOVER_FD"

/* Starts it with the same arguments and environment, and one more variable. Variables of socket activation (LISTEN_*) are left
 * out: those sockets were for this process. HUP, USR1 and USR2 are blocked there, until it listens to them. ERR_IO with the
 * reason: there is no such program, no memory. */
enum err binary_start(const struct binary *b, int channel, pid_t *pid, struct why *why) MUST_USE;

#endif
