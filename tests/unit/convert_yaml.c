/* The YAML that `serin convert` writes says what was meant, to any reader, whatever stands in it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/yaml.h"
#include "base/check.h"
#include "proxy/convert/draft.h"
#include "rollout/cli/text.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

static char *written(const char *json)
{
    struct cJSON *object = cJSON_Parse(json);
    struct text out = {0};
    assert_non_null(object);
    yaml_write(&out, object);
    cJSON_Delete(object);
    assert_false(out.failed);
    return out.at;
}

static void looks(void **state)
{
    static const struct {
        const char *json, *yaml;
    } rows[] = {
        {"{\"a\":{\"b\":1,\"c\":[\"1%\",\"x\"]}}", "a: { b: 1, c: [1%, x] }\n"},
        {"{\"a\":[{\"b\":{\"c\":{}}},{\"on\":\"on\"}]}",
         "a:\n  - b:\n      c: {}\n  - { on: \"on\" }\n"},
        {"{\"#\":\"above\",\"a\":{\"#\":\"within\",\"b\":true}}",
         "# above\na:\n  # within\n  b: true\n"},
        {"{\"a\":[{\"#\":\"one\",\"#\":\"two\",\"b\":1}]}", "a:\n  # one\n  # two\n  - b: 1\n"},
        {"{\"a\":\"1.2\",\"1.2\":\"yes\",\"b c\":\"x: y\"}",
         "a: \"1.2\"\n1.2: \"yes\"\n\"b c\": \"x: y\"\n"},
        {"{\"a\":\"/shop\",\"b\":\"-x\",\"c\":\"\",\"d\":\"90s\"}",
         "a: /shop\nb: \"-x\"\nc: \"\"\nd: 90s\n"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char *yaml = written(rows[i].json);
        assert_string_equal(yaml, rows[i].yaml);
        free(yaml);
    }
}

/* Every text comes back as it was, and as a text. */
static void texts_come_back(void **state)
{
    static const char *const texts[] = {
        "",           "null", "~",    "true", "0x1f",     "1_000",        ".inf",
        "2024-01-01", "- a",  "a: b", "a #b", "{a}",      "[a]",          "*a",
        "&a",         "!a",   "%a",   "@a",   "`a`",      "\"q\"",        "back\\",
        "it's",       " a ",  "a\tb", "a\nb", "\xc3\xa9", "\xe2\x80\xa8", "\xf0\x9f\x98\x80",
        "\x7f",       "<<",   "=",    "?",
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct why why = {""};
        struct cJSON *object = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(object, "l");
        cJSON_AddStringToObject(object, "t", texts[i]);
        cJSON_AddItemToArray(list, cJSON_CreateString(texts[i]));
        struct text out = {0};
        yaml_write(&out, object);
        struct cJSON *back = manifest_parse("f", out.at, out.len, &why);
        const struct cJSON *first = cJSON_GetArrayItem(back, 0);
        if (!cJSON_Compare(first, object, true))
            fail_msg("%s: %s", out.at, why.text);
        cJSON_Delete(object);
        cJSON_Delete(back);
        text_fini(&out);
    }
}

static void no_utf8_becomes_a_question_mark(void **state)
{
    struct cJSON *object = cJSON_CreateObject();
    struct text out = {0};
    (void)state;
    cJSON_AddStringToObject(object, "a", "x\xff\xc3y");
    yaml_write(&out, object);
    assert_string_equal(text_str(&out), "a: \"x??y\"\n");
    cJSON_Delete(object);
    text_fini(&out);
}

static void a_comment_stays_one(void **state)
{
    static struct draft d;
    struct why why;
    struct cJSON *documents = cJSON_CreateArray();
    struct text out = {0};
    (void)state;
    assert_int_equal(draft_init(&d, "f", documents, &why), OK);
    draft_comment(&d, d.config, "%s", "a\nroutes: []\r\xe2\x80\xa8x: y");
    draft_put_text(&d, d.config, "z", "z");
    yaml_write(&out, d.config);
    assert_non_null(strstr(text_str(&out), "\n# a routes: [] ???x: y\nz: z\n"));
    text_fini(&out);
    draft_fini(&d);
    cJSON_Delete(documents);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(looks),
        cmocka_unit_test(texts_come_back),
        cmocka_unit_test(no_utf8_becomes_a_question_mark),
        cmocka_unit_test(a_comment_stays_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
