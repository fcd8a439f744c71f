/* The breaker between workers: it opens exactly once, and no two trials are ever under way.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/route/breaker.h"

#include <pthread.h>
#include <sched.h>

#define WORKERS   4u
#define ROUNDS    200u
#define ASKS      400u /* of one worker in one round */
#define NOW       INT64_C(1000000000)
#define PERIOD_US INT64_C(30000000)

static const struct config_breaker conf = {
    .window_ms = 10000, .min_requests = 20, .error_rate_bp = 5000, .retry_after_ms = 30000};

/* What the threads of one test share. */
struct race {
    struct breaker *breaker;
    pthread_barrier_t barrier;
    int64_t now_us;
    enum breaker_trial outcome;
    _Atomic unsigned opened, under_way, overlaps, trials, passes;
};

struct racer {
    struct race *race;
    unsigned worker;
    pthread_t thread;
};

static void run_round(struct race *race, void *(*run)(void *))
{
    struct racer racers[WORKERS];
    assert_int_equal(pthread_barrier_init(&race->barrier, NULL, WORKERS), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        racers[i] = (struct racer){.race = race, .worker = i};
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
    (void)pthread_barrier_destroy(&race->barrier);
}

static void *fail_requests(void *arg)
{
    struct racer *r = arg;
    (void)pthread_barrier_wait(&r->race->barrier);
    for (unsigned i = 0; i < 50; i++)
        if (breaker_note(r->race->breaker, &conf, r->worker, true, NOW))
            atomic_fetch_add(&r->race->opened, 1);
    return NULL;
}

static void it_opens_exactly_once(void **state)
{
    struct race race = {.breaker = breaker_new(WORKERS)};
    (void)state;
    assert_non_null(race.breaker);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        run_round(&race, fail_requests);
        assert_int_equal(atomic_load(&race.opened), i);
        assert_int_equal(atomic_load(&race.breaker->opened), i);
        assert_int_equal(atomic_load(&race.breaker->state), BREAKER_OPEN);
        breaker_reset(race.breaker);
    }
    breaker_free(race.breaker);
}

static void ask_for_trials(struct race *race)
{
    for (unsigned i = 0; i < ASKS; i++) {
        enum breaker_pass pass = breaker_ask(race->breaker, &conf, race->now_us);
        if (pass == BREAKER_PASS)
            atomic_fetch_add(&race->passes, 1);
        if (pass != BREAKER_TRIAL)
            continue;
        atomic_fetch_add(&race->trials, 1);
        if (atomic_fetch_add(&race->under_way, 1))
            atomic_fetch_add(&race->overlaps, 1);
        if (i % 2)
            sched_yield();
        atomic_fetch_sub(&race->under_way, 1);
        breaker_trial_end(race->breaker, &conf, race->outcome, race->now_us);
    }
}

static void *run_racer(void *arg)
{
    struct racer *r = arg;
    (void)pthread_barrier_wait(&r->race->barrier);
    ask_for_trials(r->race);
    return NULL;
}

/* One period of one open breaker, in which all workers ask at the same moment. Who is suspended in a trial may outlast
 * all that the others ask: what is left of the period is asked for behind them. */
static void race_for_trials(struct race *race)
{
    atomic_store(&race->trials, 0);
    atomic_store(&race->passes, 0);
    run_round(race, run_racer);
    ask_for_trials(race);
    assert_int_equal(atomic_load(&race->overlaps), 0);
    assert_int_equal(atomic_load(&race->under_way), 0);
}

static void open_at(struct breaker *b, int64_t now_us)
{
    breaker_reset(b);
    for (unsigned i = 1; i <= conf.min_requests; i++)
        assert_int_equal(breaker_note(b, &conf, 0, true, now_us), i == conf.min_requests);
}

static void five_void_trials_a_period(void **state)
{
    struct race race = {.breaker = breaker_new(WORKERS), .outcome = TRIAL_VOID, .now_us = NOW};
    (void)state;
    assert_non_null(race.breaker);
    open_at(race.breaker, NOW);
    for (unsigned i = 0; i < ROUNDS; i++) {
        race.now_us += PERIOD_US;
        race_for_trials(&race);
        assert_int_equal(atomic_load(&race.trials), BREAKER_TRICKLE);
        assert_int_equal(atomic_load(&race.passes), 0);
    }
    breaker_free(race.breaker);
}

static void a_failed_trial_is_the_last_of_its_period(void **state)
{
    struct race race = {.breaker = breaker_new(WORKERS), .outcome = TRIAL_FAILED, .now_us = NOW};
    (void)state;
    assert_non_null(race.breaker);
    open_at(race.breaker, NOW);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        race.now_us += PERIOD_US;
        race_for_trials(&race);
        assert_int_equal(atomic_load(&race.trials), 1);
        assert_int_equal(atomic_load(&race.passes), 0);
        assert_int_equal(atomic_load(&race.breaker->failed_trickles), i);
        assert_int_equal(atomic_load(&race.breaker->state), BREAKER_OPEN);
    }
    breaker_free(race.breaker);
}

static void five_good_trials_close_it_for_all(void **state)
{
    struct race race = {.breaker = breaker_new(WORKERS), .outcome = TRIAL_OK};
    (void)state;
    assert_non_null(race.breaker);
    for (unsigned i = 0; i < ROUNDS; i++) {
        open_at(race.breaker, NOW + i * PERIOD_US);
        race.now_us = NOW + (i + 1) * PERIOD_US;
        race_for_trials(&race);
        assert_int_equal(atomic_load(&race.trials), BREAKER_TRICKLE);
        assert_int_equal(atomic_load(&race.breaker->state), BREAKER_CLOSED);
        assert_int_equal(breaker_ask(race.breaker, &conf, race.now_us), BREAKER_PASS);
    }
    breaker_free(race.breaker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_opens_exactly_once),
        cmocka_unit_test(five_void_trials_a_period),
        cmocka_unit_test(a_failed_trial_is_the_last_of_its_period),
        cmocka_unit_test(five_good_trials_close_it_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
