/* The page's files in the binary: found by their path, whole, each with a digest of its own.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "metrics/dashboard.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void files_are_found_by_their_path(void **state)
{
    (void)state;
    static const char *const there[] = {"/", "/page/app.js", "/page/style.css", "/page/icon.svg"};
    static const char *const not_there[] = {"", "/page", "/page/", "/index.html",
                                            "/page/index.html"};
    for (size_t i = 0; i < sizeof there / sizeof there[0]; i++)
        assert_non_null(dashboard_find(there[i]));
    for (size_t i = 0; i < sizeof not_there / sizeof not_there[0]; i++)
        assert_null(dashboard_find(not_there[i]));
}

static void files_are_whole(void **state)
{
    (void)state;
    static char text[1 << 16];
    FILE *f = fopen(TESTS_DIR "/../metrics/dashboard/style.css", "rb");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    const struct dashboard_file *file = dashboard_find("/page/style.css");
    assert_int_equal(file->len, len);
    assert_memory_equal(file->bytes, text, len);
    assert_string_equal(file->content_type, "text/css; charset=utf-8");
}

static void digests_differ(void **state)
{
    (void)state;
    for (const struct dashboard_file *a = dashboard_files; a->path; a++) {
        assert_int_equal(strlen(a->etag), 34);
        assert_true(a->etag[0] == '"' && a->etag[33] == '"');
        for (const struct dashboard_file *b = a + 1; b->path; b++)
            assert_string_not_equal(a->etag, b->etag);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_found_by_their_path),
        cmocka_unit_test(files_are_whole),
        cmocka_unit_test(digests_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
