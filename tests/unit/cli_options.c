/* Tests the command line of the client's commands: what is taken, what is refused, where defaults
 * come from.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/cli/cli.h"
#include "rollout/cli/options.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct options_spec status = {"status", OPTION_JSON | OPTION_WATCH, ROUTE_OPTIONAL};
static const struct options_spec wait_spec = {"wait", OPTION_TIMEOUT, ROUTE_REQUIRED};
static const struct options_spec promote = {"promote", OPTION_FULL | OPTION_WHO, ROUTE_REQUIRED};
static const struct options_spec reload = {"reload", OPTION_WHO, ROUTE_NONE};

/* Splits words at spaces into an argv of their own, so that getopt may move them. */
static enum err parse(struct cli_options *o, const struct options_spec *spec, const char *words,
                      struct why *why)
{
    static char copy[8192];
    char *argv[16], *rest = copy;
    int argc = 0;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word; (word = strsep(&rest, " ")) && argc < 15;)
        argv[argc++] = word;
    argv[argc] = NULL;
    return options_parse(o, spec, argc, argv, why);
}

static int clean_environment(void **state)
{
    (void)state;
    unsetenv("SERIN_ADMIN");
    unsetenv("SERIN_TOKEN");
    return 0;
}

static const struct {
    const struct options_spec *spec;
    const char *words;
    const char *why; /* in the reason; NULL = taken */
} rows[] = {
    {&status, "status", NULL},
    {&status, "status my-web", NULL},
    {&status, "status my-web --watch --json", NULL},
    {&status, "status -w my-web", NULL},
    {&status, "status --watch -- -odd-name", NULL},
    {&status, "status --admin unix:/run/serin my-web", NULL},
    {&status, "status --admin=http://[::1]:1", NULL},
    {&status, "status --help --nonsense", NULL},
    {&status, "status my-web other", "too many arguments: other"},
    {&status, "status --full", "unknown option --full"},
    {&status, "status --nonsense", "unknown option --nonsense"},
    {&status, "status -x", "unknown option -x"},
    {&status, "status --admin", "--admin needs a value"},
    {&status, "status --json=yes", "--json takes no value"},
    {&status, "status -wx", "unknown option -x"},
    {&status, "status --timeout=3s", "unknown option --timeout"},
    {&promote, "promote web --timeout 3s", "unknown option --timeout"},
    {&status, "status ", "a route's name has"},
    {&status, "status --token-file /nonexistent/token", "/nonexistent/token"},
    {&wait_spec, "wait my-web --timeout 30m", NULL},
    {&wait_spec, "wait", "the route is missing"},
    {&wait_spec, "wait my-web --timeout 30", "30 is not a duration"},
    {&wait_spec, "wait my-web --timeout 0s", "0s is not a duration"},
    {&wait_spec, "wait my-web --timeout -5s", "-5s is not a duration"},
    {&wait_spec, "wait my-web --timeout 1.5h", "is not a duration"},
    {&wait_spec, "wait my-web --timeout s", "is not a duration"},
    {&wait_spec, "wait my-web --timeout 5d", "is not a duration"},
    {&wait_spec, "wait my-web --timeout 99999999999999999999h", "is not a duration"},
    {&wait_spec, "wait my-web --timeout 9000h", "is not a duration"},
    {&wait_spec, "wait my-web --watch", "unknown option --watch"},
    {&promote, "promote my-web --full --who Ada", NULL},
    {&promote, "promote --who Ada", "the route is missing"},
    {&promote, "promote my-web --who a\"b", "--who takes no"},
    {&promote, "promote my-web --who a\nb", "--who takes no"},
    {&promote, "promote my-web --who ", "--who takes 1 to 64 bytes"},
    {&reload, "reload", NULL},
    {&reload, "reload my-web", "too many arguments: my-web"},
};

static void command_lines_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct cli_options o;
        struct why why = {""};
        enum err e = parse(&o, rows[i].spec, rows[i].words, &why);
        bool is_right = rows[i].why ? e != OK && strstr(why.text, rows[i].why) : e == OK;
        if (!is_right)
            fail_msg("%s: %s (%s), expected %s", rows[i].words, err_text(e), why.text,
                     rows[i].why ? rows[i].why : "ok");
    }
}

static void options_have_their_values(void **state)
{
    (void)state;
    struct cli_options o;
    struct why why;
    assert_int_equal(parse(&o, &wait_spec, "wait --timeout 90m my-web", &why), OK);
    assert_int_equal(o.timeout_ms, 90 * 60 * 1000);
    assert_string_equal(o.route, "my-web");
    assert_string_equal(o.admin, OPTIONS_ADMIN_DEFAULT);
    assert_string_equal(o.token, "");
    assert_false(o.full || o.watch || o.json || o.help);
    assert_int_equal(parse(&o, &promote, "promote my-web --full --who Ada", &why), OK);
    assert_true(o.full);
    assert_string_equal(o.who, "Ada");
    assert_int_equal(parse(&o, &status, "status --watch --json", &why), OK);
    assert_true(o.watch && o.json && !o.route);
    assert_int_equal(parse(&o, &status, "status -h", &why), OK);
    assert_true(o.help);
}

static void the_environment_fills_what_is_left_open(void **state)
{
    (void)state;
    struct cli_options o;
    struct why why;
    setenv("SERIN_ADMIN", "unix:/run/a", 1);
    setenv("SERIN_TOKEN", "from-environment\n", 1);
    assert_int_equal(parse(&o, &status, "status", &why), OK);
    assert_string_equal(o.admin, "unix:/run/a");
    assert_string_equal(o.token, "from-environment");
    assert_int_equal(parse(&o, &status, "status --admin localhost:1", &why), OK);
    assert_string_equal(o.admin, "localhost:1");
    setenv("SERIN_ADMIN", "", 1);
    setenv("SERIN_TOKEN", "", 1);
    assert_int_equal(parse(&o, &status, "status", &why), OK);
    assert_string_equal(o.admin, OPTIONS_ADMIN_DEFAULT);
    assert_string_equal(o.token, "");
    setenv("SERIN_TOKEN", "two words", 1);
    assert_int_equal(parse(&o, &status, "status", &why), ERR_INVALID);
}

static const struct {
    const char *content;
    size_t len;
    const char *token; /* NULL = refused */
} token_files[] = {
    {"secret", 6, "secret"},
    {"secret\r\n", 8, "secret"},
    {"secret  \n\n", 10, "secret"},
    {"", 0, NULL},
    {"\n", 1, NULL},
    {"two words\n", 10, NULL},
    {"a\nb\n", 4, NULL},
    {"nul\0inside", 10, NULL},
    {" indented", 9, NULL},
    {"esc\033", 4, NULL},
};

static void token_files_hold_one_word(void **state)
{
    (void)state;
    char path[] = "/tmp/serin-token-XXXXXX", words[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    snprintf(words, sizeof words, "status --token-file %s", path);
    for (size_t i = 0; i < ARRAY_LEN(token_files); i++) {
        struct cli_options o;
        struct why why;
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, token_files[i].content, token_files[i].len, 0),
                         token_files[i].len);
        setenv("SERIN_TOKEN", "other", 1); /* the file stands over it */
        enum err e = parse(&o, &status, words, &why);
        if ((e == OK) != (token_files[i].token != NULL))
            fail_msg("row %zu: %s", i, err_text(e));
        if (e == OK)
            assert_string_equal(o.token, token_files[i].token);
        else
            assert_null(strstr(why.text, "words")); /* a token never shows in an error */
    }
    static char large[OPTIONS_TOKEN_MAX + 100];
    memset(large, 'x', sizeof large);
    assert_int_equal(pwrite(fd, large, sizeof large, 0), sizeof large);
    struct cli_options o;
    assert_int_equal(parse(&o, &status, words, NULL), ERR_INVALID);
    close(fd);
    unlink(path);
}

/* Each command explains itself, with an example, and refuses what it does not know. */
static void every_command_has_help(void **state)
{
    (void)state;
    static const char *const commands[] = {"status", "wait",   "history", "start",
                                           "pause",  "resume", "promote", "abort",
                                           "retry",  "undo",   "reset",   "reload"};
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        char name[16], help[] = "--help", bad[] = "--nonsense";
        char *argv[] = {name, help, NULL}, *bad_argv[] = {name, bad, NULL};
        snprintf(name, sizeof name, "%s", commands[i]);
        assert_true(cli_is_command(commands[i]));
        assert_int_equal(cli_run(name, 2, argv), CLI_OK);
        assert_int_equal(cli_run(name, 2, bad_argv), CLI_USAGE);
    }
    assert_false(cli_is_command("explode"));
    assert_false(cli_is_command(""));
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, clean_environment, clean_environment)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(command_lines_follow_the_table),
        CASE(options_have_their_values),
        CASE(the_environment_fills_what_is_left_open),
        CASE(token_files_hold_one_word),
        CASE(every_command_has_help),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
