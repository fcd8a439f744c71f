/* Lines of the log: their form in text and JSON, and that outside bytes cannot break or forge one.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/utf8.h"
#include "metrics/log_line.h"
#include <cJSON.h>
#include <stdio.h>
#include <string.h>

#define WALL_MS 1795578777123 /* 2026-11-25T03:52:57.123Z */

static struct log_line line;

static const char *form(bool json, struct slice pairs, bool cut)
{
    struct log_event event = {WALL_MS, LOG_INFO, "it_happened", pairs, cut};
    if (json)
        log_line_json(&line, &event);
    else
        log_line_text(&line, &event);
    assert_true(line.len > 0 && line.len <= LOG_LINE_BYTES);
    assert_int_equal(line.text[line.len - 1], '\n');
    line.text[line.len - 1] = '\0';
    assert_int_equal(strlen(line.text), line.len - 1);
    return line.text;
}

struct row {
    struct slice pairs;
    const char *expected; /* what follows the fixed beginning */
};

static void expect(bool json, const struct row *rows, size_t n)
{
    const char *begin = json ? "{\"time\":\"2026-11-25T03:52:57.123Z\",\"level\":\"info\","
                               "\"event\":\"it_happened\""
                             : "2026-11-25T03:52:57.123Z info it_happened";
    for (size_t i = 0; i < n; i++) {
        const char *text = form(json, rows[i].pairs, false);
        assert_true(strncmp(text, begin, strlen(begin)) == 0);
        assert_string_equal(text + strlen(begin), rows[i].expected);
    }
}

static void text_lines_keep_their_words_and_escape_what_could_break_them(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SLICE(""), ""},
        {SLICE("route=my-web weight=5%"), " route=my-web weight=5%"},
        {SLICE("why=\"two words\""), " why=\"two words\""},
        {SLICE("name=caf\xc3\xa9 n=\xf0\x9f\x90\x8c"), " name=caf\xc3\xa9 n=\xf0\x9f\x90\x8c"},
        {SLICE("p=/x\n2026-11-25T03:52:57.123Z error forged"),
         " p=/x\\n2026-11-25T03:52:57.123Z error forged"},
        {SLICE("p=a\r\tb\0c"), " p=a\\x0d\\tb\\x00c"},
        {SLICE("p=\x1b[31mred\x7f"), " p=\\x1b[31mred\\x7f"},
        {SLICE("p=\xff\xfe"), " p=\\xff\\xfe"},
        {SLICE("p=\xc3"), " p=\\xc3"},
        {SLICE("p=\xc0\xaf"), " p=\\xc0\\xaf"},          /* overlong */
        {SLICE("p=\xed\xa0\x80"), " p=\\xed\\xa0\\x80"}, /* a surrogate */
        {SLICE("p=\xc2\x9b"
               "2J"),
         " p=\\xc2\\x9b2J"},                             /* C1: a terminal's CSI */
        {SLICE("p=\xe2\x80\xa8"), " p=\\xe2\\x80\\xa8"}, /* a line separator */
        {SLICE("p=\xe2\x80\xae"
               "txt.exe"),
         " p=\\xe2\\x80\\xaetxt.exe"}, /* right to left */
    };
    expect(false, rows, ARRAY_LEN(rows));
}

static void json_lines_have_the_pairs_as_members(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SLICE(""), "}"},
        {SLICE("route=my-web weight=5%"), ",\"route\":\"my-web\",\"weight\":\"5%\"}"},
        {SLICE("  a=b   c=d "), ",\"a\":\"b\",\"c\":\"d\"}"},
        {SLICE("a= b=\"\""), ",\"a\":\"\",\"b\":\"\"}"},
        {SLICE("why=\"two words\" x=y"), ",\"why\":\"two words\",\"x\":\"y\"}"},
        {SLICE("why=\"say \\\"hi\\\" \\\\ \\n \\t \\x1b\""),
         ",\"why\":\"say \\\"hi\\\" \\\\ \\u000a \\u0009 \\u001b\"}"},
        {SLICE("why=\"\\xff \\q \\x\""), ",\"why\":\"\\\\xff \\\\q \\\\x\"}"},
        {SLICE("a=b\"c\\d"), ",\"a\":\"b\\\"c\\\\d\"}"},
        {SLICE("why=\"route \"web\" has no canary\" n=1"),
         ",\"why\":\"route \\\"web\\\" has no canary\",\"n\":\"1\"}"},
        {SLICE("why=\"no verb \"go\"\""), ",\"why\":\"no verb \\\"go\\\"\"}"},
        {SLICE("why=\"a b\" and more"), ",\"why\":\"a b\",\"message\":\"and more\"}"},
        {SLICE("a=\"x\"  b=c"), ",\"a\":\"x\",\"b\":\"c\"}"},
        {SLICE("a=\"no end"), ",\"a\":\"\\\"no\",\"message\":\"end\"}"},
        {SLICE("a=\"x\"y b=1"), ",\"a\":\"\\\"x\\\"y\",\"b\":\"1\"}"},
        {SLICE("a=\"x\\\""), ",\"a\":\"\\\"x\\\\\\\"\"}"},
        {SLICE("a=x\ny"), ",\"a\":\"x\\u000ay\"}"},
        {SLICE("a=\xc2\x9b\xe2\x80\xae"), ",\"a\":\"\\u009b\\u202e\"}"},
        {SLICE("a=\xff\xc3"), ",\"a\":\"\\\\xff\\\\xc3\"}"},
        {SLICE("a=\"\xc3\xa9\xff\""), ",\"a\":\"\xc3\xa9\\\\xff\"}"},
        {SLICE("nothing to split"), ",\"message\":\"nothing to split\"}"},
        {SLICE("hello a=b world =c"), ",\"a\":\"b\",\"message\":\"hello world =c\"}"},
        {SLICE("listener=0 worker=1 workers=2 routes=3 changes=4 errors=5 canary_failed=6 "
               "stable_requests=7 for_s=8"),
         ",\"listener\":0,\"worker\":1,\"workers\":2,\"routes\":3,\"changes\":4,\"errors\":5,"
         "\"canary_failed\":6,"
         "\"stable_requests\":7,\"for_s\":8}"},
        {SLICE("1a=b"), ",\"message\":\"1a=b\"}"},
        {SLICE("a.b-c_1=d"), ",\"a.b-c_1\":\"d\"}"},
    };
    expect(true, rows, ARRAY_LEN(rows));
}

/* A reader takes the last of two members with one name: an outside value must not become one. */
static void json_members_cannot_be_overwritten(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SLICE("client=1.2.3.4 path=/ client=9.9.9.9"),
         ",\"client\":\"1.2.3.4\",\"path\":\"/\",\"message\":\"client=9.9.9.9\"}"},
        {SLICE("level=error time=0 event=x message=m cut=false a=b"),
         ",\"a\":\"b\",\"message\":\"level=error time=0 event=x message=m cut=false\"}"},
    };
    expect(true, rows, ARRAY_LEN(rows));
}

static void json_numbers_are_quantities_only(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {SLICE("version=1.10 route=2024 weight=5"),
         ",\"version\":\"1.10\",\"route\":\"2024\",\"weight\":\"5\"}"},
        {SLICE("took_ms=12 size_bytes=0 weight_bp=500 lines=7"),
         ",\"took_ms\":12,\"size_bytes\":0,\"weight_bp\":500,\"lines\":7}"},
        {SLICE("took_seconds=-0.5 reverted_us=1.25"),
         ",\"took_seconds\":-0.5,\"reverted_us\":1.25}"},
        {SLICE("took_ms=\"12\""), ",\"took_ms\":\"12\"}"},
        {SLICE("took_ms=012 status=+1"), ",\"took_ms\":\"012\",\"status\":\"+1\"}"},
        {SLICE("a_ms= b_ms=- c_ms=1. d_ms=.5 e_ms=1e3 f_ms=0x1 g_ms=nan"),
         ",\"a_ms\":\"\",\"b_ms\":\"-\",\"c_ms\":\"1.\",\"d_ms\":\".5\",\"e_ms\":\"1e3\","
         "\"f_ms\":\"0x1\",\"g_ms\":\"nan\"}"},
        {SLICE("a_ms=123456789012345 b_ms=1234567890123456"),
         ",\"a_ms\":123456789012345,\"b_ms\":\"1234567890123456\"}"},
        {SLICE("_ms=1"), ",\"_ms\":\"1\"}"},
    };
    expect(true, rows, ARRAY_LEN(rows));
}

static void many_pairs_end_as_message(void **state)
{
    (void)state;
    char pairs[1024];
    size_t len = 0;
    for (unsigned i = 0; i < 60; i++)
        len += (size_t)snprintf(pairs + len, sizeof pairs - len, "k%u=v ", i);
    const char *text = form(true, slice_of(pairs, len), false);
    assert_non_null(strstr(text, "\"k46\":\"v\",\"message\":\"k47=v k48=v "));
    assert_non_null(strstr(text, " k59=v \"}"));
}

static void long_events_are_cut_and_say_so(void **state)
{
    (void)state;
    static char pairs[2 * LOG_LINE_BYTES];
    memset(pairs, 'x', sizeof pairs);
    memcpy(pairs, "a=", 2);
    const char *text = form(false, slice_of(pairs, sizeof pairs), false);
    assert_string_equal(text + strlen(text) - 10, "x cut=true");
    assert_true(strlen(text) > LOG_LINE_BYTES - 32);
    text = form(true, slice_of(pairs, sizeof pairs), false);
    assert_string_equal(text + strlen(text) - 14, "x\",\"cut\":true}");
    assert_true(strlen(text) > LOG_LINE_BYTES - 32);
    assert_string_equal(form(false, SLICE("a=b"), true) + 41, " a=b cut=true");
    text = form(true, SLICE("a=b"), true);
    assert_string_equal(text + strlen(text) - 19, "\"a\":\"b\",\"cut\":true}");
}

/* At every length around the limit the line stays whole, whatever stands at the place of the cut.
 */
static void every_cut_leaves_a_whole_line(void **state)
{
    (void)state;
    static const char *const tails[] = {
        "xxxxxxxxxx",           "\n\n\n\n\n\n\n",   "\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9",
        "\xff\xff\xff\xff\xff", " b=c d=e f=g h=i", " n_ms=123456789",
        "\"\"\"\"\"\"\"\"",     "\" q=\"w w\" r=s", " words of a message"};
    static char pairs[LOG_LINE_BYTES + 64];
    for (size_t t = 0; t < ARRAY_LEN(tails); t++) {
        for (size_t fill = LOG_LINE_BYTES - 180; fill < LOG_LINE_BYTES; fill++) {
            memset(pairs, 'x', fill);
            memcpy(pairs, "a=\"", 3);
            size_t len = fill + (size_t)snprintf(pairs + fill, sizeof pairs - fill, "%s", tails[t]);
            for (int json = 0; json <= 1; json++) {
                const char *text = form(json, slice_of(pairs, len), false);
                assert_null(strchr(text, '\n'));
                assert_true(utf8_valid(slice_str(text)));
                cJSON *object = json ? cJSON_ParseWithOpts(text, NULL, 1) : NULL;
                if (json && !object)
                    fail_msg("tail %zu fill %zu: %s", t, fill, text + fill - 60);
                cJSON_Delete(object);
            }
        }
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void random_bytes_make_whole_lines(void **state)
{
    (void)state;
    static const char alphabet[] = "ab=_1. \"\"\\\\xn\n\t\x1b\xc3\xa9\xff\xe2\x80\xa8";
    uint64_t seed = 0x9e3779b97f4a7c15u;
    for (unsigned round = 0; round < 20000; round++) {
        char pairs[64];
        size_t len = next_random(&seed) % sizeof pairs;
        for (size_t i = 0; i < len; i++)
            pairs[i] = round % 4 ? alphabet[next_random(&seed) % (sizeof alphabet - 1)]
                                 : (char)next_random(&seed);
        const char *text = form(true, slice_of(pairs, len), false);
        assert_true(utf8_valid(slice_str(text)));
        assert_null(strchr(text, '\n'));
        cJSON *object = cJSON_ParseWithOpts(text, NULL, 1);
        if (!object)
            fail_msg("%s", text);
        for (cJSON *a = object->child; a; a = a->next)
            for (cJSON *b = a->next; b; b = b->next)
                assert_string_not_equal(a->string, b->string);
        assert_string_equal(cJSON_GetObjectItem(object, "level")->valuestring, "info");
        cJSON_Delete(object);
        text = form(false, slice_of(pairs, len), false);
        assert_true(utf8_valid(slice_str(text)));
        for (const char *c = text; *c; c++)
            assert_true((unsigned char)*c >= 0x20 && *c != 0x7f);
    }
}

static void quoted_outside_bytes_come_back_as_they_were(void **state)
{
    (void)state;
    struct log_quoted q;
    char pairs[LOG_QUOTED_BYTES + 32];
    const char *outside = "/x\" level=error y=\"\\ \t\n\x01 z";
    snprintf(pairs, sizeof pairs, "path=%s n=1", log_quote(&q, slice_str(outside)));
    cJSON *object = cJSON_ParseWithOpts(form(true, slice_str(pairs), false), NULL, 1);
    assert_non_null(object);
    assert_string_equal(cJSON_GetObjectItem(object, "path")->valuestring, outside);
    assert_string_equal(cJSON_GetObjectItem(object, "level")->valuestring, "info");
    assert_int_equal(cJSON_GetArraySize(object), 5);
    cJSON_Delete(object);
}

static void times_are_right(void **state)
{
    (void)state;
    static const struct {
        int64_t wall_ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {951827696789, "2000-02-29T12:34:56.789Z"},
        {4102444799999, "2099-12-31T23:59:59.999Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct log_event event = {rows[i].wall_ms, LOG_WARN, "x", SLICE(""), false};
        log_line_text(&line, &event);
        assert_true(strncmp(line.text, rows[i].text, strlen(rows[i].text)) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_lines_keep_their_words_and_escape_what_could_break_them),
        cmocka_unit_test(json_lines_have_the_pairs_as_members),
        cmocka_unit_test(json_members_cannot_be_overwritten),
        cmocka_unit_test(json_numbers_are_quantities_only),
        cmocka_unit_test(many_pairs_end_as_message),
        cmocka_unit_test(long_events_are_cut_and_say_so),
        cmocka_unit_test(every_cut_leaves_a_whole_line),
        cmocka_unit_test(random_bytes_make_whole_lines),
        cmocka_unit_test(quoted_outside_bytes_come_back_as_they_were),
        cmocka_unit_test(times_are_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
