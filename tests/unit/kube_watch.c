/* Tests the watch against recorded lists and streams, cut in pieces of any size, and what ends them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kube_server.h"
#include "rollout/kube/watch.h"

#define RCS "/api/v1/namespaces/default/replicationcontrollers"
#define STREAM(version)                                                                            \
    RCS "?watch=1&allowWatchBookmarks=true&timeoutSeconds=300&resourceVersion=" version

#define HEAD_OF_STREAM "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

struct seen {
    struct kube_watch *watch;
    unsigned changes;
    const struct cJSON *borrowed;
};

static void on_change(void *arg)
{
    ((struct seen *)arg)->changes++;
}

static struct kube_watch *begin(struct server *s, struct seen *seen, const char *path)
{
    struct kube_watch_setup setup = {.path = path, .on_change = on_change, .arg = seen};
    memset(seen, 0, sizeof *seen);
    seen->watch = kube_watch_new(s->kube, &setup);
    assert_non_null(seen->watch);
    assert_false(kube_watch_is_synced(seen->watch));
    assert_string_not_equal(kube_watch_trouble(seen->watch), "");
    return seen->watch;
}

static const char *version_of(const struct cJSON *object)
{
    return cJSON_GetStringValue(
        cJSON_GetObjectItem(cJSON_GetObjectItem(object, "metadata"), "resourceVersion"));
}

static void serve_list(struct server *s, const char *version, const char *items)
{
    char json[2048];
    (void)snprintf(json, sizeof json,
                   "{\"kind\":\"ReplicationControllerList\",\"metadata\":{\"resourceVersion\":"
                   "\"%s\"},\"items\":[%s]}",
                   version, items);
    serve_json(s, 200, "", json);
}

/* One chunk with these lines, and the rest of the stream by then. */
static struct canned *serve_stream(struct server *s, const char *lines, bool is_whole)
{
    char text[4096];
    int n = snprintf(text, sizeof text, HEAD_OF_STREAM);
    if (lines[0])
        n += snprintf(text + n, sizeof text - (size_t)n, "%zx\r\n%s\r\n", strlen(lines), lines);
    (void)snprintf(text + n, sizeof text - (size_t)n, "%s", is_whole ? "0\r\n\r\n" : "");
    return serve(s, text);
}

#define OBJECT(name, version)                                                                      \
    "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, name, version) "{\"type\":\"" type "\",\"object\":" OBJECT(name, version) "}\n"

static void a_recorded_stream_is_followed_in_pieces(void **state)
{
    static const size_t cuts[] = {1, 7, 333, 4096, 0};
    struct server *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
        struct seen seen;
        s->n_given = s->n_answers;
        size_t first = s->n_asked;
        serve_file(s, "06-01-list-for-rv.http");
        serve_file(s, "06-02-life-of-an-rc.http")->cut = cuts[i];
        serve_silence(s);
        struct kube_watch *w = begin(s, &seen, RCS);
        UNTIL(s, kube_watch_is_synced(w));
        assert_int_equal(kube_watch_count(w), 0);
        UNTIL(s, s->n_asked == first + 3);
        assert_string_equal(s->asked[first].path, RCS);
        assert_string_equal(s->asked[first + 1].path, STREAM("1531"));
        assert_string_equal(s->asked[first + 2].path, STREAM("1706")); /* the bookmark's */
        assert_int_equal(kube_watch_count(w), 0);                      /* it was deleted */
        assert_string_equal(kube_watch_trouble(w), "");
        kube_watch_free(w);
    }
}

static void recorded_pods_come_and_go(void **state)
{
    struct server *s = *state;
    struct seen seen;
    serve_list(s, "1", "");
    serve_file(s, "06-10-pods.http")->cut = 4096;
    serve_silence(s);
    struct kube_watch *w = begin(s, &seen, "/api/v1/namespaces/default/pods");
    UNTIL(s, s->n_asked == 3);
    for (size_t i = 1; i < kube_watch_count(w); i++) {
        const char *a = cJSON_GetStringValue(
            cJSON_GetObjectItem(cJSON_GetObjectItem(kube_watch_at(w, i - 1), "metadata"), "name"));
        const char *b = cJSON_GetStringValue(
            cJSON_GetObjectItem(cJSON_GetObjectItem(kube_watch_at(w, i), "metadata"), "name"));
        assert_true(strcmp(a, b) < 0);
    }
    assert_true(seen.changes > 3);
    kube_watch_free(w);
}

static void a_forgotten_version_is_listed_anew(void **state)
{
    struct server *s = *state;
    struct seen seen;
    serve_list(s, "5", OBJECT("a", "3") "," OBJECT("b", "4"));
    serve_file(s, "06-11-too-old-rv.http");
    serve_list(s, "9", OBJECT("b", "8"));
    serve_silence(s);
    struct kube_watch *w = begin(s, &seen, RCS);
    UNTIL(s, s->n_asked == 4);
    assert_string_equal(s->asked[2].path, RCS);
    assert_string_equal(s->asked[3].path, STREAM("9"));
    assert_int_equal(kube_watch_count(w), 1);
    assert_null(kube_watch_find(w, "a"));
    assert_string_equal(version_of(kube_watch_find(w, "b")), "8");
    kube_watch_free(w);
}

/* The server was killed: no last chunk. What came before counts. */
static void a_broken_stream_goes_on_where_it_broke(void **state)
{
    struct server *s = *state;
    struct seen seen;
    serve_list(s, "5", "");
    serve_stream(s, EVENT("ADDED", "a", "6") EVENT("MODIFIED", "a", "7") "{\"type\":\"DELE", false)
        ->then = THEN_CLOSE;
    serve_stream(s, EVENT("ADDED", "b", "8") EVENT("NEW", "x", "9"), false);
    struct kube_watch *w = begin(s, &seen, RCS);
    UNTIL(s, kube_watch_count(w) == 2);
    assert_string_equal(s->asked[2].path, STREAM("7"));
    assert_string_equal(version_of(kube_watch_find(w, "a")), "7");
    assert_string_equal(kube_watch_trouble(w), "");
    kube_watch_free(w);
}

static void what_was_known_stays_when_the_server_goes(void **state)
{
    struct server *s = *state;
    struct seen seen;
    serve_list(s, "5", OBJECT("a", "3"));
    serve_nothing(s);
    serve_json(s, 403, "", "{\"message\":\"cannot watch\"}");
    serve_silence(s);
    struct kube_watch *w = begin(s, &seen, RCS);
    UNTIL(s, strstr(kube_watch_trouble(w), "cannot watch"));
    assert_true(kube_watch_is_synced(w));
    assert_non_null(kube_watch_find(w, "a"));
    UNTIL(s, s->n_asked == 4);
    kube_watch_free(w);
}

static void what_makes_no_sense_is_listed_anew(void **state)
{
    static const char *const lines[] = {
        "no json\n",
        "{\"type\":\"ADDED\"}\n",
        EVENT("ADDED", "a", "4"), /* older than the list: the server was restored */
        EVENT("ADDED", "a", ""),
        "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"resourceVersion\":\"99\"}}}\n",
        "{\"type\":\"ERROR\",\"object\":{\"code\":500,\"message\":\"m\"}}\n",
    };
    struct server *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct seen seen;
        size_t first = s->n_asked;
        s->n_given = s->n_answers;
        serve_list(s, "5", "");
        serve_stream(s, lines[i], false);
        serve_list(s, "50", OBJECT("z", "49"));
        serve_silence(s);
        struct kube_watch *w = begin(s, &seen, RCS);
        UNTIL(s, kube_watch_find(w, "z"));
        assert_string_equal(s->asked[first + 2].path, RCS);
        kube_watch_free(w);
    }
}

static void a_write_is_seen_at_once_and_never_unseen(void **state)
{
    struct server *s = *state;
    struct seen seen;
    struct cJSON *newer = cJSON_Parse("{\"kind\":\"ReplicationController\",\"metadata\":{\"name\":"
                                      "\"a\",\"resourceVersion\":\"7\"}}");
    struct cJSON *scale = cJSON_Parse(
        "{\"kind\":\"Scale\",\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"99\"}}");
    serve_list(s, "5", OBJECT("a", "3"));
    serve_stream(s, EVENT("MODIFIED", "a", "6"), false);
    struct kube_watch *w = begin(s, &seen, RCS);
    UNTIL(s, kube_watch_is_synced(w));
    const struct cJSON *borrowed = kube_watch_find(w, "a");
    kube_watch_note(w, newer);
    kube_watch_note(w, scale);
    assert_string_equal(version_of(borrowed), "3"); /* until the next turn */
    assert_string_equal(version_of(kube_watch_find(w, "a")), "7");
    unsigned changes = seen.changes;
    UNTIL(s, seen.changes > changes);
    turns(s, 30); /* the older event comes */
    assert_string_equal(version_of(kube_watch_find(w, "a")), "7");
    kube_watch_free(w);
    cJSON_Delete(newer);
    cJSON_Delete(scale);
}

static void selectors_are_escaped(void **state)
{
    struct server *s = *state;
    struct kube_watch_setup setup = {
        .path = RCS, .selector = "app=a b,tier in (x,y)", .name = "my-web"};
    serve_list(s, "5", "");
    serve_silence(s);
    struct kube_watch *w = kube_watch_new(s->kube, &setup);
    UNTIL(s, s->n_asked == 2);
    assert_string_equal(s->asked[0].path, RCS "?labelSelector=app%3Da%20b%2Ctier%20in%20%28x%2Cy%29"
                                              "&fieldSelector=metadata.name%3Dmy-web");
    assert_string_equal(s->asked[1].path,
                        RCS "?watch=1&allowWatchBookmarks=true&timeoutSeconds=300"
                            "&labelSelector=app%3Da%20b%2Ctier%20in%20%28x%2Cy%29"
                            "&fieldSelector=metadata.name%3Dmy-web&resourceVersion=5");
    kube_watch_free(w);
}

static void no_list_is_no_knowledge(void **state)
{
    static const char *const answers[] = {"{}", "{\"items\":[]}", "[]", "null", "{\"kind\":\"X\"}"};
    struct server *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
        struct seen seen;
        s->n_given = s->n_answers;
        serve_json(s, 200, "", answers[i]);
        serve_silence(s);
        struct kube_watch *w = begin(s, &seen, RCS);
        UNTIL(s, strcmp(kube_watch_trouble(w), "the answer is no list of objects") == 0);
        assert_false(kube_watch_is_synced(w));
        kube_watch_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_recorded_stream_is_followed_in_pieces),
        CASE(recorded_pods_come_and_go),
        CASE(a_forgotten_version_is_listed_anew),
        CASE(a_broken_stream_goes_on_where_it_broke),
        CASE(what_was_known_stays_when_the_server_goes),
        CASE(what_makes_no_sense_is_listed_anew),
        CASE(a_write_is_seen_at_once_and_never_unseen),
        CASE(selectors_are_escaped),
        CASE(no_list_is_no_knowledge),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
