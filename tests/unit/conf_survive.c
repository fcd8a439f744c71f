/* No text and no lack of memory crashes the loader: cut texts, flipped bytes, failing malloc.
 * SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "conf_help.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#endif

static char example[64 * 1024];
static size_t example_len;

static int read_example(void **state)
{
    (void)state;
    FILE *file = fopen(TESTS_DIR "/../conf/serin.yaml", "r");
    if (!file)
        return -1;
    example_len = fread(example, 1, sizeof example, file);
    fclose(file);
    return example_len > 0 ? 0 : -1;
}

/* Either a configuration or a reason, never both or none. */
static bool load(const char *bytes, size_t len)
{
    struct config *config = config_load_text("f", bytes, len, &help_errors);
    assert_true((config != NULL) == (help_errors.code == OK));
    assert_true((config != NULL) == (help_errors.n == 0));
    config_free(config);
    return config != NULL;
}

static void test_truncations(void **state)
{
    (void)state;
    char *copy;
    for (size_t len = 0; len < example_len; len += 7) {
        copy = malloc(len + 1); /* of its own, so that a read behind the end is seen */
        assert_non_null(copy);
        memcpy(copy, example, len);
        (void)load(copy, len);
        free(copy);
    }
    assert_true(load(example, example_len));
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static void test_flipped_bytes(void **state)
{
    (void)state;
    static char copy[sizeof example];
    static const char likely[] = ":,[]{}#&*!|>'\"%@`-?~ \n\t\\0%";
    uint64_t seed = 20240601;
    for (int round = 0; round < 1500; round++) {
        memcpy(copy, example, example_len);
        for (uint32_t flips = 1 + next_random(&seed) % 4; flips; flips--) {
            uint32_t r = next_random(&seed);
            copy[next_random(&seed) % example_len] =
                r & 1 ? likely[(r >> 1) % (sizeof likely - 1)] : (char)(r >> 8);
        }
        (void)load(copy, example_len);
    }
}

#ifndef SANITIZED
/* The test's own malloc: fails at the n-th call from now on; 0 = never. */
static size_t calls_left;
static bool refuses(void)
{
    return calls_left > 0 && --calls_left == 0;
}

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void *malloc(size_t bytes)
{
    return refuses() ? (errno = ENOMEM, NULL) : __libc_malloc(bytes);
}
void *calloc(size_t n, size_t bytes)
{
    return refuses() ? (errno = ENOMEM, NULL) : __libc_calloc(n, bytes);
}
void *realloc(void *p, size_t bytes)
{
    return refuses() ? (errno = ENOMEM, NULL) : __libc_realloc(p, bytes);
}

/* Every single allocation of a good load fails once: the answer is "out of memory" or, where
 * libyaml can do without, the configuration; never a verdict on the text. */
static void test_failing_allocations(void **state)
{
    (void)state;
    size_t failures = 0;
    for (size_t n = 1; n < 100000; n++) {
        calls_left = n;
        struct config *config = config_load_text("f", example, example_len, &help_errors);
        bool was_reached = calls_left == 0;
        calls_left = 0;
        if (!config) {
            assert_int_equal(help_errors.code, ERR_MEMORY);
            failures++;
        }
        config_free(config);
        if (!was_reached) {
            assert_true(failures > 100);
            return;
        }
    }
    fail_msg("the load allocates without end");
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_truncations),
        cmocka_unit_test(test_flipped_bytes),
#ifndef SANITIZED
        cmocka_unit_test(test_failing_allocations),
#endif
    };
    return cmocka_run_group_tests(tests, read_example, NULL);
}
