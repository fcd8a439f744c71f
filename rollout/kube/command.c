/* A command that prints something short, run without waiting for it: bounded in time and output.
 * SPDX-License-Identifier: Apache-2.0
 *
 * It is over when its output has ended and it has been reaped. It has a process group of its own, so
 * that what it starts is killed with it; an interactive one keeps that of the terminal.
 */
#include "rollout/kube/command.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Between its output's end and its own there is next to nothing. */
#define REAP_EVERY_US 5000

extern char **environ;

struct kube_command {
    struct kube_command_setup setup; /* argv and env are not good any more */
    char name[128];
    pid_t pid;
    int fd; /* -1: its output has ended */
    bool is_reaped, is_killed;
    int status;
    struct event *readable, *deadline, *reap;
    char output[KUBE_COMMAND_OUTPUT_MAX + 1];
    size_t len;
    char error[WHY_MAX];
};

static void fail(struct kube_command *c, const char *what)
{
    if (!c->error[0])
        (void)snprintf(c->error, sizeof c->error, "the command %s %s", c->name, what);
}

static void kill_it(struct kube_command *c)
{
    if (c->is_reaped || c->is_killed)
        return;
    c->is_killed = true;
    (void)kill(c->setup.is_interactive ? c->pid : -c->pid, SIGKILL);
}

static void judge_status(struct kube_command *c)
{
    char what[64];
    if (WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0)
        return;
    if (WIFEXITED(c->status))
        (void)snprintf(what, sizeof what, "ended with status %d", WEXITSTATUS(c->status));
    else
        (void)snprintf(what, sizeof what, "was ended by signal %d", WTERMSIG(c->status));
    fail(c, what);
}

static void on_reap(evutil_socket_t fd, short what, void *arg)
{
    static const struct timeval soon = {0, REAP_EVERY_US};
    struct kube_command *c = arg;
    (void)fd, (void)what;
    pid_t pid = waitpid(c->pid, &c->status, WNOHANG);
    if (pid == 0) {
        (void)event_add(c->reap, &soon);
        return;
    }
    c->is_reaped = true;
    (void)event_del(c->deadline);
    if (pid < 0)
        fail(c, "was reaped by somebody else");
    else
        judge_status(c);
    c->output[c->len] = '\0';
    c->setup.done(c->setup.arg, c->error[0] ? "" : c->output, c->error);
}

static void end_output(struct kube_command *c)
{
    static const struct timeval next_turn = {0, 0};
    if (c->fd < 0)
        return;
    (void)event_del(c->readable);
    (void)close(c->fd);
    c->fd = -1;
    (void)event_add(c->reap, &next_turn);
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
    struct kube_command *c = arg;
    char text[64];
    (void)fd, (void)what;
    (void)snprintf(text, sizeof text, "did not end within %u ms", c->setup.timeout_ms);
    fail(c, text);
    kill_it(c);
    end_output(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct kube_command *c = arg;
    (void)what;
    ssize_t n = read(fd, c->output + c->len, KUBE_COMMAND_OUTPUT_MAX - c->len);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0) {
        c->len += (size_t)n;
        if (c->len < KUBE_COMMAND_OUTPUT_MAX)
            return;
        fail(c, "prints too much");
        kill_it(c);
    }
    end_output(c);
}

static bool names_the_same(const char *a, const char *b)
{
    size_t n = strcspn(a, "=");
    return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* env, and of the own what it does not replace: of a name that is there twice nobody knows which
 * counts. */
static char **environment(const char *const *env)
{
    size_t n = 0, own = 0, added = 0;
    while (environ[own])
        own++;
    while (env && env[added])
        added++;
    char **all = calloc(own + added + 1, sizeof *all);
    if (!all)
        return NULL;
    for (; n < added; n++)
        all[n] = (char *)env[n];
    for (size_t i = 0; i < own; i++) {
        size_t k = 0;
        while (k < added && !names_the_same(env[k], environ[i]))
            k++;
        if (k == added)
            all[n++] = environ[i];
    }
    return all;
}

/* What the child is not to inherit: ignored and blocked signals, and the terminal. */
static int prepare(posix_spawn_file_actions_t *files, posix_spawnattr_t *attributes, int out,
                   bool is_interactive)
{
    sigset_t none, fatal;
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    (void)sigemptyset(&none);
    (void)sigemptyset(&fatal);
    (void)sigaddset(&fatal, SIGPIPE);
    (void)sigaddset(&fatal, SIGINT);
    (void)sigaddset(&fatal, SIGTERM);
    (void)sigaddset(&fatal, SIGHUP);
    if (!is_interactive)
        flags |= POSIX_SPAWN_SETPGROUP; /* group 0: its own */
    int error = posix_spawnattr_setflags(attributes, flags);
    error = error ? error : posix_spawnattr_setsigmask(attributes, &none);
    error = error ? error : posix_spawnattr_setsigdefault(attributes, &fatal);
    error = error ? error : posix_spawn_file_actions_adddup2(files, out, STDOUT_FILENO);
    if (!error && !is_interactive)
        error = posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    return error;
}

static int spawn(struct kube_command *c, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    char **env = environment(c->setup.env);
    if (!env)
        return ENOMEM;
    int error = posix_spawn_file_actions_init(&files);
    if (!error) {
        error = posix_spawnattr_init(&attributes);
        if (!error) {
            error = prepare(&files, &attributes, out, c->setup.is_interactive);
            error = error ? error
                          : posix_spawnp(&c->pid, c->setup.argv[0], &files, &attributes,
                                         (char **)c->setup.argv, env);
            (void)posix_spawnattr_destroy(&attributes);
        }
        (void)posix_spawn_file_actions_destroy(&files);
    }
    free(env);
    return error;
}

static int start(struct kube_command *c)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return errno;
    int error = spawn(c, ends[1]);
    (void)close(ends[1]);
    if (error) {
        (void)close(ends[0]);
        return error;
    }
    c->fd = ends[0];
    c->is_reaped = false;
    (void)fcntl(c->fd, F_SETFL, O_NONBLOCK);
    return 0;
}

static bool watch_it(struct kube_command *c, struct event_base *base)
{
    struct timeval timeout = {c->setup.timeout_ms / 1000,
                              (suseconds_t)(c->setup.timeout_ms % 1000) * 1000};
    c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    c->deadline = evtimer_new(base, on_deadline, c);
    c->reap = evtimer_new(base, on_reap, c);
    return c->readable && c->deadline && c->reap && event_add(c->readable, NULL) == 0 &&
           event_add(c->deadline, &timeout) == 0;
}

struct kube_command *kube_command_start(struct event_base *base,
                                        const struct kube_command_setup *setup, struct why *why)
{
    struct kube_command *c = calloc(1, sizeof *c);
    if (!c) {
        (void)why_set(why, ERR_MEMORY, "out of memory");
        return NULL;
    }
    c->setup = *setup;
    c->fd = -1;
    c->is_reaped = true; /* there is nothing yet */
    (void)snprintf(c->name, sizeof c->name, "%s", setup->argv[0]);
    int error = start(c);
    if (!error && !watch_it(c, base))
        error = ENOMEM;
    if (!error)
        return c;
    (void)why_set(why, ERR_IO, "the command %s cannot be run: %s", c->name, strerror(error));
    kube_command_free(c);
    return NULL;
}

void kube_command_free(struct kube_command *c)
{
    if (!c)
        return;
    kill_it(c);
    if (!c->is_reaped)
        (void)waitpid(c->pid, &c->status, 0); /* it was killed: at once */
    if (c->readable)
        event_free(c->readable);
    if (c->deadline)
        event_free(c->deadline);
    if (c->reap)
        event_free(c->reap);
    if (c->fd >= 0)
        (void)close(c->fd);
    free(c);
}
