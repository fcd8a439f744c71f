/* Tests the resources and the changes of the admin port over its own socket, with a fake host.
 * SPDX-License-Identifier: Apache-2.0 */
#include "control_admin_fixture.h"

/* Resources. */

static const struct {
    const char *request;
    int status;
    const char *text; /* in the answer */
} readings[] = {
    {"GET / HTTP/1.1\r\n" HOST LAST, 200, "Content-Type: text/html; charset=utf-8"},
    {"GET / HTTP/1.1\r\n" HOST LAST, 200, "script-src 'self'; style-src 'self'"},
    {"GET /page/app.js HTTP/1.1\r\n" HOST LAST, 200, "Content-Type: text/javascript"},
    {"GET /page/style.css HTTP/1.1\r\n" HOST LAST, 200, "Cache-Control: no-cache\r\n"},
    {"HEAD /page/icon.svg HTTP/1.1\r\n" HOST LAST, 200, "ETag: \""},
    {"GET /healthz HTTP/1.1\r\n" HOST LAST, 200, "\r\n\r\nok\n"},
    {"GET /readyz HTTP/1.1\r\n" HOST LAST, 200, "\r\n\r\nready\n"},
    {"GET /metrics HTTP/1.1\r\n" HOST LAST, 200, "text/plain; version=0.0.4; charset=utf-8"},
    {"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text;version=1.0.0;q=0.5,"
     "text/plain;q=0.4\r\n" HOST LAST,
     200, "# EOF\n"},
    {"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; q=0, */*\r\n" HOST LAST, 200,
     "text/plain; version=0.0.4"},
    {"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; q=0.4, "
     "text/plain;q=0.5\r\n" HOST LAST,
     200, "text/plain; version=0.0.4"},
    {"GET /metrics HTTP/1.1\r\nAccept: */*;q=0.2, application/openmetrics-text; q=0.3\r\n" HOST
         LAST,
     200, "# EOF\n"},
    {"GET /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "{\"routes\":[{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my-web HTTP/1.1\r\n" HOST LAST, 200, "{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my%2Dweb HTTP/1.1\r\n" HOST LAST, 200, "{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my-web?x=1 HTTP/1.1\r\n" HOST LAST, 200, "{\"route\":\"my-web\""},
    {"GET /api/v1/routes/my-web/history HTTP/1.1\r\n" HOST LAST, 200, "\r\n\r\n{\"history\":[]}\n"},
    {"GET /api/v1/routes/my-web/endpoints HTTP/1.1\r\n" HOST LAST, 200, "\"endpoints\":[]"},
    {"GET /api/v1/routes/my-web/series HTTP/1.1\r\n" HOST LAST, 200, "\"points\":[]"},
    {"HEAD /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "X-Content-Type-Options: nosniff"},
    {"HEAD /api/v1/events HTTP/1.1\r\n" HOST LAST, 200, "text/event-stream"},
    {"GET /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "Cache-Control: no-store"},
    {"GET /api/v1/routes HTTP/1.1\r\n" HOST LAST, 200, "Content-Type: application/json\r\n"},
    /* what is not there */
    {"GET /nothing HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1 HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1/routes/ HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /api/v1/routes/other HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"unknown_route\""},
    {"GET /api/v1/routes/other/series HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"unknown_route\""},
    {"GET /api/v1/routes/other/endpoints HTTP/1.1\r\n" HOST LAST, 404, "unknown_route"},
    {"GET /page/ HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /page/../admin.c HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"GET /page/index.html HTTP/1.1\r\n" HOST LAST, 404, "\"code\":\"not_found\""},
    {"POST /page/app.js HTTP/1.1\r\n" HOST JSON LAST, 405, "Allow: GET, HEAD\r\n"},
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
    {"GET /api/v1/notifications/test HTTP/1.1\r\n" HOST LAST, 405,
     "\"code\":\"method_not_allowed\""},
    {"POST /api/v1/notifications/test HTTP/1.1\r\n" HOST LAST, 400, "\"code\":\"not_json\""},
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
    assert_int_equal(f->fake.verbs + f->fake.reloads + f->fake.notifies, 0);
}

static void a_browser_that_has_a_file_gets_304(void **state)
{
    struct fixture *f = *state;
    char request[256], tag[64] = "";
    assert_int_equal(ask(f, "GET /page/app.js HTTP/1.1\r\n" HOST LAST), 200);
    assert_int_equal(sscanf(strstr(f->response, "ETag: "), "ETag: %63s", tag), 1);
    snprintf(request, sizeof request,
             "GET /page/app.js HTTP/1.1\r\n" HOST "If-None-Match: W/\"x\", %s\r\n" LAST, tag);
    assert_int_equal(ask(f, request), 304);
    assert_string_equal(body(f), "");
    snprintf(request, sizeof request,
             "GET /page/api.js HTTP/1.1\r\n" HOST "If-None-Match: %s\r\n" LAST, tag);
    assert_int_equal(ask(f, request), 200);
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

static void a_test_of_notifications_reaches_the_host(void **state)
{
    struct fixture *f = *state;
    f->fake.why = "a test is on its way to 2 receivers";
    assert_int_equal(ask(f, "POST /api/v1/notifications/test HTTP/1.1\r\n" HOST JSON LAST), 200);
    assert_response_has(f, "\"verb\":\"notify\"");
    assert_response_has(f, "2 receivers");
    assert_int_equal(f->fake.notifies, 1);
    assert_int_equal(f->fake.reloads, 0);
    f->fake.answer = ERR_CONFLICT;
    assert_int_equal(ask(f, "POST /api/v1/notifications/test HTTP/1.1\r\n" HOST JSON LAST), 409);
}

static void reload_reaches_the_host(void **state)
{
    struct fixture *f = *state;
    f->fake.why = "1 route changed";
    assert_int_equal(ask(f, "POST /api/v1/reload HTTP/1.1\r\n" HOST JSON LAST), 200);
    assert_response_has(f, "1 route changed");
    assert_response_has(f, "\"changes\":[\"first line\",\"second line\"]");
    assert_int_equal(f->fake.reloads, 1);
    f->fake.answer = ERR_INVALID;
    assert_int_equal(ask(f, "POST /api/v1/reload HTTP/1.1\r\n" HOST JSON LAST), 400);
    assert_response_has(f, "bad_configuration");
    assert_response_has(f, "\"errors\":[\"first line\",\"second line\"]");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(resources_answer_as_the_table_says),
        CASE(a_browser_that_has_a_file_gets_304),
        CASE(not_ready_is_503),
        CASE(requests_follow_each_other_on_a_connection),
        CASE(every_verb_reaches_the_host),
        CASE(the_body_says_full_and_who),
        CASE(bad_bodies_change_nothing),
        CASE(the_hosts_refusals_have_their_status),
        CASE(a_test_of_notifications_reaches_the_host),
        CASE(reload_reaches_the_host),
        CASE(forged_requests_change_nothing),
        cmocka_unit_test_setup_teardown(a_token_is_asked_of_changes_alone, set_up_token, tear_down),
        cmocka_unit_test_setup_teardown(every_change_leaves_a_line_without_the_token, set_up_token,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
