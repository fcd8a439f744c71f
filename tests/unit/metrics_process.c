/* What the process says of itself agrees with what the kernel says elsewhere.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "metrics/process.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* The value of a family that has no labels. */
static double value_of(enum metric_id id)
{
    struct expo e = {.format = EXPO_PROMETHEUS};
    char line[256];
    assert_true(process_expose(&e, id));
    assert_true(e.len > 0 && e.len < sizeof line);
    memcpy(line, e.text, e.len);
    line[e.len] = '\0';
    free(e.text);
    const char *name = metric_get(id)->name;
    assert_true(strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ' ');
    return strtod(line + strlen(name), NULL);
}

static void cpu_time_is_spent(void **state)
{
    (void)state;
    double before = value_of(METRIC_PROCESS_CPU_SECONDS_TOTAL), after = before;
    time_t deadline = time(NULL) + 10;
    while (after <= before && time(NULL) < deadline)
        after = value_of(METRIC_PROCESS_CPU_SECONDS_TOTAL);
    assert_true(after > before && after < 60);
}

static void descriptors_are_counted(void **state)
{
    (void)state;
    double before = value_of(METRIC_PROCESS_OPEN_FDS);
    int fds[3];
    for (int i = 0; i < 3; i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY)) >= 0);
    assert_true(value_of(METRIC_PROCESS_OPEN_FDS) == before + 3);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    assert_true(value_of(METRIC_PROCESS_OPEN_FDS) == before);
    assert_true(before >= 3);
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(value_of(METRIC_PROCESS_MAX_FDS) == (double)limit.rlim_cur);
}

static void memory_grows_with_what_is_touched(void **state)
{
    (void)state;
    const size_t bytes = 32u << 20;
    double resident = value_of(METRIC_PROCESS_RESIDENT_MEMORY_BYTES);
    double all = value_of(METRIC_PROCESS_VIRTUAL_MEMORY_BYTES);
    assert_true(resident > 100000 && all > resident);
    volatile char *block = malloc(bytes);
    assert_non_null(block);
    for (size_t i = 0; i < bytes; i += 1024)
        block[i] = 1;
    assert_true(value_of(METRIC_PROCESS_RESIDENT_MEMORY_BYTES) > resident + (double)bytes * 0.8);
    free((void *)(uintptr_t)block);
}

static void the_start_is_a_moment_ago_and_stands_still(void **state)
{
    (void)state;
    double start = value_of(METRIC_PROCESS_START_TIME_SECONDS);
    double now = (double)time(NULL);
    /* The boot time is known to the second, and the clock may be set meanwhile. */
    assert_true(start > now - 3600 && start < now + 10);
    assert_true(value_of(METRIC_PROCESS_START_TIME_SECONDS) == start);
}

static void the_build_names_its_release(void **state)
{
    (void)state;
    struct expo e = {.format = EXPO_PROMETHEUS};
    char expected[128];
    assert_true(process_expose(&e, METRIC_BUILD_INFO));
    int len =
        snprintf(expected, sizeof expected, "serin_build_info{version=\"%s\"} 1\n", SERIN_VERSION);
    assert_int_equal(e.len, len);
    assert_memory_equal(e.text, expected, e.len);
    free(e.text);
}

static void other_families_are_left_to_the_host(void **state)
{
    (void)state;
    for (unsigned id = 0; id < METRIC_COUNT; id++) {
        struct expo e = {.format = EXPO_OPENMETRICS};
        bool own = metric_get(id)->source == METRIC_FROM_PROCESS;
        assert_int_equal(process_expose(&e, id), own);
        assert_int_equal(e.len > 0, own);
        free(e.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_time_is_spent),
        cmocka_unit_test(descriptors_are_counted),
        cmocka_unit_test(memory_grows_with_what_is_touched),
        cmocka_unit_test(the_start_is_a_moment_ago_and_stands_still),
        cmocka_unit_test(the_build_names_its_release),
        cmocka_unit_test(other_families_are_left_to_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
