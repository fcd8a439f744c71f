/* Tests the client of the API server against raw answers: what is tried again, what is not, what is said.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kube_server.h"
#include "rollout/kube/command.h"
#include "rollout/kube/wait.h"

#define PODS "/api/v1/namespaces/x/pods"
#define POD  PODS "/p"

struct call {
    struct kube_call *handle;
    unsigned told, status;
    bool is_unknown, has_json;
    char reason[64], error[WHY_MAX];
    char bytes[512];
    size_t len;
    unsigned news;
};

static void on_done(void *arg, const struct kube_answer *a)
{
    struct call *c = arg;
    c->told++;
    c->status = a->status;
    c->is_unknown = a->is_unknown;
    c->has_json = a->json != NULL;
    (void)snprintf(c->reason, sizeof c->reason, "%s", a->reason);
    (void)snprintf(c->error, sizeof c->error, "%s", a->error);
}

static void begin(struct server *s, struct call *c, enum kube_verb verb, const char *path,
                  const char *body)
{
    struct cJSON *json = body ? cJSON_Parse(body) : NULL;
    struct kube_ask ask = {.verb = verb, .path = path, .body = json, .done = on_done, .arg = c};
    memset(c, 0, sizeof *c);
    c->handle = kube_start(s->kube, &ask);
    assert_non_null(c->handle);
    assert_int_equal(c->told, 0); /* never from within */
    cJSON_Delete(json);
}

static void ask(struct server *s, struct call *c, enum kube_verb verb, const char *path,
                const char *body)
{
    begin(s, c, verb, path, body);
    UNTIL(s, c->told);
}

static void a_question_carries_token_type_and_body(void **state)
{
    struct server *s = *state;
    struct call c;
    serve_json(s, 200, "", "{\"kind\":\"Pod\"}\n");
    serve_json(s, 200, "", "{}");
    serve_json(s, 201, "", "{}");
    ask(s, &c, KUBE_GET, POD, NULL);
    assert_int_equal(c.status, 200);
    assert_true(c.has_json);
    assert_string_equal(c.error, "");
    assert_string_equal(s->asked[0].method, "GET");
    assert_string_equal(s->asked[0].path, POD);
    assert_string_equal(s->asked[0].authorization, "Bearer secret.token");
    ask(s, &c, KUBE_PATCH, POD, "{\"a\":null}");
    assert_string_equal(s->asked[1].method, "PATCH");
    assert_string_equal(s->asked[1].type, "application/merge-patch+json");
    assert_string_equal(s->asked[1].body, "{\"a\":null}");
    ask(s, &c, KUBE_POST, PODS, "{\"b\":[1]}");
    assert_string_equal(s->asked[2].type, "application/json");
    assert_int_equal(s->counted, 3);
}

static void a_write_has_a_connection_of_its_own(void **state)
{
    struct server *s = *state;
    struct call c;
    for (int i = 0; i < 5; i++)
        serve_json(s, 200, "", "{}");
    ask(s, &c, KUBE_GET, POD, NULL);
    ask(s, &c, KUBE_PUT, POD, "{}");
    ask(s, &c, KUBE_DELETE, POD, NULL);
    ask(s, &c, KUBE_GET, POD, NULL);
    assert_int_equal(s->asked[1].connection, 2);
    assert_int_equal(s->asked[2].connection, 3);
    assert_int_equal(s->asked[3].connection, 1); /* reads keep theirs */
}

static void a_read_is_asked_again_until_it_is_answered(void **state)
{
    struct server *s = *state;
    struct call c;
    serve_json(s, 500, "", "{\"kind\":\"Status\",\"message\":\"etcd\"}");
    serve_nothing(s);
    serve(s, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"half")->then = THEN_CLOSE;
    serve_json(s, 504, "", "{}");
    serve_json(s, 200, "", "{\"a\":1}");
    ask(s, &c, KUBE_GET, POD, NULL);
    assert_int_equal(c.status, 200);
    assert_int_equal(s->n_asked, 5);
    assert_int_equal(s->counted, 4); /* the second went the way of a kept connection's death */
    assert_int_equal(s->counted_none, 1);
}

static void a_write_is_never_sent_twice(void **state)
{
    struct server *s = *state;
    struct call c;
    serve_nothing(s);
    ask(s, &c, KUBE_PUT, POD, "{}");
    assert_int_equal(c.status, 0);
    assert_true(c.is_unknown);
    assert_string_equal(c.error,
                        "cannot update pods \"p\" in namespace x: the connection was closed "
                        "without an answer");
    serve_json(s, 500, "", "{\"message\":\"boom\",\"reason\":\"InternalError\"}");
    ask(s, &c, KUBE_POST, PODS, "{}");
    assert_int_equal(c.status, 500);
    assert_true(c.is_unknown);
    assert_string_equal(c.reason, "InternalError");
    assert_string_equal(c.error, "cannot create pods in namespace x: boom");
    assert_int_equal(s->n_asked, 2);
}

/* A kept connection that dies brings the read a new one, and a write is not on it at all. */
static void a_dead_connection_does_not_repeat_a_write(void **state)
{
    struct server *s = *state;
    struct call c;
    serve_json(s, 200, "", "{}")->then = THEN_CLOSE;
    serve_nothing(s);
    ask(s, &c, KUBE_GET, POD, NULL);
    ask(s, &c, KUBE_DELETE, POD, NULL);
    assert_true(c.is_unknown);
    assert_int_equal(s->n_asked, 2);
}

static void turned_away_it_waits_as_it_is_told(void **state)
{
    struct server *s = *state;
    struct call c;
    serve(s, "HTTP/1.1 429 Too Many Requests\r\nContent-Type: text/plain\r\nRetry-After: 1\r\n"
             "Content-Length: 43\r\n\r\nToo many requests, please try again later.\n");
    serve_json(s, 200, "", "{}");
    int64_t began = now_ms();
    ask(s, &c, KUBE_PUT, POD, "{}");
    assert_int_equal(c.status, 200);
    assert_true(now_ms() - began >= 1000);
    assert_string_equal(s->asked[1].body, "{}");
}

/* Longer than there is time: the answer stands, at once. */
static void a_wait_beyond_the_deadline_is_not_begun(void **state)
{
    struct server *s = *state;
    struct call c;
    serve_json(s, 503, "Retry-After: 60\r\n", "{\"message\":\"shutting down\"}");
    int64_t began = now_ms();
    ask(s, &c, KUBE_GET, POD, NULL);
    assert_int_equal(c.status, 503);
    assert_string_equal(c.error, "cannot get pods \"p\" in namespace x: shutting down");
    assert_true(now_ms() - began < 5000);
}

static void silence_ends_at_the_deadline(void **state)
{
    struct server *s = *state;
    struct call c = {0};
    struct kube_ask question = {
        .verb = KUBE_GET, .path = POD, .timeout_ms = 60, .done = on_done, .arg = &c};
    serve_silence(s);
    assert_non_null(kube_start(s->kube, &question));
    UNTIL(s, c.told);
    assert_int_equal(c.status, 0);
    assert_non_null(strstr(c.error, "no whole answer within"));
    question.verb = KUBE_PUT;
    serve_silence(s);
    c.told = 0;
    assert_non_null(kube_start(s->kube, &question));
    UNTIL(s, c.told);
    assert_true(c.is_unknown);
}

static void nobody_there_leaves_nothing_unknown(void **state)
{
    struct server *s = *state;
    struct call c = {0};
    struct kube_ask question = {
        .verb = KUBE_PUT, .path = POD, .timeout_ms = 300, .done = on_done, .arg = &c};
    evconnlistener_disable(s->listener);
    (void)shutdown(evconnlistener_get_fd(s->listener), SHUT_RDWR);
    assert_non_null(kube_start(s->kube, &question));
    UNTIL(s, c.told);
    assert_false(c.is_unknown);
    assert_non_null(strstr(c.error, "cannot update pods \"p\" in namespace x: cannot connect"));
    assert_true(s->counted > 1);
}

static void a_refused_token_is_read_again_once(void **state)
{
    struct server *s = *state;
    struct call c;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/token", s->directory);
    write_text(path, "old\n");
    use_user(s, "{tokenFile: token}");
    serve_json(s, 401, "", "{\"message\":\"Unauthorized\",\"reason\":\"Unauthorized\"}");
    serve_json(s, 200, "", "{}");
    begin(s, &c, KUBE_GET, POD, NULL);
    write_text(path, "new\n");
    UNTIL(s, c.told);
    assert_int_equal(c.status, 200);
    assert_string_equal(s->asked[0].authorization, "Bearer old");
    assert_string_equal(s->asked[1].authorization, "Bearer new");

    serve_json(s, 401, "", "{}");
    serve_json(s, 401, "", "{}");
    ask(s, &c, KUBE_PUT, POD, "{}");
    assert_int_equal(c.status, 401);
    assert_int_equal(s->n_asked, 4);
    assert_null(strstr(c.error, "new")); /* no token in a sentence */
    assert_non_null(strstr(c.error, "the server does not accept the credentials"));
}

static void an_early_denial_passes_and_a_quota_stands(void **state)
{
    struct server *s = *state;
    struct call c;
    static const char denied[] = "{\"reason\":\"Forbidden\",\"message\":\"pods is forbidden: User "
                                 "\\\"u\\\" cannot list resource\"}";
    serve_json(s, 403, "", denied);
    serve_json(s, 403, "", denied);
    serve_json(s, 200, "", "{}");
    ask(s, &c, KUBE_PATCH, POD, "{}");
    assert_int_equal(c.status, 200);
    serve_json(s, 403, "", "{\"reason\":\"Forbidden\",\"message\":\"exceeded quota: q\"}");
    ask(s, &c, KUBE_POST, PODS, "{}");
    assert_int_equal(c.status, 403);
    assert_int_equal(s->n_asked, 4);
}

static void a_command_runs_once_for_all_who_wait(void **state)
{
    struct server *s = *state;
    struct call a, b;
    char user[1024], path[128];
    (void)snprintf(path, sizeof path, "%s/ran", s->directory);
    (void)snprintf(user, sizeof user,
                   "{exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never,\n"
                   "    command: sh, env: [{name: SAYS, value: t0k}], args: [-c, 'echo x >> %s;\n"
                   "    printf \"{\\\"kind\\\":\\\"ExecCredential\\\",\\\"apiVersion\\\":"
                   "\\\"client.authentication.k8s.io/v1\\\",\\\"status\\\":{\\\"token\\\":"
                   "\\\"$SAYS\\\"}}\"']}}",
                   path);
    use_user(s, user);
    serve_json(s, 200, "", "{}");
    serve_json(s, 200, "", "{}");
    begin(s, &a, KUBE_GET, POD, NULL);
    begin(s, &b, KUBE_GET, POD, NULL);
    UNTIL(s, a.told && b.told);
    assert_string_equal(a.error, "");
    assert_int_equal(b.status, 200);
    assert_string_equal(s->asked[1].authorization, "Bearer t0k");
    FILE *f = fopen(path, "r");
    char ran[16] = "";
    assert_non_null(f);
    assert_int_equal(fread(ran, 1, sizeof ran, f), 2);
    fclose(f);
}

static void a_command_that_fails_is_named(void **state)
{
    static const struct {
        const char *command, *error;
    } rows[] = {
        {"command: sh, args: [-c, 'exit 7']", "the command sh ended with status 7"},
        {"command: sh, args: [-c, 'kill -9 $$']", "the command sh was ended by signal 9"},
        {"command: /nowhere/at/all", "the command /nowhere/at/all cannot be run: No such file"},
        {"command: sh, args: [-c, 'ls -l /proc/self/fd | grep -q socket && exit 9; exit 8']",
         "the command sh ended with status 8"}, /* it has no socket of ours */
        {"command: echo, args: ['secret123']", "the command echo printed no ExecCredential"},
        {"command: 'yes'", "the command yes prints too much"},
    };
    struct server *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct call c;
        char user[512];
        (void)snprintf(user, sizeof user,
                       "{exec: {apiVersion: client.authentication.k8s.io/v1, "
                       "interactiveMode: Never, %s}}",
                       rows[i].command);
        use_user(s, user);
        ask(s, &c, KUBE_PUT, POD, "{}");
        assert_non_null(strstr(c.error, "cannot update pods \"p\" in namespace x: "));
        if (!strstr(c.error, rows[i].error))
            fail_msg("%s", c.error);
        assert_null(strstr(c.error, "secret123"));
        assert_false(c.is_unknown);
    }
    assert_int_equal(s->n_asked, 0);
}

struct ran {
    unsigned told;
    char output[64], error[WHY_MAX];
};

static void on_ran(void *arg, const char *output, const char *error)
{
    struct ran *r = arg;
    r->told++;
    (void)snprintf(r->output, sizeof r->output, "%s", output);
    (void)snprintf(r->error, sizeof r->error, "%s", error);
}

/* What it has started holds its output open: it is killed with it. */
static void a_command_ends_at_its_deadline(void **state)
{
    struct server *s = *state;
    struct ran r = {0};
    struct why why = {""};
    const char *const argv[] = {"sh", "-c", "sleep 1000 & sleep 1000", NULL};
    struct kube_command_setup setup = {.argv = argv, .timeout_ms = 50, .done = on_ran, .arg = &r};
    struct kube_command *c = kube_command_start(s->base, &setup, &why);
    assert_non_null(c);
    UNTIL(s, r.told);
    assert_string_equal(r.error, "the command sh did not end within 50 ms");
    kube_command_free(c);
    c = kube_command_start(s->base, &setup, &why);
    kube_command_free(c); /* while it runs */
    assert_int_equal(r.told, 1);
}

static void on_bytes(void *arg, const char *bytes, size_t len)
{
    struct call *c = arg;
    c->news++;
    memcpy(c->bytes + c->len, bytes, len);
    c->len += len;
}

static void a_stream_comes_as_it_is_sent(void **state)
{
    struct server *s = *state;
    struct call c = {0};
    struct kube_ask question = {.verb = KUBE_GET,
                                .path = PODS "?watch=1",
                                .done = on_done,
                                .arg = &c,
                                .on_bytes = on_bytes,
                                .idle_ms = 50};
    serve(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab\ncd\r\n1\r\n\n\r\n")
        ->cut = 3;
    assert_non_null(kube_start(s->kube, &question));
    UNTIL(s, c.told);
    assert_memory_equal(c.bytes, "ab\ncd\n", 6);
    assert_int_equal(c.len, 6);
    assert_int_equal(c.status, 0);
    assert_string_equal(c.error, "cannot watch pods in namespace x: nothing came for 50 ms");

    memset(&c, 0, sizeof c);
    serve_json(s, 403, "", "{\"message\":\"no\"}");
    assert_non_null(kube_start(s->kube, &question));
    UNTIL(s, c.told);
    assert_int_equal(c.news, 0);
    assert_string_equal(c.error, "cannot watch pods in namespace x: no");
}

static void cancelled_calls_are_not_told(void **state)
{
    struct server *s = *state;
    struct call c[3];
    serve_json(s, 500, "Retry-After: 10\r\n", "{}");
    begin(s, &c[0], KUBE_GET, POD, NULL);
    UNTIL(s, s->counted == 1); /* waits for its next try now */
    serve_silence(s);
    begin(s, &c[1], KUBE_GET, POD, NULL);
    begin(s, &c[2], KUBE_GET, POD, NULL);
    kube_cancel(c[0].handle);
    kube_cancel(c[1].handle);
    kube_cancel(NULL);
    kube_free(s->kube);
    s->kube = NULL;
    turns(s, 20);
    assert_int_equal(c[0].told + c[1].told + c[2].told, 0);
}

static void a_command_line_waits_for_its_answer(void **state)
{
    static const struct {
        unsigned status;
        const char *json;
        enum err err;
        const char *text;
    } rows[] = {
        {200, "{\"a\":1}", OK, ""},
        {201, "{\"a\":1}", OK, ""},
        {404, "{\"message\":\"gone\"}", ERR_NOT_FOUND,
         "cannot update pods \"p\" in namespace x: gone"},
        {409, "{\"message\":\"m\",\"reason\":\"AlreadyExists\"}", ERR_CONFLICT,
         "cannot update pods \"p\" in namespace x: m"},
        {422, "{\"message\":\"m\"}", ERR_INVALID, "cannot update pods \"p\" in namespace x: m"},
        {400, "{\"message\":\"m\"}", ERR_INVALID, "cannot update pods \"p\" in namespace x: m"},
        {403, "{\"message\":\"m\"}", ERR_DENIED, "cannot update pods \"p\" in namespace x: m"},
        {410, "{\"message\":\"m\"}", ERR_IO, "cannot update pods \"p\" in namespace x: m"},
        {200, "<html>", ERR_IO, "cannot update pods \"p\" in namespace x: the answer is no JSON"},
    };
    struct server *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cJSON *body = cJSON_CreateObject();
        struct kube_wish wish = {.verb = KUBE_PUT, .path = POD, .body = body};
        struct kube_outcome outcome = {NULL, true};
        struct why why = {""};
        serve_json(s, rows[i].status, "", rows[i].json);
        assert_int_equal(kube_wait(s->kube, &wish, &outcome, &why), rows[i].err);
        assert_string_equal(why.text, rows[i].text);
        assert_int_equal(outcome.json != NULL, rows[i].json[0] == '{');
        assert_false(outcome.is_unknown);
        cJSON_Delete(outcome.json);
        cJSON_Delete(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_question_carries_token_type_and_body),
        CASE(a_write_has_a_connection_of_its_own),
        CASE(a_read_is_asked_again_until_it_is_answered),
        CASE(a_write_is_never_sent_twice),
        CASE(a_dead_connection_does_not_repeat_a_write),
        CASE(turned_away_it_waits_as_it_is_told),
        CASE(a_wait_beyond_the_deadline_is_not_begun),
        CASE(silence_ends_at_the_deadline),
        CASE(nobody_there_leaves_nothing_unknown),
        CASE(a_refused_token_is_read_again_once),
        CASE(an_early_denial_passes_and_a_quota_stands),
        CASE(a_command_runs_once_for_all_who_wait),
        CASE(a_command_that_fails_is_named),
        CASE(a_command_ends_at_its_deadline),
        CASE(a_stream_comes_as_it_is_sent),
        CASE(cancelled_calls_are_not_told),
        CASE(a_command_line_waits_for_its_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
