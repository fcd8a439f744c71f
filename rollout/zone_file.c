/* Loads time zones from the system's database.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_name_byte(char c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '+';
}

bool zone_file_is_name(const char *text)
{
    char before = '/';
    size_t n = 0;
    for (; text[n] != '\0' && n <= ZONE_FILE_NAME_MAX; before = text[n++])
        if (!is_name_byte(text[n]) && (text[n] != '/' || before == '/'))
            return false;
    return n <= ZONE_FILE_NAME_MAX && before != '/';
}

/* Sets the reason behind the zone's name. */
static enum err refuse(const char *name, enum err e, const struct why *reason, struct why *why)
{
    return why_set(why, e, "time zone %.*s: %.400s", ZONE_FILE_NAME_MAX, name, reason->text);
}

static enum err failed(const char *what, struct why *reason)
{
    int code = errno;
    return why_set(reason, ERR_IO, "cannot %s its file: %s", what, strerror(code));
}

static enum err cannot_open(const char *dir, struct why *reason)
{
    int code = errno;
    if (code != ENOENT && code != ENOTDIR) {
        errno = code;
        return failed("open", reason);
    }
    if (access(dir, F_OK) < 0)
        return why_set(reason, ERR_NOT_FOUND,
                       "there is no %.200s: install the package tzdata, or use UTC", dir);
    return why_set(reason, ERR_NOT_FOUND, "not in %.200s", dir);
}

static enum err check_file(int fd, struct why *reason)
{
    struct stat info;
    if (fstat(fd, &info) < 0)
        return failed("look at", reason);
    if (!S_ISREG(info.st_mode))
        return why_set(reason, ERR_INVALID, "not a file");
    if (info.st_size > (off_t)ZONE_BYTES_MAX)
        return why_set(reason, ERR_LIMIT, "its file has %lld bytes, at most %u are read",
                       (long long)info.st_size, ZONE_BYTES_MAX);
    return OK;
}

/* Reads to the end, but no more than a byte beyond the bound: zone_parse refuses that one, should
 * the file have grown since it was looked at. */
static enum err read_file(int fd, char *bytes, size_t *len, struct why *reason)
{
    *len = 0;
    while (*len <= ZONE_BYTES_MAX) {
        ssize_t n = read(fd, bytes + *len, ZONE_BYTES_MAX + 1 - *len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return failed("read", reason);
        if (n == 0)
            break;
        *len += (size_t)n;
    }
    return OK;
}

static enum err load_open(int fd, struct zone **zone, struct why *reason)
{
    size_t len;
    enum err e = check_file(fd, reason);
    if (e != OK)
        return e;
    char *bytes = malloc(ZONE_BYTES_MAX + 1);
    if (!bytes)
        return why_set(reason, ERR_MEMORY, "out of memory");
    e = read_file(fd, bytes, &len, reason);
    if (e == OK)
        e = zone_parse(slice_of(bytes, len), zone, reason);
    free(bytes);
    return e;
}

static enum err load_named(const char *dir, const char *name, struct zone **zone,
                           struct why *reason)
{
    if (strcmp(name, "UTC") == 0) {
        *zone = zone_utc();
        return *zone ? OK : why_set(reason, ERR_MEMORY, "out of memory");
    }
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    if (n < 0 || (size_t)n >= sizeof path)
        return why_set(reason, ERR_LIMIT, "its path is too long");
    /* Links are followed: the database is full of them. A pipe must not keep us waiting. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return cannot_open(dir, reason);
    enum err e = load_open(fd, zone, reason);
    (void)close(fd);
    return e;
}

enum err zone_file_load(const char *dir, const char *name, struct zone **zone, struct why *why)
{
    struct why reason = {""};
    *zone = NULL;
    if (!zone_file_is_name(name))
        return why_set(why, ERR_INVALID,
                       "time zone %.*s: not a name of the time zone database, such as Europe/Paris",
                       ZONE_FILE_NAME_MAX, name);
    enum err e = load_named(dir, name, zone, &reason);
    return e == OK ? OK : refuse(name, e, &reason, why);
}
