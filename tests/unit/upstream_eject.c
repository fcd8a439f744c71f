/* Ejection: after how many failures, for how long, never too many and never the last; and what failed connects mean.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/upstream/eject.h"

#include "base/check.h"
#include <pthread.h>

#define ENDPOINTS_MAX 10
#define S             INT64_C(1000000)
#define START_US      (1000 * S)

struct fixture {
    struct endpoint endpoints[ENDPOINTS_MAX];
    struct endpoint_state states[ENDPOINTS_MAX];
    struct config_eject conf;
    uint32_t n;
    int64_t now_us;
};

static void start(struct fixture *f, uint32_t n)
{
    memset(f, 0, sizeof *f);
    f->conf = (struct config_eject){.consecutive = 5, .base_ms = 30000, .max_ejected_bp = 5000};
    f->n = n;
    f->now_us = START_US;
    for (uint32_t i = 0; i < n; i++) {
        f->endpoints[i].state = &f->states[i];
        endpoint_note(&f->states[i], ENDPOINT_UP);
    }
}

static uint32_t row_of(struct fixture *f, uint32_t at, unsigned times)
{
    struct eject_place p = {f->endpoints, f->n, at};
    uint32_t ms = 0;
    while (times-- && ms == 0)
        ms = eject_note_failure(&p, &f->conf, f->now_us);
    return ms;
}

static bool serves(const struct fixture *f, uint32_t at)
{
    return endpoint_may_serve(&f->states[at], f->now_us);
}

static void failures_in_a_row_eject(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3);
    assert_int_equal(row_of(&f, 1, 4), 0);
    eject_note_success(&f.states[1]); /* the row begins anew */
    assert_int_equal(row_of(&f, 1, 4), 0);
    assert_int_equal(row_of(&f, 2, 1), 0); /* rows are their own */
    assert_true(serves(&f, 1));
    assert_int_equal(row_of(&f, 1, 1), 30000);
    assert_false(serves(&f, 1));
    assert_true(endpoint_is_reachable(&f.states[1]));
    assert_int_equal(row_of(&f, 1, 50), 0); /* what was under way makes it no longer */
    f.now_us += 30 * S - 1;
    assert_false(serves(&f, 1));
    f.now_us += 1;
    assert_true(serves(&f, 1));
    assert_int_equal(row_of(&f, 1, 4), 0); /* nor does it count afterwards */
}

static void off_is_off(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 3);
    f.conf.consecutive = 0;
    assert_int_equal(row_of(&f, 1, 1000), 0);
    f.conf.consecutive = 1;
    assert_int_equal(row_of(&f, 1, 1), 30000);
    eject_forget(&f.states[1], f.now_us);
    assert_true(serves(&f, 1));
    assert_int_equal(row_of(&f, 1, 1), 30000); /* the first again */
}

static void times_grow_and_shrink(void **state)
{
    static const struct {
        uint32_t base_ms, served_s; /* since it is back */
        uint32_t expected_ms;
    } rows[] = {
        {30000, 1, 60000},       {30000, 1, 90000},    {30000, 29, 120000}, {30000, 31, 120000},
        {30000, 61, 90000},      {30000, 1000, 30000}, {30000, 0, 60000},   {30000, 0, 90000},
        {30000, 0, 120000},      {30000, 0, 150000},   {30000, 0, 180000},  {30000, 0, 210000},
        {30000, 0, 240000},      {30000, 0, 270000},   {30000, 0, 300000},  {30000, 0, 300000},
        {30000, 0, 300000},      {600000, 0, 600000},  {1, 3600, 1},        {1, 0, 2},
        {86400000, 0, 86400000},
    };
    struct fixture f;
    (void)state;
    start(&f, 2);
    uint32_t last = row_of(&f, 0, 5);
    assert_int_equal(last, 30000);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f.conf.base_ms = rows[i].base_ms;
        f.now_us += (int64_t)last * 1000 + rows[i].served_s * S;
        last = row_of(&f, 0, 5);
        if (last != rows[i].expected_ms)
            fail_msg("row %zu: %u, not %u", i, last, rows[i].expected_ms);
    }
}

static void never_more_than_the_share(void **state)
{
    static const struct {
        uint32_t n, share_bp, most;
    } rows[] = {{1, 10000, 0}, {2, 5000, 1},  {2, 4999, 0}, {2, 10000, 1},
                {3, 5000, 1},  {3, 10000, 2}, {4, 5000, 2}, {10, 1000, 1},
                {10, 999, 0},  {10, 5000, 5}, {10, 0, 0},   {5, 10000, 4}};
    struct fixture f;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        start(&f, rows[i].n);
        f.conf.max_ejected_bp = rows[i].share_bp;
        uint32_t out = 0;
        for (uint32_t k = 0; k < f.n; k++)
            out += row_of(&f, k, 20) != 0;
        if (out != rows[i].most)
            fail_msg("row %zu: %u, not %u", i, out, rows[i].most);
    }
}

static void one_that_was_spared_goes_when_there_is_room(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 2);
    assert_int_equal(row_of(&f, 0, 5), 30000);
    assert_int_equal(row_of(&f, 1, 9), 0);
    f.now_us += 30 * S;
    assert_int_equal(row_of(&f, 1, 1), 30000); /* its row goes on */
}

/* Whoever is down does not serve either. */
static void never_the_last_that_serves(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 4);
    f.conf.max_ejected_bp = 10000;
    endpoint_note(&f.states[0], ENDPOINT_DOWN);
    endpoint_note(&f.states[1], ENDPOINT_UNKNOWN);
    assert_int_equal(row_of(&f, 2, 5), 30000);
    assert_int_equal(row_of(&f, 3, 5), 30000); /* one that was never tried may serve */
    assert_int_equal(row_of(&f, 1, 50), 0);
    start(&f, 1);
    f.conf.max_ejected_bp = 10000;
    assert_int_equal(row_of(&f, 0, 50), 0);
}

/* --- connects --- */

static enum endpoint_health after_connects(struct fixture *f, uint32_t at, unsigned failed,
                                           bool is_checked)
{
    struct eject_place p = {f->endpoints, f->n, at};
    while (failed--)
        eject_note_connect(&p, is_checked, f->now_us);
    return (enum endpoint_health)f->states[at].health;
}

static void failed_connects_take_down(void **state)
{
    static const struct {
        uint32_t n;
        unsigned others_down; /* a bit each, from endpoint 0 on; the one that fails is 0 */
        enum endpoint_health before;
        bool is_checked;
        unsigned first; /* the failed connect that takes it down */
    } rows[] = {
        {2, 0, ENDPOINT_UP, false, 1},      /* another one serves */
        {2, 0, ENDPOINT_UP, true, 3},       /* checks look after it */
        {2, 2, ENDPOINT_UP, false, 3},      /* the last one */
        {1, 0, ENDPOINT_UP, false, 3},      /* */
        {1, 0, ENDPOINT_UP, true, 3},       /* */
        {1, 0, ENDPOINT_UNKNOWN, false, 1}, /* it never was up */
        {1, 0, ENDPOINT_UNKNOWN, true, 3},  /* a check will tell */
        {3, 4, ENDPOINT_UP, false, 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (unsigned failed = 1; failed <= 4; failed++) {
            struct fixture f;
            start(&f, rows[i].n);
            for (uint32_t k = 1; k < f.n; k++)
                if (rows[i].others_down & 1u << k)
                    endpoint_note(&f.states[k], ENDPOINT_DOWN);
            endpoint_note(&f.states[0], rows[i].before);
            bool is_down = after_connects(&f, 0, failed, rows[i].is_checked) == ENDPOINT_DOWN;
            if (is_down != (failed >= rows[i].first))
                fail_msg("row %zu, %u failed", i, failed);
        }
}

static void a_connect_ends_the_row_and_one_that_was_down_is_a_newcomer(void **state)
{
    struct fixture f;
    (void)state;
    start(&f, 1);
    assert_int_equal(after_connects(&f, 0, 2, false), ENDPOINT_UP);
    endpoint_come_up(&f.states[0], f.now_us);
    assert_int_equal(f.states[0].serves_from_us, 0); /* it was up all the time */
    assert_int_equal(after_connects(&f, 0, 2, false), ENDPOINT_UP);
    eject_note_probe(&f.states[0]); /* the control thread's count with the others */
    assert_int_equal(f.states[0].health, ENDPOINT_DOWN);
    endpoint_come_up(&f.states[0], f.now_us);
    assert_int_equal(f.states[0].serves_from_us, f.now_us);
    assert_int_equal(f.states[0].health, ENDPOINT_UP);
    f.states[0].serves_from_us = f.now_us + S; /* coming up ends no ejection */
    endpoint_note(&f.states[0], ENDPOINT_DOWN);
    endpoint_come_up(&f.states[0], f.now_us);
    assert_false(serves(&f, 0));
}

/* --- workers that fail at the same moment --- */

#define THREADS 4u

static struct fixture shared;
static _Atomic unsigned out_most, out_now;

static void *fail_one(void *arg)
{
    uint32_t at = (uint32_t)(uintptr_t)arg;
    struct eject_place p = {shared.endpoints, shared.n, at};
    for (unsigned i = 0; i < 20000; i++) {
        if (eject_note_failure(&p, &shared.conf, START_US) == 0)
            continue;
        unsigned now = atomic_fetch_add(&out_now, 1) + 1, most = atomic_load(&out_most);
        while (now > most && !atomic_compare_exchange_weak(&out_most, &most, now))
            ;
        atomic_fetch_sub(&out_now, 1);
        eject_forget(&shared.states[at], START_US);
    }
    return NULL;
}

static void the_bounds_hold_with_many_threads(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    start(&shared, THREADS);
    shared.conf.consecutive = 1;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fail_one, (void *)i), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_in_range(out_most, 1, THREADS / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failures_in_a_row_eject),
        cmocka_unit_test(off_is_off),
        cmocka_unit_test(times_grow_and_shrink),
        cmocka_unit_test(never_more_than_the_share),
        cmocka_unit_test(one_that_was_spared_goes_when_there_is_room),
        cmocka_unit_test(never_the_last_that_serves),
        cmocka_unit_test(failed_connects_take_down),
        cmocka_unit_test(a_connect_ends_the_row_and_one_that_was_down_is_a_newcomer),
        cmocka_unit_test(the_bounds_hold_with_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
