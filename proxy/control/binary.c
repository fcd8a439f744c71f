/* The program that this process was started from, started again.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/binary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORDS_BYTES_MAX (1u << 20) /* of a command line: guards the memory */

extern char **environ;

/* All of /proc/self/cmdline: words that end with NUL each. NULL with errno. */
static char *read_words(size_t *len)
{
    char *words = malloc(WORDS_BYTES_MAX + 1);
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = 0;
    *len = 0;
    while (words && fd >= 0 && *len < WORDS_BYTES_MAX &&
           (n = read(fd, words + *len, WORDS_BYTES_MAX - *len)) > 0)
        *len += (size_t)n;
    if (fd >= 0)
        (void)close(fd);
    if (words && fd >= 0 && n == 0 && *len > 0) {
        words[*len] = '\0';
        char *shorter = realloc(words, *len + 1);
        return shorter ? shorter : words;
    }
    free(words);
    return NULL;
}

static char **split_words(char *words, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++)
        n += words[i] == '\0';
    char **argv = calloc(n + 2, sizeof *argv), *at = words;
    for (size_t i = 0; argv && i < n; i++, at += strlen(at) + 1)
        argv[i] = at;
    return argv;
}

/* Not resolved: where the name is a link, what it leads to by then is meant. */
static char *absolute(const char *name)
{
    char dir[PATH_MAX], path[2 * PATH_MAX];
    if (!strchr(name, '/') || name[0] == '/')
        return strdup(name);
    if (!getcwd(dir, sizeof dir))
        return NULL;
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof path ? strdup(path) : NULL;
}

/* For a process whose argv[0] is no file (exec -a). */
static char *running_program(void)
{
    static const char deleted[] = " (deleted)";
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n <= 0)
        return NULL;
    path[n] = '\0';
    size_t end = strlen(deleted);
    if ((size_t)n > end && strcmp(path + (size_t)n - end, deleted) == 0)
        path[(size_t)n - end] = '\0';
    return strdup(path);
}

static char *find_program(const char *name)
{
    char *program = absolute(name);
    bool is_path = program && strchr(program, '/');
    if (program && name[0] && (!is_path || access(program, X_OK) == 0))
        return program;
    free(program);
    return running_program();
}

enum err binary_remember(struct binary *b, struct why *why)
{
    size_t len;
    *b = (struct binary){.words = read_words(&len)};
    if (!b->words)
        return why_set(why, ERR_IO, "/proc/self/cmdline: %s", strerror(errno));
    b->argv = split_words(b->words, len);
    b->program = b->argv ? find_program(b->argv[0]) : NULL;
    if (b->program)
        return OK;
    binary_fini(b);
    return why_set(why, ERR_MEMORY, "out of memory");
}

void binary_fini(struct binary *b)
{
    free(b->program);
    free(b->argv);
    free(b->words);
    *b = (struct binary){NULL, NULL, NULL};
}

static bool is_left_out(const char *variable)
{
    static const char *const names[] = {BINARY_CHANNEL_ENV "=",
                                        "LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES="};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(variable, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

/* Pointers into environ, and channel. NULL when memory is short. */
static char **make_environment(char *channel)
{
    size_t n = 0, kept = 0;
    while (environ && environ[n])
        n++;
    char **all = calloc(n + 2, sizeof *all);
    for (size_t i = 0; all && i < n; i++)
        if (!is_left_out(environ[i]))
            all[kept++] = environ[i];
    if (all)
        all[kept] = channel;
    return all;
}

/* Signals that would end the new process before it can listen to them: they wait until then. Whoever signals every process
 * of a service, as logrotate does, means those that run. */
static void fill_blocked(sigset_t *set)
{
    (void)sigemptyset(set);
    (void)sigaddset(set, SIGHUP);
    (void)sigaddset(set, SIGUSR1);
    (void)sigaddset(set, SIGUSR2);
}

static int spawn(const struct binary *b, int channel, char **environment, pid_t *pid)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t blocked;
    if (posix_spawn_file_actions_init(&files) != 0)
        return ENOMEM;
    (void)posix_spawnattr_init(&attributes);
    fill_blocked(&blocked);
    int failure = posix_spawn_file_actions_adddup2(&files, channel, BINARY_CHANNEL_FD);
    if (failure == 0)
        failure = posix_spawn_file_actions_addclosefrom_np(&files, BINARY_CHANNEL_FD + 1);
    if (failure == 0)
        failure = posix_spawnattr_setsigmask(&attributes, &blocked);
    if (failure == 0)
        failure = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    if (failure == 0)
        failure = posix_spawnp(pid, b->program, &files, &attributes, b->argv, environment);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return failure;
}

enum err binary_start(const struct binary *b, int channel, pid_t *pid, struct why *why)
{
    char variable[sizeof BINARY_CHANNEL_ENV + 16];
    (void)snprintf(variable, sizeof variable, "%s=%d", BINARY_CHANNEL_ENV, BINARY_CHANNEL_FD);
    char **environment = make_environment(variable);
    int failure = environment ? spawn(b, channel, environment, pid) : ENOMEM;
    free(environment);
    return failure == 0 ? OK : why_set(why, ERR_IO, "%s: %s", b->program, strerror(failure));
}
