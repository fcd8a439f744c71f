/* Appending, thinning, going on, forgetting.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/recording_file.h"

#include "rollout/recording_lines.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MODE  0640
#define ENDING     ".jsonl"
#define ID_CUT     64  /* bytes of an id; its end tells it from the others of the route */
#define PASSES_MAX 24  /* of thinning at once; by then there is one line left */
#define FOUND_MAX  256 /* files of a route that are looked at; more go at the next look */

static enum err fail(struct why *why, const char *what, const char *name)
{
    return why_set(why, ERR_IO, "%s %s: %s", what, name, strerror(errno));
}

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

void recording_file_name(char name[RECORDING_NAME_MAX], const char *route, const char *id)
{
    size_t len = strlen(id);
    const char *tail = len > ID_CUT ? id + len - ID_CUT : id;
    int at = snprintf(name, RECORDING_NAME_MAX, "%.180s.", route);
    for (; *tail; tail++) /* no '.': it ends the route's name */
        name[at++] = is_plain(*tail) ? *tail : '_';
    (void)snprintf(name + at, RECORDING_NAME_MAX - (size_t)at, ENDING);
}

void recording_file_init(struct recording_file *f, const char *name, size_t bytes_max)
{
    *f = (struct recording_file){.fd = -1, .every = 1, .bytes_max = bytes_max};
    (void)snprintf(f->name, sizeof f->name, "%s", name);
}

void recording_file_close(struct recording_file *f)
{
    if (f->fd >= 0)
        (void)close(f->fd);
    f->fd = -1;
}

static int open_file(int dir_fd, const char *name, int flags)
{
    return openat(dir_fd, name, flags | O_RDWR | O_APPEND | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
                  FILE_MODE);
}

enum err recording_file_make(struct recording_file *f, int dir_fd, struct why *why)
{
    f->fd = open_file(dir_fd, f->name, O_CREAT | O_TRUNC);
    f->size = 0;
    f->every = 1;
    return f->fd < 0 ? fail(why, "create", f->name) : OK;
}

/* --- reading our own lines --- */

struct lines {
    FILE *in;
    char *line; /* with its end, and a NUL */
    size_t len, room;
};

static enum err lines_open(struct lines *l, int fd, const char *name, struct why *why)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    *l = (struct lines){.in = copy < 0 ? NULL : fdopen(copy, "r")};
    if (!l->in) {
        enum err e = fail(why, "read", name);
        if (copy >= 0)
            (void)close(copy);
        return e;
    }
    rewind(l->in);
    return OK;
}

/* False: the end, or a line that is torn or too long. */
static bool lines_next(struct lines *l)
{
    ssize_t n = getline(&l->line, &l->room, l->in);
    l->len = n > 0 ? (size_t)n : 0;
    return n > 0 && l->line[n - 1] == '\n' && l->len <= RECORDING_LINE_MAX;
}

static void lines_close(struct lines *l)
{
    (void)fclose(l->in);
    free(l->line);
}

static bool begins(const char *line, const char *with)
{
    return strncmp(line, with, strlen(with)) == 0;
}

static int64_t tick_time_ms(const char *line)
{
    return llround(strtod(line + strlen(RECORDING_TICK), NULL) * 1000);
}

/* --- going on --- */

/* Reads as far as the lines are whole and not from later; *kept: where that is. */
static enum err look_back(struct recording_file *f, struct lines *l, int64_t until_ms,
                          struct recording_tail *tail, size_t *kept)
{
    *kept = 0;
    if (!lines_next(l) || !begins(l->line, RECORDING_START))
        return ERR_INVALID;
    f->every = recording_tick_s(l->line);
    if (f->every == 0)
        return ERR_INVALID;
    *kept = l->len;
    while (lines_next(l) && begins(l->line, RECORDING_TICK) && tick_time_ms(l->line) <= until_ms) {
        tail->has_tick = true;
        tail->t_ms = tick_time_ms(l->line);
        if (strstr(l->line, RECORDING_HIST)) {
            free(tail->hist);
            tail->hist = strdup(l->line);
        }
        *kept += l->len;
    }
    return OK;
}

static enum err trim(struct recording_file *f, int64_t until_ms, struct recording_tail *tail,
                     struct why *why)
{
    struct stat info;
    struct lines lines;
    if (fstat(f->fd, &info) < 0)
        return fail(why, "read", f->name);
    if (!S_ISREG(info.st_mode))
        return why_set(why, ERR_INVALID, "%s: not a file", f->name);
    if ((size_t)info.st_size > f->bytes_max)
        return why_set(why, ERR_LIMIT, "%s: larger than a recording may be", f->name);
    if (lines_open(&lines, f->fd, f->name, why) != OK)
        return ERR_IO;
    enum err e = look_back(f, &lines, until_ms, tail, &f->size);
    lines_close(&lines);
    if (e != OK)
        return why_set(why, e, "%s: does not begin as a recording does", f->name);
    if (f->size < (size_t)info.st_size && ftruncate(f->fd, (off_t)f->size) < 0)
        return fail(why, "cut", f->name);
    return OK;
}

enum err recording_file_continue(struct recording_file *f, int dir_fd, int64_t until_ms,
                                 struct recording_tail *tail, struct why *why)
{
    *tail = (struct recording_tail){.hist = NULL};
    f->fd = open_file(dir_fd, f->name, 0);
    if (f->fd < 0 && errno == ENOENT)
        return why_set(why, ERR_NOT_FOUND, "%s: not there", f->name);
    if (f->fd < 0)
        return fail(why, "open", f->name);
    enum err e = trim(f, until_ms, tail, why);
    if (e == OK)
        return OK;
    free(tail->hist);
    tail->hist = NULL;
    recording_file_close(f);
    return e;
}

/* --- thinning --- */

static bool put_start(FILE *out, const char *line, unsigned every)
{
    char *text = recording_restart_text(line, every);
    bool put = text && fprintf(out, "%s\n", text) > 0;
    free(text);
    return put;
}

/* Every other tick: of each pair the later one, which has the earlier one's counts in its own.
 * Those with histograms come at regular distances and make pairs of their own, or all might go. */
static bool put_half(struct lines *l, FILE *out, unsigned every, bool keep_moves)
{
    unsigned seen[2] = {0, 0};
    if (!lines_next(l) || !put_start(out, l->line, every))
        return false;
    while (lines_next(l)) {
        bool is_tick = begins(l->line, RECORDING_TICK);
        bool is_kept = keep_moves && strstr(l->line, RECORDING_MOVED);
        bool dropped = is_tick && !is_kept && ++seen[strstr(l->line, RECORDING_HIST) != NULL] % 2;
        if (!dropped && fwrite(l->line, 1, l->len, out) != l->len)
            return false;
    }
    return true;
}

/* The thinned file stands where the other one was. */
static enum err take_over(struct recording_file *f, int dir_fd, const char *temp, FILE *out,
                          struct why *why)
{
    struct stat info;
    int fd = fflush(out) == 0 && fstat(fileno(out), &info) == 0
                 ? fcntl(fileno(out), F_DUPFD_CLOEXEC, 0)
                 : -1;
    if (fd < 0 || renameat(dir_fd, temp, dir_fd, f->name) < 0) {
        enum err e = fail(why, "thin", f->name);
        if (fd >= 0)
            (void)close(fd);
        return e;
    }
    (void)close(f->fd);
    f->fd = fd;
    f->size = (size_t)info.st_size;
    f->every *= 2;
    return OK;
}

/* Takes fd. */
static enum err put_thinned(struct recording_file *f, int dir_fd, const char *temp, int fd,
                            bool keep_moves, struct why *why)
{
    struct lines lines;
    FILE *out = fdopen(fd, "a");
    if (!out) {
        (void)close(fd);
        return fail(why, "write", temp);
    }
    enum err e = lines_open(&lines, f->fd, f->name, why);
    if (e == OK) {
        if (!put_half(&lines, out, 2 * f->every, keep_moves))
            e = fail(why, "write", temp);
        lines_close(&lines);
    }
    if (e == OK)
        e = take_over(f, dir_fd, temp, out, why);
    (void)fclose(out);
    return e;
}

static enum err thin(struct recording_file *f, int dir_fd, bool keep_moves, struct why *why)
{
    char temp[RECORDING_NAME_MAX + 8];
    (void)snprintf(temp, sizeof temp, "%s.tmp", f->name);
    int fd = open_file(dir_fd, temp, O_CREAT | O_TRUNC);
    if (fd < 0)
        return fail(why, "create", temp);
    enum err e = put_thinned(f, dir_fd, temp, fd, keep_moves, why);
    if (e != OK)
        (void)unlinkat(dir_fd, temp, 0);
    return e;
}

/* A quarter of the bound must be free after it, or it would be done again soon. */
static enum err make_room(struct recording_file *f, int dir_fd, size_t len, struct why *why)
{
    size_t most = f->bytes_max - f->bytes_max / 4;
    if (f->size + len <= f->bytes_max)
        return OK;
    for (int pass = 0; pass < PASSES_MAX && f->size + len > most; pass++)
        if (thin(f, dir_fd, pass == 0, why) != OK)
            return ERR_LIMIT;
    return f->size + len <= f->bytes_max
               ? OK
               : why_set(why, ERR_LIMIT, "%s: the line alone is beyond the bound", f->name);
}

enum err recording_file_append(struct recording_file *f, int dir_fd, const char *lines, size_t len,
                               struct why *why)
{
    if (make_room(f, dir_fd, len, why) != OK) {
        recording_file_close(f);
        return ERR_LIMIT;
    }
    ssize_t n = write(f->fd, lines, len);
    if (n == (ssize_t)len) {
        f->size += len;
        return OK;
    }
    if (n >= 0)
        errno = ENOSPC;
    enum err e = fail(why, "write", f->name);
    if (n > 0 &&
        ftruncate(f->fd, (off_t)f->size) < 0) { /* half a line must not stand in the midst */
        recording_file_close(f);
        return ERR_LIMIT;
    }
    return e;
}

/* --- forgetting --- */

#define STAMP_MAX 32 /* 20260301T120000Z */

/* A file of the route, and its place among them. */
struct found {
    char name[RECORDING_NAME_MAX];
    char stamp[STAMP_MAX];
    unsigned long long serial;
};

/* Reads the end of an id, -STAMP-SERIAL. */
static bool take_place(struct found *found, const char *id, size_t len)
{
    const char *end = id + len, *serial = end, *stamp;
    while (serial > id && serial[-1] != '-')
        serial--;
    for (stamp = serial - 1; stamp > id && stamp[-1] != '-'; stamp--)
        continue;
    if (serial == id || stamp <= id || serial - stamp > STAMP_MAX)
        return false;
    (void)snprintf(found->stamp, sizeof found->stamp, "%.*s", (int)(serial - 1 - stamp), stamp);
    found->serial = strtoull(serial, NULL, 10);
    return true;
}

/* Whether a name is ROUTE.ID.jsonl of that very route: no '.' within the id. */
static bool take(struct found *found, const char *route, const char *name)
{
    size_t len = strlen(name), start = strlen(route) + 1, end = sizeof ENDING - 1;
    if (len >= RECORDING_NAME_MAX || len <= start + end || name[start - 1] != '.' ||
        strncmp(name, route, start - 1) != 0 || strcmp(name + len - end, ENDING) != 0 ||
        strchr(name + start, '.') != name + len - end)
        return false;
    memcpy(found->name, name, len + 1);
    return take_place(found, name + start, len - start - end);
}

/* Newest first. */
static int compare(const void *a, const void *b)
{
    const struct found *x = *(struct found *const *)a, *y = *(struct found *const *)b;
    int by_stamp = strcmp(y->stamp, x->stamp);
    return by_stamp ? by_stamp : (x->serial < y->serial) - (x->serial > y->serial);
}

static void remove_oldest(int dir_fd, struct found *found, size_t n, unsigned most)
{
    struct found *order[FOUND_MAX];
    for (size_t i = 0; i < n; i++)
        order[i] = &found[i];
    qsort(order, n, sizeof(struct found *), compare);
    for (size_t i = most; i < n; i++)
        (void)unlinkat(dir_fd, order[i]->name, 0);
}

void recording_file_retain(int dir_fd, const char *route, unsigned most)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    struct found *found = calloc(FOUND_MAX, sizeof *found);
    size_t n = 0;
    const struct dirent *entry;
    while (dir && found && n < FOUND_MAX && (entry = readdir(dir)))
        n += take(&found[n], route, entry->d_name);
    if (found)
        remove_oldest(dir_fd, found, n, most);
    free(found);
    if (dir)
        (void)closedir(dir);
    else if (fd >= 0)
        (void)close(fd);
}
