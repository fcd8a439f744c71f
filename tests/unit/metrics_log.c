/* The log's sink: level, rate, destination, reopening, many threads, a full disk.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int64_t hands_us; /* of the tests' clock */

static int64_t fake_monotonic_us(void *arg)
{
    (void)arg;
    return hands_us;
}

static int64_t fake_wall_ms(void *arg)
{
    (void)arg;
    return 1795578777123;
}

static const struct clock fake_clock = {fake_monotonic_us, fake_wall_ms, NULL};

struct place {
    char dir[64], file[96], rotated[96];
};

static int setup(void **state)
{
    static struct place p;
    strcpy(p.dir, "/tmp/serin-log-XXXXXX");
    if (!mkdtemp(p.dir))
        return -1;
    snprintf(p.file, sizeof p.file, "%s/log", p.dir);
    snprintf(p.rotated, sizeof p.rotated, "%s/log.1", p.dir);
    hands_us += 10000000; /* no test inherits another's second */
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    struct log_setup plain = {.level = LOG_INFO};
    unlink(p->file);
    unlink(p->rotated);
    return rmdir(p->dir) == 0 && log_open(&plain, NULL) == OK ? 0 : -1;
}

static void open_log(struct log_setup setup)
{
    struct why why = {""};
    setup.clock = &fake_clock;
    if (log_open(&setup, &why) != OK)
        fail_msg("%s", why.text);
}

/* The whole file as a string. */
static const char *content(const char *path)
{
    static char text[1 << 20];
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[n] = '\0';
    return text;
}

#define STAMP "2026-11-25T03:52:57.123Z "

static void lines_go_to_the_file(void **state)
{
    struct place *p = *state;
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    log_error("first", "n=%d", 1);
    log_warn("second", "why=\"%s\"", "a b");
    log_info("third", "%s", "");
    log_debug("fourth", "n=%d", 4);
    assert_string_equal(content(p->file), STAMP "error first n=1\n" STAMP
                                                "warn second why=\"a b\"\n" STAMP "info third\n");
    struct stat st;
    assert_int_equal(stat(p->file, &st), 0);
    assert_int_equal(st.st_mode & 07, 0);
}

static void json_is_one_object_a_line(void **state)
{
    struct place *p = *state;
    open_log((struct log_setup){.level = LOG_DEBUG, .file = p->file, .json = true});
    log_debug("x", "route=%s took_ms=%d", "web", 3);
    assert_string_equal(content(p->file),
                        "{\"time\":\"2026-11-25T03:52:57.123Z\",\"level\":\"debug\","
                        "\"event\":\"x\",\"route\":\"web\",\"took_ms\":3}\n");
}

static void the_level_follows_a_reload(void **state)
{
    struct place *p = *state;
    open_log((struct log_setup){.level = LOG_ERROR, .file = p->file});
    log_warn("hidden", "%s", "");
    open_log((struct log_setup){.level = LOG_WARN, .file = p->file});
    log_warn("shown", "%s", "");
    assert_string_equal(content(p->file), STAMP "warn shown\n");
}

/* What a rotation does: the file moves away, USR1 comes, a new file begins. */
static void reopening_begins_a_new_file(void **state)
{
    struct place *p = *state;
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    log_info("one", "%s", "");
    assert_int_equal(rename(p->file, p->rotated), 0);
    log_info("two", "%s", "");
    assert_int_equal(log_reopen(NULL), OK);
    log_info("three", "%s", "");
    assert_string_equal(content(p->rotated), STAMP "info one\n" STAMP "info two\n");
    assert_string_equal(content(p->file), STAMP "info three\n");
}

static void reopening_appends(void **state)
{
    struct place *p = *state;
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    log_info("one", "%s", "");
    assert_int_equal(log_reopen(NULL), OK);
    log_info("two", "%s", "");
    assert_string_equal(content(p->file), STAMP "info one\n" STAMP "info two\n");
}

static void a_file_that_cannot_be_opened_changes_nothing(void **state)
{
    struct place *p = *state;
    struct why why = {""};
    char missing[160], *endless = malloc(8192);
    assert_non_null(endless);
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    snprintf(missing, sizeof missing, "%s/no/such/dir", p->dir);
    struct log_setup wrong = {.level = LOG_ERROR, .json = true, .file = missing};
    assert_int_equal(log_open(&wrong, &why), ERR_IO);
    assert_non_null(strstr(why.text, missing));
    memset(endless, 'x', 8191);
    endless[8191] = '\0';
    wrong.file = endless;
    assert_int_equal(log_open(&wrong, &why), ERR_LIMIT);
    log_info("still", "%s", "");
    assert_string_equal(content(p->file), STAMP "info still\n");
    assert_int_equal(rename(p->file, p->rotated), 0);
    assert_int_equal(mkdir(p->file, 0700), 0);
    assert_int_equal(log_reopen(&why), ERR_IO);
    log_info("still2", "%s", "");
    assert_int_equal(rmdir(p->file), 0);
    assert_string_equal(content(p->rotated), STAMP "info still\n" STAMP "info still2\n");
    free(endless);
}

/* stderr, then a file, then stderr again: each gets its own lines. */
static void the_destination_may_change(void **state)
{
    struct place *p = *state;
    int terminal = dup(STDERR_FILENO);
    int fd = open(p->rotated, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(terminal >= 0 && fd >= 0);
    assert_true(dup2(fd, STDERR_FILENO) >= 0);
    open_log((struct log_setup){.level = LOG_INFO});
    log_info("a", "%s", "");
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    log_info("b", "%s", "");
    open_log((struct log_setup){.level = LOG_INFO, .file = "-"});
    log_info("c", "%s", "");
    assert_int_equal(log_reopen(NULL), OK);
    log_info("d", "%s", "");
    assert_true(dup2(terminal, STDERR_FILENO) >= 0);
    close(terminal);
    close(fd);
    assert_string_equal(content(p->rotated), STAMP "info a\n" STAMP "info c\n" STAMP "info d\n");
    assert_string_equal(content(p->file), STAMP "info b\n");
}

/* Ten lines of one place, five of another; so one flood does not silence the rest. */
static void flood(unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        log_info("flood", "n=%u", i);
}

static void a_flood_is_bounded_and_counted(void **state)
{
    struct place *p = *state;
    uint64_t before = log_suppressed();
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file, .rate = 3});
    flood(10);
    log_info("other_place", "%s", "");
    assert_int_equal(log_suppressed() - before, 7);
    hands_us += 1000000;
    flood(1);
    hands_us += 1000000;
    flood(1);
    assert_int_equal(log_suppressed() - before, 7);
    assert_string_equal(content(p->file), STAMP "info flood n=0\n" STAMP "info flood n=1\n" STAMP
                                                "info flood n=2\n" STAMP "info other_place\n" STAMP
                                                "info log_suppressed of=flood lines=7\n" STAMP
                                                "info flood n=0\n" STAMP "info flood n=0\n");
}

static void lines_below_the_level_do_not_count_for_the_rate(void **state)
{
    struct place *p = *state;
    uint64_t before = log_suppressed();
    open_log((struct log_setup){.level = LOG_ERROR, .file = p->file, .rate = 1});
    flood(10);
    assert_int_equal(log_suppressed(), before);
    assert_string_equal(content(p->file), "");
}

static void a_full_disk_is_counted_and_survived(void **state)
{
    struct place *p = *state;
    uint64_t before = log_suppressed();
    open_log((struct log_setup){.level = LOG_INFO, .file = "/dev/full"});
    errno = EDOM;
    log_info("lost", "%s", "");
    assert_int_equal(errno, EDOM);
    assert_int_equal(log_suppressed() - before, 1);
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    log_info("kept", "%s", "");
    assert_string_equal(content(p->file), STAMP "info kept\n");
}

static void a_long_message_is_cut(void **state)
{
    struct place *p = *state;
    char *text = malloc(3 * 4096);
    assert_non_null(text);
    memset(text, 'y', 3 * 4096 - 1);
    text[3 * 4096 - 1] = '\0';
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file});
    log_info("long", "v=%s", text);
    free(text);
    const char *line = content(p->file);
    assert_true(strlen(line) <= 4096);
    assert_string_equal(line + strlen(line) - 11, "y cut=true\n");
}

#define THREADS 4
#define LINES   200

static void *write_lines(void *arg)
{
    char text[512];
    memset(text, 'a' + *(int *)arg, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (int i = 0; i < LINES; i++)
        log_info("threads", "v=%s", text);
    return NULL;
}

/* Also while the destination is opened again and again: every line is whole and none is lost. */
static void lines_of_many_threads_stay_whole(void **state)
{
    struct place *p = *state;
    pthread_t threads[THREADS];
    int names[THREADS];
    open_log((struct log_setup){.level = LOG_INFO, .file = p->file, .rate = 1000000});
    for (int i = 0; i < THREADS; i++) {
        names[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, &names[i]), 0);
    }
    for (int i = 0; i < 50; i++)
        assert_int_equal(log_reopen(NULL), OK);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    const char *text = content(p->file);
    unsigned n = 0;
    for (const char *end; (end = strchr(text, '\n')); text = end + 1, n++) {
        const char *value = text + strlen(STAMP "info threads v=");
        assert_int_equal(end - value, 511);
        for (const char *c = value; c < end; c++)
            assert_int_equal(*c, *value);
    }
    assert_int_equal(n, THREADS * LINES);
}

static void levels_have_names(void **state)
{
    (void)state;
    assert_string_equal(log_level_text(LOG_ERROR), "error");
    assert_string_equal(log_level_text(LOG_WARN), "warn");
    assert_string_equal(log_level_text(LOG_INFO), "info");
    assert_string_equal(log_level_text(LOG_DEBUG), "debug");
    assert_null(log_level_text((enum log_level)4));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lines_go_to_the_file),
        TEST(json_is_one_object_a_line),
        TEST(the_level_follows_a_reload),
        TEST(reopening_begins_a_new_file),
        TEST(reopening_appends),
        TEST(a_file_that_cannot_be_opened_changes_nothing),
        TEST(the_destination_may_change),
        TEST(a_flood_is_bounded_and_counted),
        TEST(lines_below_the_level_do_not_count_for_the_rate),
        TEST(a_full_disk_is_counted_and_survived),
        TEST(a_long_message_is_cut),
        TEST(lines_of_many_threads_stay_whole),
        cmocka_unit_test(levels_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
