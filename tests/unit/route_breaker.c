/* The breaker: opens at its very threshold, tries again a trickle at a time, and closes on proof.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/route/breaker.h"

#include "base/check.h"
#include <stdlib.h>

#define WORKERS 4u
#define MS      INT64_C(1000) /* in microseconds */
#define SECOND  (1000 * MS)
#define START   (1000 * SECOND)

static const struct config_breaker usual = {
    .window_ms = 10000, .min_requests = 20, .error_rate_bp = 5000, .retry_after_ms = 30000};

static int setup(void **state)
{
    *state = breaker_new(WORKERS);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    breaker_free(*state);
    return 0;
}

static uint32_t state_of(const struct breaker *b)
{
    return atomic_load(&((struct breaker *)(uintptr_t)b)->state);
}

/* Notes n outcomes at one moment, round the workers; returns how many notes opened the breaker. */
static unsigned note(struct breaker *b, unsigned n, bool failed, int64_t now_us)
{
    unsigned opened = 0;
    for (unsigned i = 0; i < n; i++)
        opened += breaker_note(b, &usual, i % WORKERS, failed, now_us);
    return opened;
}

/* Open since now_us. */
static void open_breaker(struct breaker *b, int64_t now_us)
{
    assert_int_equal(note(b, usual.min_requests, true, now_us), 1);
    assert_int_equal(state_of(b), BREAKER_OPEN);
}

/* --- the threshold --- */

#define NEVER 0u

static void the_failure_that_reaches_both_bounds_opens(void **state)
{
    static const struct {
        uint32_t min_requests, error_rate_bp, successes;
        unsigned failures; /* that it takes */
    } rows[] = {
        {20, 5000, 0, 20},  /* the number of requests is the later bound */
        {20, 5000, 10, 10}, /* both at once */
        {20, 5000, 11, 11}, /* the rate is the later bound */
        {20, 5000, 19, 19},    {20, 5000, 100, 100}, {20, 3333, 20, 10}, /* 9 of 29 are 31 %, 10 of
                                                                            30 are 33.33 % */
        {20, 3334, 20, 11},                                              /* 33.33 % are too few */
        {20, 2500, 60, 20},    {20, 1, 9998, 1},                         /* 1 of 9999 */
        {20, 1, 9999, 1},                                                /* 1 of 10000 */
        {20, 1, 10000, 2}, /* 1 of 10001 are less than 0.01 % */
        {1, 5000, 0, 1},   /* the very first request */
        {1, 5000, 1, 1},       {2, 5000, 0, 2},      {1, 10000, 0, 1},   {5, 10000, 0, 5},
        {1, 10000, 1, NEVER}, /* not every request failed */
        {1000, 5000, 0, 1000}, {1, 9999, 1, 9999},
    };
    struct breaker *b = *state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_breaker conf = usual;
        conf.min_requests = rows[i].min_requests;
        conf.error_rate_bp = rows[i].error_rate_bp;
        breaker_reset(b);
        for (unsigned k = 0; k < rows[i].successes; k++)
            assert_false(breaker_note(b, &conf, k % WORKERS, false, START));
        unsigned last = rows[i].failures == NEVER ? 20000 : rows[i].failures;
        for (unsigned k = 1; k <= last; k++) {
            assert_int_equal(breaker_ask(b, &conf, START), BREAKER_PASS);
            bool opens = breaker_note(b, &conf, k % WORKERS, true, START);
            assert_int_equal(opens, k == rows[i].failures);
        }
        assert_int_equal(state_of(b), rows[i].failures == NEVER ? BREAKER_CLOSED : BREAKER_OPEN);
    }
}

static void it_opens_once_and_then_counts_no_more(void **state)
{
    struct breaker *b = *state;
    open_breaker(b, START);
    assert_int_equal(note(b, 100, true, START), 0);
    assert_int_equal(note(b, 100, false, START), 0);
    assert_int_equal(state_of(b), BREAKER_OPEN);
    assert_int_equal(atomic_load(&b->opened), 1);
}

/* 19 failures and then a success: the rate is over, the number is reached, yet nothing failed just
 * now. */
static void a_success_opens_nothing(void **state)
{
    struct breaker *b = *state;
    assert_int_equal(note(b, 19, true, START), 0);
    assert_int_equal(note(b, 5, false, START), 0);
    assert_int_equal(state_of(b), BREAKER_CLOSED);
    assert_int_equal(note(b, 1, true, START), 1);
}

static void one_worker_alone_may_reach_it(void **state)
{
    struct breaker *b = *state;
    for (unsigned i = 1; i <= 20; i++)
        assert_int_equal(breaker_note(b, &usual, WORKERS - 1, true, START), i == 20);
}

static void without_min_requests_it_is_off(void **state)
{
    struct breaker *b = *state;
    struct config_breaker off = usual;
    off.min_requests = 0;
    for (unsigned i = 0; i < 1000; i++) {
        assert_int_equal(breaker_ask(b, &off, START), BREAKER_PASS);
        assert_false(breaker_note(b, &off, i % WORKERS, true, START));
    }
    assert_int_equal(state_of(b), BREAKER_CLOSED);
}

/* A reload that takes the breaker away gives the canary back. */
static void one_that_is_open_closes_when_it_is_switched_off(void **state)
{
    struct breaker *b = *state;
    struct config_breaker off = usual;
    off.min_requests = 0;
    open_breaker(b, START);
    assert_true(breaker_is_open(b, &usual));
    assert_false(breaker_is_open(b, &off));
    assert_int_equal(breaker_ask(b, &off, START), BREAKER_PASS);
    assert_int_equal(state_of(b), BREAKER_CLOSED);
    assert_false(breaker_is_open(b, &usual));
    /* and on again: what was before is forgotten */
    assert_int_equal(breaker_ask(b, &usual, START), BREAKER_PASS);
    assert_int_equal(note(b, 19, true, START), 0);
    assert_int_equal(note(b, 1, true, START), 1);
}

/* --- the window --- */

/* What lies back a whole window is gone; what lies back 15 of its 16 slices still counts. */
static void old_requests_leave_the_window(void **state)
{
    struct breaker *b = *state;
    const int64_t window = usual.window_ms * MS, slice = window / BREAKER_SLOTS;
    for (int64_t at = START; at < START + 2 * slice; at += slice / 7) {
        breaker_reset(b);
        assert_int_equal(note(b, 19, true, at), 0);
        assert_int_equal(note(b, 1, true, at + window - slice), 1);
        breaker_reset(b);
        assert_int_equal(note(b, 19, true, at), 0);
        assert_int_equal(note(b, 1, true, at + window), 0);
        breaker_reset(b);
        assert_int_equal(note(b, 19, true, at), 0);
        assert_int_equal(note(b, 1, true, at + 1000 * window), 0);
    }
}

/* What a naive breaker would do that remembers every request. */
struct request {
    int64_t slice;
    bool failed;
};

static bool naive_is_over(const struct request *all, unsigned n, int64_t slice)
{
    unsigned requests = 0, failed = 0;
    for (unsigned i = 0; i < n; i++)
        if (all[i].slice > slice - (int64_t)BREAKER_SLOTS) {
            requests++;
            failed += all[i].failed;
        }
    return requests >= usual.min_requests && failed * 10000u >= requests * usual.error_rate_bp;
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33);
}

static void it_agrees_with_one_that_remembers_everything(void **state)
{
    static struct request all[4000];
    struct breaker *b = *state;
    uint64_t seed = 7;
    unsigned n = 0, opened = 0;
    int64_t now = START;
    for (unsigned i = 0; i < 60000; i++) {
        if (n == ARRAY_LEN(all)) {
            breaker_reset(b);
            n = 0;
        }
        now += next_random(&seed) % (i % 1000 < 500 ? 400 : 1500) * MS;
        bool failed = next_random(&seed) % 100 < 20 + i / 100 % 30;
        int64_t slice = now / (usual.window_ms * MS / BREAKER_SLOTS);
        all[n++] = (struct request){slice, failed};
        bool opens = breaker_note(b, &usual, next_random(&seed) % WORKERS, failed, now);
        assert_int_equal(opens, failed && naive_is_over(all, n, slice));
        if (opens) {
            opened++;
            breaker_reset(b);
            n = 0;
        }
    }
    assert_in_range(opened, 20, 5000); /* both answers were seen often */
}

static void windows_of_any_length_work(void **state)
{
    struct breaker *b = *state;
    static const uint32_t lengths_ms[] = {1, 15, 16, 1000, 86400000};
    for (size_t i = 0; i < ARRAY_LEN(lengths_ms); i++) {
        struct config_breaker conf = usual;
        conf.window_ms = lengths_ms[i];
        breaker_reset(b);
        for (unsigned k = 1; k < 20; k++)
            assert_false(breaker_note(b, &conf, 0, true, START));
        assert_false(breaker_note(b, &conf, 0, true, START + lengths_ms[i] * MS));
        for (unsigned k = 2; k <= 20; k++)
            assert_int_equal(breaker_note(b, &conf, 0, true, START + lengths_ms[i] * MS), k == 20);
    }
}

/* --- open, and the trickle --- */

static void open_it_refuses_until_retry_after(void **state)
{
    struct breaker *b = *state;
    open_breaker(b, START);
    assert_int_equal(breaker_ask(b, &usual, START), BREAKER_REFUSE);
    assert_int_equal(breaker_ask(b, &usual, START + 30 * SECOND - 1), BREAKER_REFUSE);
    assert_int_equal(state_of(b), BREAKER_OPEN);
    assert_int_equal(breaker_ask(b, &usual, START + 30 * SECOND), BREAKER_TRIAL);
    assert_int_equal(state_of(b), BREAKER_TRICKLING);
}

static void one_trial_is_under_way_at_a_time(void **state)
{
    struct breaker *b = *state;
    int64_t now = START + 30 * SECOND;
    open_breaker(b, START);
    assert_true(breaker_is_open(b, &usual)); /* and takes no trial */
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_TRIAL);
    assert_true(breaker_is_open(b, &usual));
    for (int64_t later = 0; later < 100 * SECOND; later += SECOND)
        assert_int_equal(breaker_ask(b, &usual, now + later), BREAKER_REFUSE);
    breaker_trial_end(b, &usual, TRIAL_OK, now);
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_TRIAL);
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_REFUSE);
}

/* Trials whose client went away say nothing; but they were requests on a version that may be
 * broken. */
static void void_trials_use_up_the_five_and_decide_nothing(void **state)
{
    struct breaker *b = *state;
    open_breaker(b, START);
    for (int64_t now = START + 30 * SECOND; now < START + 300 * SECOND; now += 30 * SECOND) {
        for (unsigned i = 0; i < BREAKER_TRICKLE; i++) {
            assert_int_equal(breaker_ask(b, &usual, now + i * SECOND), BREAKER_TRIAL);
            breaker_trial_end(b, &usual, TRIAL_VOID, now + i * SECOND);
        }
        assert_int_equal(breaker_ask(b, &usual, now + 5 * SECOND), BREAKER_REFUSE);
        assert_int_equal(breaker_ask(b, &usual, now + 30 * SECOND - 1), BREAKER_REFUSE);
        assert_int_equal(state_of(b), BREAKER_TRICKLING);
    }
    assert_int_equal(atomic_load(&b->failed_trickles), 0);
}

static void pass_trials(struct breaker *b, unsigned n, int64_t now_us)
{
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(breaker_ask(b, &usual, now_us), BREAKER_TRIAL);
        breaker_trial_end(b, &usual, TRIAL_OK, now_us);
    }
}

static void five_good_trials_close_it(void **state)
{
    struct breaker *b = *state;
    int64_t now = START + 30 * SECOND;
    open_breaker(b, START);
    pass_trials(b, 4, now);
    assert_int_equal(state_of(b), BREAKER_TRICKLING);
    pass_trials(b, 1, now);
    assert_int_equal(state_of(b), BREAKER_CLOSED);
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_PASS);
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_PASS);
}

/* With void ones between them they may take more than one period. */
static void good_trials_add_up_over_periods(void **state)
{
    struct breaker *b = *state;
    int64_t now = START + 30 * SECOND;
    open_breaker(b, START);
    pass_trials(b, 4, now);
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_TRIAL);
    breaker_trial_end(b, &usual, TRIAL_VOID, now);
    assert_int_equal(breaker_ask(b, &usual, now), BREAKER_REFUSE);
    pass_trials(b, 1, now + 30 * SECOND);
    assert_int_equal(state_of(b), BREAKER_CLOSED);
}

static void a_failed_trial_opens_it_again(void **state)
{
    struct breaker *b = *state;
    int64_t now = START;
    open_breaker(b, now);
    for (unsigned failed = 1; failed <= 3; failed++) {
        now += 30 * SECOND;
        pass_trials(b, 4, now); /* four good ones before it do not count any more */
        assert_int_equal(breaker_ask(b, &usual, now), BREAKER_TRIAL);
        now += SECOND;
        breaker_trial_end(b, &usual, TRIAL_FAILED, now);
        assert_int_equal(state_of(b), BREAKER_OPEN);
        assert_int_equal(atomic_load(&b->failed_trickles), failed);
        assert_int_equal(breaker_ask(b, &usual, now + 30 * SECOND - 1), BREAKER_REFUSE);
    }
    now += 30 * SECOND;
    pass_trials(b, 4, now);
    assert_int_equal(state_of(b), BREAKER_TRICKLING);
    pass_trials(b, 1, now);
    assert_int_equal(state_of(b), BREAKER_CLOSED);
    assert_int_equal(atomic_load(&b->failed_trickles), 0);
    assert_int_equal(atomic_load(&b->opened), 1);
}

/* The failures that opened it are not held against it once more: soon after the machine has
 * started, too, when the monotonic clock is below one window. */
static void closed_again_it_begins_with_a_clean_window(void **state)
{
    static const int64_t starts[] = {0, 1, SECOND, 9 * SECOND, START};
    struct breaker *b = *state;
    struct config_breaker at_once = usual;
    at_once.retry_after_ms = 0;
    for (size_t i = 0; i < ARRAY_LEN(starts); i++) {
        int64_t now = starts[i];
        breaker_reset(b);
        for (unsigned k = 1; k <= 20; k++)
            assert_int_equal(breaker_note(b, &at_once, k % WORKERS, true, now), k == 20);
        for (unsigned k = 0; k < BREAKER_TRICKLE; k++) {
            assert_int_equal(breaker_ask(b, &at_once, now), BREAKER_TRIAL);
            breaker_trial_end(b, &at_once, TRIAL_OK, now);
        }
        assert_int_equal(state_of(b), BREAKER_CLOSED);
        for (unsigned k = 1; k <= 20; k++)
            assert_int_equal(breaker_note(b, &at_once, 0, true, now), k == 20);
    }
}

/* --- another canary --- */

static void reset_forgets_everything(void **state)
{
    struct breaker *b = *state;
    note(b, 19, true, START);
    breaker_reset(b);
    assert_int_equal(note(b, 19, true, START), 0);
    assert_int_equal(note(b, 1, true, START), 1);
    assert_int_equal(breaker_ask(b, &usual, START + 30 * SECOND), BREAKER_TRIAL);
    breaker_trial_end(b, &usual, TRIAL_FAILED, START + 30 * SECOND);
    breaker_reset(b);
    assert_int_equal(atomic_load(&b->failed_trickles), 0);
    assert_int_equal(breaker_ask(b, &usual, START), BREAKER_PASS);
    assert_int_equal(note(b, 19, true, START), 0);
    assert_int_equal(note(b, 1, true, START), 1);
}

/* A trial that was under way when the canary was exchanged: its end tells nothing of the new one.
 */
static void the_end_of_an_old_trial_is_not_the_new_canarys(void **state)
{
    static const enum breaker_trial outcomes[] = {TRIAL_OK, TRIAL_FAILED, TRIAL_VOID};
    struct breaker *b = *state;
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        breaker_reset(b);
        open_breaker(b, START);
        assert_int_equal(breaker_ask(b, &usual, START + 30 * SECOND), BREAKER_TRIAL);
        breaker_reset(b);
        breaker_trial_end(b, &usual, outcomes[i], START + 31 * SECOND);
        assert_int_equal(state_of(b), BREAKER_CLOSED);
        assert_int_equal(atomic_load(&b->failed_trickles), 0);
        open_breaker(b, START + 40 * SECOND);
        pass_trials(b, 4, START + 70 * SECOND);
        assert_int_equal(state_of(b), BREAKER_TRICKLING);
        pass_trials(b, 1, START + 70 * SECOND);
        assert_int_equal(state_of(b), BREAKER_CLOSED);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_failure_that_reaches_both_bounds_opens),
        TEST(it_opens_once_and_then_counts_no_more),
        TEST(a_success_opens_nothing),
        TEST(one_worker_alone_may_reach_it),
        TEST(without_min_requests_it_is_off),
        TEST(one_that_is_open_closes_when_it_is_switched_off),
        TEST(old_requests_leave_the_window),
        TEST(it_agrees_with_one_that_remembers_everything),
        TEST(windows_of_any_length_work),
        TEST(open_it_refuses_until_retry_after),
        TEST(one_trial_is_under_way_at_a_time),
        TEST(void_trials_use_up_the_five_and_decide_nothing),
        TEST(five_good_trials_close_it),
        TEST(good_trials_add_up_over_periods),
        TEST(a_failed_trial_opens_it_again),
        TEST(closed_again_it_begins_with_a_clean_window),
        TEST(reset_forgets_everything),
        TEST(the_end_of_an_old_trial_is_not_the_new_canarys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
