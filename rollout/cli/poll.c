/* Asks for a status again and again: once a second, through absences of the server, until a signal
 * or a key.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/poll.h"
#include "base/check.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POLL_INTERVAL_MS 1000 /* the server's own tick */
/* How long a server may be away where nobody is there to end it: a restart is short. */
#define ABSENCE_MAX_MS 30000

/* What came; handlers have no other way. */
static volatile sig_atomic_t caught, resized, suspended;

static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
static const int changes[] = {SIGWINCH, SIGTSTP}; /* of a terminal */

static void on_signal(int signal_number)
{
    if (signal_number == SIGWINCH)
        resized = 1;
    else if (signal_number == SIGTSTP)
        suspended = 1;
    else
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

static void handle_all(const struct poll *p, void (*handler)(int))
{
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (!is_ignored(ends[i]))
            handle(ends[i], handler);
    for (size_t i = 0; p->terminal && i < ARRAY_LEN(changes); i++)
        if (!is_ignored(changes[i]))
            handle(changes[i], handler);
}

/* Gives the terminal back while the job is stopped (Ctrl-Z), and takes it again. */
static void suspend(struct poll *p)
{
    suspended = 0;
    terminal_end(p->terminal);
    handle(SIGTSTP, SIG_DFL);
    (void)raise(SIGTSTP);
    handle(SIGTSTP, on_signal);
    terminal_begin(p->terminal);
    resized = 1;
}

/* Hears signals and keys, also while an answer is awaited. */
static bool should_stop(void *arg)
{
    struct poll *p = arg;
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    if (suspended)
        suspend(p);
    if (p->terminal && p->terminal->has_keys && poll(&in, 1, 0) == 1 &&
        terminal_has_quit(p->terminal))
        caught = SIGINT;
    return caught != 0;
}

void poll_start(struct poll *p, int64_t timeout_ms)
{
    p->deadline_ms = timeout_ms ? now_ms() + timeout_ms : 0;
    p->next_ms = now_ms();
    p->has_interrupt = !is_ignored(SIGINT);
    caught = resized = suspended = 0;
    handle_all(p, on_signal);
    client_set_stop(p->client, should_stop, p);
}

void poll_stop(struct poll *p)
{
    client_set_stop(p->client, NULL, NULL);
    handle_all(p, SIG_DFL);
    if (caught && !(caught == SIGINT && p->ends_by_interrupt))
        (void)raise(caught);
}

/* Sleeps until a signal, a key, or the time. A signal that comes between the look and the sleep
 * ends it too. */
static void sleep_until(struct poll *p, int64_t until_ms)
{
    sigset_t all, before;
    int64_t left_ms = until_ms - now_ms();
    left_ms = left_ms > 0 ? left_ms : 0;
    struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    bool has_keys = p->terminal && p->terminal->has_keys;
    sigfillset(&all);
    (void)sigprocmask(SIG_BLOCK, &all, &before);
    if (!caught && !resized && !suspended)
        (void)ppoll(&in, has_keys, &left, &before);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Until the next question is due, or there is something to draw. */
static enum err wait_for_turn(struct poll *p, struct why *why)
{
    for (;;) {
        if (should_stop(p))
            return why_set(why, ERR_CLOSED, "interrupted");
        int64_t now = now_ms(), until = p->next_ms;
        if (p->deadline_ms && now >= p->deadline_ms)
            return why_set(why, ERR_TIMEOUT, "timed out");
        if (resized || now >= until)
            return OK;
        sleep_until(p, p->deadline_ms && p->deadline_ms < until ? p->deadline_ms : until);
    }
}

static enum err take_absence(struct poll *p, enum err e)
{
    if (!p->absent_since)
        p->absent_since = now_ms();
    return p->is_patient || now_ms() - p->absent_since < ABSENCE_MAX_MS ? OK : e;
}

enum err poll_next(struct poll *p, enum poll_news *news, struct cJSON **json, struct why *why)
{
    *json = NULL;
    enum err e = wait_for_turn(p, why);
    if (e)
        return e;
    if (resized && p->is_under_way) {
        resized = 0;
        *news = POLL_RESIZED;
        return OK;
    }
    bool is_first = !p->is_under_way;
    p->is_under_way = true;
    p->next_ms = now_ms() + POLL_INTERVAL_MS;
    e = client_status(p->client, p->route, json, why);
    *news = e ? POLL_AWAY : POLL_STATUS;
    if (e == OK) {
        p->absent_since = 0;
        return OK;
    }
    if (e != ERR_IO && e != ERR_TIMEOUT)
        return e;
    e = ERR_IO; /* ERR_TIMEOUT is the deadline's own */
    return is_first ? e : take_absence(p, e);
}
