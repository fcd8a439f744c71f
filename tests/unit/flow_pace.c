/* The rule for slow clients, second by second: who is cut, when, and who stays.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/flow/pace.h"

#include "base/check.h"

#define START INT64_C(1000000) /* any moment */
#define LATE                                                                                       \
    (INT64_C(1) << 32) -                                                                           \
        7000 /* one within whose first seconds the low half of the clock begins anew */
#define FOREVER_MS 3600000

static const struct pace_rule usual = {.rate = 240, .gap_ms = 30000};

/* How a client behaves: first bytes at once, then step bytes every so many ms. */
struct client_manner {
    uint64_t first, step;
    int64_t every_ms;
};

static uint64_t moved_by(const struct client_manner *m, int64_t at_ms)
{
    return m->first + (m->every_ms ? (uint64_t)(at_ms / m->every_ms) * m->step : 0);
}

/* Looks at a client as the wheel would, at the moments that pace_next_ms names. Returns when it is cut, or FOREVER_MS. */
static int64_t cut_after(int64_t start, struct pace_rule rule, const struct client_manner *m,
                         enum pace_verdict *v)
{
    struct pace p = {0};
    uint64_t seen = 0;
    pace_wait(&p, start);
    *v = PACE_OK;
    for (int64_t at = 0; at < FOREVER_MS;) {
        at += pace_next_ms(&p, rule, start + at);
        uint64_t total = moved_by(m, at);
        if (total > seen)
            pace_moved(&p, start + at);
        seen = total;
        *v = pace_look(&p, rule, total, start + at);
        if (*v != PACE_OK)
            return at;
    }
    return FOREVER_MS;
}

static const struct manner {
    const char *name;
    struct pace_rule rule;
    struct client_manner manner;
    enum pace_verdict verdict;
    int64_t from_ms, to_ms;
} manners[] = {
    {"nothing at all", {240, 30000}, {0, 0, 0}, PACE_SLOW, 5000, 5000},
    {"a byte a second", {240, 30000}, {0, 1, 1000}, PACE_SLOW, 5000, 5100},
    {"32 bytes in 5 s, as slowhttptest", {240, 30000}, {0, 32, 5000}, PACE_SLOW, 5000, 5200},
    {"half of the rate", {240, 30000}, {0, 120, 1000}, PACE_SLOW, 9000, 11000},
    {"a little below", {240, 30000}, {0, 230, 1000}, PACE_SLOW, 90000, 120000},
    {"the rate, each second", {240, 30000}, {0, 240, 1000}, PACE_OK, FOREVER_MS, FOREVER_MS},
    {"the rate, in steps of 4 KiB behind a full buffer",
     {240, 30000},
     {65536, 4096, 17000},
     PACE_OK,
     FOREVER_MS,
     FOREVER_MS},
    {"above, in steps of 29 s",
     {240, 30000},
     {65536, 65536, 29000},
     PACE_OK,
     FOREVER_MS,
     FOREVER_MS},
    {"a full buffer, then nothing", {240, 30000}, {65536, 0, 0}, PACE_STALLED, 30000, 31000},
    {"a gigabyte, then a byte in 20 s", {240, 30000}, {1 << 30, 1, 20000}, PACE_SLOW, 30000, 31100},
    {"no rate: a byte in 29 s", {0, 30000}, {0, 1, 29000}, PACE_OK, FOREVER_MS, FOREVER_MS},
    {"no rate: nothing", {0, 30000}, {0, 0, 0}, PACE_STALLED, 30000, 30000},
    {"the gap is shorter than the grace", {240, 2000}, {0, 1, 3000}, PACE_STALLED, 2000, 2000},
    {"fast, and a gap of half a second",
     {240, 500},
     {0, 100000, 400},
     PACE_OK,
     FOREVER_MS,
     FOREVER_MS},
    {"1 GiB a second is asked for", {1 << 30, 30000}, {0, 1 << 20, 1000}, PACE_SLOW, 5000, 5100},
    {"1 GiB a second is had",
     {1 << 30, 30000},
     {0, 1 << 30, 1000},
     PACE_OK,
     FOREVER_MS,
     FOREVER_MS},
    {"a byte a second is asked for",
     {1, 30000},
     {0, UINT64_C(1) << 60, FOREVER_MS},
     PACE_SLOW,
     5000,
     5000},
    {"a byte a second is had", {1, 30000}, {0, 1, 1000}, PACE_OK, FOREVER_MS, FOREVER_MS},
};

static void each_manner_has_its_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(manners); i++) {
        const struct manner *m = &manners[i / 2];
        enum pace_verdict v;
        int64_t at = cut_after(i % 2 ? LATE : START, m->rule, &m->manner, &v);
        if (v != m->verdict || at < m->from_ms || at > m->to_ms)
            fail_msg("%s: verdict %d after %lld ms", m->name, (int)v, (long long)at);
    }
}

/* What the upstream takes its time for is not the client's. */
static void time_at_rest_is_free(void **state)
{
    struct pace p = {0};
    int64_t now = START;
    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        pace_wait(&p, now);
        now += 40;
        pace_rest(&p, now);
        now += 60000;
    }
    assert_int_equal(p.spent_ms, 4000);
    pace_wait(&p, now);
    assert_int_equal(pace_look(&p, usual, 0, now + 999), PACE_OK);
    assert_int_equal(pace_look(&p, usual, 0, now + 1000), PACE_SLOW);
}

/* Many short waits that nobody looked at are paid for by what moved meanwhile, to the byte. */
static void short_waits_add_up_and_are_paid_for(void **state)
{
    for (unsigned is_paid = 0; is_paid < 2; is_paid++) {
        struct pace p = {0};
        int64_t now = START;
        (void)state;
        for (unsigned i = 0; i < 10000; i++) {
            pace_wait(&p, now);
            now += 900;
            pace_rest(&p, now);
        }
        pace_wait(&p, now);
        pace_moved(&p, now);
        uint64_t total = UINT64_C(9000) * 240 - (is_paid ? 4 * 240 : 5 * 240);
        assert_int_equal(pace_look(&p, usual, total, now), is_paid ? PACE_OK : PACE_SLOW);
    }
}

/* The account has an end, and what is beyond it is not wrapped into the client's favour. */
static void weeks_of_waits_that_nobody_looked_at_add_up(void **state)
{
    struct pace p = {0};
    int64_t now = START, day_ms = INT64_C(86400000);
    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        pace_wait(&p, now);
        now += day_ms;
        pace_rest(&p, now);
    }
    pace_wait(&p, now);
    pace_moved(&p, now);
    assert_int_equal(pace_look(&p, usual, 1 << 20, now), PACE_SLOW);
}

static void waiting_twice_or_resting_twice_changes_nothing(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_rest(&p, START);
    assert_false(pace_is_waiting(&p));
    pace_wait(&p, START);
    pace_wait(&p, START + 700);
    pace_rest(&p, START + 1000);
    pace_rest(&p, START + 5000);
    assert_int_equal(p.spent_ms, 1000);
}

/* A total that seems to fall (what a UNIX socket tells counts its own overhead) moves nothing. */
static void a_total_that_falls_counts_as_none(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_wait(&p, START);
    assert_int_equal(pace_look(&p, usual, 1000, START + 1000), PACE_OK);
    assert_int_equal(pace_look(&p, usual, 10, START + 2000), PACE_OK);
    assert_int_equal(p.total, 1000);
    assert_int_equal(pace_look(&p, usual, 1001, START + 3000), PACE_OK);
    assert_int_equal(p.spent_ms, 3000 - 4167 - 5); /* 1000 bytes and one, at 240 a second */
}

static void the_next_look_is_never_late(void **state)
{
    struct pace p = {0};
    (void)state;
    pace_wait(&p, START);
    assert_int_equal(pace_next_ms(&p, usual, START), PACE_LOOK_MS);
    assert_int_equal(pace_next_ms(&p, (struct pace_rule){0, 300}, START), 300);
    assert_int_equal(pace_next_ms(&p, (struct pace_rule){0, 300}, START + 300), 1);
    p.spent_ms = PACE_GRACE_MS - 7;
    assert_int_equal(pace_next_ms(&p, usual, START), 7);
    assert_int_equal(pace_next_ms(&p, (struct pace_rule){0, 30000}, START), PACE_LOOK_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_manner_has_its_end),
        cmocka_unit_test(time_at_rest_is_free),
        cmocka_unit_test(short_waits_add_up_and_are_paid_for),
        cmocka_unit_test(weeks_of_waits_that_nobody_looked_at_add_up),
        cmocka_unit_test(waiting_twice_or_resting_twice_changes_nothing),
        cmocka_unit_test(a_total_that_falls_counts_as_none),
        cmocka_unit_test(the_next_look_is_never_late),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
