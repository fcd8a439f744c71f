/* Keys that have failed: once each, together from many threads, forgotten when too many are marked.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/hash.h"
#include "proxy/route/failed_keys.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static int setup(void **state)
{
    *state = calloc(1, sizeof(struct failed_keys));
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    free(*state);
    return 0;
}

static uint64_t hash_of(unsigned user)
{
    char key[32];
    int len = snprintf(key, sizeof key, "user-%u", user);
    return hash_bytes((struct hash_salt){1, 2}, slice_of(key, (size_t)len));
}

static void a_key_fails_first_only_once(void **state)
{
    struct failed_keys *k = *state;
    assert_false(failed_keys_has(k, hash_of(1)));
    assert_true(failed_keys_mark(k, hash_of(1)));
    assert_true(failed_keys_has(k, hash_of(1)));
    assert_false(failed_keys_mark(k, hash_of(1)));
    assert_false(failed_keys_has(k, hash_of(2)));
    failed_keys_clear(k);
    assert_false(failed_keys_has(k, hash_of(1)));
    assert_true(failed_keys_mark(k, hash_of(1)));
}

static void few_keys_are_taken_for_others(void **state)
{
    struct failed_keys *k = *state;
    unsigned mistaken = 0;
    for (unsigned i = 0; i < 1000; i++)
        (void)failed_keys_mark(k, hash_of(i));
    for (unsigned i = 1000; i < 101000; i++)
        mistaken += failed_keys_has(k, hash_of(i));
    assert_in_range(mistaken, 500, 1100); /* 1000 of 131072 bits: 763 of 100000 expected */
}

static void too_many_are_forgotten(void **state)
{
    struct failed_keys *k = *state;
    unsigned most = 0;
    for (unsigned i = 0; i < 40000; i++) {
        (void)failed_keys_mark(k, hash_of(i));
        if (k->marked > most)
            most = k->marked;
    }
    assert_in_range(most, FAILED_KEYS / 20, FAILED_KEYS / 10);
}

struct crowd {
    struct failed_keys *keys;
    unsigned first;
};

static void *mark_all(void *arg)
{
    struct crowd *c = arg;
    for (unsigned i = 0; i < 2000; i++)
        c->first += failed_keys_mark(c->keys, hash_of(i));
    return NULL;
}

/* Each bit is somebody's first failure exactly once, whoever comes first. */
static void threads_share_the_firsts(void **state)
{
    struct failed_keys *k = *state;
    struct crowd crowds[4];
    pthread_t threads[4];
    unsigned firsts = 0;
    for (unsigned i = 0; i < 4; i++) {
        crowds[i] = (struct crowd){k, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, mark_all, &crowds[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        firsts += crowds[i].first;
    }
    assert_int_equal(firsts, k->marked);
    assert_in_range(firsts, 1950, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_fails_first_only_once, setup, teardown),
        cmocka_unit_test_setup_teardown(few_keys_are_taken_for_others, setup, teardown),
        cmocka_unit_test_setup_teardown(too_many_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(threads_share_the_firsts, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
