/* The access log's lines: golden lines, escapes, bounds.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"
#include "metrics/access.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static struct access_line whole_line(void)
{
    return (struct access_line){.wall_ms = INT64_C(1772366400123),
                                .client = SLICE("192.0.2.7"),
                                .request = SLICE("GET /a?b=c"),
                                .minor = 1,
                                .status = 200,
                                .bytes = 5,
                                .referer = SLICE("http://x.test/"),
                                .user_agent = SLICE("curl/8"),
                                .route = "web",
                                .version = "v2",
                                .role = "canary",
                                .assigned = "sticky",
                                .upstream = "10.0.0.1:80",
                                .upstream_us = 1234,
                                .total_us = 2000045,
                                .retries = 1,
                                .request_id = SLICE("0123456789abcdef"),
                                .why = "client_aborted"};
}

static const struct access_line empty_line = {
    .status = 400, .upstream_us = ACCESS_NO_TIME, .total_us = ACCESS_NO_TIME};

/* Formats into out, NUL-terminated without the line feed. */
static const char *combined(const struct access_line *line, char out[ACCESS_LINE_MAX + 1])
{
    size_t len = access_combined(line, out);
    assert_in_range(len, 1, ACCESS_LINE_MAX);
    assert_int_equal(out[len - 1], '\n');
    out[len - 1] = '\0';
    assert_int_equal(strlen(out), len - 1);
    assert_null(strchr(out, '\n'));
    return out;
}

static const char *json(const struct access_line *line, char out[ACCESS_LINE_MAX + 1])
{
    size_t len = access_json(line, out);
    assert_in_range(len, 1, ACCESS_LINE_MAX);
    assert_int_equal(out[len - 1], '\n');
    out[len - 1] = '\0';
    assert_int_equal(strlen(out), len - 1);
    assert_null(strchr(out, '\n'));
    return out;
}

static void test_a_whole_line(void **state)
{
    (void)state;
    char out[ACCESS_LINE_MAX + 1];
    struct access_line line = whole_line();
    assert_string_equal(
        combined(&line, out),
        "192.0.2.7 - - [01/Mar/2026:12:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 5 "
        "\"http://x.test/\" \"curl/8\" route=web version=v2 role=canary assigned=sticky "
        "upstream=10.0.0.1:80 upstream_ms=1.234 total_ms=2000.045 retries=1 "
        "request_id=0123456789abcdef why=client_aborted");
    assert_string_equal(
        json(&line, out),
        "{\"time\":\"2026-03-01T12:00:00.123Z\",\"client\":\"192.0.2.7\","
        "\"request\":\"GET /a?b=c HTTP/1.1\",\"status\":200,\"bytes\":5,"
        "\"referer\":\"http://x.test/\",\"user_agent\":\"curl/8\",\"route\":\"web\","
        "\"version\":\"v2\",\"role\":\"canary\",\"assigned\":\"sticky\","
        "\"upstream\":\"10.0.0.1:80\",\"upstream_ms\":1.234,\"total_ms\":2000.045,\"retries\":1,"
        "\"request_id\":\"0123456789abcdef\",\"why\":\"client_aborted\"}");
}

static void test_what_never_became_a_request(void **state)
{
    (void)state;
    char out[ACCESS_LINE_MAX + 1];
    assert_string_equal(combined(&empty_line, out),
                        "- - - [01/Jan/1970:00:00:00 +0000] \"-\" 400 0 \"-\" \"-\" route=- "
                        "version=- role=- assigned=- upstream=- upstream_ms=- total_ms=- "
                        "retries=0 request_id=- why=-");
    assert_string_equal(json(&empty_line, out), "{\"time\":\"1970-01-01T00:00:00.000Z\","
                                                "\"status\":400,\"bytes\":0,\"retries\":0}");
}

/* Each day of 500 years against the C library. */
static void test_every_day(void **state)
{
    (void)state;
    char out[ACCESS_LINE_MAX + 1], want[64];
    for (int64_t day = 0; day < 500 * 366; day++) {
        time_t second = (time_t)(day * 86400 + day % 86400);
        struct tm tm;
        struct access_line line = empty_line;
        line.wall_ms = (int64_t)second * 1000 + day % 1000;
        assert_non_null(gmtime_r(&second, &tm));
        assert_true(strftime(want, sizeof want, "- - - [%d/%b/%Y:%H:%M:%S +0000]", &tm) > 0);
        assert_memory_equal(combined(&line, out), want, strlen(want));
        assert_true(strftime(want, sizeof want, "{\"time\":\"%Y-%m-%dT%H:%M:%S.", &tm) > 0);
        assert_memory_equal(json(&line, out), want, strlen(want));
    }
}

static const struct {
    struct slice bytes;
    const char *combined, *json;
} escapes[] = {
    {SLICE("plain /?&=%'<>"), "plain /?&=%'<>", "plain /?&=%'<>"},
    {SLICE("a\"b\\c"), "a\\x22b\\x5Cc", "a\\\"b\\\\c"},
    {SLICE("\t\r\n\x7f"), "\\x09\\x0D\\x0A\\x7F", "\\u0009\\u000d\\u000a\\u007f"},
    {SLICE("na\xc3\xafve"), "na\\xC3\\xAFve", "na\xc3\xafve"},
    {SLICE("\xff\xc3"), "\\xFF\\xC3", "\\\\xff\\\\xc3"},
    {SLICE("\xe2\x80\xae\xc2\x9b"), "\\xE2\\x80\\xAE\\xC2\\x9B", "\\u202e\\u009b"},
    {SLICE("\xf0\x9f\x90\x8c"), "\\xF0\\x9F\\x90\\x8C", "\xf0\x9f\x90\x8c"},
    {SLICE("\xed\xa0\x80"), "\\xED\\xA0\\x80", "\\\\xed\\\\xa0\\\\x80"},
    {SLICE("a run of more than sixteen bytes\" and more"),
     "a run of more than sixteen bytes\\x22 and more",
     "a run of more than sixteen bytes\\\" and more"},
};

static void test_outside_bytes_are_escaped(void **state)
{
    (void)state;
    char out[ACCESS_LINE_MAX + 1], want[256];
    for (size_t i = 0; i < ARRAY_LEN(escapes); i++) {
        struct access_line line = empty_line;
        line.user_agent = escapes[i].bytes;
        (void)snprintf(want, sizeof want, " 0 \"-\" \"%s\" route=", escapes[i].combined);
        assert_non_null(strstr(combined(&line, out), want));
        (void)snprintf(want, sizeof want, ",\"user_agent\":\"%s\",\"retries\"", escapes[i].json);
        assert_non_null(strstr(json(&line, out), want));
    }
}

/* The longest line that there can be, of bytes that grow the most. */
static struct access_line greedy_line(const char *bytes, size_t len, char *text)
{
    struct slice all = slice_of(bytes, len);
    memcpy(text, bytes, len);
    text[len] = '\0';
    return (struct access_line){.wall_ms = INT64_MAX,
                                .client = all,
                                .request = all,
                                .minor = 1,
                                .status = UINT_MAX,
                                .bytes = UINT64_MAX,
                                .referer = all,
                                .user_agent = all,
                                .route = text,
                                .version = text,
                                .role = text,
                                .assigned = text,
                                .upstream = text,
                                .upstream_us = INT64_MAX,
                                .total_us = INT64_MAX,
                                .retries = UINT_MAX,
                                .request_id = all,
                                .why = text};
}

static void test_no_line_is_too_long(void **state)
{
    (void)state;
    static char bytes[70000], text[70001];
    static const char fill[] = {'a', '"', '\x01', '\xff'};
    char out[ACCESS_LINE_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(fill); i++) {
        memset(bytes, fill[i], sizeof bytes);
        struct access_line line = greedy_line(bytes, sizeof bytes, text);
        assert_non_null(strstr(combined(&line, out), "... HTTP/1.1\" "));
        cJSON *object = cJSON_Parse(json(&line, out));
        assert_non_null(object);
        assert_true(strlen(cJSON_GetObjectItem(object, "user_agent")->valuestring) <=
                    ACCESS_AGENT_MAX);
        cJSON_Delete(object);
    }
}

/* A field of every length around its bound: whole, or cut with the mark. */
static void test_the_bound_of_a_field(void **state)
{
    (void)state;
    char bytes[ACCESS_AGENT_MAX + 2], out[ACCESS_LINE_MAX + 1];
    memset(bytes, 'a', sizeof bytes);
    for (size_t len = ACCESS_AGENT_MAX - 20; len < sizeof bytes; len++) {
        struct access_line line = empty_line;
        line.user_agent = slice_of(bytes, len);
        const char *at = strstr(combined(&line, out), "\"aaa");
        const char *end = strchr(at + 1, '"');
        bool is_cut = len > ACCESS_AGENT_MAX - 3;
        assert_int_equal(end - at - 1, is_cut ? ACCESS_AGENT_MAX : len);
        assert_int_equal(memcmp(end - 3, "...", 3) == 0, is_cut);
    }
}

/* Whatever the bytes: one line, valid JSON in UTF-8, and in the combined form no quote but the six. */
static void test_random_bytes(void **state)
{
    (void)state;
    char out[ACCESS_LINE_MAX + 1], bytes[3][600], text[601];
    uint32_t seed = 1;
    for (unsigned round = 0; round < 3000; round++) {
        size_t lens[3];
        for (unsigned k = 0; k < 3; k++) {
            lens[k] = (seed = seed * 1664525 + 1013904223) >> 8 & 511;
            for (size_t i = 0; i < lens[k]; i++)
                bytes[k][i] = (char)((seed = seed * 1664525 + 1013904223) >> 16);
        }
        struct access_line line = greedy_line("x", 1, text);
        line.request = slice_of(bytes[0], lens[0]);
        line.referer = slice_of(bytes[1], lens[1]);
        line.user_agent = slice_of(bytes[2], lens[2]);
        unsigned quotes = 0;
        for (const char *c = combined(&line, out); *c; c++) {
            quotes += *c == '"';
            assert_in_range(*c, 0x20, 0x7e);
        }
        assert_int_equal(quotes, 6);
        cJSON *object = cJSON_Parse(json(&line, out));
        assert_non_null(object);
        assert_true(utf8_valid(slice_str(out)));
        cJSON_Delete(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_line),
        cmocka_unit_test(test_what_never_became_a_request),
        cmocka_unit_test(test_every_day),
        cmocka_unit_test(test_outside_bytes_are_escaped),
        cmocka_unit_test(test_no_line_is_too_long),
        cmocka_unit_test(test_the_bound_of_a_field),
        cmocka_unit_test(test_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
