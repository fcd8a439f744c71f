/* Tests the admin port over its own sockets, with a fake host: resources, rules, bounds, events.
 * Client and server take turns on one thread, so that nothing here waits for luck.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/control/admin.h"
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

#define PATIENCE_MS    10000
#define RESPONSE_BYTES 65536
#define HOST           "Host: localhost\r\n"
#define JSON           "Content-Type: application/json\r\n"
#define LAST           "Connection: close\r\n\r\n"

struct fake {
    char verb[32], route[64], who[80];
    unsigned verbs, reloads;
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

static cJSON *fake_status(const char *name)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "route", name);
    cJSON_AddStringToObject(json, "phase", "Healthy");
    return json;
}

static cJSON *fake_routes(void *host)
{
    cJSON *json = cJSON_CreateObject();
    (void)host;
    cJSON_AddItemToArray(cJSON_AddArrayToObject(json, "routes"), fake_status("my-web"));
    return json;
}

static cJSON *fake_route(void *host, const char *name)
{
    (void)host;
    return strcmp(name, "my-web") == 0 ? fake_status(name) : NULL;
}

static cJSON *fake_history(void *host, const char *name)
{
    (void)host;
    return strcmp(name, "my-web") == 0 ? cJSON_CreateArray() : NULL;
}

static enum err fake_verb(void *host, const char *route, const char *verb, bool full,
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

static enum err fake_reload(void *host, struct why *why)
{
    struct fake *fake = host;
    fake->reloads++;
    return why_set(why, fake->answer, "%s", fake->why);
}

static void fake_metrics(void *host, bool openmetrics, struct evbuffer *out)
{
    (void)host;
    evbuffer_add_printf(out, "up 1\n%s", openmetrics ? "# EOF\n" : "");
}

static bool fake_is_ready(void *host)
{
    return ((struct fake *)host)->ready;
}

static struct admin *start(struct fixture *f, const char *bind, const char *token, struct why *why)
{
    struct admin_setup setup = {.bind = bind, .token = token, .deadline_ms = 200};
    struct admin_host host = {.host = &f->fake,
                              .routes = fake_routes,
                              .route = fake_route,
                              .history = fake_history,
                              .verb = fake_verb,
                              .reload = fake_reload,
                              .metrics = fake_metrics,
                              .is_ready = fake_is_ready};
    return admin_start(f->base, &setup, &host, why);
}

static int set_up_with(void **state, const char *token)
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

static int set_up(void **state)
{
    return set_up_with(state, NULL);
}

static int set_up_token(void **state)
{
    return set_up_with(state, "secret-of-the-test");
}

static int tear_down(void **state)
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

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void turn(struct fixture *f)
{
    event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static int dial(const struct admin *admin)
{
    struct wire_addr a;
    assert_int_equal(wire_addr_parse(&a, admin_address(admin), NULL), OK);
    int fd = socket(wire_addr_family(&a), SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)a.bytes, a.len), 0);
    return fd;
}

static void send_all(struct fixture *f, int fd, const char *bytes, size_t len)
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
static bool receive_until(struct fixture *f, int fd, const char *text)
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
static int ask(struct fixture *f, const char *request)
{
    int fd = dial(f->admin), status = 0;
    send_all(f, fd, request, strlen(request));
    receive_until(f, fd, NULL);
    close(fd);
    if (sscanf(f->response, "HTTP/1.1 %d", &status) != 1)
        status = 0;
    return status;
}

static const char *body(const struct fixture *f)
{
    const char *end = strstr(f->response, "\r\n\r\n");
    return end ? end + 4 : "";
}

static void assert_response_has(const struct fixture *f, const char *text)
{
    if (!strstr(f->response, text))
        fail_msg("no \"%s\" in: %s", text, f->response);
}

/* Resources. */

static const struct {
    const char *request;
    int status;
    const char *text; /* in the answer */
} readings[] = {
    {"GET / HTTP/1.1\r\n" HOST LAST, 200, "Content-Type: text/html; charset=utf-8"},
    {"GET /healthz HTTP/1.1\r\n" HOST LAST, 200, "\r\n\r\nok\n"},
    {"GET /readyz HTTP/1.1\r\n" HOST LAST, 200, "\r\n\r\nready\n"},
    {"GET /metrics HTTP/1.1\r\n" HOST LAST, 200, "text/plain; version=0.0.4; charset=utf-8"},
    {"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,"
     "text/plain;q=0.4\r\n" HOST LAST,
     200, "# EOF\n"},
    {"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; q=0, */*\r\n" HOST LAST, 200,
     "text/plain; version=0.0.4"},
    {"GET /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "{\"routes\":[{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my-web HTTP/1.1\r\n" HOST LAST, 200, "{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my%2Dweb HTTP/1.1\r\n" HOST LAST, 200, "{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my-web?x=1 HTTP/1.1\r\n" HOST LAST, 200, "{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my-web/history HTTP/1.1\r\n" HOST LAST, 200, "\r\n\r\n[]\n"},
    {"HEAD /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "X-Content-Type-Options: nosniff"},
    {"HEAD /api/v1/events HTTP/1.1\r\n" HOST LAST, 200, "text/event-stream"},
    {"GET /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "Cache-Control: no-store"},
    {"GET /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "Content-Type: application/json\r\n"},
    /* what is not there */
    {"GET /nothing HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1 HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1/routes/ HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1/routes/other HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"unknown_route\""},
    {"GET /api/v1/routes/other/history HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"unknown_route\""},
    {"GET /api/v1/routes/my-web%00 HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1/routes/my-web/history/x HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"POST /api/v1/routes/my-web/explode HTTP/1.1\r\n" HOST JSON LAST, 404,
     "\"code\":\"not_found\""},
    /* methods */
    {"POST /api/v1/routes HTTP/1.1\r\n" HOST JSON LAST, 405, "Allow: GET, HEAD\r\n"},
    {"DELETE /api/v1/routes/my-web HTTP/1.1\r\n" HOST LAST, 405, "Allow: GET, HEAD\r\n"},
    {"GET /api/v1/routes/my-web/abort HTTP/1.1\r\n" HOST LAST, 405, "Allow: POST\r\n"},
    {"GET /api/v1/reload HTTP/1.1\r\n" HOST LAST, 405, "\"code\":\"method_not_allowed\""},
    {"OPTIONS /api/v1/routes/my-web/abort HTTP/1.1\r\n" HOST LAST, 405, "Allow: POST\r\n"},
    {"PUT /metrics HTTP/1.1\r\n" HOST LAST, 405, "Allow: GET, HEAD\r\n"},
    {"BREW / HTTP/1.1\r\n" HOST LAST, 501, ""},
    /* what is no request */
    {"GARBAGE\r\n\r\n", 400, ""},
    {"POST /api/v1/reload HTTP/1.1\r\n" HOST JSON "Content-Length: -5\r\n" LAST, 400, ""},
    {"\x16\x03\x01\x02\x01\r\n\r\n", 400, ""},
};

static void resources_answer_as_the_table_says(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(readings); i++) {
        int status = ask(f, readings[i].request);
        if (status != readings[i].status || !strstr(f->response, readings[i].text))
            fail_msg("row %zu: %s\nexpected %d and \"%s\", got: %s", i, readings[i].request,
                     readings[i].status, readings[i].text, f->response);
    }
    assert_int_equal(f->fake.verbs + f->fake.reloads, 0);
}

static void not_ready_is_503(void **state)
{
    struct fixture *f = *state;
    f->fake.ready = false;
    assert_int_equal(ask(f, "GET /readyz HTTP/1.1\r\n" HOST LAST), 503);
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
}

static void requests_follow_each_other_on_a_connection(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f->admin);
    static const char twice[] = "GET /healthz HTTP/1.1\r\n" HOST "\r\n"
                                "GET /readyz HTTP/1.1\r\n" HOST LAST;
    send_all(f, fd, twice, strlen(twice));
    assert_false(receive_until(f, fd, NULL));
    assert_response_has(f, "\r\n\r\nok\nHTTP/1.1 200 OK");
    assert_response_has(f, "\r\n\r\nready\n");
    close(fd);
}

/* Changes. */

#define POST_VERB(verb) "POST /api/v1/routes/my-web/" verb " HTTP/1.1\r\n" HOST JSON

static int post_body(struct fixture *f, const char *verb, const char *text)
{
    char request[1024];
    snprintf(request, sizeof request,
             "POST /api/v1/routes/my-web/%s HTTP/1.1\r\n" HOST JSON "Content-Length: %zu\r\n" LAST
             "%s",
             verb, strlen(text), text);
    return ask(f, request);
}

static void every_verb_reaches_the_host(void **state)
{
    struct fixture *f = *state;
    static const char *const verbs[] = {"start", "pause", "resume", "promote",
                                        "abort", "retry", "undo",   "reset"};
    for (unsigned i = 0; i < ARRAY_LEN(verbs); i++) {
        f->fake.why = "said by the host";
        assert_int_equal(post_body(f, verbs[i], ""), 200);
        assert_int_equal(f->fake.verbs, i + 1);
        assert_string_equal(f->fake.verb, verbs[i]);
        assert_string_equal(f->fake.route, "my-web");
        assert_false(f->fake.full || f->fake.has_who);
        cJSON *json = cJSON_Parse(body(f));
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "verb")), verbs[i]);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(json, "message")),
                            "said by the host");
        assert_non_null(cJSON_GetObjectItem(json, "status"));
        cJSON_Delete(json);
    }
}

static void the_body_says_full_and_who(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(post_body(f, "promote", "{\"full\":true,\"who\":\"Ada L.\"}\r\n"), 200);
    assert_true(f->fake.full && f->fake.has_who);
    assert_string_equal(f->fake.who, "Ada L.");
    assert_int_equal(post_body(f, "promote", " { } "), 200);
    assert_false(f->fake.full || f->fake.has_who);
    assert_int_equal(post_body(f, "abort", "{\"full\":false}"), 200);
    assert_int_equal(f->fake.verbs, 3);
}

static void bad_bodies_change_nothing(void **state)
{
    struct fixture *f = *state;
    static const char *const bodies[] = {
        "{",
        "[]",
        "1",
        "null",
        "\"full\"",
        "{}{}",
        "{} x",
        "{\"full\":1}",
        "{\"full\":\"true\"}",
        "{\"who\":1}",
        "{\"who\":\"\"}",
        "{\"who\":\"a\\nb\"}",
        "{\"who\":\"a\\\"b\"}",
        "{\"who\":\"a\\u001b[2J\"}",
        "{\"other\":true}",
        "{\"full\":true,\"full\":false}",
        "{\"who\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        int status = post_body(f, "promote", bodies[i]);
        if (status != 400 || !strstr(f->response, "\"code\":\"bad_request\""))
            fail_msg("body %s: %s", bodies[i], f->response);
    }
    assert_int_equal(post_body(f, "abort", "{\"full\":true}"), 400);
    assert_response_has(f, "belongs to promote");
    assert_int_equal(f->fake.verbs, 0);
}

static void the_hosts_refusals_have_their_status(void **state)
{
    struct fixture *f = *state;
    static const struct {
        enum err e;
        int status;
        const char *code;
    } rows[] = {
        {ERR_NOT_FOUND, 404, "unknown_route"},
        {ERR_CONFLICT, 409, "conflict"},
        {ERR_INVALID, 400, "bad_request"},
        {ERR_UNSUPPORTED, 400, "bad_request"},
        {ERR_IO, 500, "internal"},
        {ERR_MEMORY, 500, "internal"},
    };
    f->fake.why = "no rollout runs; use \"start\"";
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f->fake.answer = rows[i].e;
        assert_int_equal(post_body(f, "pause", ""), rows[i].status);
        assert_response_has(f, rows[i].code);
        assert_response_has(f, "no rollout runs; use \\\"start\\\"");
    }
    f->fake.answer = OK;
    assert_int_equal(ask(f, "POST /api/v1/routes/other/abort HTTP/1.1\r\n" HOST JSON LAST), 404);
    assert_response_has(f, "no route other");
}

static void reload_reaches_the_host(void **state)
{
    struct fixture *f = *state;
    f->fake.why = "1 route changed";
    assert_int_equal(ask(f, "POST /api/v1/reload HTTP/1.1\r\n" HOST JSON LAST), 200);
    assert_response_has(f, "1 route changed");
    assert_int_equal(f->fake.reloads, 1);
    f->fake.answer = ERR_INVALID;
    assert_int_equal(ask(f, "POST /api/v1/reload HTTP/1.1\r\n" HOST JSON LAST), 400);
    assert_response_has(f, "bad_configuration");
}

static const struct {
    const char *fields;
    int status;
} forgeries[] = {
    {HOST, 400},                                        /* no content type */
    {HOST "Content-Type: text/plain\r\n", 400},         /* what a form can send */
    {"Host: evil.example\r\n" JSON, 403},               /* DNS rebinding */
    {JSON, 403},                                        /* no Host */
    {HOST "Host: localhost\r\n" JSON, 403},             /* two of them */
    {HOST JSON "Origin: http://evil.example\r\n", 403}, /* a page of another site */
    {HOST JSON "Origin: null\r\n", 403},                /* a sandboxed one */
    {HOST JSON "Origin: http://localhost\r\n", 200},    /* our own */
};

static void forged_requests_change_nothing(void **state)
{
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(forgeries); i++) {
        char request[512];
        snprintf(request, sizeof request, "POST /api/v1/routes/my-web/abort HTTP/1.1\r\n%s" LAST,
                 forgeries[i].fields);
        if (ask(f, request) != forgeries[i].status)
            fail_msg("row %zu: %s", i, f->response);
        assert_int_equal(f->fake.verbs, forgeries[i].status == 200);
    }
}

static void a_token_is_asked_of_changes_alone(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(ask(f, "GET /api/v1/routes HTTP/1.1\r\n" HOST LAST), 200);
    assert_int_equal(ask(f, "GET /metrics HTTP/1.1\r\n" HOST LAST), 200);
    assert_int_equal(ask(f, POST_VERB("abort") LAST), 401);
    assert_response_has(f, "WWW-Authenticate: Bearer");
    assert_int_equal(ask(f, POST_VERB("abort") "Authorization: Bearer guess\r\n" LAST), 401);
    assert_int_equal(ask(f, "POST /api/v1/reload HTTP/1.1\r\n" HOST JSON LAST), 401);
    assert_int_equal(f->fake.verbs + f->fake.reloads, 0);
    assert_int_equal(ask(f, POST_VERB("abort") "Authorization: Bearer secret-of-the-test\r\n" LAST),
                     200);
    assert_int_equal(f->fake.verbs, 1);
}

static void read_log(struct fixture *f)
{
    FILE *log = fopen(f->log_file, "r");
    assert_non_null(log);
    size_t n = fread(f->response, 1, sizeof f->response - 1, log);
    f->response[n] = '\0';
    fclose(log);
}

static void every_change_leaves_a_line_without_the_token(void **state)
{
    struct fixture *f = *state;
    f->fake.why = "says \"no\"\nwhy=forged";
    f->fake.answer = ERR_CONFLICT;
    assert_int_equal(ask(f, POST_VERB("abort") "Authorization: Bearer secret-of-the-test\r\n"
                                               "Content-Length: 13\r\n" LAST "{\"who\":\"ada\"}"),
                     409);
    assert_int_equal(ask(f, "POST /api/v1/routes/a%20b%0Averb=forged/abort HTTP/1.1\r\n" HOST JSON
                            "Authorization: Bearer secret-of-the-test\r\n" LAST),
                     404);
    assert_int_equal(ask(f, POST_VERB("reset") "Authorization: Bearer guess\r\n" LAST), 401);
    read_log(f);
    assert_response_has(f, " admin verb=abort route=\"my-web\" who=\"ada\" result=\"conflict\"");
    assert_response_has(f, "admin_refused verb=reset reason=token");
    assert_null(strstr(f->response, "\nwhy=forged"));
    assert_null(strstr(f->response, "\nverb=forged"));
    assert_null(strstr(f->response, "secret-of-the-test"));
    assert_null(strstr(f->response, "guess"));
}

/* Bounds. */

static void large_requests_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const heads[] = {
        POST_VERB("abort") "Content-Length: 5000\r\n" LAST,
        POST_VERB("abort") "Content-Length: 99999999999999999999\r\n" LAST,
        "GET /healthz HTTP/1.1\r\n" HOST "X: ",
    };
    char *request = malloc(70000);
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        size_t len = strlen(heads[i]);
        memcpy(request, heads[i], len);
        memset(request + len, 'x', 12000);
        request[len + 12000] = '\0';
        int status = ask(f, request);
        if (status != 413 && status != 400)
            fail_msg("row %zu: %s", i, f->response);
    }
    free(request);
    assert_int_equal(f->fake.verbs, 0);
}

/* The deadline is absolute: a byte now and then does not put it off. */
static void slow_clients_are_closed(void **state)
{
    struct fixture *f = *state;
    int fd = dial(f->admin);
    static const char head[] = "GET /healthz HTTP/1.1\r\nX: ";
    send_all(f, fd, head, strlen(head));
    int64_t end = now_ms() + PATIENCE_MS;
    for (char c; recv(fd, &c, 1, MSG_DONTWAIT) != 0;) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        assert_true(now_ms() < end);
        send_all(f, fd, "x", 1);
        poll(&p, 1, 20);
    }
    close(fd);
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
}

static void idle_connections_do_not_lock_others_out(void **state)
{
    struct fixture *f = *state;
    int idle[80];
    for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
        idle[i] = dial(f->admin);
        turn(f);
    }
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
    for (size_t i = 0; i < ARRAY_LEN(idle); i++)
        close(idle[i]);
}

/* Events. */

#define FOLLOW "GET /api/v1/events HTTP/1.1\r\n" HOST "\r\n"

static int follow(struct fixture *f)
{
    int fd = dial(f->admin);
    send_all(f, fd, FOLLOW, strlen(FOLLOW));
    assert_true(receive_until(f, fd, "retry: 1000\n\n"));
    assert_response_has(f, "Content-Type: text/event-stream");
    return fd;
}

static void followers_get_every_event(void **state)
{
    struct fixture *f = *state;
    int first = follow(f), second = follow(f);
    admin_publish(f->admin, "WeightChanged", "{\"a\":1}");
    admin_publish(f->admin, "tick", "{\n}");
    assert_true(receive_until(f, first, "event: WeightChanged\ndata: {\"a\":1}\n\n"));
    assert_true(receive_until(f, second, "event: tick\ndata: {\ndata: }\n\n"));
    close(first);
    admin_publish(f->admin, "tick", "{\"b\":2}");
    assert_true(receive_until(f, second, "data: {\"b\":2}\n\n"));
    close(second);
    for (int i = 0; i < 10; i++) { /* nobody is left */
        turn(f);
        admin_publish(f->admin, "tick", "{}");
    }
}

/* A follower outlives the deadline that every other connection has. */
static void followers_stay(void **state)
{
    struct fixture *f = *state;
    int fd = follow(f), slow = dial(f->admin);
    receive_until(f, slow, NULL); /* closed at its deadline, which was later than the follower's */
    close(slow);
    admin_publish(f->admin, "tick", "{\"later\":1}");
    assert_true(receive_until(f, fd, "{\"later\":1}"));
    close(fd);
}

static void followers_are_bounded_in_number(void **state)
{
    struct fixture *f = *state;
    int fds[16];
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = follow(f);
    assert_int_equal(ask(f, "GET /api/v1/events HTTP/1.1\r\n" HOST LAST), 503);
    assert_response_has(f, "too_many_followers");
    close(fds[0]);
    for (int64_t end = now_ms() + PATIENCE_MS; now_ms() < end;) {
        fds[0] = dial(f->admin);
        send_all(f, fds[0], FOLLOW, strlen(FOLLOW));
        if (receive_until(f, fds[0], "\r\n\r\n") && strstr(f->response, "200 OK"))
            break;
        close(fds[0]);
    }
    assert_response_has(f, "200 OK");
    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

static void a_follower_that_does_not_read_is_dropped(void **state)
{
    struct fixture *f = *state;
    static char large[32768];
    memset(large, 'x', sizeof large - 1);
    int deaf = follow(f), good = follow(f);
    bool is_dropped = false;
    for (int64_t end = now_ms() + PATIENCE_MS; !is_dropped && now_ms() < end;) {
        admin_publish(f->admin, "tick", large);
        admin_publish(f->admin, "mark", "{}");
        assert_true(receive_until(f, good, "event: mark\n"));
        struct pollfd p = {.fd = deaf, .events = POLLRDHUP};
        is_dropped = poll(&p, 1, 0) > 0 && (p.revents & (POLLRDHUP | POLLHUP | POLLERR));
    }
    assert_true(is_dropped);
    close(deaf);
    close(good);
}

/* Start and stop. */

static void a_unix_socket_serves_and_goes(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    struct stat st;
    char bind_text[128], *path = bind_text + 5;
    snprintf(bind_text, sizeof bind_text, "unix:%s/admin", f->directory);
    admin_stop(f->admin);
    f->admin = start(f, bind_text, NULL, &why);
    if (!f->admin)
        fail_msg("%s", why.text);
    assert_string_equal(admin_address(f->admin), bind_text);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(ask(f, "POST /api/v1/routes/my-web/abort HTTP/1.1\r\n" JSON LAST), 200);

    /* A living socket is not taken away, */
    assert_null(start(f, bind_text, NULL, &why));
    assert_non_null(strstr(why.text, "another process listens"));
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
    admin_stop(f->admin);
    assert_int_equal(stat(path, &st), -1);

    /* what is no socket neither, */
    FILE *file = fopen(path, "w");
    fclose(file);
    f->admin = start(f, bind_text, NULL, &why);
    assert_null(f->admin);
    assert_non_null(strstr(why.text, "is not a socket"));
    unlink(path);

    /* but the file of a dead process is. */
    struct wire_addr a;
    assert_int_equal(wire_addr_parse(&a, bind_text, NULL), OK);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)(void *)a.bytes, a.len), 0);
    close(dead);
    f->admin = start(f, bind_text, NULL, &why);
    assert_non_null(f->admin);
}

static void bad_setups_are_refused(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    assert_null(start(f, "nonsense", NULL, &why));
    assert_non_null(strstr(why.text, "admin.bind nonsense"));
    assert_null(start(f, "127.0.0.1:0", "", &why));
    assert_non_null(strstr(why.text, "empty"));
    assert_null(start(f, "0.0.0.0:0", NULL, &why));
    assert_non_null(strstr(why.text, "token_file"));
    assert_null(start(f, admin_address(f->admin), NULL, &why));
    assert_non_null(strstr(why.text, "cannot bind"));
    assert_null(start(f, "unix:/nonexistent/directory/admin", NULL, &why));
}

static void reading_from_outside_needs_the_token(void **state)
{
    struct fixture *f = *state;
    struct why why = {""};
    struct admin *loopback = f->admin;
    f->admin = start(f, "0.0.0.0:0", "secret", &why);
    assert_non_null(f->admin);
    /* dialling 0.0.0.0 reaches this machine */
    assert_int_equal(ask(f, "GET /api/v1/routes HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /metrics HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /api/v1/events HTTP/1.1\r\n" HOST LAST), 401);
    assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\n" HOST LAST), 200);
    assert_int_equal(
        ask(f, "GET /metrics HTTP/1.1\r\n" HOST "Authorization: Bearer secret\r\n" LAST), 200);
    admin_stop(f->admin);
    f->admin = loopback;
}

/* Under ASan this also shows that nothing is used or leaked after the end. */
static void stopping_closes_everything(void **state)
{
    struct fixture *f = *state;
    struct why why;
    int follower = follow(f), half = dial(f->admin), idle = dial(f->admin);
    send_all(f, half, "GET / HT", 8);
    admin_publish(f->admin, "tick", "{}");
    admin_stop(f->admin);
    f->admin = NULL;
    turn(f);
    assert_false(receive_until(f, follower, NULL));
    assert_false(receive_until(f, half, NULL));
    assert_false(receive_until(f, idle, NULL));
    close(follower);
    close(half);
    close(idle);
    f->admin = start(f, "[::1]:0", NULL, &why);
    if (f->admin) /* not every machine has IPv6 */
        assert_int_equal(ask(f, "GET /healthz HTTP/1.1\r\nHost: [::1]\r\n" LAST), 200);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(resources_answer_as_the_table_says),
        CASE(not_ready_is_503),
        CASE(requests_follow_each_other_on_a_connection),
        CASE(every_verb_reaches_the_host),
        CASE(the_body_says_full_and_who),
        CASE(bad_bodies_change_nothing),
        CASE(the_hosts_refusals_have_their_status),
        CASE(reload_reaches_the_host),
        CASE(forged_requests_change_nothing),
        cmocka_unit_test_setup_teardown(a_token_is_asked_of_changes_alone, set_up_token, tear_down),
        cmocka_unit_test_setup_teardown(every_change_leaves_a_line_without_the_token, set_up_token,
                                        tear_down),
        CASE(large_requests_are_refused),
        CASE(slow_clients_are_closed),
        CASE(idle_connections_do_not_lock_others_out),
        CASE(followers_get_every_event),
        CASE(followers_stay),
        CASE(followers_are_bounded_in_number),
        CASE(a_follower_that_does_not_read_is_dropped),
        CASE(a_unix_socket_serves_and_goes),
        CASE(bad_setups_are_refused),
        CASE(reading_from_outside_needs_the_token),
        CASE(stopping_closes_everything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
