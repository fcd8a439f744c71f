/* The demo's users: many kept connections, each with its own uid cookie, asking at a steady rate
 * whatever the answers cost. SPDX-License-Identifier: Apache-2.0
 *
 *     users PORT USERS RATE SUMMARY
 *
 * Sends RATE requests a second to 127.0.0.1:PORT, each from one of USERS users picked at random,
 * and writes what they got to the file SUMMARY five times a second and at the end (JSON; the file
 * is replaced at once, never half written). A request has failed when its answer is a 5xx or does
 * not come. */
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#define USERS_MAX        10000
#define RATE_MAX         20000
#define VERSIONS_MAX     8
#define VERSION_NAME_MAX 16
#define TICK_US          2000 /* how often requests that are due are sent */
#define SUMMARY_US       200000
#define TIMEOUT_S        10

struct version {
    char name[VERSION_NAME_MAX];
    unsigned long requests, failed;
};

struct user {
    struct crowd *crowd;
    struct evhttp_connection *connection;
    char cookie[32];
    bool is_waiting; /* for an answer */
};

struct crowd {
    struct event_base *base;
    struct user *users;
    size_t n_users;
    double rate, started_s;
    unsigned long sent, answered, failed;
    struct version versions[VERSIONS_MAX];
    size_t n_versions;
    const char *summary;
};

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The tally of a version, made at its first answer; NULL where there are too many. */
static struct version *find_version(struct crowd *crowd, const char *name)
{
    for (size_t i = 0; i < crowd->n_versions; i++)
        if (strcmp(crowd->versions[i].name, name) == 0)
            return &crowd->versions[i];
    if (crowd->n_versions == VERSIONS_MAX || strlen(name) >= VERSION_NAME_MAX)
        return NULL;
    struct version *version = &crowd->versions[crowd->n_versions++];
    strcpy(version->name, name);
    return version;
}

static void on_answer(struct evhttp_request *request, void *ctx)
{
    struct user *user = ctx;
    struct crowd *crowd = user->crowd;
    int status = request ? evhttp_request_get_response_code(request) : 0;
    bool has_failed = status == 0 || status >= 500;
    const char *name =
        status ? evhttp_find_header(evhttp_request_get_input_headers(request), "X-Version") : NULL;
    struct version *version = name ? find_version(crowd, name) : NULL;
    user->is_waiting = false;
    crowd->answered++;
    crowd->failed += has_failed;
    if (version) {
        version->requests++;
        version->failed += has_failed;
    }
}

static void ask(struct crowd *crowd, struct user *user)
{
    struct evhttp_request *request = evhttp_request_new(on_answer, user);
    if (!request)
        return;
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Host", "shop.example");
    evhttp_add_header(headers, "Cookie", user->cookie);
    evhttp_add_header(headers, "Connection", "keep-alive");
    user->is_waiting = true;
    crowd->sent++;
    if (evhttp_make_request(user->connection, request, EVHTTP_REQ_GET, "/") != 0)
        on_answer(NULL, user);
}

/* Sends what is due by now. A user who still waits is passed over for the next one. */
static void on_tick(int fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct crowd *crowd = ctx;
    double due = (now_s() - crowd->started_s) * crowd->rate;
    while ((double)crowd->sent < due) {
        size_t first = (size_t)random() % crowd->n_users, i = 0;
        while (i < crowd->n_users && crowd->users[(first + i) % crowd->n_users].is_waiting)
            i++;
        if (i == crowd->n_users)
            return;
        ask(crowd, &crowd->users[(first + i) % crowd->n_users]);
    }
}

static void write_summary(const struct crowd *crowd)
{
    char temporary[4096];
    snprintf(temporary, sizeof temporary, "%s.new", crowd->summary);
    FILE *f = fopen(temporary, "w");
    if (!f)
        return;
    fprintf(f, "{\n  \"seconds\": %.2f,\n  \"requests\": %lu,\n  \"failed\": %lu",
            now_s() - crowd->started_s, crowd->answered, crowd->failed);
    for (size_t i = 0; i < crowd->n_versions; i++) {
        const struct version *v = &crowd->versions[i];
        fprintf(f, ",\n  \"%s_requests\": %lu,\n  \"%s_failed\": %lu", v->name, v->requests,
                v->name, v->failed);
    }
    fprintf(f, "\n}\n");
    if (fclose(f) == 0)
        rename(temporary, crowd->summary);
}

static void on_summary(int fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    write_summary(ctx);
}

static void on_signal(int number, short what, void *ctx)
{
    (void)number;
    (void)what;
    event_base_loopbreak(ctx);
}

static bool crowd_open(struct crowd *crowd, unsigned short port)
{
    crowd->users = calloc(crowd->n_users, sizeof *crowd->users);
    for (size_t i = 0; crowd->users && i < crowd->n_users; i++) {
        struct user *user = &crowd->users[i];
        user->crowd = crowd;
        user->connection = evhttp_connection_base_new(crowd->base, NULL, "127.0.0.1", port);
        if (!user->connection)
            return false;
        evhttp_connection_set_timeout(user->connection, TIMEOUT_S);
        snprintf(user->cookie, sizeof user->cookie, "uid=user-%zu", i + 1);
    }
    return crowd->users != NULL;
}

static void crowd_close(struct crowd *crowd)
{
    for (size_t i = 0; i < crowd->n_users; i++)
        evhttp_connection_free(crowd->users[i].connection);
    free(crowd->users);
}

static void crowd_run(struct crowd *crowd)
{
    struct timeval tick = {.tv_usec = TICK_US}, summary = {.tv_usec = SUMMARY_US};
    struct event *events[] = {
        event_new(crowd->base, -1, EV_PERSIST, on_tick, crowd),
        event_new(crowd->base, -1, EV_PERSIST, on_summary, crowd),
        evsignal_new(crowd->base, SIGTERM, on_signal, crowd->base),
        evsignal_new(crowd->base, SIGINT, on_signal, crowd->base),
    };
    event_add(events[0], &tick);
    event_add(events[1], &summary);
    event_add(events[2], NULL);
    event_add(events[3], NULL);
    crowd->started_s = now_s();
    event_base_dispatch(crowd->base);
    write_summary(crowd);
    for (size_t i = 0; i < sizeof events / sizeof *events; i++)
        event_free(events[i]);
}

int main(int argc, char **argv)
{
    int port = argc == 5 ? atoi(argv[1]) : 0, users = argc == 5 ? atoi(argv[2]) : 0;
    double rate = argc == 5 ? strtod(argv[3], NULL) : 0;
    if (port < 1 || port > 65535 || users < 1 || users > USERS_MAX ||
        !(rate > 0 && rate <= RATE_MAX)) {
        fprintf(stderr, "usage: users PORT USERS(1..%d) RATE(..%d) SUMMARY\n", USERS_MAX, RATE_MAX);
        return 2;
    }
    struct crowd crowd = {
        .base = event_base_new(), .n_users = (size_t)users, .rate = rate, .summary = argv[4]};
    signal(SIGPIPE, SIG_IGN);
    if (!crowd.base || !crowd_open(&crowd, (unsigned short)port)) {
        fprintf(stderr, "users: out of memory\n");
        return 1;
    }
    crowd_run(&crowd);
    crowd_close(&crowd);
    event_base_free(crowd.base);
    return 0;
}
