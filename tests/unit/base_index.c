/* The hash index: found by text, also among equal ones and through growth; removal; buckets that are never many.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/index.h"
#include "base/list.h"
#include <stdio.h>

#define MANY 5000u

struct item {
    struct index_node node;
    char name[16];
};

static struct item items[MANY];

static uint64_t hash_of(const struct index *x, const char *name)
{
    return index_hash(x, 0, slice_str(name));
}

static struct item *find(const struct index *x, const char *name)
{
    for (struct index_node *n = index_first(x, hash_of(x, name)); n; n = index_next(n)) {
        struct item *item = CONTAINER_OF(n, struct item, node);
        if (strcmp(item->name, name) == 0)
            return item;
    }
    return NULL;
}

static void add(struct index *x, struct item *item, const char *name)
{
    (void)snprintf(item->name, sizeof item->name, "%s", name);
    index_add(x, &item->node, hash_of(x, item->name));
}

static void fill(struct index *x, unsigned n)
{
    char name[16];
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(name, sizeof name, "r%u", i);
        add(x, &items[i], name);
    }
}

/* Each is where it was, however often the buckets were doubled. */
static void all_are_found_while_it_grows(void **state)
{
    (void)state;
    struct index x;
    char name[16];
    index_init(&x, (struct hash_salt){7, 8});
    assert_null(find(&x, "r0"));
    fill(&x, MANY);
    assert_int_equal(x.n, MANY);
    assert_true(x.n_buckets >= MANY && x.n_buckets < 4 * MANY);
    for (unsigned i = 0; i < MANY; i++) {
        (void)snprintf(name, sizeof name, "r%u", i);
        assert_ptr_equal(find(&x, name), &items[i]);
    }
    assert_null(find(&x, "r"));
    index_fini(&x);
    assert_null(find(&x, "r0"));
}

static void what_is_removed_is_gone_and_the_rest_stays(void **state)
{
    (void)state;
    struct index x;
    index_init(&x, (struct hash_salt){0, 0});
    fill(&x, 100);
    for (unsigned i = 0; i < 100; i += 2)
        index_remove(&x, &items[i].node);
    assert_int_equal(x.n, 50);
    for (unsigned i = 0; i < 100; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "r%u", i);
        assert_ptr_equal(find(&x, name), i % 2 ? &items[i] : NULL);
    }
    for (unsigned i = 1; i < 100; i += 2)
        index_remove(&x, &items[i].node);
    assert_int_equal(x.n, 0);
    fill(&x, 3);
    assert_ptr_equal(find(&x, "r2"), &items[2]);
    index_fini(&x);
}

/* Many of one hash, as addresses that a thousand routes share: newest first, and each can go by itself, in any order. */
static void equal_ones_stand_beside_each_other(void **state)
{
    (void)state;
    struct index x;
    index_init(&x, (struct hash_salt){1, 2});
    for (unsigned i = 0; i < 3; i++)
        add(&x, &items[i], "same");
    add(&x, &items[3], "other");
    assert_ptr_equal(find(&x, "same"), &items[2]);
    struct index_node *second = index_next(&items[2].node);
    assert_ptr_equal(second, &items[1].node);
    assert_ptr_equal(index_next(second), &items[0].node);
    assert_null(index_next(&items[0].node));
    index_remove(&x, &items[1].node);
    assert_ptr_equal(index_next(&items[2].node), &items[0].node);
    index_remove(&x, &items[2].node);
    assert_ptr_equal(find(&x, "same"), &items[0]);
    index_remove(&x, &items[0].node);
    assert_null(find(&x, "same"));
    assert_ptr_equal(find(&x, "other"), &items[3]);
    index_fini(&x);
}

/* "a" "bc" is not "ab" "c", and another salt is another order. */
static void texts_do_not_run_into_each_other(void **state)
{
    (void)state;
    struct index x, y;
    index_init(&x, (struct hash_salt){1, 2});
    index_init(&y, (struct hash_salt){1, 3});
    uint64_t first = index_hash(&x, index_hash(&x, 0, SLICE("a")), SLICE("bc"));
    uint64_t second = index_hash(&x, index_hash(&x, 0, SLICE("ab")), SLICE("c"));
    assert_true(first != second);
    assert_true(hash_of(&x, "a") != hash_of(&y, "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_found_while_it_grows),
        cmocka_unit_test(what_is_removed_is_gone_and_the_rest_stays),
        cmocka_unit_test(equal_ones_stand_beside_each_other),
        cmocka_unit_test(texts_do_not_run_into_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
