/* The intrusive list: order, removal, moving on.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/list.h"

struct item {
    int n;
    struct list link;
};

static void expect_order(struct list *head, const int *order, size_t n)
{
    struct list *forward = head->next, *back = head->prev;
    for (size_t i = 0; i < n; i++, forward = forward->next, back = back->prev) {
        assert_int_equal(CONTAINER_OF(forward, struct item, link)->n, order[i]);
        assert_int_equal(CONTAINER_OF(back, struct item, link)->n, order[n - 1 - i]);
    }
    assert_ptr_equal(forward, head);
    assert_ptr_equal(back, head);
}

static void nodes_keep_their_order(void **state)
{
    (void)state;
    struct list head;
    struct item a = {.n = 1}, b = {.n = 2}, c = {.n = 3};
    list_init(&head);
    assert_true(list_empty(&head));
    list_push_back(&head, &a.link);
    list_push_back(&head, &b.link);
    list_push_front(&head, &c.link);
    assert_false(list_empty(&head));
    expect_order(&head, (const int[]){3, 1, 2}, 3);
    list_remove(&a.link);
    expect_order(&head, (const int[]){3, 2}, 2);
    assert_true(list_empty(&a.link));
    list_remove(&a.link); /* unlinked already: safe */
    expect_order(&head, (const int[]){3, 2}, 2);
    list_push_back(&head, &a.link);
    expect_order(&head, (const int[]){3, 2, 1}, 3);
}

static void pop_takes_from_the_front_until_nothing_is_left(void **state)
{
    (void)state;
    struct list head;
    struct item a = {.n = 1}, b = {.n = 2};
    list_init(&head);
    assert_null(list_pop_front(&head));
    list_push_back(&head, &a.link);
    list_push_back(&head, &b.link);
    assert_ptr_equal(list_pop_front(&head), &a.link);
    assert_true(list_empty(&a.link));
    assert_ptr_equal(list_pop_front(&head), &b.link);
    assert_null(list_pop_front(&head));
    assert_true(list_empty(&head));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_keep_their_order),
        cmocka_unit_test(pop_takes_from_the_front_until_nothing_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
