/* Deadlines: never early, at most a tick late, put off and cancelled at any moment.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/wheel.h"

#define TICK WHEEL_TICK_MS

/* Entries that are due at now_ms, counted; each must have its deadline behind it. */
static unsigned run(struct wheel *w, int64_t now_ms)
{
    struct list due;
    unsigned n = 0;
    list_init(&due);
    wheel_advance(w, now_ms, &due);
    for (struct wheel_entry *e; (e = wheel_pop_due(w, &due, now_ms)); n++) {
        assert_true(e->deadline_ms <= now_ms);
        assert_true(list_empty(&e->link));
    }
    return n;
}

static void a_deadline_comes_once_and_never_early(void **state)
{
    (void)state;
    static const int64_t delays[] = {0,    1,     49,    50,    51,    99,    100,
                                     1000, 25549, 25550, 25600, 25601, 60000, 3600000};
    for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
        for (int64_t start = 1000000; start < 1000000 + 2 * TICK; start += 7) {
            static struct wheel w;
            struct wheel_entry e;
            wheel_init(&w, start);
            wheel_entry_init(&e);
            wheel_set(&w, &e, start + delays[i]);
            assert_int_equal(w.count, 1);
            int64_t now = start;
            for (; now<start + delays[i]; now += delays[i]> 1000 ? 13 : 1)
                assert_int_equal(run(&w, now), 0);
            assert_int_equal(run(&w, start + delays[i] + TICK), 1);
            assert_int_equal(w.count, 0);
            assert_int_equal(run(&w, now + 100000), 0);
        }
    }
}

static void a_later_deadline_touches_the_entry_only(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry e;
    wheel_init(&w, 0);
    wheel_entry_init(&e);
    wheel_set(&w, &e, 1000);
    struct list *slot = e.link.next;
    wheel_set(&w, &e, 5000);
    assert_ptr_equal(e.link.next, slot);
    assert_int_equal(w.count, 1);
    assert_int_equal(run(&w, 4999), 0);
    assert_int_equal(w.count, 1);
    assert_int_equal(run(&w, 5050), 1);
}

static void an_earlier_deadline_is_kept(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry e;
    wheel_init(&w, 0);
    wheel_entry_init(&e);
    wheel_set(&w, &e, 60000);
    wheel_set(&w, &e, 100);
    assert_int_equal(w.count, 1);
    assert_int_equal(run(&w, 99), 0);
    assert_int_equal(run(&w, 150), 1);
}

static void cancelling_is_safe_at_any_moment(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry a, b;
    struct list due;
    wheel_init(&w, 0);
    wheel_entry_init(&a);
    wheel_entry_init(&b);
    wheel_cancel(&w, &a);
    assert_int_equal(w.count, 0);
    wheel_set(&w, &a, 100);
    wheel_cancel(&w, &a);
    wheel_cancel(&w, &a);
    assert_int_equal(w.count, 0);
    assert_int_equal(run(&w, 200), 0);
    /* One handler cancels the other while both are due. */
    wheel_set(&w, &a, 300);
    wheel_set(&w, &b, 300);
    list_init(&due);
    wheel_advance(&w, 350, &due);
    struct wheel_entry *first = wheel_pop_due(&w, &due, 350);
    assert_non_null(first);
    wheel_cancel(&w, first == &a ? &b : &a);
    assert_null(wheel_pop_due(&w, &due, 350));
    assert_int_equal(w.count, 0);
}

/* A handler that runs before it moves the other's deadline: that one is not due any more. */
static void a_deadline_moved_while_due_goes_back(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry a, b;
    struct list due;
    wheel_init(&w, 0);
    wheel_entry_init(&a);
    wheel_entry_init(&b);
    wheel_set(&w, &a, 100);
    wheel_set(&w, &b, 100);
    list_init(&due);
    wheel_advance(&w, 100, &due);
    struct wheel_entry *first = wheel_pop_due(&w, &due, 100);
    struct wheel_entry *other = first == &a ? &b : &a;
    wheel_set(&w, other, 400);
    wheel_set(&w, first, 200);
    assert_null(wheel_pop_due(&w, &due, 100));
    assert_int_equal(w.count, 2);
    assert_int_equal(run(&w, 250), 1);
    assert_int_equal(run(&w, 399), 0);
    assert_int_equal(run(&w, 450), 1);
    assert_int_equal(w.count, 0);
}

static void a_long_sleep_finds_everything(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry entries[600];
    wheel_init(&w, 12345);
    for (unsigned i = 0; i < ARRAY_LEN(entries); i++) {
        wheel_entry_init(&entries[i]);
        wheel_set(&w, &entries[i], 12345 + (int64_t)i * 100);
    }
    /* Longer than the wheel reaches: 30 s away, 301 of the deadlines have passed. */
    assert_int_equal(run(&w, 12345 + 30000), 301);
    assert_int_equal(w.count, 299);
    assert_int_equal(run(&w, 12345 + 10000000), 299);
    assert_int_equal(w.count, 0);
    /* Of any length, in one round: tick by tick this would take years. */
    wheel_set(&w, &entries[0], 1000000000000000);
    assert_int_equal(run(&w, 999999999999999), 0);
    assert_int_equal(run(&w, 2000000000000000), 1);
}

static void time_that_stands_or_goes_back_does_nothing(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry e;
    wheel_init(&w, 100000);
    wheel_entry_init(&e);
    wheel_set(&w, &e, 100100);
    assert_int_equal(run(&w, 100000), 0);
    assert_int_equal(run(&w, 5), 0);
    assert_int_equal(w.now_ms, 100000);
    assert_int_equal(run(&w, 100150), 1);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#define ENTRIES 64

/* Sets, moves, cancels and sleeps at random, against a plain table of deadlines. */
static void it_agrees_with_a_plain_table(void **state)
{
    (void)state;
    static struct wheel w;
    struct wheel_entry entries[ENTRIES];
    int64_t model[ENTRIES]; /* -1 = none */
    uint64_t seed = 42;
    int64_t now = 777;
    wheel_init(&w, now);
    for (unsigned i = 0; i < ENTRIES; i++) {
        wheel_entry_init(&entries[i]);
        model[i] = -1;
    }
    for (unsigned round = 0; round < 50000; round++) {
        unsigned i = (unsigned)(next_random(&seed) % ENTRIES);
        unsigned what = (unsigned)(next_random(&seed) % 8);
        if (what == 0) {
            wheel_cancel(&w, &entries[i]);
            model[i] = -1;
        } else if (what < 5) {
            model[i] = now + (int64_t)(next_random(&seed) % (what == 1 ? 100000 : 2000));
            wheel_set(&w, &entries[i], model[i]);
        } else {
            struct list due;
            now += (int64_t)(next_random(&seed) % (round % 100 ? 60 : 60000));
            list_init(&due);
            wheel_advance(&w, now, &due);
            for (struct wheel_entry *e; (e = wheel_pop_due(&w, &due, now));) {
                assert_true(e->deadline_ms == model[e - entries] && e->deadline_ms <= now);
                model[e - entries] = -1;
            }
            unsigned left = 0;
            for (unsigned k = 0; k < ENTRIES; k++) {
                left += model[k] >= 0;
                assert_true(model[k] < 0 || model[k] > now - TICK);
            }
            assert_int_equal(w.count, left);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_comes_once_and_never_early),
        cmocka_unit_test(a_later_deadline_touches_the_entry_only),
        cmocka_unit_test(an_earlier_deadline_is_kept),
        cmocka_unit_test(cancelling_is_safe_at_any_moment),
        cmocka_unit_test(a_deadline_moved_while_due_goes_back),
        cmocka_unit_test(a_long_sleep_finds_everything),
        cmocka_unit_test(time_that_stands_or_goes_back_does_nothing),
        cmocka_unit_test(it_agrees_with_a_plain_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
