/* The cases of fixtures/http1, read by serin's core and by llhttp: what both accept they frame alike.
 * SPDX-License-Identifier: Apache-2.0 */
#include "../fuzz/peer.h"
#include "http_cases.h"

/* What is to be found at least, so that a comparison of nothing does not pass. */
struct corpus {
    const char *path;
    bool is_response;
    unsigned alike, stricter;
};

static bool is_to_head(const cJSON *c)
{
    const cJSON *method = cJSON_GetObjectItem(cJSON_GetObjectItem(c, "req"), "method");
    return method && strcmp(method->valuestring, "HEAD") == 0;
}

/* False, with a line on stderr, where the two differ in a way that is not known. */
static bool agrees(const cJSON *c, const struct corpus *corpus, unsigned *alike, unsigned *stricter)
{
    char *bytes = NULL;
    size_t len = 0;
    bool same = true;
    struct peer_report report;
    if (bytes_of(c, &bytes, &len)) {
        char *copy = copy_of(slice_of(bytes, len), len);
        same = peer_compare(slice_of(copy, len), corpus->is_response, is_to_head(c), &report);
        free(copy);
        if (!same)
            fprintf(stderr, "%s: %s\n", cJSON_GetObjectItem(c, "id")->valuestring, report.text);
        *alike += report.alike;
        *stricter += report.stricter;
    }
    free(bytes);
    return same;
}

static void compare_corpus(void **state)
{
    const struct corpus *corpus = *state;
    size_t size = 0;
    char *text = read_file(corpus->path, &size);
    struct slice line, rest = slice_of(text, size);
    unsigned alike = 0, stricter = 0, wrong = 0;
    while (rest.len) {
        (void)slice_cut(rest, '\n', &line, &rest);
        cJSON *c = cJSON_ParseWithLength(line.at, line.len);
        assert_non_null(c);
        wrong += !agrees(c, corpus, &alike, &stricter);
        cJSON_Delete(c);
    }
    free(text);
    printf("%u messages alike, %u refused by serin alone\n", alike, stricter);
    assert_int_equal(wrong, 0);
    assert_true(alike >= corpus->alike && stricter >= corpus->stricter);
}

int main(void)
{
    static struct corpus requests = {CORPUS "h1-requests/cases.jsonl", false, 60, 40},
                         responses = {CORPUS "h1-responses/cases.jsonl", true, 40, 8},
                         hostile_requests = {CORPUS "h1-requests/hostile.jsonl", false, 20, 30},
                         hostile_responses = {CORPUS "h1-responses/hostile.jsonl", true, 40, 8};
    const struct CMUnitTest tests[] = {
        {"requests", compare_corpus, NULL, NULL, &requests},
        {"responses", compare_corpus, NULL, NULL, &responses},
        {"hostile requests", compare_corpus, NULL, NULL, &hostile_requests},
        {"hostile responses", compare_corpus, NULL, NULL, &hostile_responses},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
