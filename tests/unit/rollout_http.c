/* Tests what the HTTP client says of answers, good and bad.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout_http.h"

#include <curl/curl.h>
#include <fcntl.h>

static void ask(struct fixture *f, struct call *c, const char *path)
{
    start_path(f, c, path);
    UNTIL(f, c->told);
    some_turns(f);
    assert_int_equal(c->told, 1);
}

/* Good answers. */

static void every_whole_answer_has_a_status(void **state)
{
    static const struct {
        const char *path;
        unsigned status;
        const char *body;
    } rows[] = {
        {"/status/200", 200, "code 200"}, {"/status/204", 204, ""},
        {"/status/302", 302, "code 302"}, {"/status/404", 404, "code 404"},
        {"/status/500", 500, "code 500"}, {"/whole/0", 200, ""},
        {"/whole/3", 200, "xxx"},         {"/pieces/5", 200, "xxxxx"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c = {0};
        ask(f, &c, rows[i].path);
        assert_int_equal(c.status, rows[i].status);
        assert_string_equal(c.error, "");
        assert_string_equal(c.body, rows[i].body);
        assert_int_equal(c.len, strlen(rows[i].body));
        assert_int_equal(f->requests, i + 1); /* no redirect followed */
        forget(&c);
    }
    assert_int_equal(f->connections, 1); /* and one connection for all */
}

static void a_call_says_who_asks_and_what(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[128];
    ask(f, &c, "/status/200");
    assert_string_equal(f->method, "GET");
    assert_string_equal(f->agent, "serin/" SERIN_VERSION);
    assert_string_equal(f->type, "");
    assert_string_equal(f->credentials, "");
    forget(&c);

    char json[] = "{\"a\":1}";
    (void)snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%u/status/200?q=1", f->port);
    start_within(f, &c, url, json, PATIENCE_MS);
    memset(url, 'x', sizeof url - 1); /* everything was copied */
    memset(json, 'x', sizeof json - 1);
    UNTIL(f, c.told);
    assert_int_equal(c.status, 200);
    assert_string_equal(f->method, "POST");
    assert_string_equal(f->type, "application/json");
    assert_string_equal(f->body, "{\"a\":1}");
    assert_string_equal(f->path, "/status/200?q=1");
    assert_string_equal(f->credentials, "Basic dXNlcjpzZWNyZXQ=");
    forget(&c);

    start_within(f, &c, "HTTP://127.0.0.1:1/", "", PATIENCE_MS); /* a scheme in capitals is one */
    UNTIL(f, c.told);
    assert_non_null(strstr(c.error, "cannot connect: Connection refused"));
    forget(&c);
}

/* No wait for a "100 Continue", no piece lost. */
static void a_large_question_goes_out_whole(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[64];
    size_t len = 3u << 20;
    char *body = malloc(len + 1);
    memset(body, '1', len);
    body[len] = '\0';
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/hold", f->port);
    start_within(f, &c, url, body, PATIENCE_MS);
    free(body);
    UNTIL(f, f->held_count == 1);
    assert_int_equal(evbuffer_get_length(evhttp_request_get_input_buffer(f->held[0])), len);
    assert_null(evhttp_find_header(evhttp_request_get_input_headers(f->held[0]), "Expect"));
    release_held(f);
    UNTIL(f, c.told);
    assert_int_equal(c.status, 200);
    forget(&c);
}

static void an_answer_has_a_bound(void **state)
{
    struct fixture *f = *state;
    static const char *const kinds[] = {"whole", "pieces"};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct call c = {0};
        char path[64];
        (void)snprintf(path, sizeof path, "/%s/%u", kinds[i], HTTP_ANSWER_MAX);
        ask(f, &c, path);
        assert_int_equal(c.status, 200);
        assert_int_equal(c.len, HTTP_ANSWER_MAX);
        assert_int_equal(strspn(c.body, "x"), HTTP_ANSWER_MAX);
        forget(&c);

        (void)snprintf(path, sizeof path, "/%s/%u", kinds[i], HTTP_ANSWER_MAX + 1);
        ask(f, &c, path);
        assert_int_equal(c.status, 0);
        assert_int_equal(c.len, 0);
        assert_string_equal(c.body, "");
        assert_string_equal(c.error, "the answer has more than 262144 bytes");
        forget(&c);
    }
}

/* A second process must not inherit a connection. */
static void connections_close_on_exec(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    unsigned ours = 0;
    start_path(f, &c, "/hold");
    UNTIL(f, f->held_count == 1);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in a = {0};
        socklen_t len = sizeof a;
        if (getpeername(fd, (struct sockaddr *)(void *)&a, &len) != 0 || a.sin_family != AF_INET ||
            ntohs(a.sin_port) != f->port)
            continue;
        ours++;
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    }
    assert_int_equal(ours, 1);
    release_held(f);
    UNTIL(f, c.told);
    forget(&c);
}

/* Bad answers. */

#define HEAD_OF(length) "HTTP/1.1 200 OK\r\nContent-Length: " #length "\r\n\r\n"
#define CHUNKED         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void ask_the_bad_server(struct fixture *f, const struct script *script, uint32_t timeout_ms)
{
    struct call c = {0};
    char url[128];
    f->script = *script;
    f->raw_requests = 0;
    (void)snprintf(url, sizeof url, "http://user:secret@127.0.0.1:%u/path?token=secret",
                   f->raw_port);
    start_within(f, &c, url, "{}", timeout_ms);
    UNTIL(f, c.told);
    some_turns(f);
    assert_int_equal(c.told, 1);
    if (c.status != 0 || c.len != 0 || c.body[0] || !strstr(c.error, script->error))
        fail_msg("after \"%.60s\": %u, %s", script->bytes, c.status, c.error);
    if (strstr(c.error, "secret") || strstr(c.error, "user") || strstr(c.error, "path"))
        fail_msg("a part of the URL: %s", c.error);
    forget(&c);
}

static void bad_answers_are_errors(void **state)
{
    static const struct script rows[] = {
        {"", THEN_CLOSE, "closed without an answer"},
        {"", THEN_RESET, "the connection broke"},
        {"HTTP/1.1 200 O", THEN_RESET, "the connection broke"},
        {HEAD_OF(10) "abc", THEN_CLOSE, "ended before it was whole"},
        {HEAD_OF(10) "abc", THEN_RESET, "the connection broke"},
        {CHUNKED "3\r\nabc\r\n", THEN_CLOSE, "ended before it was whole"},
        {CHUNKED "zz\r\nabc\r\n", THEN_CLOSE, ""},
        {"good day\r\n\r\n", THEN_CLOSE, "does not speak HTTP"},
        {"SSH-2.0-OpenSSH_9.2p1\r\n", THEN_KEEP, "does not speak HTTP"},
        {"HTTP/1.1 000 No\r\nContent-Length: 0\r\n\r\n", THEN_CLOSE, "does not speak HTTP"},
        {HEAD_OF(262145), THEN_KEEP, "more than 262144 bytes"}, /* at once */
        {HEAD_OF(-5) "abc", THEN_CLOSE, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ask_the_bad_server(*state, &rows[i], PATIENCE_MS);
}

/* The timeout is for all of it: a byte now and then does not put it off. */
static void slow_answers_end_at_the_timeout(void **state)
{
    static const struct script rows[] = {
        {"", THEN_KEEP, "no whole answer within 100 ms"},
        {"HTTP/1.1 200 OK\r\nX: ", THEN_DRIBBLE, "no whole answer within 100 ms"},
        {HEAD_OF(200000) "abc", THEN_KEEP, "no whole answer within 100 ms"},
        {HEAD_OF(200000), THEN_DRIBBLE, "no whole answer within 100 ms"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ask_the_bad_server(*state, &rows[i], 100);
}

static void endless_heads_are_errors(void **state)
{
    static const char field[] = "X-Field: 0123456789012345678901234567890123456789\r\n";
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    char *bytes = malloc(200000);
    strcpy(bytes, "HTTP/1.1 200 OK\r\n");
    for (size_t n = strlen(bytes); n < 100000; n += sizeof field - 1)
        strcpy(bytes + n, field);
    struct script script = {bytes, THEN_KEEP, "the head of the answer has more than 65536 bytes"};
    ask_the_bad_server(*state, &script, PATIENCE_MS);
    for (size_t n = 0; n < 100000; n += sizeof interim - 1)
        strcpy(bytes + n, interim);
    ask_the_bad_server(*state, &script, PATIENCE_MS);
    free(bytes);
}

/* Servers close idle connections as they like; a call that meets one is made anew. */
static void a_kept_connection_that_was_closed_is_no_error(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/", f->raw_port);
    f->script = (struct script){.bytes = HEAD_OF(0), .then = THEN_KEEP};
    for (unsigned i = 1; i <= 3; i++) {
        start_within(f, &c, url, NULL, PATIENCE_MS);
        UNTIL(f, c.told);
        assert_int_equal(c.status, 200);
        assert_int_equal(f->raw_connections, i);
        raw_drop(f, f->raw_connection);
        forget(&c);
    }
    f->script.then = THEN_ONCE; /* seen only once the request is out */
    for (unsigned i = 4; i <= 6; i++) {
        start_within(f, &c, url, "{}", PATIENCE_MS);
        UNTIL(f, c.told);
        assert_int_equal(c.status, 200);
        assert_int_equal(f->raw_connections, i);
        forget(&c);
    }
}

static void names_are_resolved_off_the_loop(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[64];
    assert_true(curl_version_info(CURLVERSION_NOW)->features & CURL_VERSION_ASYNCHDNS);
    (void)snprintf(url, sizeof url, "http://here.invalid:%u/status/200", f->port);
    start_within(f, &c, url, NULL, PATIENCE_MS);
    UNTIL(f, c.told);
    assert_int_equal(c.status, 200);
    forget(&c);
}

static void urls_that_are_none_are_errors(void **state)
{
    static const struct {
        const char *url, *error;
    } rows[] = {
        {"", "does not begin with http"},
        {"127.0.0.1/secret", "does not begin with http"},
        {"ftp://user:secret@127.0.0.1/", "does not begin with http"},
        {"file:///etc/secret", "does not begin with http"},
        {"http:/127.0.0.1/secret", "does not begin with http"},
        {"http://", "URL is not valid"},
        {"http://user:secret@", "URL is not valid"},
        {"http://127.0.0.1:99999/secret", "URL is not valid"},
        {"http://127.0.0.1:secret/", "URL is not valid"},
        {"http://127.0.0.1/secret\r\nX: y", "URL is not valid"},
        {"http://nosuch.invalid/secret", "name cannot be resolved"},
        {"http://127.0.0.1:1/secret", "cannot connect: Connection refused"},
        {"https://127.0.0.1:1/secret", "cannot connect: Connection refused"},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c = {0};
        start_within(f, &c, rows[i].url, NULL, PATIENCE_MS);
        UNTIL(f, c.told);
        if (c.status != 0 || !strstr(c.error, rows[i].error) || strstr(c.error, "secret"))
            fail_msg("%s: %u, %s", rows[i].url, c.status, c.error);
        forget(&c);
    }
    assert_int_equal(f->requests, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_whole_answer_has_a_status),
        CASE(a_call_says_who_asks_and_what),
        CASE(a_large_question_goes_out_whole),
        CASE(an_answer_has_a_bound),
        CASE(connections_close_on_exec),
        CASE(bad_answers_are_errors),
        CASE(slow_answers_end_at_the_timeout),
        CASE(endless_heads_are_errors),
        CASE(a_kept_connection_that_was_closed_is_no_error),
        CASE(names_are_resolved_off_the_loop),
        CASE(urls_that_are_none_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
