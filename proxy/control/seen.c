/* What a route's traffic was like of late: looks once a minute, and a small file for `serin check`.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/seen.h"

#include "rollout/journal.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_MODE 0640

/* A full histogram is some 20 KB; a file beyond this was not written by us. */
#define FILE_BYTES_MAX (128u << 10)

/* Whole numbers up to it are exact in JSON. */
#define COUNT_MAX 0x1p53

bool seen_look_at(struct seen *s, const struct variant_metrics *stable,
                  const struct variant_metrics *canary, int64_t now_ms)
{
    if (s->stable != stable || s->canary != canary)
        *s = (struct seen){.stable = stable, .canary = canary};
    if (s->n > 0 && now_ms - s->looks[s->newest].at_ms < SEEN_STEP_MS)
        return false;
    struct judged_totals of_stable = metrics_judged(stable, ROLE_STABLE), of_canary = {0};
    if (canary)
        of_canary = metrics_judged(canary, ROLE_CANARY);
    s->newest = s->n ? (s->newest + 1) % SEEN_LOOKS : 0;
    s->looks[s->newest] =
        (struct seen_look){now_ms, of_stable.requests, of_stable.failed, of_canary.requests};
    if (s->n < SEEN_LOOKS)
        s->n++;
    return s->n > 1;
}

void seen_figures(const struct seen *s, struct seen_figures *out)
{
    const struct seen_look *newest = &s->looks[s->newest];
    const struct seen_look *oldest =
        &s->looks[s->n < SEEN_LOOKS ? 0 : (s->newest + 1) % SEEN_LOOKS];
    out->seconds = (double)(newest->at_ms - oldest->at_ms) / 1000;
    out->requests = newest->stable_requests - oldest->stable_requests;
    out->failed = newest->stable_failed - oldest->stable_failed;
    if (out->failed > out->requests) /* counted between two reads of one look */
        out->failed = out->requests;
    out->requests_s =
        out->seconds > 0
            ? (double)(out->requests + newest->canary_requests - oldest->canary_requests) /
                  out->seconds
            : 0;
}

/* --- the file --- */

/* Only the cells that count something: [top in microseconds, how many]. */
static bool add_durations(cJSON *json, const struct hist_sum *sum)
{
    cJSON *list = cJSON_AddArrayToObject(json, "durations_us");
    for (unsigned i = 0; list && i < HIST_CELLS; i++) {
        if (sum->cells[i] == 0)
            continue;
        double pair[] = {(double)hist_cell_top_us(i), (double)sum->cells[i]};
        cJSON *item = cJSON_CreateDoubleArray(pair, 2);
        if (!item || !cJSON_AddItemToArray(list, item))
            return false;
    }
    return list != NULL;
}

static char *print(const struct seen_figures *f)
{
    cJSON *json = cJSON_CreateObject();
    char *text = NULL;
    if (json && cJSON_AddNumberToObject(json, "at_ms", (double)f->wall_ms) &&
        cJSON_AddNumberToObject(json, "seconds", f->seconds) &&
        cJSON_AddNumberToObject(json, "requests_s", f->requests_s) &&
        cJSON_AddNumberToObject(json, "stable_requests", (double)f->requests) &&
        cJSON_AddNumberToObject(json, "stable_failed", (double)f->failed) &&
        add_durations(json, &f->durations))
        text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    return text;
}

/* False where the path is too long for the system. */
static bool path_of(const char *state_dir, const char *route, const char *end, char path[PATH_MAX])
{
    char name[JOURNAL_NAME_MAX];
    journal_name(route, name, sizeof name);
    int n = snprintf(path, PATH_MAX, "%s/%s%s", state_dir, name, end);
    return n > 0 && n < PATH_MAX;
}

static enum err fail(struct why *why, const char *what, const char *path)
{
    return why_set(why, ERR_IO, "%s %s: %s", what, path, strerror(errno));
}

static enum err put(const char *path, const char *temp, const char *text, struct why *why)
{
    int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return fail(why, "create", temp);
    size_t len = strlen(text);
    errno = ENOSPC; /* what a short write means */
    bool is_whole = write(fd, text, len) == (ssize_t)len;
    enum err e = is_whole ? OK : fail(why, "write", temp);
    if (close(fd) < 0 && e == OK)
        e = fail(why, "close", temp);
    if (e == OK && rename(temp, path) < 0)
        e = fail(why, "rename to", path);
    if (e != OK)
        (void)unlink(temp);
    return e;
}

enum err seen_write(const char *state_dir, const char *route, const struct seen_figures *figures,
                    struct why *why)
{
    char path[PATH_MAX], temp[PATH_MAX];
    if (!path_of(state_dir, route, ".seen", path) || !path_of(state_dir, route, ".seen.tmp", temp))
        return why_set(why, ERR_IO, "%.200s: the path is too long", state_dir);
    char *text = print(figures);
    enum err e = text ? put(path, temp, text, why) : why_set(why, ERR_MEMORY, "out of memory");
    cJSON_free(text);
    return e;
}

static bool read_number(const cJSON *json, const char *name, double most, double *value)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    *value = cJSON_IsNumber(item) ? item->valuedouble : -1;
    return *value >= 0 && *value <= most;
}

static bool read_durations(const cJSON *json, struct hist_sum *sum)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, "durations_us"), *item;
    memset(sum, 0, sizeof *sum);
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *top = cJSON_GetArrayItem(item, 0), *count = cJSON_GetArrayItem(item, 1);
        if (!cJSON_IsNumber(top) || !cJSON_IsNumber(count) || !(top->valuedouble >= 0) ||
            !(top->valuedouble <= COUNT_MAX) || !(count->valuedouble >= 0) ||
            !(count->valuedouble <= COUNT_MAX))
            return false;
        uint64_t *cell = &sum->cells[hist_cell((uint64_t)top->valuedouble)];
        *cell = (uint64_t)count->valuedouble;
    }
    return cJSON_IsArray(list);
}

static enum err parse(const char *text, size_t len, const char *path, struct seen_figures *f,
                      struct why *why)
{
    cJSON *json = cJSON_ParseWithLength(text, len);
    double at_ms, requests, failed;
    bool is_good = json && read_number(json, "at_ms", COUNT_MAX, &at_ms) &&
                   read_number(json, "seconds", COUNT_MAX, &f->seconds) &&
                   read_number(json, "requests_s", COUNT_MAX, &f->requests_s) &&
                   read_number(json, "stable_requests", COUNT_MAX, &requests) &&
                   read_number(json, "stable_failed", requests, &failed) &&
                   read_durations(json, &f->durations);
    cJSON_Delete(json);
    if (!is_good)
        return why_set(why, ERR_INVALID, "%s: not what serin writes", path);
    f->wall_ms = (int64_t)at_ms;
    f->requests = (uint64_t)requests;
    f->failed = (uint64_t)failed;
    return OK;
}

enum err seen_read(const char *state_dir, const char *route, struct seen_figures *figures,
                   struct why *why)
{
    char path[PATH_MAX];
    if (!path_of(state_dir, route, ".seen", path))
        return why_set(why, ERR_IO, "%.200s: the path is too long", state_dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? why_set(why, ERR_NOT_FOUND, "%s: not there", path)
                   : fail(why, "open", path);
    char *text = malloc(FILE_BYTES_MAX + 1);
    ssize_t len = text ? read(fd, text, FILE_BYTES_MAX + 1) : 0;
    enum err e = OK;
    if (!text)
        e = why_set(why, ERR_MEMORY, "out of memory");
    else if (len < 0)
        e = fail(why, "read", path);
    else if ((size_t)len > FILE_BYTES_MAX)
        e = why_set(why, ERR_LIMIT, "%s: more than %u bytes", path, FILE_BYTES_MAX);
    else
        e = parse(text, (size_t)len, path, figures, why);
    (void)close(fd);
    free(text);
    return e;
}
