/* Tests manifests: what YAML means to Kubernetes, and what is refused where.
 * SPDX-License-Identifier: Apache-2.0 */
#include "kube_help.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>

static void yaml_becomes_json(void **state)
{
    static const struct {
        const char *yaml, *json;
    } rows[] = {
        {"", "[]"},
        {"# nothing\n", "[]"},
        {"---\n---\n~\n", "[]"},
        {"a: 1\n---\nb: 2\n...\n---\n# none\n", "[{\"a\":1},{\"b\":2}]"},
        {"{\"a\": {\"b\": [1, 2.5, null, true, \"\\ud83d\\ude00\"]}}\n",
         "[{\"a\":{\"b\":[1,2.5,null,true,\"\xf0\x9f\x98\x80\"]}}]"},
        {"\t{\n\t\"a\":\t1\n\t}", "[{\"a\":1}]"},
        {"[1, {a: b}]", "[[1,{\"a\":\"b\"}]]"},
        {"a: {}\nb: []\nc:\nd: ''\n", "[{\"a\":{},\"b\":[],\"c\":null,\"d\":\"\"}]"},
        {"a: |\n  x\n  y\nb: >-\n  x\n  y\n", "[{\"a\":\"x\\ny\\n\",\"b\":\"x y\"}]"},
        {"'on': 1\n80: x\n\"true\": z\n", "[{\"on\":1,\"80\":\"x\",\"true\":\"z\"}]"},
        /* typed as go-yaml v2 does it */
        {"[true, True, TRUE, yes, Yes, y, Y, on, On, ON]",
         "[[true,true,true,true,true,true,true,true,true,true]]"},
        {"[false, no, No, n, N, off, OFF]", "[[false,false,false,false,false,false,false]]"},
        {"[~, null, Null, NULL]", "[[null,null,null,null]]"},
        {"[tRUE, yES, oN, nULL, Y E S, none, nil]",
         "[[\"tRUE\",\"yES\",\"oN\",\"nULL\",\"Y E S\",\"none\",\"nil\"]]"},
        {"['true', \"4\", 'null', '~']", "[[\"true\",\"4\",\"null\",\"~\"]]"},
        {"[0, 4, -4, +4, 0644, 0o644, 0x1F, 0xff, 0b101, 1_000, 08]",
         "[[0,4,-4,4,420,420,31,255,5,1000,8]]"},
        {"[1.5, .5, 1., 1e3, -1.5e-3, 1E+2]", "[[1.5,0.5,1,1000,-0.0015,100]]"},
        {"[1.2.3, 1:30, 2026-01-01, 0x, 0xg, 1e, e1, ., -, +, 1-2, 12h, 100m, 1Gi, 0b2]",
         "[[\"1.2.3\",\"1:30\",\"2026-01-01\",\"0x\",\"0xg\",\"1e\",\"e1\",\".\",\"-\",\"+\",\"1-"
         "2\","
         "\"12h\",\"100m\",\"1Gi\",\"0b2\"]]"},
        {"[9007199254740992, -9007199254740992]", "[[9007199254740992,-9007199254740992]]"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct why why = {""};
        struct cJSON *got = manifest_parse("f", rows[i].yaml, strlen(rows[i].yaml), &why);
        if (!got)
            fail_msg("%s: %s", rows[i].yaml, why.text);
        struct cJSON *expected = cJSON_Parse(rows[i].json);
        char *text = cJSON_PrintUnformatted(got);
        assert_non_null(expected);
        if (!cJSON_Compare(got, expected, true))
            fail_msg("%s: %s", rows[i].yaml, text);
        cJSON_free(text);
        cJSON_Delete(expected);
        cJSON_Delete(got);
    }
}

static void what_is_refused_has_its_place(void **state)
{
    static const struct {
        const char *yaml, *why;
    } rows[] = {
        {"a: &x 1\n", "f:1:4: anchors are not taken here"},
        {"a: 1\nb: *x\n", "f:2:4: aliases are not taken here"},
        {"a:\n  <<: {b: 1}\n", "f:2:3: merge keys are not taken here"},
        {"a: !!str 4\n", "f:1:4: tags are not taken here"},
        {"a: !x {}\n", "f:1:4: tags are not taken here"},
        {"a: 1\na: 2\n", "f:2:1: the key \"a\" is repeated"},
        {"{\"a\": 1,\n \"a\": 2}", "f:2:2: the key \"a\" is repeated"},
        {"on: 1\n", "f:1:1: the key \"on\" is no text to YAML: quote it"},
        {"1.5: 1\n", "f:1:1: the key \"1.5\" is no text to YAML: quote it"},
        {"0x10: 1\n", "f:1:1: the key \"0x10\" is no text to YAML: quote it"},
        {"? [a]\n: 1\n", "f:1:3: a key that is no text"},
        {"a: .inf\n", "f:1:4: JSON has no such number: quote it if it is text"},
        {"a: -.Inf\n", "f:1:4: JSON has no such number: quote it if it is text"},
        {"a: 9007199254740994\n", "f:1:4: the number is above 2^53: quote it if it is text"},
        {"a: \"x\\0y\"\n", "f:1:4: a NUL byte in a text"},
        {"a: [1\n", "f:2:1: not valid YAML: did not find expected ',' or ']'"},
        {"a:\n\t- b\n", "f:2:1: not valid YAML: found character that cannot start any token"},
        {"a: b: c\n", "f:1:5: not valid YAML: mapping values are not allowed in this context"},
        {"\xff\xfe\xff", "f: not valid YAML: incomplete UTF-16 character (byte 2)"},
        {"a: \xc3\x28\n", "f: not valid YAML: invalid trailing UTF-8 octet (byte 4)"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct why why = {""};
        assert_null(manifest_parse("f", rows[i].yaml, strlen(rows[i].yaml), &why));
        assert_string_equal(why.text, rows[i].why);
    }
}

/* part, times over, with a beginning and an end. */
static char *repeat(const char *begin, const char *part, size_t times, const char *end)
{
    size_t n = strlen(part);
    char *text = malloc(strlen(begin) + n * times + strlen(end) + 1), *to = text;
    to = stpcpy(to, begin);
    for (size_t i = 0; i < times; i++)
        to = stpcpy(to, part);
    (void)stpcpy(to, end);
    return text;
}

static void everything_is_bounded(void **state)
{
    static const struct {
        const char *begin, *part;
        size_t times;
        const char *end, *why;
    } rows[] = {
        {"", "[", 65, "", "f:1:65: more than 64 levels"},
        {"", "{\"a\":", 70, "", "f:1:321: more than 64 levels"},
        {"[", "1,", 100001, "]", "values"},
        {"", "#\n", 600000, "", "f: more than 1048576 bytes"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct why why = {""};
        char *text = repeat(rows[i].begin, rows[i].part, rows[i].times, rows[i].end);
        assert_null(manifest_parse("f", text, strlen(text), &why));
        if (!strstr(why.text, rows[i].why))
            fail_msg("%s", why.text);
        free(text);
    }
    char *deep = repeat("", "[", 64, "");
    char *closed = repeat(deep, "]", 64, "");
    struct why why;
    struct cJSON *got = manifest_parse("f", closed, strlen(closed), &why);
    assert_non_null(got);
    cJSON_Delete(got);
    free(deep);
    free(closed);
}

static void values_know_their_lines(void **state)
{
    static const char yaml[] = "a: x\nb:\n  c: [1,\n   z]\n  d: 70\n\n  e: true\n";
    struct why why;
    struct cJSON *got = manifest_parse("f", yaml, strlen(yaml), &why);
    const struct cJSON *root = cJSON_GetArrayItem(got, 0);
    const struct cJSON *list = cJSON_GetObjectItem(cJSON_GetObjectItem(root, "b"), "c");
    (void)state;
    assert_int_equal(manifest_line(root), 1);
    assert_int_equal(manifest_line(cJSON_GetObjectItem(root, "a")), 1);
    const struct cJSON *b = cJSON_GetObjectItem(root, "b"), *d = cJSON_GetObjectItem(b, "d");
    assert_int_equal(manifest_line(b), 2); /* where its key stands */
    assert_int_equal(manifest_line(list), 3);
    assert_int_equal(manifest_line(cJSON_GetArrayItem(list, 0)), 3);
    assert_int_equal(manifest_line(cJSON_GetArrayItem(list, 1)), 4);
    assert_int_equal(manifest_line(d), 5);
    assert_true(d->valuedouble == 70);
    assert_int_equal(manifest_line(cJSON_GetObjectItem(b, "e")), 7);
    assert_int_equal(manifest_line(NULL), 0);
    cJSON_Delete(got);
    got = manifest_parse("f", "{\"a\": 7}", 8, &why);
    assert_int_equal(manifest_line(cJSON_GetObjectItem(cJSON_GetArrayItem(got, 0), "a")), 0);
    cJSON_Delete(got);
}

static void files_are_read_or_named(void **state)
{
    struct why why = {""};
    (void)state;
    assert_null(manifest_read("/nowhere/at/all.yaml", &why));
    assert_string_equal(why.text, "/nowhere/at/all.yaml: No such file or directory");
    assert_null(manifest_read("/", &why));
    assert_string_equal(why.text, "/: Is a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yaml_becomes_json),       cmocka_unit_test(what_is_refused_has_its_place),
        cmocka_unit_test(everything_is_bounded),   cmocka_unit_test(values_know_their_lines),
        cmocka_unit_test(files_are_read_or_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
