/* What the tests of the admin port share: a fake host, and a client that takes turns with the
 * server on one thread, so that nothing waits for luck.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_CONTROL_ADMIN_FIXTURE_H
#define SERIN_TESTS_CONTROL_ADMIN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/control/admin.h"
#include "proxy/control/address.h"
#include "proxy/wire/addr.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS     10000
#define RESPONSE_BYTES  65536
#define HOST            "Host: localhost\r\n"
#define JSON            "Content-Type: application/json\r\n"
#define POST_VERB(verb) "POST /api/v1/routes/my-web/" verb " HTTP/1.1\r\n" HOST JSON
#define LAST            "Connection: close\r\n\r\n"

struct fake {
    char verb[32], route[64], who[80];
    unsigned verbs, reloads, notifies;
    bool full, has_who, ready;
    enum err answer;
    const char *why;
};

struct fixture {
    struct event_base *base;
    struct admin *admin;
    struct fake fake;
    char response[RESPONSE_BYTES];
    char log_file[96], directory[64];
};

/* The fake host. */

static inline cJSON *fake_status(const char *name)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "route", name);
    cJSON_AddStringToObject(json, "phase", "Healthy");
    return json;
}

static inline cJSON *fake_routes(void *host)
{
    cJSON *json = cJSON_CreateObject();
    (void)host;
    cJSON_AddItemToArray(cJSON_AddArrayToObject(json, "routes"), fake_status("my-web"));
    return json;
}

static inline cJSON *fake_route(void *host, const char *name)
{
    (void)host;
    return strcmp(name, "my-web") == 0 ? fake_status(name) : NULL;
}

static inline cJSON *fake_history(void *host, const char *name)
{
    (void)host;
    return strcmp(name, "my-web") == 0 ? cJSON_CreateArray() : NULL;
}

static inline cJSON *fake_endpoints(void *host, const char *name)
{
    cJSON *json = fake_route(host, name);
    (void)cJSON_AddArrayToObject(json, "endpoints");
    return json;
}

static inline cJSON *fake_series(void *host, const char *name)
{
    cJSON *json = fake_route(host, name);
    (void)cJSON_AddArrayToObject(json, "points");
    return json;
}

static inline enum err fake_verb(void *host, const char *route, const char *verb, bool full,
                                 const char *who, struct why *why)
{
    struct fake *fake = host;
    if (strcmp(route, "my-web") != 0)
        return why_set(why, ERR_NOT_FOUND, "no route %s", route);
    fake->verbs++;
    fake->full = full;
    fake->has_who = who != NULL;
    snprintf(fake->verb, sizeof fake->verb, "%s", verb);
    snprintf(fake->route, sizeof fake->route, "%s", route);
    snprintf(fake->who, sizeof fake->who, "%s", who ? who : "");
    return why_set(why, fake->answer, "%s", fake->why);
}

static inline enum err fake_reload(void *host, struct cJSON *lines, struct why *why)
{
    struct fake *fake = host;
    fake->reloads++;
    cJSON_AddItemToArray(lines, cJSON_CreateString("first line"));
    cJSON_AddItemToArray(lines, cJSON_CreateString("second line"));
    return why_set(why, fake->answer, "%s", fake->why);
}

static inline enum err fake_notify(void *host, struct why *why)
{
    struct fake *fake = host;
    fake->notifies++;
    return why_set(why, fake->answer, "%s", fake->why);
}

static inline void fake_metrics(void *host, bool openmetrics, struct evbuffer *out)
{
    (void)host;
    evbuffer_add_printf(out, "up 1\n%s", openmetrics ? "# EOF\n" : "");
}

static inline bool fake_acts(void *host)
{
    (void)host;
    return true;
}

static inline bool fake_is_ready(void *host)
{
    return ((struct fake *)host)->ready;
}

static inline struct admin *start(struct fixture *f, const char *bind, const char *token,
                                  struct why *why)
{
    struct admin_setup setup = {.bind = bind, .token = token, .deadline_ms = 200};
    struct admin_host host = {.host = &f->fake,
                              .routes = fake_routes,
                              .route = fake_route,
                              .history = fake_history,
                              .endpoints = fake_endpoints,
                              .series = fake_series,
                              .verb = fake_verb,
                              .reload = fake_reload,
                              .notify = fake_notify,
                              .metrics = fake_metrics,
                              .is_ready = fake_is_ready,
                              .acts = fake_acts};
    return admin_start(f->base, &setup, &host, why);
}

static inline int set_up_with(void **state, const char *token)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct why why = {""};
    signal(SIGPIPE, SIG_IGN);
    snprintf(f->directory, sizeof f->directory, "/tmp/serin-admin-XXXXXX");
    CHECK(f && mkdtemp(f->directory));
    snprintf(f->log_file, sizeof f->log_file, "%s/log", f->directory);
    struct log_setup log = {.level = LOG_INFO, .file = f->log_file, .rate = 1000};
    CHECK(log_open(&log, &why) == OK);
    f->base = event_base_new();
    f->fake.why = "";
    f->fake.ready = true;
    f->admin = start(f, "127.0.0.1:0", token, &why);
    if (!f->admin)
        fail_msg("%s", why.text);
    *state = f;
    return 0;
}

static inline int set_up(void **state)
{
    return set_up_with(state, NULL);
}

static inline int set_up_token(void **state)
{
    return set_up_with(state, "secret-of-the-test");
}

static inline int tear_down(void **state)
{
    struct fixture *f = *state;
    struct log_setup log = {.level = LOG_INFO};
    struct why why;
    admin_stop(f->admin);
    event_base_free(f->base);
    CHECK(log_open(&log, &why) == OK);
    unlink(f->log_file);
    CHECK(rmdir(f->directory) == 0); /* nothing is left behind */
    free(f);
    return 0;
}

/* The client. */

static inline int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void turn(struct fixture *f)
{
    event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static inline int dial(const struct admin *admin)
{
    struct wire_addr a;
    assert_int_equal(address_of(admin_address(admin), &a, NULL), OK);
    int fd = socket(wire_addr_family(&a), SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)a.bytes, a.len), 0);
    return fd;
}

static inline void send_all(struct fixture *f, int fd, const char *bytes, size_t len)
{
    for (int64_t end = now_ms() + PATIENCE_MS; len > 0;) {
        ssize_t n = send(fd, bytes, len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) {
            bytes += n;
            len -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN) {
            return; /* the server has closed: what it answered tells why */
        }
        turn(f);
        assert_true(now_ms() < end);
    }
}

/* Reads until the peer closes, or until text comes if it is not NULL. False: closed before. */
static inline bool receive_until(struct fixture *f, int fd, const char *text)
{
    size_t len = 0;
    f->response[0] = '\0';
    for (int64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        turn(f);
        ssize_t n = recv(fd, f->response + len, sizeof f->response - 1 - len, MSG_DONTWAIT);
        if (n > 0)
            len += (size_t)n;
        f->response[len] = '\0';
        if (text && strstr(f->response, text))
            return true;
        if (n == 0 || (n < 0 && errno != EAGAIN))
            return false;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (n < 0)
            poll(&p, 1, 5);
    }
    fail_msg("no answer in time; so far: %s", f->response);
    return false;
}

/* Sends one whole request and reads the answer up to its end. Returns the status; 0 = closed
 * without one. */
static inline int ask(struct fixture *f, const char *request)
{
    int fd = dial(f->admin), status = 0;
    send_all(f, fd, request, strlen(request));
    receive_until(f, fd, NULL);
    close(fd);
    if (sscanf(f->response, "HTTP/1.1 %d", &status) != 1)
        status = 0;
    return status;
}

static inline const char *body(const struct fixture *f)
{
    const char *end = strstr(f->response, "\r\n\r\n");
    return end ? end + 4 : "";
}

static inline void assert_response_has(const struct fixture *f, const char *text)
{
    if (!strstr(f->response, text))
        fail_msg("no \"%s\" in: %s", text, f->response);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
