/* The sink of base/log.h: level, rate per call site, one write per line.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/log.h"
#include "metrics/log_line.h"
#include "base/check.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int64_t system_monotonic_us(void *arg)
{
    struct timespec t;
    (void)arg;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static int64_t system_wall_ms(void *arg)
{
    struct timespec t;
    (void)arg;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static const struct clock system_clock = {system_monotonic_us, system_wall_ms, NULL};

/* The one sink of the process. Writers read the atomics; the rest is the control thread's. */
static struct {
    _Atomic int level;
    _Atomic bool json;
    _Atomic uint32_t rate;
    _Atomic(const struct clock *) clock;
    _Atomic int fd;
    _Atomic bool torn; /* the last write stopped in mid-line */
    _Atomic uint64_t suppressed;
    int file_fd; /* -1 before the first file; its number then never changes, see redirect() */
    char file[PATH_MAX]; /* "" = stderr */
} sink = {.level = LOG_INFO,
          .rate = LOG_RATE_DEFAULT,
          .clock = &system_clock,
          .fd = STDERR_FILENO,
          .file_fd = -1};

/* Lets file_fd stand for another open file. A thread that is about to write has the number in its
 * hand: closing it would let the line go to whatever connection gets that number next. */
static enum err redirect(int fd, struct why *why)
{
    if (sink.file_fd < 0)
        sink.file_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    else if (dup3(fd, sink.file_fd, O_CLOEXEC) < 0)
        return why_set(why, ERR_IO, "log: %s", strerror(errno));
    return sink.file_fd >= 0 ? OK : why_set(why, ERR_IO, "log: %s", strerror(errno));
}

static enum err redirect_to_file(const char *file, struct why *why)
{
    int fd = open(file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0)
        return why_set(why, ERR_IO, "log: cannot open %s for writing: %s", file, strerror(errno));
    enum err e = redirect(fd, why);
    close(fd);
    return e;
}

enum err log_open(const struct log_setup *setup, struct why *why)
{
    const char *file = setup->file && strcmp(setup->file, "-") != 0 ? setup->file : "";
    if (strlen(file) >= sizeof sink.file)
        return why_set(why, ERR_LIMIT, "log: the file's path is longer than %zu bytes",
                       sizeof sink.file - 1);
    enum err e = OK;
    if (*file)
        e = redirect_to_file(file, why);
    else if (sink.file_fd >= 0)
        e = redirect(STDERR_FILENO, why);
    if (e != OK)
        return e;
    memmove(sink.file, file, strlen(file) + 1);
    atomic_store(&sink.fd, sink.file_fd >= 0 ? sink.file_fd : STDERR_FILENO);
    atomic_store(&sink.level, (int)setup->level);
    atomic_store(&sink.json, setup->json);
    atomic_store(&sink.rate, setup->rate ? setup->rate : LOG_RATE_DEFAULT);
    atomic_store(&sink.clock, setup->clock ? setup->clock : &system_clock);
    return OK;
}

enum err log_reopen(struct why *why)
{
    return *sink.file ? redirect_to_file(sink.file, why) : OK;
}

uint64_t log_suppressed(void)
{
    return atomic_load_explicit(&sink.suppressed, memory_order_relaxed);
}

const char *log_level_text(enum log_level level)
{
    static const char *const texts[] = {"error", "warn", "info", "debug"};
    return (unsigned)level < ARRAY_LEN(texts) ? texts[level] : NULL;
}

/* Counts a line of the site. True: it may be written. A few more than the rate may pass where
 * threads meet at the turn of a second. */
static bool site_may_write(struct log_site *site, int64_t second)
{
    int64_t window = atomic_load_explicit(&site->window, memory_order_relaxed);
    if (window != second &&
        atomic_compare_exchange_strong_explicit(&site->window, &window, second,
                                                memory_order_relaxed, memory_order_relaxed))
        atomic_store_explicit(&site->count, 0, memory_order_relaxed);
    uint32_t count = atomic_fetch_add_explicit(&site->count, 1, memory_order_relaxed);
    if (count < atomic_load_explicit(&sink.rate, memory_order_relaxed))
        return true;
    atomic_fetch_add_explicit(&site->suppressed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&sink.suppressed, 1, memory_order_relaxed);
    return false;
}

static void write_line(const struct log_line *line)
{
    int fd = atomic_load(&sink.fd);
    size_t done = 0;
    if (atomic_exchange(&sink.torn, false))
        (void)!write(fd, "\n", 1);
    while (done < line->len) {
        ssize_t n = write(fd, line->text + done, line->len - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            atomic_store(&sink.torn, done > 0);
            atomic_fetch_add_explicit(&sink.suppressed, 1, memory_order_relaxed);
            return;
        }
        done += (size_t)n;
    }
}

static void write_event(const struct log_event *event)
{
    struct log_line line;
    if (atomic_load_explicit(&sink.json, memory_order_relaxed))
        log_line_json(&line, event);
    else
        log_line_text(&line, event);
    write_line(&line);
}

static void write_suppressed(const struct log_event *about, uint64_t lines)
{
    char pairs[256];
    int n =
        snprintf(pairs, sizeof pairs, "of=%s lines=%llu", about->name, (unsigned long long)lines);
    size_t len = (size_t)n < sizeof pairs ? (size_t)n : sizeof pairs - 1;
    struct log_event event = {about->wall_ms, about->level, "log_suppressed", {pairs, len}, false};
    write_event(&event);
}

void log_write(struct log_site *site, enum log_level level, const char *event, const char *fmt, ...)
{
    if ((int)level > atomic_load_explicit(&sink.level, memory_order_relaxed))
        return;
    int errno_before = errno;
    const struct clock *clock = atomic_load(&sink.clock);
    if (site_may_write(site, clock_monotonic_us(clock) / 1000000)) {
        char pairs[LOG_LINE_BYTES];
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(pairs, sizeof pairs, fmt, ap);
        va_end(ap);
        size_t len = n < 0 ? 0 : (size_t)n < sizeof pairs ? (size_t)n : sizeof pairs - 1;
        struct log_event e = {
            clock_wall_ms(clock), level, event, {pairs, len}, n < 0 || len < (size_t)n};
        uint64_t lost = atomic_exchange_explicit(&site->suppressed, 0, memory_order_relaxed);
        if (lost)
            write_suppressed(&e, lost);
        write_event(&e);
    }
    errno = errno_before;
}
