/* Tests what is understood of every recorded refusal of an API server, and the words for a path.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kube_help.h"
#include "rollout/http.h"
#include "rollout/kube/answer.h"
#include "rollout/kube/retry.h"

#include <cjson/cJSON.h>

static void words_come_from_verb_and_path(void **state)
{
    static const struct {
        enum kube_verb verb;
        const char *path, *words;
    } rows[] = {
        {KUBE_GET, "/api/v1/namespaces/x/pods/p", "get pods \"p\" in namespace x"},
        {KUBE_GET, "/api/v1/namespaces/x/pods?labelSelector=a%3Db", "list pods in namespace x"},
        {KUBE_GET, "/api/v1/namespaces/x/pods?watch=1&resourceVersion=7",
         "watch pods in namespace x"},
        {KUBE_PUT, "/apis/apps/v1/namespaces/x/deployments/d/scale",
         "update deployments/scale \"d\" in namespace x"},
        {KUBE_PATCH, "/api/v1/namespaces/x/replicationcontrollers/r",
         "patch replicationcontrollers \"r\" in namespace x"},
        {KUBE_POST, "/api/v1/namespaces/x/events", "create events in namespace x"},
        {KUBE_DELETE, "/api/v1/namespaces/x", "delete namespaces \"x\""},
        {KUBE_GET, "/api/v1/namespaces", "list namespaces"},
        {KUBE_GET, "/api/v1/nodes/n", "get nodes \"n\""},
        {KUBE_GET, "/version?x=y", "GET /version"},
        {KUBE_GET, "", "GET "},
        {KUBE_GET, "/api/v1", "GET /api/v1"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char words[KUBE_WORDS_MAX];
        kube_words(rows[i].verb, rows[i].path, words);
        assert_string_equal(words, rows[i].words);
    }
}

static enum kube_verb verb_of(const char *method)
{
    enum kube_verb verb = KUBE_GET;
    while (strcmp(kube_verb_name(verb), method) != 0)
        verb++;
    return verb;
}

/* "name 409 Conflict -- cannot ..." as errors.txt has it. */
static void describe(const struct cJSON *row, char *line, size_t room)
{
    const char *answer = cJSON_GetStringValue(cJSON_GetObjectItem(row, "answer"));
    const char *path = cJSON_GetStringValue(cJSON_GetObjectItem(row, "path"));
    enum kube_verb verb = verb_of(cJSON_GetStringValue(cJSON_GetObjectItem(row, "method")));
    const char *body = strstr(answer, "\r\n\r\n") + 4, *retry = strstr(answer, "Retry-After: ");
    struct http_answer a = {.status = (unsigned)atoi(answer + 9),
                            .error = "",
                            .body = body,
                            .len = strlen(body),
                            .is_sent = true,
                            .retry_after_s = retry ? (unsigned)atoi(retry + 13) : 0};
    struct kube_reading r;
    kube_reading_init(&r, verb, path, &a);
    struct kube_try t = {.verb = verb,
                         .status = a.status,
                         .is_sent = true,
                         .is_rbac = r.is_rbac,
                         .retry_after_s = r.retry_after_s,
                         .tries = 1,
                         .refusals = a.status == 401};
    int64_t wait_ms = kube_retry_wait_ms(&t, 0);
    (void)snprintf(line, room, "%s %u %s%s%s%s -- %s\n",
                   cJSON_GetStringValue(cJSON_GetObjectItem(row, "name")), a.status,
                   r.reason[0] ? r.reason : "-", wait_ms >= 0 ? " again" : "",
                   wait_ms >= 1000 ? " later" : "", kube_try_is_unknown(&t) ? " unknown" : "",
                   r.error);
    kube_reading_fini(&r);
}

static void every_recorded_refusal_is_one_sentence(void **state)
{
    size_t len, rows = 0;
    char *lines = help_read("errors.jsonl", &len), *told = help_read("errors.txt", &len);
    char *expected = told, *save = NULL;
    (void)state;
    for (char *l = strtok_r(lines, "\n", &save); l; l = strtok_r(NULL, "\n", &save), rows++) {
        char line[2048];
        struct cJSON *row = cJSON_Parse(l);
        describe(row, line, sizeof line);
        cJSON_Delete(row);
        size_t n = strlen(line);
        if (strncmp(expected, line, n) != 0)
            print_error("%s", line);
        assert_int_equal(strncmp(expected, line, n), 0);
        assert_true(n < WHY_MAX + 100);
        expected += n;
    }
    assert_string_equal(expected, "");
    assert_true(rows > 80);
    free(lines);
    free(told);
}

static void what_is_no_json_is_said_so(void **state)
{
    static const struct {
        unsigned status;
        const char *body, *error;
    } rows[] = {
        {200, "", ""},
        {200, "{}", ""},
        {200, "{} \r\n", ""},
        {200, "<html>", "cannot list pods in namespace x: the answer is no JSON"},
        {200, "{} x", "cannot list pods in namespace x: the answer is no JSON"},
        {503, "", "cannot list pods in namespace x: the server answered 503"},
        {502, "bad\x1bgate\r\nway",
         "cannot list pods in namespace x: the server answered 502: bad gate "},
        {301, "{\"kind\":\"Status\"}", "cannot list pods in namespace x: the server answered 301"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kube_reading r;
        struct http_answer a = {.status = rows[i].status,
                                .error = "",
                                .body = rows[i].body,
                                .len = strlen(rows[i].body)};
        kube_reading_init(&r, KUBE_GET, "/api/v1/namespaces/x/pods", &a);
        assert_string_equal(r.error, rows[i].error);
        kube_reading_fini(&r);
    }
}

/* status, verb, sent, lasting, Retry-After, tries → the wait's bounds; -1: none. */
static void only_what_is_harmless_is_tried_again(void **state)
{
    static const struct {
        struct kube_try tried;
        int64_t least_ms, most_ms;
        bool is_unknown;
    } rows[] = {
        {{KUBE_GET, .status = 500, .is_sent = true, .tries = 1}, 50, 100, false},
        {{KUBE_GET, .status = 503, .is_sent = true, .tries = 3}, 200, 400, false},
        {{KUBE_GET, .status = 504, .is_sent = true, .tries = 30}, 2500, 5000, false},
        {{KUBE_GET, .status = 429, .retry_after_s = 2, .tries = 1}, 2010, 2211, false},
        {{KUBE_PUT, .status = 429, .retry_after_s = 1, .tries = 1}, 1010, 1111, false},
        {{KUBE_POST, .status = 429, .tries = 1}, 50, 100, false},
        {{KUBE_PUT, .status = 500, .is_sent = true, .tries = 1}, -1, -1, true},
        {{KUBE_DELETE, .status = 504, .retry_after_s = 1, .is_sent = true, .tries = 1},
         -1,
         -1,
         true},
        {{KUBE_GET, .status = 0, .is_sent = true, .tries = 1}, 50, 100, false},
        {{KUBE_GET, .status = 0, .is_lasting = true, .tries = 1}, -1, -1, false},
        {{KUBE_PATCH, .status = 0, .is_sent = true, .tries = 1}, -1, -1, true},
        {{KUBE_PATCH, .status = 0, .is_sent = false, .tries = 1}, 50, 100, false},
        {{KUBE_GET, .status = 401, .refusals = 1, .tries = 1}, 0, 0, false},
        {{KUBE_PUT, .status = 401, .refusals = 2, .tries = 2}, -1, -1, false},
        {{KUBE_GET, .status = 403, .is_rbac = true, .tries = 1}, 100, 100, false},
        {{KUBE_GET, .status = 403, .is_rbac = true, .denied_ms = 1000, .tries = 9}, -1, -1, false},
        {{KUBE_POST, .status = 403, .tries = 1}, -1, -1, false},
        {{KUBE_PUT, .status = 409, .is_sent = true, .tries = 1}, -1, -1, false},
        {{KUBE_GET, .status = 404, .tries = 1}, -1, -1, false},
        {{KUBE_GET, .status = 410, .tries = 1}, -1, -1, false},
        {{KUBE_GET, .status = 200, .tries = 1}, -1, -1, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (uint32_t random = 0; random < 10000; random += 333) {
            int64_t ms = kube_retry_wait_ms(&rows[i].tried, random);
            assert_in_range(ms + 1, rows[i].least_ms + 1, rows[i].most_ms + 1);
            assert_int_equal(kube_try_is_unknown(&rows[i].tried), rows[i].is_unknown);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_come_from_verb_and_path),
        cmocka_unit_test(every_recorded_refusal_is_one_sentence),
        cmocka_unit_test(what_is_no_json_is_said_so),
        cmocka_unit_test(only_what_is_harmless_is_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
