/* YAML as far as serin takes it: places, repeated keys, anchors, tags, bounds, bytes.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include "conf_help.h"
#include "proxy/conf/tree.h"

static void test_refusals(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {"workers: [1\n" GOOD, "f:2:10: not valid YAML: did not find expected ',' or ']', while "
                               "parsing a flow sequence that "
                               "begins at line 1, column 10\n"},
        {"workers:\n\tx: 1\n",
         "f:2:1: not valid YAML: found character that cannot start any token (YAML is "
         "indented by spaces, not tabs)\n"},
        {"a: b: c\n", "f:1:5: not valid YAML: mapping values are not allowed in this context\n"},
        {GOOD "--- \n" GOOD, "f:7:1: a second document begins (expected one)\n"},
        {"- a\n", "f:1:1: is a list (expected a mapping of keys)\n"},
        {"text\n", "f:1:1: is a single value (expected a mapping of keys)\n"},
        {GOOD "workers: 1\nworkers: 2\n", "f:8:1: key \"workers\" is repeated (first at line 7)\n"},
        {GOOD "    weight: 1%\n    weight: 2%\n",
         "f:8:5: routes[0]: key \"weight\" is repeated (first at line 7)\n"},
        /* of two lists the first counts, for the rules between keys too */
        {GOOD "routes:\n  - { name: r, stable: v3 }\n  - { name: r }\n",
         "f:7:1: key \"routes\" is repeated (first at line 2)\n"},
        {GOOD "log: &a { level: info }\n", "f:7:6: an anchor (&…) is not accepted here\n"},
        {GOOD "log: { level: !!str info }\n", "f:7:15: log: a tag (!…) is not accepted here\n"},
        {GOOD "log: { level: ! info }\n", "f:7:15: log: a tag (!…) is not accepted here\n"},
        {GOOD "state_dir: *a\n", "f:7:12: an alias (*…) is not accepted here\n"},
        {GOOD "? [a]\n: b\n", "f:7:3: a key that is a list or a mapping (expected a word)\n"},
        {GOOD "? *a\n: b\n", "f:7:3: an alias (*…) is not accepted here\n"},
        {GOOD "\"\": 1\n", "f:7:1: an empty key\n"},
        {GOOD "\"a\\0b\": 1\n", "f:7:1: unknown key \"a\\x00b\"\n"},
        {GOOD "state_dir: \"a\\0b\"\n",
         "f:7:12: state_dir: \"a\\x00b\" holds a control character (the path of a file)\n"},
        {GOOD "<<: { workers: 1 }\n", "f:7:1: unknown key \"<<\"\n"},
        {"{a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}}}}}}}}",
         "f:1:65: a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: nested deeper than 16 levels\n"},
        {"a: \xff\n", "f:1:4: not valid YAML: invalid leading UTF-8 octet\n"},
        {"# \xc3\xa4\na: \xc3(\n", "f:2:5: not valid YAML: invalid trailing UTF-8 octet\n"},
        {"a: \x01\n", "f:1:4: not valid YAML: control characters are not allowed\n"},
        {"\xff\xfe"
         "a\0:\0",
         "f:1:1: not valid YAML: invalid leading UTF-8 octet\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        help_expect(rows[i].text, rows[i].errors);
}

static void test_an_empty_file_says_what_is_missing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "\n", "# nothing\n", "---\n", "~", "{}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        config_free(help_load(texts[i]));
        const char *printed = help_print();
        assert_non_null(strstr(printed, "listeners: is missing (where clients connect)\n"));
        assert_non_null(strstr(printed, "routes: is missing (which requests go where)\n"));
        assert_int_equal(help_errors.n, 2);
    }
}

static void test_a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    config_free(help_good("\xef\xbb\xbf" GOOD));
}

/* Text of n bytes from a pattern that is repeated. */
static char *repeat(const char *before, const char *pattern, size_t times)
{
    size_t head = strlen(before), len = strlen(pattern);
    char *text = malloc(head + len * times + 1);
    assert_non_null(text);
    memcpy(text, before, head);
    for (size_t i = 0; i < times; i++)
        memcpy(text + head + i * len, pattern, len);
    text[head + len * times] = '\0';
    return text;
}

static void expect_bound(char *text, const char *error)
{
    config_free(help_load(text));
    assert_non_null(strstr(help_print(), error));
    free(text);
}

static void test_bounds(void **state)
{
    (void)state;
    char key[16], *keys = malloc(16 * 300);
    size_t at = 0;
    expect_bound(repeat("a: [", "1,", 70000), "more than 65536 values in the file\n");
    expect_bound(repeat("# ", "12345678", 131072), "f:1:1: larger than 1048576 bytes\n");
    expect_bound(repeat("", "[", 5000), "f:1:17: [0][0]");
    assert_non_null(keys);
    for (int i = 0; i < 257; i++) {
        int len = snprintf(key, sizeof key, "k%d: 1\n", i);
        memcpy(keys + at, key, (size_t)len + 1);
        at += (size_t)len;
    }
    expect_bound(keys, "f:257:1: more than 256 keys in one mapping\n");
}

static void test_places_and_paths(void **state)
{
    (void)state;
    static const char text[] = "a: 1\nb:\n  - x\n  - { ä: [y, z] }\nc:\n  d: e\n";
    struct tree t;
    char path[CONFIG_PATH_MAX];
    config_errors_init(&help_errors, "f");
    assert_int_equal(tree_read(&t, text, sizeof text - 1, &help_errors), OK);
    struct node *z = node_item(node_child(node_item(node_child(t.root, "b"), 1), "ä"), 1);
    assert_true(slice_equal(z->text, SLICE("z")));
    assert_int_equal(z->line, 4);
    assert_int_equal(z->column, 14); /* characters, not bytes */
    node_path(z, path, sizeof path);
    assert_string_equal(path, "b[1].ä[1]");
    node_path(t.root, path, sizeof path);
    assert_string_equal(path, "");
    node_path(z, path, 5);
    assert_string_equal(path, "b[1]");
    assert_int_equal(node_child(t.root, "c")->line, 5); /* a group is reported at its key */
    assert_int_equal(node_child(t.root, "c")->column, 1);
    assert_null(node_child(t.root, "d"));
    assert_null(node_item(t.root, 3));
    tree_free(&t);
}

static void test_quoting(void **state)
{
    (void)state;
    char out[TREE_QUOTE_MAX], longest[300];
    assert_string_equal(tree_quote(SLICE("a\n\x7f"), out), "\"a\\x0a\\x7f\"");
    for (size_t at = 80; at < 100; at++) { /* a cut never leaves half of a character */
        memset(longest, 'a', sizeof longest);
        memcpy(longest + at, "\xe2\x82\xac", 3);
        tree_quote(slice_of(longest, sizeof longest), out);
        size_t len = strlen(out);
        assert_true(len < TREE_QUOTE_MAX);
        assert_string_equal(out + len - 4, "…\"");
        assert_true((unsigned char)out[len - 5] < 0x80 ||
                    memcmp(out + len - 7, "\xe2\x82\xac", 3) == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_an_empty_file_says_what_is_missing),
        cmocka_unit_test(test_a_byte_order_mark_is_skipped),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_places_and_paths),
        cmocka_unit_test(test_quoting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
