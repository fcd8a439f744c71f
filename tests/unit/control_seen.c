/* What a route's traffic was like: looks, figures, and the file there and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/control/seen.h"
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct metrics *metrics;
static struct variant_metrics *v1, *v2;
static char dir[64];
static struct why why;

static int setup(void **state)
{
    (void)state;
    metrics = metrics_new(1);
    v1 = metrics_variant(metrics, "shop", "v1");
    v2 = metrics_variant(metrics, "shop", "v2");
    (void)snprintf(dir, sizeof dir, "/tmp/serin-seen-XXXXXX");
    return v1 && v2 && mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    metrics_free(metrics);
    char path[128];
    static const char *const names[] = {"shop.seen", "shop.seen.tmp", "%2Fa.seen"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)unlink(path);
        (void)rmdir(path);
    }
    return rmdir(dir);
}

static void serve(unsigned stable, unsigned failed, unsigned canary)
{
    cell_add(&v1->cells[0]->judged[ROLE_STABLE], stable);
    cell_add(&v1->cells[0]->judged_failed[ROLE_STABLE], failed);
    cell_add(&v2->cells[0]->judged[ROLE_CANARY], canary);
}

static void test_looks_once_a_minute(void **state)
{
    (void)state;
    struct seen s = {0};
    struct seen_figures f = {0};
    serve(1000000, 500000, 7);                 /* of before */
    assert_false(seen_look_at(&s, v1, v2, 5)); /* nothing to compare with yet */
    for (int64_t t = 1000; t < SEEN_STEP_MS; t += 1000)
        assert_false(seen_look_at(&s, v1, v2, 5 + t));
    serve(5400, 54, 600);
    assert_true(seen_look_at(&s, v1, v2, 5 + SEEN_STEP_MS));
    seen_figures(&s, &f);
    assert_true(f.seconds == 60 && f.requests_s == 100 && f.requests == 5400 && f.failed == 54);
    assert_false(seen_look_at(&s, v1, v2, 6 + SEEN_STEP_MS));
}

static void test_ten_minutes_and_no_more(void **state)
{
    (void)state;
    struct seen s = {0};
    struct seen_figures f = {0};
    for (int i = 0; i < 30; i++) {
        serve(i < 15 ? 99999 : 60, 0, 0); /* a storm, and then calm */
        (void)seen_look_at(&s, v1, NULL, i * (int64_t)SEEN_STEP_MS);
    }
    seen_figures(&s, &f);
    assert_true(f.seconds == 600 && f.requests == 600 && f.requests_s == 1);
}

static void test_another_version_begins_anew(void **state)
{
    (void)state;
    struct seen s = {0};
    (void)seen_look_at(&s, v1, v2, 0);
    assert_true(seen_look_at(&s, v1, v2, SEEN_STEP_MS));
    assert_false(seen_look_at(&s, v2, NULL, 2 * SEEN_STEP_MS)); /* promoted */
    assert_true(seen_look_at(&s, v2, NULL, 3 * SEEN_STEP_MS));
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct seen_figures f = {.seconds = 600,
                             .requests_s = 93.25,
                             .requests = 55000,
                             .failed = 61,
                             .wall_ms = 1700000000123},
                        g;
    for (unsigned i = 0; i < HIST_CELLS; i += 3)
        f.durations.cells[i] = i + 1;
    assert_int_equal(seen_read(dir, "shop", &g, &why), ERR_NOT_FOUND);
    assert_int_equal(seen_write(dir, "shop", &f, &why), OK);
    f.failed = 62;
    assert_int_equal(seen_write(dir, "shop", &f, &why), OK); /* over the one before */
    assert_int_equal(seen_read(dir, "shop", &g, &why), OK);
    assert_true(g.seconds == 600 && g.requests_s == 93.25 && g.requests == 55000 && g.failed == 62);
    assert_int_equal(g.wall_ms, 1700000000123);
    assert_memory_equal(f.durations.cells, g.durations.cells, sizeof f.durations.cells);
    assert_int_equal(seen_write(dir, "/a", &f, &why), OK); /* a name is no path */
    assert_int_equal(seen_read("/no/such/dir", "shop", &g, &why), ERR_NOT_FOUND);
    assert_int_equal(seen_write("/no/such/dir", "shop", &f, &why), ERR_IO);
    assert_non_null(strstr(why.text, "/no/such/dir/shop.seen.tmp"));
}

static void put(const char *text, size_t len)
{
    char path[128];
    (void)snprintf(path, sizeof path, "%s/shop.seen", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, len, file), len);
    (void)fclose(file);
}

static void test_what_serin_does_not_write(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "x",
        "{}",
        "[]",
        "{\"at_ms\":1}",
        "{\"at_ms\":1,\"seconds\":1,\"requests_s\":1,\"stable_requests\":1,\"stable_failed\":2,"
        "\"durations_us\":[]}",
        "{\"at_ms\":1,\"seconds\":-1,\"requests_s\":1,\"stable_requests\":1,\"stable_failed\":0,"
        "\"durations_us\":[]}",
        "{\"at_ms\":1,\"seconds\":1,\"requests_s\":1,\"stable_requests\":1,\"stable_failed\":0}",
        "{\"at_ms\":1,\"seconds\":1,\"requests_s\":1,\"stable_requests\":1,\"stable_failed\":0,"
        "\"durations_us\":[[1]]}",
        "{\"at_ms\":1,\"seconds\":1,\"requests_s\":1,\"stable_requests\":1,\"stable_failed\":0,"
        "\"durations_us\":[[1,-2]]}",
        "{\"at_ms\":1,\"seconds\":1,\"requests_s\":1,\"stable_requests\":1,\"stable_failed\":0,"
        "\"durations_us\":[[1e300,1]]}"};
    struct seen_figures g;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        put(rows[i], strlen(rows[i]));
        assert_int_equal(seen_read(dir, "shop", &g, &why), ERR_INVALID);
    }
    char *large = calloc(1, 1 << 20);
    put(large, 1 << 20);
    free(large);
    assert_int_equal(seen_read(dir, "shop", &g, &why), ERR_LIMIT);
}

/* A directory stands where the file should: the temporary one does not stay. */
static void test_a_write_that_fails_leaves_nothing(void **state)
{
    (void)state;
    char path[128];
    struct seen_figures f = {0};
    (void)snprintf(path, sizeof path, "%s/shop.seen", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(seen_write(dir, "shop", &f, &why), ERR_IO);
    (void)snprintf(path, sizeof path, "%s/shop.seen.tmp", dir);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_looks_once_a_minute, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ten_minutes_and_no_more, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_version_begins_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(test_there_and_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_serin_does_not_write, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_write_that_fails_leaves_nothing, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
