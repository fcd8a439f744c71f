/* Where access lines go: whole, in order, to the right file; and what happens where nobody takes them.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "metrics/access_log.h"
#include "metrics/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORKERS 2u
#define WAIT_MS 10000  /* until a test gives up on something that takes a quarter of a second */
#define BULK    60000u /* lines: several times what a ring holds */

static char folder[] = "/tmp/serin-access-XXXXXX", path[64], moved[64];

static int make_folder(void **state)
{
    (void)state;
    const struct log_setup quiet = {.level = LOG_ERROR};
    assert_int_equal(log_open(&quiet, NULL), OK);
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/access.log", folder);
    (void)snprintf(moved, sizeof moved, "%s/access.log.1", folder);
    return 0;
}

static int remove_files(void **state)
{
    (void)state;
    (void)unlink(path);
    (void)unlink(moved);
    return 0;
}

static int remove_folder(void **state)
{
    (void)remove_files(state);
    return rmdir(folder);
}

static uint64_t dropped(struct metrics *m)
{
    return cell_read(&metrics_worker(m, 0)->access_dropped) +
           cell_read(&metrics_worker(m, 1)->access_dropped);
}

static void put_line(struct access_log *log, unsigned worker, unsigned number)
{
    char line[64];
    int len = snprintf(line, sizeof line, "worker %u line %08u\n", worker, number);
    access_ring_put(access_log_ring(log, worker), line, (size_t)len);
}

static long size_of(const char *file)
{
    struct stat s;
    return stat(file, &s) == 0 ? (long)s.st_size : -1;
}

static void wait_for_size(const char *file, long size)
{
    for (unsigned i = 0; size_of(file) < size && i < WAIT_MS; i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(size_of(file), size);
}

/* Counts the lines of each worker, which must be whole and rise from next[worker]. */
static void read_lines(FILE *f, unsigned next[WORKERS])
{
    char line[64], want[64];
    while (fgets(line, sizeof line, f)) {
        unsigned worker = line[7] == '1';
        (void)snprintf(want, sizeof want, "worker %u line %08u\n", worker, next[worker]++);
        assert_string_equal(line, want);
    }
}

static void read_file(const char *file, unsigned next[WORKERS])
{
    FILE *f = fopen(file, "r");
    assert_non_null(f);
    read_lines(f, next);
    (void)fclose(f);
}

static unsigned count_fds(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    (void)closedir(dir);
    return n;
}

static void test_off_costs_no_descriptor(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    unsigned before = count_fds();
    struct access_log *log = access_log_new(m);
    assert_non_null(log);
    assert_int_equal(access_log_reopen(log, &why), OK);
    access_log_close(log);
    assert_int_equal(count_fds(), before);
    access_log_free(log);
    metrics_free(m);
}

static void test_lines_are_written_soon_and_at_the_end(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    struct access_log *log = access_log_new(m);
    assert_int_equal(access_log_open(log, path, &why), OK);
    struct stat s;
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0137, 0);
    put_line(log, 0, 0);
    wait_for_size(path, 23);
    put_line(log, 1, 0);
    put_line(log, 0, 1);
    access_log_free(log);
    unsigned next[WORKERS] = {0};
    read_file(path, next);
    assert_true(next[0] == 2 && next[1] == 1);
    assert_int_equal(dropped(m), 0);
    metrics_free(m);
}

struct writer {
    struct access_log *log;
    struct metrics *m;
    unsigned worker;
};

/* Keeps within what the ring has room for, by the size of the file. */
static void *write_bulk(void *arg)
{
    struct writer *w = arg;
    for (unsigned i = 0; i < BULK; i++) {
        for (unsigned k = 0; i % 1000 == 0 && k < WAIT_MS; k++) {
            long there = size_of(path) + (size_of(moved) > 0 ? size_of(moved) : 0);
            if (there + (long)ACCESS_RING_BYTES / 2 >= (long)i * 23)
                break;
            (void)poll(NULL, 0, 1);
        }
        put_line(w->log, w->worker, i);
    }
    return NULL;
}

/* Several times round each ring, with the file moved away in between: every line once, whole, in the order of its worker. */
static void test_no_line_is_lost_by_a_rotation(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    struct access_log *log = access_log_new(m);
    struct writer writers[WORKERS];
    pthread_t threads[WORKERS];
    assert_int_equal(access_log_open(log, path, &why), OK);
    for (unsigned i = 0; i < WORKERS; i++) {
        writers[i] = (struct writer){log, m, i};
        assert_int_equal(pthread_create(&threads[i], NULL, write_bulk, &writers[i]), 0);
    }
    for (unsigned i = 0; size_of(path) < 300000 && i < WAIT_MS; i++)
        (void)poll(NULL, 0, 1);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(access_log_reopen(log, &why), OK);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    access_log_free(log);
    unsigned next[WORKERS] = {0};
    read_file(moved, next);
    assert_true(next[0] + next[1] < WORKERS * BULK);
    read_file(path, next);
    assert_int_equal(dropped(m), 0);
    assert_true(next[0] == BULK && next[1] == BULK);
    metrics_free(m);
}

static void test_a_file_that_cannot_be_opened_changes_nothing(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    struct access_log *log = access_log_new(m);
    assert_int_equal(access_log_open(log, "/nonexistent/access.log", &why), ERR_IO);
    assert_non_null(strstr(why.text, "/nonexistent/access.log for writing: No such file"));
    assert_int_equal(access_log_open(log, path, &why), OK);
    assert_int_equal(access_log_open(log, folder, &why), ERR_IO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(access_log_reopen(log, &why), ERR_IO);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(access_log_open(log, moved, &why), OK);
    put_line(log, 0, 0);
    wait_for_size(moved, 23);
    access_log_close(log);
    access_log_free(log);
    metrics_free(m);
}

/* What cannot be written waits; what there is no room for is counted; the line that was cut in the middle is whole in the
 * next file. */
static void test_a_full_device(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    struct access_log *log = access_log_new(m);
    unsigned n = 0;
    assert_int_equal(access_log_open(log, "/dev/full", &why), OK);
    while (dropped(m) == 0)
        put_line(log, 0, n++);
    assert_true(n * 23 > ACCESS_RING_BYTES);
    assert_int_equal(access_log_open(log, path, &why), OK);
    wait_for_size(path, (n - 1) * 23);
    access_log_free(log);
    unsigned next[WORKERS] = {0};
    read_file(path, next);
    assert_int_equal(next[0], n - 1);
    metrics_free(m);
}

/* Nobody reads: the worker goes on, and so does the stop. Then somebody does. */
static void test_a_pipe_that_stalls(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    for (unsigned reads = 0; reads < 2; reads++) {
        struct access_log *log = access_log_new(m);
        unsigned next[WORKERS] = {0}, n = 0;
        assert_int_equal(mkfifo(path, 0600), 0);
        int fd = open(path, O_RDONLY | O_NONBLOCK);
        assert_true(fd >= 0);
        assert_int_equal(access_log_open(log, path, &why), OK);
        uint64_t before = dropped(m);
        while (dropped(m) == before)
            put_line(log, 0, n++);
        if (reads) {
            char buf[65536];
            uint64_t got = 0;
            struct pollfd p = {.fd = fd, .events = POLLIN};
            while (got < (uint64_t)(n - 1) * 23 && poll(&p, 1, WAIT_MS) > 0) {
                ssize_t k = read(fd, buf, sizeof buf);
                assert_true(k > 0);
                got += (uint64_t)k;
            }
            assert_int_equal(got, (uint64_t)(n - 1) * 23);
        }
        access_log_free(log);
        FILE *f = fdopen(fd, "r");
        if (!reads)
            read_lines(f, next); /* what is in the pipe: whole lines */
        assert_int_equal(next[0] > 0, !reads);
        (void)fclose(f);
        assert_int_equal(unlink(path), 0);
    }
    metrics_free(m);
}

/* After it was switched off: what waited is there, what comes later goes nowhere, and it may be switched on again. */
static void test_off_and_on_again(void **state)
{
    (void)state;
    struct why why;
    struct metrics *m = metrics_new(WORKERS);
    struct access_log *log = access_log_new(m);
    assert_int_equal(access_log_open(log, path, &why), OK);
    put_line(log, 0, 0);
    access_log_close(log);
    wait_for_size(path, 23);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(access_log_open(log, path, &why), OK);
    put_line(log, 0, 1);
    wait_for_size(path, 23);
    access_log_free(log);
    assert_int_equal(size_of(moved), 23);
    metrics_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_off_costs_no_descriptor, remove_files),
        cmocka_unit_test_teardown(test_lines_are_written_soon_and_at_the_end, remove_files),
        cmocka_unit_test_teardown(test_no_line_is_lost_by_a_rotation, remove_files),
        cmocka_unit_test_teardown(test_a_file_that_cannot_be_opened_changes_nothing, remove_files),
        cmocka_unit_test_teardown(test_a_full_device, remove_files),
        cmocka_unit_test_teardown(test_a_pipe_that_stalls, remove_files),
        cmocka_unit_test_teardown(test_off_and_on_again, remove_files),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
