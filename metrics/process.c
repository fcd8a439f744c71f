/* What the kernel says of this process, as every exporter gives it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/process.h"
#include "metrics/log.h"
#include "base/slice.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* The beginning of a /proc file, NUL-terminated. False: it cannot be read. */
static bool read_proc(const char *path, char *buf, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, buf, room - 1);
    close(fd);
    if (n <= 0)
        return false;
    buf[n] = '\0';
    return true;
}

/* A number of /proc/self/stat, counted as in proc(5); from 3 on, behind the name in brackets. */
static bool stat_field(unsigned field, double *value)
{
    char buf[1024];
    struct slice head, rest;
    uint64_t n;
    if (!read_proc("/proc/self/stat", buf, sizeof buf))
        return false;
    const char *end = strrchr(buf, ')');
    if (!end || end[1] != ' ')
        return false;
    rest = slice_str(end + 2);
    for (unsigned i = 3; i <= field; i++)
        slice_cut(rest, ' ', &head, &rest);
    if (!slice_parse_u64(head, &n))
        return false;
    *value = (double)n;
    return true;
}

static bool cpu_seconds(double *value)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return false;
    *value = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    return true;
}

static bool open_fds(double *value)
{
    struct stat st;
    /* Linux 6.2 and later count them for us. */
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0) {
        *value = (double)st.st_size;
        return true;
    }
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return false;
    double n = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        n += entry->d_name[0] != '.';
    closedir(dir);
    *value = n - 1; /* without the directory's own */
    return true;
}

static bool max_fds(double *value)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return false;
    *value = (double)limit.rlim_cur;
    return true;
}

static bool resident_bytes(double *value)
{
    if (!stat_field(24, value))
        return false;
    *value *= (double)sysconf(_SC_PAGESIZE);
    return true;
}

/* When the machine started, seconds since 1970. */
static bool boot_time(double *value)
{
    char buf[512];
    FILE *file = fopen("/proc/stat", "re");
    unsigned long long seconds = 0;
    while (file && !seconds && fgets(buf, sizeof buf, file))
        if (strncmp(buf, "btime ", 6) == 0 && sscanf(buf + 6, "%llu", &seconds) != 1)
            break;
    if (file)
        fclose(file);
    *value = (double)seconds;
    return seconds > 0;
}

/* Asked once: the kernel's boot time follows every set of the clock, but a start does not move. */
static bool start_time(double *value)
{
    static double start;
    double boot, ticks;
    if (start == 0 && boot_time(&boot) && stat_field(22, &ticks))
        start = boot + ticks / (double)sysconf(_SC_CLK_TCK);
    *value = start;
    return start > 0;
}

static bool read_value(enum metric_id id, double *value)
{
    switch ((int)id) {
    case METRIC_PROCESS_CPU_SECONDS_TOTAL:
        return cpu_seconds(value);
    case METRIC_PROCESS_OPEN_FDS:
        return open_fds(value);
    case METRIC_PROCESS_MAX_FDS:
        return max_fds(value);
    case METRIC_PROCESS_RESIDENT_MEMORY_BYTES:
        return resident_bytes(value);
    case METRIC_PROCESS_VIRTUAL_MEMORY_BYTES:
        return stat_field(23, value);
    case METRIC_PROCESS_START_TIME_SECONDS:
        return start_time(value);
    case METRIC_LOG_SUPPRESSED_TOTAL:
        *value = (double)log_suppressed();
        return true;
    default:
        return false;
    }
}

bool process_expose(struct expo *e, enum metric_id id)
{
    double value;
    if (metric_get(id)->source != METRIC_FROM_PROCESS)
        return false;
    if (id == METRIC_BUILD_INFO)
        expo_sample(e, id, (const char *const[]){SERIN_VERSION}, 1);
    else if (read_value(id, &value))
        expo_sample(e, id, NULL, value);
    return true;
}
