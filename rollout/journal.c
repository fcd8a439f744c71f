/* One route's state on disk: written whole, synced, renamed into place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/journal.h"

#include "base/check.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_CUT  160 /* of an escaped name; the hash of the whole follows */
#define FILE_MAX  (JOURNAL_NAME_MAX + 16)
#define FILE_MODE 0640
#define DIR_MODE  0750

struct journal {
    char *state_dir;
    int dir_fd, lock_fd;
    enum journal_mark mark;
    bool no_room; /* why the last write failed */
    char main[FILE_MAX], backup[FILE_MAX], temp[FILE_MAX], corrupt[FILE_MAX], lock[FILE_MAX];
    char marks[JOURNAL_MARKS][FILE_MAX];
};

static bool is_plain(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || (c == '.' && !first);
}

void journal_name(const char *route, char *name, size_t size)
{
    CHECK(size >= JOURNAL_NAME_MAX);
    size_t len = 0;
    const char *p = route;
    for (; *p && len + 3 < NAME_CUT; p++) {
        if (is_plain(*p, p == route))
            name[len++] = *p;
        else
            len += (size_t)snprintf(name + len, size - len, "%%%02X", (unsigned char)*p);
    }
    name[len] = '\0';
    if (*p || len == 0) {
        uint64_t hash = hash_bytes((struct hash_salt){5, 6}, slice_str(route));
        (void)snprintf(name + len, size - len, "~%016" PRIx64, hash);
    }
}

static void set_names(struct journal *j, const char *route)
{
    char name[JOURNAL_NAME_MAX];
    journal_name(route, name, sizeof name);
    (void)snprintf(j->main, sizeof j->main, "%s.json", name);
    (void)snprintf(j->backup, sizeof j->backup, "%s.json.bak", name);
    (void)snprintf(j->temp, sizeof j->temp, "%s.json.tmp", name);
    (void)snprintf(j->marks[JOURNAL_USED], sizeof j->marks[0], "%s.used", name);
    (void)snprintf(j->marks[JOURNAL_PAUSED], sizeof j->marks[0], "%s.paused", name);
    (void)snprintf(j->marks[JOURNAL_ABORTED], sizeof j->marks[0], "%s.aborted", name);
    (void)snprintf(j->corrupt, sizeof j->corrupt, "%s.corrupt", name);
    (void)snprintf(j->lock, sizeof j->lock, "%s.lock", name);
}

static enum err fail(struct why *why, const char *what, const char *name)
{
    return why_set(why, ERR_IO, "%s %s: %s", what, name, strerror(errno));
}

static enum err write_bytes(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, text, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_IO;
        text += n;
        len -= (size_t)n;
    }
    return OK;
}

/* Writes the temporary file and renames it to name. On failure name is as it was, and errno says
 * why. */
static enum err replace(const struct journal *j, const char *name, const char *text, bool durable,
                        struct why *why)
{
    int fd = openat(j->dir_fd, j->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                    FILE_MODE);
    if (fd < 0)
        return fail(why, "create", j->temp);
    enum err e = write_bytes(fd, text, strlen(text));
    if (e == OK && durable && fsync(fd) < 0)
        e = ERR_IO;
    if (e != OK)
        e = fail(why, "write", j->temp);
    if (close(fd) < 0 && e == OK)
        e = fail(why, "close", j->temp);
    if (e == OK && renameat(j->dir_fd, j->temp, j->dir_fd, name) < 0)
        e = fail(why, "rename to", name);
    if (e != OK) {
        int error = errno;
        (void)unlinkat(j->dir_fd, j->temp, 0);
        errno = error;
    }
    return e;
}

static enum err sync_dir(const struct journal *j, struct why *why)
{
    return fsync(j->dir_fd) < 0 ? fail(why, "sync", "the state directory") : OK;
}

/* The strongest mark wins: a rename that was not synced may leave two. */
static enum journal_mark find_mark(const struct journal *j)
{
    int mark = JOURNAL_MARKS - 1;
    while (mark > JOURNAL_NEW && faccessat(j->dir_fd, j->marks[mark], F_OK, 0) != 0)
        mark--;
    return (enum journal_mark)mark;
}

static enum err put_mark(struct journal *j, struct why *why)
{
    const char *name = j->marks[JOURNAL_USED];
    int fd = openat(j->dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return fail(why, "create", name);
    (void)close(fd);
    j->mark = JOURNAL_USED;
    return OK;
}

static enum err rename_mark(struct journal *j, enum journal_mark mark, struct why *why)
{
    if (renameat(j->dir_fd, j->marks[j->mark], j->dir_fd, j->marks[mark]) < 0)
        return fail(why, "rename to", j->marks[mark]);
    j->mark = mark;
    return OK;
}

enum err journal_mark(struct journal *j, enum journal_mark mark, struct why *why)
{
    CHECK(mark > JOURNAL_NEW && mark < JOURNAL_MARKS);
    if (j->mark == mark)
        return OK;
    if (j->mark == JOURNAL_NEW)
        return why_set(why, ERR_IO, "no mark to rename to %s", j->marks[mark]);
    enum err e = rename_mark(j, mark, why);
    return e == OK ? sync_dir(j, why) : e;
}

/* The record is on disk: the mark has nothing to add any more. */
static enum err settle_mark(struct journal *j, struct why *why)
{
    enum err e = OK;
    if (j->mark == JOURNAL_NEW)
        e = put_mark(j, why);
    else if (j->mark != JOURNAL_USED)
        e = rename_mark(j, JOURNAL_USED, why);
    return e == OK ? sync_dir(j, why) : e;
}

/* Opens the directory and takes the route's lock there. */
static enum err enter_dir(struct journal *j, struct why *why)
{
    j->dir_fd = open(j->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (j->dir_fd < 0)
        return fail(why, "open", "the directory");
    j->lock_fd = openat(j->dir_fd, j->lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (j->lock_fd < 0)
        return fail(why, "create", j->lock);
    if (flock(j->lock_fd, LOCK_EX | LOCK_NB) == 0)
        return OK;
    if (errno == EWOULDBLOCK)
        return why_set(why, ERR_CONFLICT, "%s: another process runs this route", j->lock);
    return fail(why, "lock", j->lock);
}

static void leave_dir(struct journal *j)
{
    if (j->lock_fd >= 0)
        (void)close(j->lock_fd);
    if (j->dir_fd >= 0)
        (void)close(j->dir_fd);
    j->dir_fd = j->lock_fd = -1;
}

/* The directory was removed under this process: what is open is not what the path leads to. */
static enum err enter_again(struct journal *j, struct why *why)
{
    struct journal again = *j;
    again.dir_fd = again.lock_fd = -1;
    enum err e = enter_dir(&again, why);
    if (e != OK) {
        leave_dir(&again);
        return e;
    }
    leave_dir(j);
    again.mark = find_mark(&again);
    *j = again;
    return OK;
}

static enum err write_once(struct journal *j, const char *name, const char *text, bool durable,
                           struct why *why)
{
    errno = 0;
    enum err e = replace(j, name, text, durable, why);
    if (e != OK && errno == ENOENT && enter_again(j, why) == OK)
        e = replace(j, name, text, durable, why);
    j->no_room = e != OK && (errno == ENOSPC || errno == EDQUOT);
    return e;
}

enum err journal_write(struct journal *j, const char *text, bool durable, struct why *why)
{
    if (!durable)
        return write_once(j, j->main, text, false, why);
    if (write_once(j, j->backup, text, true, why) != OK ||
        write_once(j, j->main, text, true, why) != OK)
        return ERR_IO;
    return settle_mark(j, why);
}

enum err journal_write_alone(struct journal *j, const char *text, struct why *why)
{
    if (!j->no_room)
        return why_set(why, ERR_IO, "a smaller write would not help");
    if (unlinkat(j->dir_fd, j->backup, 0) < 0 && errno != ENOENT)
        return fail(why, "remove", j->backup);
    enum err e = write_once(j, j->main, text, true, why);
    return e == OK ? settle_mark(j, why) : e;
}

/* Nothing can be decided where nothing can be written: better known at the start. Not synced: a disk without room says so to the
 * write, one at the other end of a network at the latest when the file is closed. */
static enum err probe(const struct journal *j, struct why *why)
{
    static const char bytes[4096] = "a probe of the state directory";
    int fd = openat(j->dir_fd, j->temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                    FILE_MODE);
    if (fd < 0)
        return fail(why, "create", j->temp);
    enum err e = write_bytes(fd, bytes, sizeof bytes);
    if (e != OK)
        e = fail(why, "write", j->temp);
    if (close(fd) < 0 && e == OK)
        e = fail(why, "close", j->temp);
    (void)unlinkat(j->dir_fd, j->temp, 0);
    return e;
}

static enum err open_all(struct journal *j, struct why *why)
{
    if (mkdir(j->state_dir, DIR_MODE) < 0 && errno != EEXIST)
        return fail(why, "make", "the directory");
    enum err e = enter_dir(j, why);
    return e == OK ? probe(j, why) : e;
}

struct journal *journal_open(const char *state_dir, const char *route, struct why *why)
{
    struct journal *j = calloc(1, sizeof *j);
    char *dir = strdup(state_dir);
    if (!j || !dir) {
        free(j);
        free(dir);
        (void)why_set(why, ERR_MEMORY, "state_dir: out of memory");
        return NULL;
    }
    j->state_dir = dir;
    j->dir_fd = j->lock_fd = -1;
    set_names(j, route);
    struct why reason;
    if (open_all(j, &reason) != OK) {
        (void)why_set(why, ERR_IO, "state_dir %s: %.400s", state_dir, reason.text);
        journal_close(j);
        return NULL;
    }
    j->mark = find_mark(j);
    return j;
}

void journal_close(struct journal *j)
{
    if (!j)
        return;
    leave_dir(j);
    free(j->state_dir);
    free(j);
}

int journal_dir(const struct journal *j)
{
    return j->dir_fd;
}

enum journal_mark journal_marked(const struct journal *j)
{
    return j->mark;
}

static bool is_absent(void)
{
    return errno == ENOENT || errno == ENOTDIR;
}

enum err journal_exists(const char *state_dir, const char *route, bool *found, struct why *why)
{
    struct journal names = {.dir_fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    *found = false;
    if (names.dir_fd < 0)
        return is_absent() ? OK : fail(why, "open state_dir", state_dir);
    set_names(&names, route);
    *found = find_mark(&names) != JOURNAL_NEW || faccessat(names.dir_fd, names.main, F_OK, 0) == 0;
    enum err e = *found || is_absent() ? OK : fail(why, "look into state_dir", state_dir);
    (void)close(names.dir_fd);
    return e;
}

static enum err read_bytes(int fd, char *text, size_t size, const char *name, struct why *why)
{
    size_t len = 0;
    while (len < size) {
        ssize_t n = read(fd, text + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(why, "read", name);
        if (n == 0)
            return why_set(why, ERR_IO, "read %s: shorter than it was", name);
        len += (size_t)n;
    }
    return OK;
}

static enum err read_open(int fd, const char *name, char **text, size_t *len, struct why *why)
{
    struct stat info;
    if (fstat(fd, &info) < 0)
        return fail(why, "read", name);
    if (!S_ISREG(info.st_mode))
        return why_set(why, ERR_IO, "read %s: not a file", name);
    if (info.st_size > (off_t)JOURNAL_BYTES_MAX)
        return why_set(why, ERR_LIMIT, "read %s: %lld bytes are too many", name,
                       (long long)info.st_size);
    size_t size = (size_t)info.st_size;
    char *bytes = malloc(size + 1);
    if (!bytes)
        return why_set(why, ERR_MEMORY, "read %s: out of memory", name);
    if (read_bytes(fd, bytes, size, name, why) != OK) {
        free(bytes);
        return ERR_IO;
    }
    bytes[size] = '\0';
    *text = bytes;
    *len = size;
    return OK;
}

enum err journal_read(const struct journal *j, enum journal_copy copy, char **text, size_t *len,
                      struct why *why)
{
    const char *name = copy == JOURNAL_MAIN ? j->main : j->backup;
    int fd = openat(j->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT)
        return why_set(why, ERR_NOT_FOUND, "%s: not there", name);
    if (fd < 0)
        return fail(why, "open", name);
    enum err e = read_open(fd, name, text, len, why);
    (void)close(fd);
    return e;
}

void journal_keep_corrupt(const struct journal *j)
{
    (void)renameat(j->dir_fd, j->main, j->dir_fd, j->corrupt);
}
