/* The file of a recording by itself: its bound, how it is thinned, and what is not ours.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/recording_file.h"
#include "rollout/recording_lines.h"
#include "rollout_world.h"

static char dir[64];

static int before_each(void **state)
{
    (void)state;
    memset(&world_disk, 0, sizeof world_disk);
    world_make_dir(dir);
    return 0;
}

static int after_each(void **state)
{
    (void)state;
    world_remove_dir(dir);
    return 0;
}

#define NAME "r.id-20260101T000000Z-1.jsonl"

static FILE *open_recording(void)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/" NAME, dir);
    FILE *in = fopen(path, "r");
    assert_non_null(in);
    return in;
}

static const char start_line[] = "{\"op\":\"start\",\"stages\":[1,100],\"tick_s\":1}\n";

static size_t tick_text(char *to, size_t size, unsigned t, const char *more)
{
    return (size_t)snprintf(to, size, RECORDING_TICK "%u.000,\"pad\":\"%060d\"%s}\n", t, 0, more);
}

static void append(struct recording_file *f, int dir_fd, const char *lines)
{
    struct why why = {""};
    if (recording_file_append(f, dir_fd, lines, strlen(lines), &why) != OK)
        fail_msg("%s", why.text);
    assert_true(f->size <= f->bytes_max);
}

static void test_thinning(void **state)
{
    (void)state;
    enum { BOUND = 8192, TICKS = 2000 };
    struct recording_file f;
    struct recording_tail tail;
    struct why why = {""};
    char line[256];
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
    recording_file_init(&f, NAME, BOUND);
    assert_int_equal(recording_file_make(&f, dir_fd, &why), OK);
    append(&f, dir_fd, start_line);
    unsigned written = 0;
    for (unsigned t = 1; t <= TICKS; t++) {
        const char *more = t == 77 ? ",\"moved\":true" : t % 10 == 0 ? ",\"hist\":{}" : "";
        if (t % f.every)
            continue;
        (void)tick_text(line, sizeof line, t, more);
        append(&f, dir_fd, line);
        written++;
    }
    assert_true(f.every >= 16 && (f.every & (f.every - 1)) == 0);
    unsigned every = f.every;
    recording_file_close(&f);

    recording_file_init(&f, NAME, BOUND);
    assert_int_equal(recording_file_continue(&f, dir_fd, TICKS * 1000, &tail, &why), OK);
    assert_int_equal(f.every, every); /* the start line says it */
    assert_true(tail.has_tick && tail.t_ms > (TICKS - 2 * (int64_t)every) * 1000);
    assert_non_null(tail.hist); /* they are not all thinned away */
    free(tail.hist);
    recording_file_close(&f);
    assert_int_equal(faccessat(dir_fd, NAME ".tmp", F_OK, 0), -1);

    FILE *in = open_recording();
    unsigned n = 0, before = 0, most = 0;
    bool has_move = false;
    assert_non_null(fgets(line, sizeof line, in));
    for (; fgets(line, sizeof line, in); n++) {
        unsigned t = (unsigned)strtod(line + strlen(RECORDING_TICK), NULL);
        assert_true(t > before);
        most = t - before > most ? t - before : most;
        has_move |= strstr(line, RECORDING_MOVED) != NULL;
        before = t;
    }
    fclose(in);
    assert_true(n > 20 && n < 80 && most <= 2 * every && has_move);
    (void)close(dir_fd);
}

static void test_thinning_of_moves(void **state)
{
    (void)state;
    struct recording_file f;
    struct why why = {""};
    char line[256];
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
    recording_file_init(&f, NAME, 8192);
    assert_int_equal(recording_file_make(&f, dir_fd, &why), OK);
    append(&f, dir_fd, start_line);
    for (unsigned t = 1; t <= 1000;
         t++) { /* one that flaps at every tick keeps to the bound, too */
        (void)tick_text(line, sizeof line, t, ",\"moved\":true");
        append(&f, dir_fd, line);
    }
    char *large = malloc(9000);
    memset(large, 'x', 9000);
    assert_int_equal(recording_file_append(&f, dir_fd, large, 9000, &why), ERR_LIMIT);
    assert_int_equal(f.fd, -1);
    free(large);
    (void)close(dir_fd);
}

static void test_not_ours(void **state)
{
    (void)state;
    static const char *const files[] = {
        "",
        "hello\n",
        "{\"op\":\"tick\"}\n",
        "{\"op\":\"start\",\"stages\":[1]}\n",
        "{\"op\":\"start\",\"tick_s\":1e9}\n",
        "{\"op\":\"start\",\"tick_s\":1}",
    };
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY);
    char path[256];
    (void)snprintf(path, sizeof path, "%s/x.jsonl", dir);
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        struct recording_file f;
        struct recording_tail tail;
        struct why why = {""};
        FILE *out = fopen(path, "w");
        (void)fputs(files[i], out);
        fclose(out);
        recording_file_init(&f, "x.jsonl", 8192);
        assert_int_equal(recording_file_continue(&f, dir_fd, 1000, &tail, &why), ERR_INVALID);
        assert_int_equal(f.fd, -1);
        assert_non_null(strstr(why.text, "x.jsonl"));
    }
    (void)close(dir_fd);
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *route, *id, *name;
    } rows[] = {
        {"my-web", "my-web-20260101T000000Z-1", "my-web.my-web-20260101T000000Z-1.jsonl"},
        {"a.b", "a.b-20260101T000000Z-1", "a.b.a_b-20260101T000000Z-1.jsonl"},
        {"%2E.%2F", "../-20260101T000000Z-1", "%2E.%2F.___-20260101T000000Z-1.jsonl"},
    };
    char name[RECORDING_NAME_MAX], long_route[300], long_id[96];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        recording_file_name(name, rows[i].route, rows[i].id);
        assert_string_equal(name, rows[i].name);
    }
    memset(long_route, 'r', sizeof long_route - 1);
    memset(long_id, 'i', sizeof long_id - 1);
    long_route[sizeof long_route - 1] = long_id[sizeof long_id - 1] = '\0';
    recording_file_name(name, long_route, long_id);
    assert_true(strlen(name) + strlen(".tmp") <= 255 && world_ends(name, "i.jsonl"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, before_each, after_each)
    const struct CMUnitTest tests[] = {
        TEST(test_thinning),
        TEST(test_thinning_of_moves),
        TEST(test_not_ours),
        TEST(test_names),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
