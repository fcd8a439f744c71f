/* The table of keys holds together, and conf/serin.yaml shows every key.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/fields.h"
#include <stdio.h>
#include <stdlib.h>
#include "conf_help.h"
#include "proxy/conf/describe.h"
#include "proxy/conf/schema.h"

static bool is_list(const struct config_field *f)
{
    return f->type == TYPE_LIST || f->type == TYPE_NAMED || f->type == TYPE_SET ||
           f->type == TYPE_TEXTS || f->type == TYPE_SHARES;
}

static bool is_number(const struct config_field *f)
{
    return f->type == TYPE_INTEGER || f->type == TYPE_DURATION || f->type == TYPE_SIZE ||
           f->type == TYPE_SHARE;
}

/* What stands around a key is a key too, of a type that has keys below it. */
static void expect_parent(const struct config_field *f)
{
    char parent[128];
    const char *dot = strrchr(f->path, '.');
    if (!dot)
        return;
    size_t len = (size_t)(dot - f->path);
    enum config_type type = TYPE_MAPPING;
    if (dot[-1] == ']') {
        type = TYPE_LIST;
        len -= 2;
    } else if (dot[-1] == '*') {
        type = TYPE_NAMED;
        len -= 2;
    }
    (void)snprintf(parent, sizeof parent, "%.*s", (int)len, f->path);
    for (size_t i = 0; i < config_fields_n; i++)
        if (strcmp(config_fields[i].path, parent) == 0) {
            assert_int_equal(config_fields[i].type, type);
            return;
        }
    fail_msg("%s has no %s", f->path, parent);
}

static void test_rows_are_whole(void **state)
{
    (void)state;
    char text[DESCRIBE_MAX];
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(f->path, config_fields[k].path);
        expect_parent(f);
        assert_true(strlen(f->path) < 120); /* the walk's prefix has room for 128 */
        assert_true(f->help[0] != '\0');
        assert_true((f->scope == SCOPE_NONE) == (f->width == 0));
        assert_true(f->offset + f->width <= config_scope_size(f->scope));
        assert_true((f->type == TYPE_CHOICE || f->type == TYPE_SET) == (f->choices != NULL));
        assert_true(f->min <= f->max);
        assert_true(!is_list(f) || f->max > 0);
        assert_false((f->flags & FIELD_REQUIRED) && f->standard);
        assert_true(strlen(describe_expectation(f, text)) < DESCRIBE_MAX - 1);
        assert_true(strlen(describe_range(f, text)) < DESCRIBE_MAX - 1);
    }
}

/* The largest value of a number must come back from where it is kept. */
static void test_numbers_fit_their_places(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        if (!is_number(f) || f->scope == SCOPE_NONE)
            continue;
        if (f->width == 4)
            assert_true(f->max <= UINT32_MAX);
        else if (f->width == 2)
            assert_true(f->max <= UINT16_MAX);
        else
            assert_int_equal(f->width, 8);
        assert_true(f->absent == 0 || f->width == 8); /* -1 needs a sign */
    }
}

static void test_scopes_fit_what_is_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        if (f->scope == SCOPE_NONE)
            continue;
        if (f->type == TYPE_BOOL || f->type == TYPE_MAPPING)
            assert_int_equal(f->width, sizeof(bool));
        else if (f->type == TYPE_TEXT)
            assert_int_equal(f->width, sizeof(char *));
        else if (f->type == TYPE_TEXTS)
            assert_int_equal(f->width, sizeof(struct config_string_list));
        else if (f->type == TYPE_AMOUNT)
            assert_int_equal(f->width, sizeof(struct plan_amount));
        else if (f->type == TYPE_SHARES)
            assert_int_equal(f->width, (size_t)f->max * sizeof(double));
        else if (f->flags & FIELD_INLINE)
            assert_int_equal(f->width, (size_t)f->max * config_scope_size(f->items));
        else if (f->type == TYPE_LIST || f->type == TYPE_NAMED)
            assert_int_equal(f->width, sizeof(void *));
    }
    /* take_name puts the name of an item first */
    assert_int_equal(offsetof(struct config_version, name), 0);
}

/* Every default passes the checks that a file's value would have to pass. */
static void test_defaults_are_valid(void **state)
{
    (void)state;
    static struct config config;
    struct tree tree;
    config_errors_init(&help_errors, "f");
    memset(&config, 0, sizeof config);
    arena_init(&config.arena, NULL, 0, 1024 * 1024);
    assert_int_equal(tree_read(&tree, "listeners: []", 13, &help_errors), OK);
    assert_int_equal(schema_apply(&tree, &config, &help_errors), OK);
    tree_free(&tree);
    arena_reset(&config.arena);
    assert_string_equal(help_print(), "f:1:1: listeners: has 0 items (a list of 1 to 64 items)\n"
                                      "f:1:1: routes: is missing (which requests go where)\n");
}

static void test_suggestions(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *key, *expected;
    } rows[] = {
        {"routes[].", "stabel", "stable"},
        {"routes[].", "Stable", "stable"},
        {"routes[].", "host", "hosts"},
        {"routes[].", "cannary", "canary"},
        {"", "worker", "workers"},
        {"", "listner", "listeners"},
        {"", "x", NULL},
        {"", "stable", NULL},
        {"timeouts.", "conect", "connect"},
        {"routes[].rollout.", "step", "steps"},
        {"routes[].versions.*.", "endpoint", "endpoints"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = config_field_suggest(rows[i].prefix, slice_str(rows[i].key));
        if ((got == NULL) != (rows[i].expected == NULL) || (got && strcmp(got, rows[i].expected)))
            fail_msg("%s%s: %s", rows[i].prefix, rows[i].key, got ? got : "nothing");
    }
    assert_null(config_field_suggest("", slice_of(help_text, 100)));
    assert_string_equal(config_field_elsewhere(SLICE("max_hold")), "routes[].rollout.max_hold");
    assert_string_equal(config_field_elsewhere(SLICE("hold")), "routes[].rollout.hold");
    assert_null(config_field_elsewhere(SLICE("nonsense")));
}

/* The last word of a path as "word:" somewhere in the file, in a comment or not. */
static void test_the_example_shows_every_key(void **state)
{
    (void)state;
    static char text[64 * 1024];
    char word[128];
    FILE *file = fopen(TESTS_DIR "/../conf/serin.yaml", "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    for (size_t i = 0; i < config_fields_n; i++) {
        const char *dot = strrchr(config_fields[i].path, '.');
        (void)snprintf(word, sizeof word, "%s:", dot ? dot + 1 : config_fields[i].path);
        if (!strstr(text, word))
            fail_msg("conf/serin.yaml does not show %s", config_fields[i].path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_whole),
        cmocka_unit_test(test_numbers_fit_their_places),
        cmocka_unit_test(test_scopes_fit_what_is_kept),
        cmocka_unit_test(test_defaults_are_valid),
        cmocka_unit_test(test_suggestions),
        cmocka_unit_test(test_the_example_shows_every_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
