/* Where access lines go: rings, and the thread that empties them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/access_log.h"
#include "metrics/access.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mailbox.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_BYTES (64u << 10)             /* of one write to a file */
#define WAKE_BYTES  (ACCESS_RING_BYTES / 4) /* a ring so full is emptied at once */
#define CALM_LOOKS  8 /* so many looks without trouble end a stretch of it, for the log */

_Static_assert(ACCESS_LINE_MAX <= PIPE_BUF, "a pipe takes a whole line as one piece");
_Static_assert((ACCESS_RING_BYTES & (ACCESS_RING_BYTES - 1)) == 0, "positions wrap by a mask");

/* One worker puts, the thread takes. Positions only grow; their low bits are a place. */
struct access_ring {
    char *bytes; /* ACCESS_RING_BYTES; NULL before the first file */
    _Atomic uint64_t head, tail;
    _Atomic bool is_woken; /* the thread knows that this one is rather full */
    metric_cell *dropped;
    int wake_fd;
};

/* An open file on its way to the thread, which frees it. */
struct access_file {
    int fd; /* -1 = none */
    bool
        is_stream; /* a pipe, socket or terminal: takes PIPE_BUF at most without waiting, and only where poll says so */
    char name[];
};

struct access_log {
    unsigned n_rings;
    int wake_fd; /* -1: the thread does not run */
    pthread_t thread;
    struct mailbox next; /* of struct access_file */
    _Atomic bool must_end;
    char *name; /* of the present file, for access_log_reopen; NULL = none */
    /* from here on the thread's */
    struct access_file *file;
    char *
        chunk; /* CHUNK_BYTES: whole lines that were taken off a ring, the first `at` bytes of them written */
    size_t at, len;
    bool is_in_trouble;
    unsigned calm_looks;
    uint64_t dropped_before, dropped_seen; /* when the trouble began; at the last look */
    struct access_ring rings[];
};

/* ---- the worker ---- */

void access_ring_drop(struct access_ring *ring)
{
    cell_add(ring->dropped, 1);
}

static void wake(int fd)
{
    uint64_t one = 1;
    (void)!write(fd, &one, sizeof one); /* a full counter wakes as well */
}

void access_ring_put(struct access_ring *ring, const char *line, size_t len)
{
    uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
    size_t used = (size_t)(head - atomic_load_explicit(&ring->tail, memory_order_acquire));
    CHECK(len <= ACCESS_LINE_MAX && ring->bytes);
    if (len > ACCESS_RING_BYTES - used) {
        access_ring_drop(ring);
        return;
    }
    size_t at = head & (ACCESS_RING_BYTES - 1);
    size_t first = len < ACCESS_RING_BYTES - at ? len : ACCESS_RING_BYTES - at;
    memcpy(ring->bytes + at, line, first);
    memcpy(ring->bytes, line + first, len - first);
    atomic_store_explicit(&ring->head, head + len, memory_order_release);
    if (used + len >= WAKE_BYTES && !atomic_load_explicit(&ring->is_woken, memory_order_relaxed)) {
        atomic_store_explicit(&ring->is_woken, true, memory_order_relaxed);
        wake(ring->wake_fd);
    }
}

/* ---- the thread ---- */

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static uint64_t dropped(const struct access_log *log)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < log->n_rings; i++)
        n += cell_read(log->rings[i].dropped);
    return n;
}

static void free_file(struct access_file *file)
{
    if (file && file->fd >= 0)
        (void)close(file->fd);
    free(file);
}

/* How many of the first bytes are whole lines. */
static size_t whole_lines(const char *bytes, size_t len)
{
    const char *end = memrchr(bytes, '\n', len);
    CHECK(end);
    return (size_t)(end - bytes) + 1;
}

/* Fills the chunk, which is empty, with whole lines of a ring. False: there are none. */
static bool fill(struct access_log *log, struct access_ring *ring)
{
    uint64_t tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
    uint64_t there = atomic_load_explicit(&ring->head, memory_order_acquire) - tail;
    size_t len = there < CHUNK_BYTES ? (size_t)there : CHUNK_BYTES,
           at = tail & (ACCESS_RING_BYTES - 1);
    if (len == 0)
        return false;
    size_t first = len < ACCESS_RING_BYTES - at ? len : ACCESS_RING_BYTES - at;
    memcpy(log->chunk, ring->bytes + at, first);
    memcpy(log->chunk + first, ring->bytes, len - first);
    log->at = 0;
    log->len = whole_lines(log->chunk, len);
    atomic_store_explicit(&ring->tail, tail + log->len, memory_order_release);
    return true;
}

static bool is_ready(const struct access_file *file)
{
    struct pollfd p = {.fd = file->fd, .events = POLLOUT};
    return !file->is_stream || poll(&p, 1, 0) > 0;
}

/* Writes what the chunk has left. 0, or the errno of what is in the way. */
static int flush(struct access_log *log)
{
    if (log->file->fd < 0)
        log->at = log->len;
    while (log->at < log->len) {
        if (!is_ready(log->file))
            return EAGAIN;
        size_t len = log->len - log->at;
        if (log->file->is_stream && len > PIPE_BUF)
            len = whole_lines(log->chunk + log->at, PIPE_BUF);
        ssize_t n = write(log->file->fd, log->chunk + log->at, len);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0)
            log->at += (size_t)n;
    }
    return 0;
}

/* Writes all that waits. 0, or the errno of what is in the way. */
static int empty_rings(struct access_log *log)
{
    int failure = flush(log);
    for (unsigned i = 0; failure == 0 && i < log->n_rings; i++) {
        struct access_ring *ring = &log->rings[i];
        atomic_store_explicit(&ring->is_woken, false, memory_order_relaxed);
        /* no more than was there: a busy worker must not keep the others' lines waiting */
        uint64_t end = atomic_load_explicit(&ring->head, memory_order_acquire);
        while (failure == 0 && atomic_load_explicit(&ring->tail, memory_order_relaxed) < end &&
               fill(log, ring))
            failure = flush(log);
    }
    return failure;
}

/* Takes the file that the control thread has sent. A line of which the old one has a part goes to the new one whole. */
static void take_file(struct access_log *log)
{
    struct access_file *next = mailbox_take(&log->next);
    if (!next)
        return;
    if (next->fd < 0)
        (void)empty_rings(log);
    free_file(log->file);
    log->file = next;
    while (log->at && log->chunk[log->at - 1] != '\n')
        log->at--;
}

/* Says once that lines are not written or lost, and once that it is over. A pipe that is full for a moment is no trouble. */
static void tell(struct access_log *log, int failure)
{
    struct log_quoted name;
    uint64_t lost = dropped(log);
    bool is_trouble = lost > log->dropped_seen || (failure && failure != EAGAIN);
    if (is_trouble && !log->is_in_trouble) {
        log->is_in_trouble = true;
        log->dropped_before = log->dropped_seen;
        log_warn("access_log_stuck", "file=%s why=\"%s\"",
                 log_quote(&name, slice_str(log->file->name)),
                 failure && failure != EAGAIN ? strerror(failure)
                                              : "lines come faster than they are taken");
    }
    log->calm_looks = is_trouble || failure ? 0 : log->calm_looks + 1;
    if (log->is_in_trouble && log->calm_looks == CALM_LOOKS) {
        log->is_in_trouble = false;
        log_info("access_log_goes_on", "file=%s lines_dropped=%llu",
                 log_quote(&name, slice_str(log->file->name)),
                 (unsigned long long)(lost - log->dropped_before));
    }
    log->dropped_seen = lost;
}

/* Sleeps until it is woken, it is time, or who did not take more does so again. */
static void rest(const struct access_log *log, int failure, int most_ms)
{
    struct pollfd p[2] = {{.fd = log->wake_fd, .events = POLLIN},
                          {.fd = log->file->fd, .events = POLLOUT}};
    uint64_t count;
    if (poll(p, failure == EAGAIN ? 2 : 1, most_ms) > 0 && p[0].revents)
        (void)!read(log->wake_fd, &count, sizeof count);
}

static void *run(void *arg)
{
    struct access_log *log = arg;
    int failure = 0;
    while (!atomic_load(&log->must_end)) {
        rest(log, failure, ACCESS_LOOK_MS);
        take_file(log);
        failure = empty_rings(log);
        tell(log, failure);
    }
    take_file(log);
    int64_t until_ms = now_ms() + ACCESS_STALL_MS;
    while ((failure = empty_rings(log)) == EAGAIN && now_ms() < until_ms)
        rest(log, failure, ACCESS_STALL_MS / 10);
    if (failure)
        log_warn("access_log_cut", "why=\"%s\"",
                 failure == EAGAIN ? "nobody takes it" : strerror(failure));
    return NULL;
}

/* ---- the control thread ---- */

struct access_log *access_log_new(struct metrics *m)
{
    unsigned n = metrics_workers(m);
    struct access_log *log = calloc(1, sizeof *log + n * sizeof log->rings[0]);
    if (!log)
        return NULL;
    log->n_rings = n;
    log->wake_fd = -1;
    mailbox_init(&log->next);
    for (unsigned i = 0; i < n; i++)
        log->rings[i].dropped = &metrics_worker(m, i)->access_dropped;
    return log;
}

struct access_ring *access_log_ring(struct access_log *log, unsigned worker)
{
    CHECK(worker < log->n_rings);
    return &log->rings[worker];
}

static struct access_file *open_file(const char *name, struct why *why)
{
    struct stat s;
    size_t len = strlen(name) + 1;
    struct access_file *file = malloc(sizeof *file + len);
    if (!file) {
        (void)why_set(why, ERR_MEMORY, "log.access_file: out of memory");
        return NULL;
    }
    memcpy(file->name, name, len);
    if (strcmp(name, "-") == 0)
        file->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    else /* O_NONBLOCK: a FIFO that nobody reads must not keep us; it means nothing to a file */
        file->fd =
            open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);
    if (file->fd < 0 || fstat(file->fd, &s) < 0) {
        (void)why_set(why, ERR_IO, "log.access_file: cannot open %s for writing: %s", name,
                      strerror(errno));
        free_file(file);
        return NULL;
    }
    file->is_stream = !S_ISREG(s.st_mode);
    return file;
}

/* Signals are the control thread's: a new thread inherits a mask with all of them blocked. */
static int start_thread(struct access_log *log)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int failure = pthread_create(&log->thread, NULL, run, log);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failure;
}

static void free_memory(struct access_log *log)
{
    for (unsigned i = 0; i < log->n_rings; i++) {
        free(log->rings[i].bytes);
        log->rings[i].bytes = NULL;
    }
    free(log->chunk);
    log->chunk = NULL;
    if (log->wake_fd >= 0)
        (void)close(log->wake_fd);
    log->wake_fd = -1;
}

/* The first file has come: file becomes the thread's. */
static enum err start(struct access_log *log, struct access_file *file, struct why *why)
{
    log->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    log->chunk = malloc(CHUNK_BYTES);
    bool is_made = log->wake_fd >= 0 && log->chunk;
    for (unsigned i = 0; is_made && i < log->n_rings; i++) {
        log->rings[i].wake_fd = log->wake_fd;
        log->rings[i].bytes = malloc(ACCESS_RING_BYTES);
        is_made = log->rings[i].bytes != NULL;
    }
    log->file = file;
    if (is_made && start_thread(log) == 0)
        return OK;
    log->file = NULL;
    free_memory(log);
    return why_set(why, ERR_MEMORY, "log.access: cannot start its thread: out of memory");
}

/* Takes file. */
static void send_file(struct access_log *log, struct access_file *file)
{
    free_file(mailbox_put(&log->next, file));
    wake(log->wake_fd);
}

enum err access_log_open(struct access_log *log, const char *name, struct why *why)
{
    struct access_file *file = open_file(name, why);
    char *copy = strdup(name);
    enum err e = !file   ? ERR_IO
                 : !copy ? why_set(why, ERR_MEMORY, "log.access_file: out of memory")
                         : OK;
    if (e == OK && log->wake_fd < 0)
        e = start(log, file, why);
    else if (e == OK)
        send_file(log, file);
    if (e != OK) {
        free_file(file);
        free(copy);
        return e;
    }
    free(log->name);
    log->name = copy;
    return OK;
}

enum err access_log_reopen(struct access_log *log, struct why *why)
{
    if (!log->name || strcmp(log->name, "-") == 0)
        return OK;
    struct access_file *file = open_file(log->name, why);
    if (!file)
        return ERR_IO;
    send_file(log, file);
    return OK;
}

void access_log_close(struct access_log *log)
{
    struct access_file *none = log->name ? calloc(1, sizeof *none + 1) : NULL;
    if (!none) /* memory is short: the file stays open, and nobody writes */
        return;
    none->fd = -1;
    send_file(log, none);
    free(log->name);
    log->name = NULL;
}

void access_log_free(struct access_log *log)
{
    struct timespec until;
    if (!log)
        return;
    if (log->wake_fd >= 0) {
        atomic_store(&log->must_end, true);
        wake(log->wake_fd);
        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += ACCESS_END_MS / 1000;
        if (pthread_timedjoin_np(log->thread, NULL, &until) != 0) {
            (void)pthread_detach(
                log->thread); /* within a write that does not end: what it uses stays */
            return;
        }
    }
    free_file(log->file);
    free_file(mailbox_take(&log->next));
    free_memory(log);
    free(log->name);
    free(log);
}
