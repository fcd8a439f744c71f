/* Asks for a status again and again: once a second, through short absences of the server, until a
 * signal.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/poll.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define POLL_INTERVAL_MS 1000 /* the server's own tick */
/* How long a server may be away: a restart is short, and an operator should not wait for a dead
 * one. */
#define ABSENCE_MAX_MS 30000

static volatile sig_atomic_t caught; /* the signal that came; handlers have no other way */

static void on_signal(int signal_number)
{
    caught = signal_number;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void handle(int signal_number, void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler; /* without SA_RESTART: the wait must end */
    (void)sigaction(signal_number, &action, NULL);
}

/* A shell starts what is in the background with INT ignored: then Ctrl-C is somebody else's. */
static bool is_ignored(int signal_number)
{
    struct sigaction action;
    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

void poll_start(struct poll *p, struct client *c, const char *route, int64_t timeout_ms)
{
    *p = (struct poll){
        .client = c, .route = route, .deadline_ms = timeout_ms ? now_ms() + timeout_ms : 0};
    caught = 0;
    p->has_interrupt = !is_ignored(SIGINT);
    if (p->has_interrupt)
        handle(SIGINT, on_signal);
    handle(SIGTERM, on_signal);
}

void poll_stop(void)
{
    if (!is_ignored(SIGINT))
        handle(SIGINT, SIG_DFL);
    handle(SIGTERM, SIG_DFL);
    if (caught)
        (void)raise(caught);
}

/* Sleeps until the next question or the deadline; a signal ends it early. */
static enum err wait_for_turn(const struct poll *p, struct why *why)
{
    int64_t pause_ms = p->is_under_way ? POLL_INTERVAL_MS : 0;
    if (p->deadline_ms) {
        int64_t left_ms = p->deadline_ms - now_ms();
        if (left_ms <= 0)
            return why_set(why, ERR_TIMEOUT, "timed out");
        pause_ms = left_ms < pause_ms ? left_ms : pause_ms;
    }
    struct timespec pause = {.tv_sec = pause_ms / 1000, .tv_nsec = pause_ms % 1000 * 1000000};
    if (!caught)
        (void)nanosleep(&pause, NULL);
    return caught ? why_set(why, ERR_CLOSED, "interrupted") : OK;
}

enum err poll_next(struct poll *p, struct cJSON **json, struct why *why)
{
    *json = NULL;
    enum err e = wait_for_turn(p, why);
    if (e)
        return e;
    bool is_first = !p->is_under_way;
    p->is_under_way = true;
    e = client_status(p->client, p->route, json, why);
    if (e == OK) {
        p->absent_since = 0;
        return OK;
    }
    if (is_first || (e != ERR_IO && e != ERR_TIMEOUT))
        return e == ERR_TIMEOUT ? ERR_IO : e; /* ERR_TIMEOUT is the deadline's own */
    if (!p->absent_since)
        p->absent_since = now_ms();
    return now_ms() - p->absent_since < ABSENCE_MAX_MS ? OK : ERR_IO;
}
