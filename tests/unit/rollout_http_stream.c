/* Tests the HTTP client's streams, methods and questions that are asked once.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout_http.h"

#define STREAM "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

struct stream {
    struct call call;
    unsigned news;
    char bytes[256];
    size_t len, all; /* all: also what bytes has no room for */
    bool cancels;
};

static void on_bytes(void *arg, const char *bytes, size_t len)
{
    struct stream *t = arg;
    t->news++;
    assert_int_equal(t->call.told, 0);
    size_t n = len < sizeof t->bytes - t->len ? len : sizeof t->bytes - t->len;
    memcpy(t->bytes + t->len, bytes, n);
    t->len += n;
    t->all += len;
    if (t->cancels)
        http_cancel(t->call.handle);
}

static void begin(struct fixture *f, struct stream *t, const char *url, uint32_t idle_ms)
{
    struct http_ask ask = {.url = url,
                           .timeout_ms = PATIENCE_MS,
                           .done = on_done,
                           .arg = &t->call,
                           .on_bytes = on_bytes, /* its t is where its first member is */
                           .idle_ms = idle_ms};
    memset(t, 0, sizeof *t);
    t->call.f = f;
    t->call.handle = http_start(f->http, &ask);
    assert_non_null(t->call.handle);
}

static void raw_url(const struct fixture *f, char *url, size_t room)
{
    (void)snprintf(url, room, "http://127.0.0.1:%u/", f->raw_port);
}

static void a_stream_says_that_it_begins_and_ends(void **state)
{
    static const struct {
        struct script script;
        const char *bytes;
        unsigned status;
    } rows[] = {
        {{STREAM "3\r\nabc\r\n0\r\n\r\n", THEN_KEEP, ""}, "abc", 200},
        {{STREAM "0\r\n\r\n", THEN_KEEP, ""}, "", 200},
        {{STREAM "3\r\nabc\r\n", THEN_CLOSE, "the answer ended before it was whole"}, "abc", 0},
        {{STREAM, THEN_KEEP, "nothing came for 60 ms"}, "", 0},
        {{STREAM "3\r\nabc\r\n", THEN_KEEP, "nothing came for 60 ms"}, "abc", 0},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct stream t;
        char url[64];
        raw_url(f, url, sizeof url);
        f->script = rows[i].script;
        begin(f, &t, url, 60);
        UNTIL(f, t.call.told);
        assert_true(t.news > 0);
        assert_int_equal(t.len, strlen(rows[i].bytes));
        assert_memory_equal(t.bytes, rows[i].bytes, t.len);
        assert_int_equal(t.call.status, rows[i].status);
        if (!strstr(t.call.error, rows[i].script.error))
            fail_msg("%s", t.call.error);
        assert_int_equal(t.call.len, 0);
        forget(&t.call);
    }
}

/* A refusal is no stream: its body comes with the answer. */
static void a_refusal_is_told_whole(void **state)
{
    struct fixture *f = *state;
    struct stream t;
    char url[64];
    raw_url(f, url, sizeof url);
    f->script = (struct script){
        "HTTP/1.1 410 Gone\r\nRetry-After: 3\r\nContent-Length: 4\r\n\r\ngone", THEN_KEEP, ""};
    begin(f, &t, url, 60);
    UNTIL(f, t.call.told);
    assert_int_equal(t.news, 0);
    assert_int_equal(t.call.status, 410);
    assert_string_equal(t.call.body, "gone");
    forget(&t.call);
}

/* Far more than is held for an owner who does not look, and than an answer may have. */
static void a_long_stream_is_whole(void **state)
{
    struct fixture *f = *state;
    struct stream t;
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/pieces/5000000", f->port);
    begin(f, &t, url, PATIENCE_MS);
    UNTIL(f, t.call.told);
    assert_int_equal(t.call.status, 200);
    assert_int_equal(t.all, 5000000);
    forget(&t.call);
}

static void a_stream_may_be_cancelled_within(void **state)
{
    struct fixture *f = *state;
    struct stream t;
    char url[64];
    raw_url(f, url, sizeof url);
    f->script = (struct script){STREAM "3\r\nabc\r\n", THEN_DRIBBLE, ""};
    begin(f, &t, url, PATIENCE_MS);
    t.cancels = true;
    UNTIL(f, t.news);
    some_turns(f);
    assert_int_equal(t.news, 1);
    assert_int_equal(t.call.told, 0);
}

/* Another bound, Retry-After, method, type and fields. */
static void what_is_asked_arrives(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[64];
    const char *const fields[] = {"Authorization: Bearer x", NULL};
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/whole/400000", f->port);
    struct http_ask ask = {.url = url,
                           .body = "{}",
                           .timeout_ms = PATIENCE_MS,
                           .done = on_done,
                           .arg = &c,
                           .type = "application/merge-patch+json",
                           .fields = fields,
                           .answer_max = 400000};
    assert_non_null(http_start(f->http, &ask));
    UNTIL(f, c.told);
    assert_int_equal(c.len, 400000);
    assert_string_equal(f->type, "application/merge-patch+json");
    assert_string_equal(f->credentials, "Bearer x");
    assert_string_equal(f->body, "{}");
    ask.answer_max = 399999;
    assert_non_null(http_start(f->http, &ask));
    UNTIL(f, c.told == 2);
    assert_string_equal(c.error, "the answer has more than 399999 bytes");
    forget(&c);
}

static unsigned retry_after_s;
static bool is_sent;

static void on_answer(void *arg, const struct http_answer *a)
{
    retry_after_s = a->retry_after_s;
    is_sent = a->is_sent;
    on_done(arg, a);
}

/* A kept connection that dies under the question brings it a second time, unless it is asked once. */
static void asked_once_it_arrives_once(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[64];
    raw_url(f, url, sizeof url);
    struct http_ask ask = {
        .url = url, .body = "{}", .timeout_ms = PATIENCE_MS, .done = on_answer, .arg = &c};
    f->script = (struct script){"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n",
                                THEN_ONCE, ""};
    assert_non_null(http_start(f->http, &ask));
    UNTIL(f, c.told == 1);
    assert_int_equal(retry_after_s, 7);
    assert_int_equal(f->raw_connections, 1);
    assert_non_null(http_start(f->http, &ask)); /* on the same, which ends: sent anew */
    UNTIL(f, c.told == 2);
    assert_int_equal(c.status, 429);
    assert_int_equal(f->raw_connections, 2);
    ask.is_once = true;
    ask.method = "DELETE";
    f->script = (struct script){"", THEN_CLOSE, ""};
    assert_non_null(http_start(f->http, &ask));
    UNTIL(f, c.told == 3);
    assert_int_equal(f->raw_connections, 3); /* its own, and no other */
    assert_int_equal(c.status, 0);
    assert_true(is_sent);
    forget(&c);
}

static void nothing_is_sent_where_nobody_listens(void **state)
{
    struct fixture *f = *state;
    struct call c = {0};
    char url[64];
    raw_url(f, url, sizeof url);
    struct http_ask ask = {
        .url = url, .body = "{}", .timeout_ms = PATIENCE_MS, .done = on_answer, .arg = &c};
    evconnlistener_disable(f->raw);
    (void)shutdown(evconnlistener_get_fd(f->raw), SHUT_RDWR);
    is_sent = true;
    assert_non_null(http_start(f->http, &ask));
    UNTIL(f, c.told);
    assert_int_equal(c.status, 0);
    assert_false(is_sent);
    forget(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_stream_says_that_it_begins_and_ends),
        CASE(a_refusal_is_told_whole),
        CASE(a_long_stream_is_whole),
        CASE(a_stream_may_be_cancelled_within),
        CASE(what_is_asked_arrives),
        CASE(asked_once_it_arrives_once),
        CASE(nothing_is_sent_where_nobody_listens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
