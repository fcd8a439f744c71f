/* Arenas: lent block, growth, ceiling, sticky overflow, reset.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/check.h"

static _Alignas(ARENA_ALIGN) char lent[256];

static void small_things_live_in_the_lent_block(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, sizeof lent, 4096);
    char *first = arena_alloc(&a, 1), *second = arena_alloc(&a, 16), *third = arena_alloc(&a, 0);
    assert_ptr_equal(first, lent);
    assert_ptr_equal(second, lent + ARENA_ALIGN);
    assert_ptr_equal(third, lent + 2 * ARENA_ALIGN);
    assert_null(a.blocks);
    assert_non_null(arena_alloc(&a, sizeof lent - 2 * ARENA_ALIGN));
    assert_null(a.blocks);
    assert_int_equal(a.held, sizeof lent);
    arena_reset(&a);
}

static void further_blocks_come_from_the_heap(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, sizeof lent, 1u << 20);
    for (unsigned i = 0; i < 1000; i++) {
        char *p = arena_alloc(&a, i);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % ARENA_ALIGN, 0);
        memset(p, 'x', i);
    }
    assert_false(a.failed);
    assert_non_null(a.blocks);
    arena_reset(&a);
    assert_null(a.blocks);
    assert_ptr_equal(arena_alloc(&a, 1), lent);
    arena_reset(&a);
}

static void nothing_need_be_lent(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, NULL, 0, 8192);
    assert_non_null(arena_alloc(&a, 100));
    assert_int_equal(a.held, ARENA_BLOCK_BYTES);
    assert_non_null(arena_alloc(&a, 100));
    assert_int_equal(a.held, ARENA_BLOCK_BYTES);
    arena_reset(&a);
    assert_int_equal(a.held, 0);
}

static void the_ceiling_is_hard_and_the_failure_sticks(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, sizeof lent, sizeof lent + ARENA_BLOCK_BYTES);
    assert_null(arena_alloc(&a, ARENA_BLOCK_BYTES));
    assert_true(a.failed);
    assert_non_null(arena_alloc(&a, sizeof lent)); /* what is there may still be used */
    assert_non_null(arena_alloc(&a, ARENA_BLOCK_BYTES - 64));
    assert_true(a.failed);
    assert_null(arena_alloc(&a, 256));
    arena_reset(&a);
    assert_false(a.failed);
    assert_null(arena_alloc(&a, ARENA_BLOCK_BYTES));
    arena_reset(&a);
}

static void a_ceiling_below_the_lent_block_only_stops_growth(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, sizeof lent, 10);
    assert_non_null(arena_alloc(&a, sizeof lent));
    assert_null(arena_alloc(&a, 1));
    assert_true(a.failed);
    arena_reset(&a);
}

static void absurd_sizes_fail_without_harm(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2,
                                   SIZE_MAX / 2 - 64};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct arena a;
        arena_init(&a, lent, sizeof lent, SIZE_MAX / 4);
        assert_null(arena_alloc(&a, sizes[i]));
        assert_true(a.failed);
        assert_ptr_equal(arena_alloc(&a, 1), lent);
        arena_reset(&a);
    }
}

static void a_ceiling_without_end_is_allowed(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, sizeof lent, SIZE_MAX);
    assert_non_null(arena_alloc(&a, 100000));
    assert_false(a.failed);
    arena_reset(&a);
}

static void copies_are_the_arenas_own(void **state)
{
    (void)state;
    struct arena a;
    char text[] = "text";
    arena_init(&a, lent, sizeof lent, sizeof lent);
    struct slice copy = arena_copy(&a, slice_str(text));
    text[0] = 'n';
    assert_true(slice_equal(copy, SLICE("text")));
    struct slice none = arena_copy(&a, slice_of(NULL, 0));
    assert_non_null(none.at); /* an empty copy is no failure */
    assert_int_equal(none.len, 0);
    assert_null(arena_copy(&a, slice_of(lent, sizeof lent)).at);
    assert_true(a.failed);
    arena_reset(&a);
}

/* A first block of odd size or place: what is handed out is aligned all the same, and inside. */
static void a_lent_block_of_odd_size_is_used_to_its_last_whole_piece(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, 33, 33);
    assert_non_null(arena_alloc(&a, 16));
    assert_non_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, 1));
    arena_reset(&a);
}

static void the_end_of_the_newest_is_given_back(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, lent, sizeof lent, sizeof lent);
    char *first = arena_alloc(&a, 200);
    arena_shrink(&a, first, 200, 33);
    char *second = arena_alloc(&a, 100);
    assert_ptr_equal(second, first + 3 * ARENA_ALIGN);
    arena_shrink(&a, first, 200, 1); /* no longer the newest */
    arena_shrink(&a, second, 100, 100);
    assert_ptr_equal(arena_alloc(&a, 1), second + 7 * ARENA_ALIGN);
    arena_reset(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_things_live_in_the_lent_block),
        cmocka_unit_test(further_blocks_come_from_the_heap),
        cmocka_unit_test(nothing_need_be_lent),
        cmocka_unit_test(the_ceiling_is_hard_and_the_failure_sticks),
        cmocka_unit_test(a_ceiling_below_the_lent_block_only_stops_growth),
        cmocka_unit_test(absurd_sizes_fail_without_harm),
        cmocka_unit_test(a_ceiling_without_end_is_allowed),
        cmocka_unit_test(copies_are_the_arenas_own),
        cmocka_unit_test(the_end_of_the_newest_is_given_back),
        cmocka_unit_test(a_lent_block_of_odd_size_is_used_to_its_last_whole_piece),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
