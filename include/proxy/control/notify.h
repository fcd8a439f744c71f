/* What systemd is told of this process (sd_notify(3)): ready, reloading, stopping, alive, and one line of status. Nothing
 * happens where nobody asks (NOTIFY_SOCKET). Control thread.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_NOTIFY_H
#define SERIN_PROXY_CONTROL_NOTIFY_H

#include "base/err.h"
#include <stdbool.h>
#include <sys/types.h>

#define NOTIFY_STATUS_MAX 256 /* bytes of the line that systemctl status shows */

struct control;
struct event;

struct notify {
    bool is_on;    /* somebody listens, and this process is the one that speaks */
    bool is_ready; /* it was said */
    bool is_stopping;
    struct event *watchdog;         /* NULL = not asked for */
    char status[NOTIFY_STATUS_MAX]; /* told last */
};

/* Finds out whether systemd listens, and begins to answer its watchdog (WATCHDOG_USEC) once the workers run. ERR_MEMORY. */
enum err notify_start(struct control *c) MUST_USE;

/* Says what has changed: ready as soon as /readyz is, the status line. Asks for more time while it is not ready yet, and
 * while it drains. Once a tick. */
void notify_tick(struct control *c);

/* Around the reading of a new configuration, however it ends. */
void notify_reloading(struct control *c);
void notify_reloaded(struct control *c);

/* The drain begins. */
void notify_stopping(struct control *c);

/* Another process serves from here on and is the one that systemd watches (MAINPID); this one says nothing more. */
void notify_hand_over(struct control *c, pid_t to);

/* This process goes on for one that systemd had started: the watchdog that it inherits is meant for it. Before
 * notify_start, and before there are threads. */
void notify_take_over(void);

void notify_stop(struct control *c);

#endif
