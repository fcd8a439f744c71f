/* Loads configuration text for a test and holds its errors against the expected lines.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_CONF_HELP_H
#define SERIN_TESTS_CONF_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "base/check.h"
#include "proxy/conf/load.h"

/* A listener on line 1 and a route with two versions on lines 2 to 6, to which a test adds from
 * line 7 on. */
#define LISTENER "listeners: [{ bind: \"127.0.0.1:0\" }]\n"
#define ROUTE                                                                                      \
    "routes:\n"                                                                                    \
    "  - name: r\n"                                                                                \
    "    versions: { v1: { endpoints: [\"10.0.0.1:80\"] }, v2: { endpoints: [\"10.0.0.2:80\"] } "  \
    "}\n"                                                                                          \
    "    stable: v1\n"                                                                             \
    "    canary: v2\n"
#define GOOD LISTENER ROUTE

static struct config_errors help_errors;
static char help_text[CONFIG_ERRORS_MAX * 640];

/* Everything that config_errors_print writes of help_errors. */
static inline const char *help_print(void)
{
    help_text[0] = '\0'; /* what is not written to is not ended either */
    FILE *to = fmemopen(help_text, sizeof help_text, "w");
    assert_non_null(to);
    config_errors_print(&help_errors, to);
    fclose(to);
    return help_text;
}

static inline struct config *help_load(const char *text)
{
    return config_load_text("f", text, strlen(text), &help_errors);
}

/* Fails unless the text is refused by exactly these lines. */
static inline void help_expect(const char *text, const char *lines)
{
    struct config *config = help_load(text);
    const char *printed = help_print();
    if (strcmp(printed, lines) != 0)
        print_error("of:\n%s\nexpected:\n%s\ngot:\n%s\n", text, lines, printed);
    assert_string_equal(printed, lines);
    assert_int_equal(config == NULL, lines[0] != '\0');
    assert_int_equal(help_errors.code, lines[0] ? ERR_INVALID : OK);
    config_free(config);
}

/* The text is right; the caller frees the result. */
static inline struct config *help_good(const char *text)
{
    struct config *config = help_load(text);
    if (!config)
        print_error("of:\n%s\ngot:\n%s\n", text, help_print());
    assert_non_null(config);
    assert_int_equal(help_errors.code, OK);
    assert_int_equal(help_errors.n, 0);
    return config;
}

struct help_row {
    const char *text, *errors;
};

#endif
