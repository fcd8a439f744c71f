/* Tests the client against a server that answers canned bytes, and the commands' exit codes on top
 * of it.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/cli/cli.h"
#include "rollout/cli/client.h"
#include "rollout/cli/options.h"

#include <arpa/inet.h>
#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"

/* Answers one connection after the other with the next canned text; the last one again and again.
 */
struct server {
    int listener;
    char address[128];
    const char *answers[8];
    size_t large_bytes; /* instead of the answers: a head and this many bytes */
    atomic_uint served;
    char request[8192]; /* the last one, head and body */
    pthread_t thread;
};

static void read_request(struct server *s, int fd)
{
    size_t len = 0, want = SIZE_MAX;
    while (len < want && len < sizeof s->request - 1) {
        ssize_t n = recv(fd, s->request + len, sizeof s->request - 1 - len, 0);
        if (n <= 0)
            break;
        len += (size_t)n;
        s->request[len] = '\0';
        const char *end = strstr(s->request, "\r\n\r\n");
        const char *body = strstr(s->request, "Content-Length: ");
        if (end)
            want = (size_t)(end + 4 - s->request) + (body ? (size_t)atoi(body + 16) : 0);
    }
}

static void *serve(void *arg)
{
    struct server *s = arg;
    size_t next = 0;
    for (int fd; (fd = accept(s->listener, NULL, NULL)) >= 0; close(fd)) {
        const char *answer = s->answers[next];
        read_request(s, fd);
        if (s->large_bytes) {
            static char block[65536];
            (void)send(fd, OK_HEAD, strlen(OK_HEAD), MSG_NOSIGNAL);
            for (size_t sent = 0; sent < s->large_bytes; sent += sizeof block)
                if (send(fd, block, sizeof block, MSG_NOSIGNAL) <= 0)
                    break;
        } else {
            (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
        }
        shutdown(fd, SHUT_WR);
        atomic_fetch_add(&s->served, 1);
        if (next + 1 < ARRAY_LEN(s->answers) && s->answers[next + 1])
            next++;
    }
    return NULL;
}

static void start(struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(s->listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(s->listener, 8) == 0);
    CHECK(getsockname(s->listener, (struct sockaddr *)&a, &len) == 0);
    snprintf(s->address, sizeof s->address, "http://127.0.0.1:%u", ntohs(a.sin_port));
    CHECK(pthread_create(&s->thread, NULL, serve, s) == 0);
}

static void stop(struct server *s)
{
    shutdown(s->listener, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->listener);
}

static enum err ask_once(struct server *s, const char *path, const char *body, struct why *why)
{
    cJSON *json = NULL;
    start(s);
    struct client *c = client_open(s->address, "token-1", why);
    assert_non_null(c);
    enum err e = client_ask(c, path, body, &json, why);
    cJSON_Delete(json);
    client_close(c);
    stop(s);
    return e;
}

static const struct {
    const char *answer;
    enum err e;
    const char *why; /* in the reason */
} answers[] = {
    {OK_HEAD "{\"a\":1}", OK, ""},
    {OK_HEAD "[]\n", OK, ""},
    {OK_HEAD "\"text\"", ERR_INVALID, "is not serin's admin port"},
    {OK_HEAD "{\"a\":", ERR_INVALID, "is not serin's admin port"},
    {OK_HEAD, ERR_INVALID, "is not serin's admin port"},
    {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", ERR_INVALID,
     "is not serin's admin port"},
    {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
     ERR_INVALID, "it answers 302"},
    {"HTTP/1.1 404 Not Found\r\n\r\n{\"error\":{\"code\":\"unknown_route\",\"message\":\"no x\"}}",
     ERR_NOT_FOUND, "no x"},
    {"HTTP/1.1 503 Service Unavailable\r\n\r\n{\"error\":{\"message\":\"ask again\"}}", ERR_IO,
     "ask again"},
    {"HTTP/1.1 409 Conflict\r\n\r\n{\"error\":{\"message\":\"use \\u001b[1mundo\"}}", ERR_CONFLICT,
     "use ?[1mundo"},
    {"HTTP/1.1 401 Unauthorized\r\n\r\n{\"error\":{\"message\":\"token\"}}", ERR_INVALID,
     "token (SERIN_TOKEN or --token-file FILE)"},
    {"HTTP/1.1 500 Oops\r\n\r\n{\"error\":{\"message\":\"state not written\"}}", ERR_INVALID,
     "state not written"},
    {"", ERR_IO, "cannot reach serin at http://127.0.0.1:"},
    {"SSH-2.0-OpenSSH_9\r\n", ERR_IO, "cannot reach serin at"},
};

static void answers_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct server s = {.answers = {answers[i].answer}};
        struct why why = {""};
        enum err e = ask_once(&s, "/x", NULL, &why);
        if (e != answers[i].e || !strstr(why.text, answers[i].why))
            fail_msg("row %zu: %s (%s)", i, err_text(e), why.text);
    }
}

#define TAKING_OVER                                                                                \
    "HTTP/1.1 503 Service Unavailable\r\n\r\n"                                                     \
    "{\"error\":{\"code\":\"taking_over\",\"message\":\"another process\"}}"

static void a_takeover_is_waited_for(void **state)
{
    (void)state;
    struct server s = {.answers = {TAKING_OVER, TAKING_OVER, OK_HEAD "{\"a\":1}"}};
    struct why why = {""};
    assert_int_equal(ask_once(&s, "/x", "{\"full\":true}", &why), OK);
    assert_int_equal(atomic_load(&s.served), 3);
    assert_non_null(strstr(s.request, "POST /x "));
    assert_non_null(strstr(s.request, "{\"full\":true}"));
}

static void a_takeover_is_not_waited_for_for_ever(void **state)
{
    (void)state;
    struct server s = {.answers = {TAKING_OVER}};
    struct why why = {""};
    assert_int_equal(ask_once(&s, "/x", NULL, &why), ERR_IO);
    assert_int_equal(atomic_load(&s.served), 50);
    assert_string_equal(why.text, "another process");
}

static bool stop_at_the_third(void *arg)
{
    struct server *s = arg;
    return atomic_load(&s->served) >= 3;
}

static void who_waits_for_a_takeover_can_be_interrupted(void **state)
{
    (void)state;
    struct server s = {.answers = {TAKING_OVER}};
    struct why why = {""};
    cJSON *json = NULL;
    start(&s);
    struct client *c = client_open(s.address, "", &why);
    client_set_stop(c, stop_at_the_third, &s);
    assert_int_equal(client_ask(c, "/x", NULL, &json, &why), ERR_CLOSED);
    assert_null(json);
    client_close(c);
    stop(&s);
    assert_int_equal(atomic_load(&s.served), 3);
}

static void an_endless_answer_is_cut_off(void **state)
{
    (void)state;
    struct server s = {.large_bytes = 64u * 1024 * 1024};
    struct why why = {""};
    assert_int_equal(ask_once(&s, "/x", NULL, &why), ERR_LIMIT);
    assert_non_null(strstr(why.text, "answers with more than"));
}

static void requests_carry_token_and_type(void **state)
{
    (void)state;
    struct server s = {.answers = {OK_HEAD "{}"}};
    assert_int_equal(ask_once(&s, "/api/v1/reload", "{\"who\":\"a\"}", NULL), OK);
    assert_int_equal(strncmp(s.request, "POST /api/v1/reload HTTP/1.1\r\n", 30), 0);
    assert_non_null(strstr(s.request, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(s.request, "\r\nAuthorization: Bearer token-1\r\n"));
    assert_non_null(strstr(s.request, "\r\n\r\n{\"who\":\"a\"}"));
    struct server get = {.answers = {OK_HEAD "{}"}};
    assert_int_equal(ask_once(&get, "/api/v1/routes/..", NULL, NULL), OK);
    assert_int_equal(strncmp(get.request, "GET /api/v1/routes/.. HTTP/1.1\r\n", 32), 0);
}

static void a_refused_connection_names_the_address(void **state)
{
    (void)state;
    struct server s = {.answers = {""}};
    struct why why = {""};
    cJSON *json;
    start(&s);
    stop(&s); /* its port is free now, and nobody listens there */
    struct client *c = client_open(s.address, "", &why);
    assert_int_equal(client_ask(c, "/", NULL, &json, &why), ERR_IO);
    assert_non_null(strstr(why.text, s.address));
    assert_non_null(strstr(why.text, "onnection refused"));
    assert_non_null(strstr(why.text, "--admin URL or SERIN_ADMIN"));
    assert_null(json);
    client_close(c);
}

static void addresses_are_checked(void **state)
{
    (void)state;
    static const char *const bad[] = {"", "ftp://x", "unix:relative", "unix:", "/run/serin"};
    static const char *const good[] = {"http://a:1", "https://a", "a:1", "[::1]:9900", "unix:/a"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct why why = {""};
        assert_null(client_open(bad[i], "", &why));
        assert_non_null(strstr(why.text, "admin address"));
    }
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        struct client *c = client_open(good[i], "", NULL);
        assert_non_null(c);
        client_close(c);
    }
}

static void routes_are_percent_encoded(void **state)
{
    (void)state;
    char path[CLIENT_PATH_MAX], longest[OPTIONS_ROUTE_MAX + 1];
    client_route_path(path, "my-web", NULL);
    assert_string_equal(path, "/api/v1/routes/my-web");
    client_route_path(path, "a/b c?#\xc3\xa9", "abort");
    assert_string_equal(path, "/api/v1/routes/a%2Fb%20c%3F%23%C3%A9/abort");
    memset(longest, '/', OPTIONS_ROUTE_MAX);
    longest[OPTIONS_ROUTE_MAX] = '\0';
    client_route_path(path, longest, "history");
    assert_int_equal(strlen(path), 15 + 3 * OPTIONS_ROUTE_MAX + 8);
}

#define STATUS(phase, state)                                                                       \
    OK_HEAD "{\"route\":\"my-web\",\"phase\":\"" phase "\",\"state\":\"" state "\"}"
#define REFUSED "HTTP/1.1 409 Conflict\r\n\r\n{\"error\":{\"message\":\"no\"}}"

static const struct {
    const char *words;
    const char *answers[3];
    int exit;
    const char *request; /* how the last one begins */
} commands[] = {
    {"status my-web", {STATUS("Healthy", "STABLE")}, 0, "GET /api/v1/routes/my-web "},
    {"status my-web --json", {STATUS("Progressing", "ANALYZING")}, 3, "GET "},
    {"status my-web", {STATUS("Degraded", "ABORTED")}, 4, "GET "},
    {"status my-web", {STATUS("Paused", "PAUSED")}, 5, "GET "},
    {"status my-web", {REFUSED}, 1, "GET "},
    {"status", {OK_HEAD "{\"routes\":[]}"}, 0, "GET /api/v1/routes "},
    {"wait my-web", {STATUS("Progressing", "BAKING"), STATUS("Healthy", "STABLE")}, 0, "GET "},
    {"wait my-web", {STATUS("Degraded", "ABORTING"), STATUS("Degraded", "ABORTED")}, 4, "GET "},
    {"wait my-web",
     {STATUS("Progressing", "BAKING"), STATUS("Degraded", "FAILED_PROMOTION")},
     4,
     "GET "},
    {"wait my-web --timeout 50ms", {STATUS("Paused", "PAUSED")}, 6, "GET "},
    {"wait my-web --json", {STATUS("Healthy", "STABLE")}, 0, "GET "},
    {"wait my-web", {REFUSED}, 1, "GET "},
    {"status my-web --watch",
     {STATUS("Progressing", "BAKING"), STATUS("Degraded", "ABORTED")},
     4,
     "GET "},
    {"history my-web", {OK_HEAD "{\"history\":[]}"}, 0, "GET /api/v1/routes/my-web/history "},
    {"abort my-web", {OK_HEAD "{}"}, 0, "POST /api/v1/routes/my-web/abort "},
    {"promote my-web --full --json", {OK_HEAD "{}"}, 0, "POST /api/v1/routes/my-web/promote "},
    {"undo my-web", {REFUSED}, 1, "POST "},
    {"reload", {OK_HEAD "{}"}, 0, "POST /api/v1/reload "},
    {"notify", {OK_HEAD "{}"}, 0, "POST /api/v1/notifications/test "},
};

static void commands_have_their_exit_codes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        struct server s = {
            .answers = {commands[i].answers[0], commands[i].answers[1], commands[i].answers[2]}};
        char copy[128], *argv[8], *rest = copy;
        int argc = 0;
        snprintf(copy, sizeof copy, "%s", commands[i].words);
        for (char *word; (word = strsep(&rest, " "));)
            argv[argc++] = word;
        argv[argc] = NULL;
        start(&s);
        setenv("SERIN_ADMIN", s.address, 1);
        int code = cli_run(argv[0], argc, argv);
        stop(&s);
        if (code != commands[i].exit ||
            strncmp(s.request, commands[i].request, strlen(commands[i].request)) != 0)
            fail_msg("%s: %d, expected %d; asked %s", commands[i].words, code, commands[i].exit,
                     s.request);
    }
    unsetenv("SERIN_ADMIN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_told_apart),
        cmocka_unit_test(a_takeover_is_waited_for),
        cmocka_unit_test(a_takeover_is_not_waited_for_for_ever),
        cmocka_unit_test(who_waits_for_a_takeover_can_be_interrupted),
        cmocka_unit_test(an_endless_answer_is_cut_off),
        cmocka_unit_test(requests_carry_token_and_type),
        cmocka_unit_test(a_refused_connection_names_the_address),
        cmocka_unit_test(addresses_are_checked),
        cmocka_unit_test(routes_are_percent_encoded),
        cmocka_unit_test(commands_have_their_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
