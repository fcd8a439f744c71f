/* A world without sockets or clocks for the rollout: traffic, endpoints, workers, a disk that fills
 * up, kill -9. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_ROLLOUT_WORLD_H
#define SERIN_TESTS_ROLLOUT_WORLD_H

#include "metrics/log.h"
#include "rollout/decide/record.h"
#include "rollout/rollout.h"
#include "rollout_others.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WORLD_UNUSED   __attribute__((unused))
#define WORLD_VERSIONS 6
#define WORLD_EVENTS   64
#define WORLD_RENAMES  4096

struct world_version {
    char name[32];
    double error_rate;
    double owed_requests, owed_failed; /* fractions that are not whole requests yet */
    unsigned endpoints, available;
    struct judged_totals totals[ROLE_COUNT];
};

struct world_event {
    char name[32];
    unsigned count;
};

struct world {
    int64_t monotonic_ms, wall_ms;
    double rate; /* requests a second of all users */
    struct world_version versions[WORLD_VERSIONS];
    size_t n_versions;
    char stable[32], canary[32], salt[ROLLOUT_ID_MAX]; /* in force in the data plane */
    uint32_t weight_bp, wanted_bp;
    bool active;
    bool confirmed, stuck; /* stuck: workers do not adopt */
    enum rollout_breaker breaker;
    unsigned failed_trickles;
    struct world_event events[WORLD_EVENTS];
    size_t n_events;
    bool nobody_follows; /* the ticks; moves are told all the same */
    unsigned applied;    /* calls of apply_split */
    uint64_t weighed[WORLD_VERSIONS][ROLE_COUNT];
    double mirror;     /* share of stable's requests that the canary gets a copy of */
    bool is_mirroring; /* the split in force lets it */
    double owed_copies, owed_failed[ROLE_COUNT]; /* fractions that are not whole yet */
    unsigned copies;                             /* in the last second */
    struct judged_totals mirrored[ROLE_COUNT];   /* since the process began; one canary at a time */
    double skew; /* of the split: what is added to the canary's share */
    struct others others;
};

/* The disk under every rollout of the program. */
static struct {
    bool full;      /* no room for any record; names can still change */
    bool tight;     /* room for one record, but not for its backup as well */
    bool dead;      /* the process was killed: nothing it does counts any more */
    unsigned kills; /* countdown: dead after this many renames; 0 = never */
    unsigned renames;
    bool state_change[WORLD_RENAMES]; /* which of them belonged to one: a backup, or the record
                                         after it */
} world_disk;

static bool world_ends(const char *name, const char *end)
{
    size_t len = strlen(name), end_len = strlen(end);
    return len >= end_len && strcmp(name + len - end_len, end) == 0;
}

static bool world_has_room(int dir_fd, const char *to)
{
    char backup[256];
    (void)snprintf(backup, sizeof backup, "%s.bak", to);
    bool is_record = world_ends(to, ".json"), is_backup = world_ends(to, ".bak");
    bool too_much = is_backup || (is_record && faccessat(dir_fd, backup, F_OK, 0) == 0);
    return !(world_disk.full && (is_record || is_backup)) && !(world_disk.tight && too_much);
}

/* Stands before libc's: every record is put in place by this call. */
int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    if (world_disk.dead || !world_has_room(to_fd, to)) {
        errno = world_disk.dead ? EIO : ENOSPC;
        return -1;
    }
    int result = (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, 0);
    size_t n = world_disk.renames++;
    if (n + 1 < WORLD_RENAMES && world_ends(to, ".bak"))
        world_disk.state_change[n] = world_disk.state_change[n + 1] = true;
    if (world_disk.kills > 0 && --world_disk.kills == 0)
        world_disk.dead = true;
    return result;
}

/* The tests do not lose power, and a slow disk says nothing about them. */
int fsync(int fd)
{
    (void)fd;
    return 0;
}

WORLD_UNUSED static struct world_version *world_version(struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_versions; i++)
        if (strcmp(w->versions[i].name, name) == 0)
            return &w->versions[i];
    if (w->n_versions == WORLD_VERSIONS)
        abort();
    struct world_version *v = &w->versions[w->n_versions++];
    *v = (struct world_version){.endpoints = 2, .available = 2};
    (void)snprintf(v->name, sizeof v->name, "%s", name);
    return v;
}

static struct judged_totals world_counts(void *host, const char *route, const char *version,
                                         enum metric_role role)
{
    (void)route;
    return world_version(host, version)->totals[role];
}

static uint64_t world_weighed(void *host, const char *route, const char *version,
                              enum metric_role role)
{
    struct world *w = host;
    (void)route;
    return w->weighed[world_version(w, version) - w->versions][role];
}

static struct judged_totals world_mirrored(void *host, const char *route, const char *canary,
                                           enum metric_role role)
{
    (void)route, (void)canary;
    return ((struct world *)host)->mirrored[role];
}

static struct http_call *world_ask(void *host, const struct http_ask *ask)
{
    return others_ask(&((struct world *)host)->others, ask);
}

static void world_ask_cancel(void *host, struct http_call *call)
{
    (void)host;
    call->is_open = false;
}

static void world_apply(void *host, const char *route, const struct rollout_split *split)
{
    struct world *w = host;
    (void)route;
    if (world_disk.dead)
        return;
    (void)snprintf(w->stable, sizeof w->stable, "%s", split->stable);
    (void)snprintf(w->canary, sizeof w->canary, "%s", split->canary ? split->canary : "");
    (void)snprintf(w->salt, sizeof w->salt, "%s", split->salt);
    w->wanted_bp = split->weight_bp;
    w->active = split->active;
    w->confirmed = false;
    w->applied++;
}

static bool world_confirmed(void *host, const char *route)
{
    (void)route;
    return ((struct world *)host)->confirmed;
}

static struct rollout_health world_health(void *host, const char *route, const char *stable,
                                          const char *canary)
{
    struct world *w = host;
    (void)route;
    struct rollout_health health = {.stable_endpoints = world_version(w, stable)->endpoints,
                                    .stable_available = world_version(w, stable)->available,
                                    .breaker = w->breaker,
                                    .failed_trickles = w->failed_trickles};
    if (canary) {
        health.canary_endpoints = world_version(w, canary)->endpoints;
        health.canary_available = world_version(w, canary)->available;
    }
    return health;
}

static int64_t world_monotonic(void *host)
{
    return ((struct world *)host)->monotonic_ms;
}

static int64_t world_wall(void *host)
{
    return ((struct world *)host)->wall_ms;
}

static void world_event(void *host, const char *route, const char *name, const struct cJSON *json)
{
    struct world *w = host;
    (void)route;
    if (world_disk.dead || !json)
        return;
    size_t i = 0;
    while (i < w->n_events && strcmp(w->events[i].name, name) != 0)
        i++;
    if (i == WORLD_EVENTS)
        abort();
    if (i == w->n_events)
        (void)snprintf(w->events[w->n_events++].name, sizeof w->events[0].name, "%s", name);
    w->events[i].count++;
}

WORLD_UNUSED static bool world_is_followed(void *host)
{
    return !((const struct world *)host)->nobody_follows;
}

WORLD_UNUSED static unsigned world_event_count(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->n_events; i++)
        if (strcmp(w->events[i].name, name) == 0)
            return w->events[i].count;
    return 0;
}

WORLD_UNUSED static struct rollout_ports world_ports(struct world *w)
{
    return (struct rollout_ports){.host = w,
                                  .counts = world_counts,
                                  .mirrored = world_mirrored,
                                  .weighed = world_weighed,
                                  .ask = world_ask,
                                  .ask_cancel = world_ask_cancel,
                                  .apply_split = world_apply,
                                  .split_confirmed = world_confirmed,
                                  .health = world_health,
                                  .monotonic_ms = world_monotonic,
                                  .wall_ms = world_wall,
                                  .event = world_event,
                                  .is_followed = world_is_followed};
}

WORLD_UNUSED static void world_init(struct world *w)
{
    *w = (struct world){.monotonic_ms = 5000, .wall_ms = 1767225600000, .rate = 1000};
    memset(&world_disk, 0, sizeof world_disk);
}

/* A new process: it serves the split that the state says, with counters and clock from nothing. */
WORLD_UNUSED static void world_boot(struct world *w, const struct rollout *r)
{
    struct rollout_split split;
    for (size_t i = 0; i < w->n_versions; i++)
        memset(w->versions[i].totals, 0, sizeof w->versions[i].totals);
    memset(w->weighed, 0, sizeof w->weighed);
    memset(w->mirrored, 0, sizeof w->mirrored);
    others_forget(&w->others);
    w->monotonic_ms = 777;
    rollout_split(r, &split);
    world_apply(w, "", &split);
    w->weight_bp = w->wanted_bp;
    w->is_mirroring = w->active;
    w->breaker = ROLLOUT_BREAKER_CLOSED;
    w->failed_trickles = 0;
}

static void world_serve(struct world *w, const char *name, enum metric_role role, double requests)
{
    struct world_version *v = world_version(w, name);
    v->owed_requests += requests;
    double whole = floor(v->owed_requests);
    v->owed_requests -= whole;
    v->owed_failed += whole * v->error_rate;
    double failed = floor(v->owed_failed + 1e-9);
    failed = failed > whole ? whole : failed;
    v->owed_failed -= failed;
    v->totals[role].requests += (uint64_t)whole;
    w->weighed[v - w->versions][role] += (uint64_t)whole;
    v->totals[role].failed += (uint64_t)failed;
}

/* Copies of a second: each on both versions, which fail as they do for users. */
static void world_mirror(struct world *w, double requests)
{
    const char *names[ROLE_COUNT] = {w->stable, w->canary};
    w->owed_copies += requests;
    w->copies = (unsigned)floor(w->owed_copies);
    w->owed_copies -= w->copies;
    for (unsigned role = 0; role < ROLE_COUNT; role++) {
        w->owed_failed[role] += w->copies * world_version(w, names[role])->error_rate;
        double failed = floor(w->owed_failed[role] + 1e-9);
        w->owed_failed[role] -= failed;
        w->mirrored[role].requests += w->copies;
        w->mirrored[role].failed += (uint64_t)failed;
    }
}

/* One second of users. The data plane keeps its own word: nobody to a canary that cannot serve. */
WORLD_UNUSED static void world_second(struct world *w)
{
    w->monotonic_ms += 1000;
    w->wall_ms += 1000;
    if (!w->stuck) {
        w->weight_bp = w->wanted_bp;
        w->is_mirroring = w->active;
        w->confirmed = true;
    }
    others_answer(&w->others);
    double share = w->weight_bp ? w->weight_bp / 10000.0 + w->skew : 0;
    bool serves = w->canary[0] && w->breaker == ROLLOUT_BREAKER_CLOSED &&
                  world_version(w, w->canary)->available > 0;
    double canary = serves ? w->rate * share : 0;
    if (canary > 0)
        world_serve(w, w->canary, ROLE_CANARY, canary);
    world_serve(w, w->stable, ROLE_STABLE, w->rate - canary);
    w->copies = 0;
    if (serves && w->is_mirroring && w->mirror > 0)
        world_mirror(w, (w->rate - canary) * w->mirror);
}

/* Seconds of traffic, each with its tick. */
WORLD_UNUSED static void world_pass(struct world *w, struct rollout *r, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        world_second(w);
        rollout_tick(r);
    }
}

static int world_remove(const char *path, const struct stat *info, int kind, struct FTW *at)
{
    (void)info, (void)kind, (void)at;
    return remove(path);
}

/* A directory of its own in memory; path has room for 64. */
WORLD_UNUSED static void world_make_dir(char *path)
{
    (void)snprintf(path, 64, "%s/serin-test-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(path))
        abort();
}

WORLD_UNUSED static void world_remove_dir(const char *path)
{
    (void)nftw(path, world_remove, 8, FTW_DEPTH | FTW_PHYS);
}

/* Lines of the log only where somebody looks: SERIN_TEST_LOG=FILE. */
WORLD_UNUSED static int world_quiet(void **state)
{
    const char *file = getenv("SERIN_TEST_LOG");
    struct log_setup setup = {.level = LOG_INFO, .file = file ? file : "/dev/null", .rate = 100000};
    struct why why;
    (void)state;
    return log_open(&setup, &why) == OK ? 0 : -1;
}

#endif
