/* One more attempt: every condition alone can forbid it, and the budget is a share with a floor.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/upstream/retry.h"

#include "base/check.h"
#include "proxy/http/head.h"
#include "proxy/route/retry_budget.h"

#define ALL_CAUSES (RETRY_CONNECT | RETRY_RESET | RETRY_502 | RETRY_503 | RETRY_504)
#define IDEMPOTENT (1u << METHOD_GET | 1u << METHOD_HEAD | 1u << METHOD_OPTIONS | 1u << METHOD_PUT)

static const struct config_retry usual = {
    .on = RETRY_CONNECT | RETRY_RESET, .methods = IDEMPOTENT, .max = 2, .budget_bp = 2000};

/* A request that may be retried: each test changes one thing. */
static const struct retry_facts allowed = {.cause = RETRY_RESET,
                                           .method = METHOD_GET,
                                           .nothing_sent = false,
                                           .is_replayable = true,
                                           .tries = 1};

static void the_usual_request_is_retried(void **state)
{
    (void)state;
    assert_true(retry_may(&usual, &allowed));
}

static const enum retry_on causes[] = {RETRY_CONNECT, RETRY_RESET, RETRY_502, RETRY_503, RETRY_504};

static void only_the_causes_that_are_named_count(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(causes); i++) {
        struct retry_facts facts = allowed;
        struct config_retry policy = usual;
        facts.cause = causes[i];
        policy.on = (uint32_t)causes[i];
        assert_true(retry_may(&policy, &facts));
        policy.on = ALL_CAUSES & ~(uint32_t)causes[i];
        assert_false(retry_may(&policy, &facts));
        policy.on = 0;
        assert_false(retry_may(&policy, &facts));
        policy.on = ALL_CAUSES;
        facts.cause = 0; /* none that a policy can name */
        assert_false(retry_may(&policy, &facts));
    }
}

static void tries_end_at_max(void **state)
{
    static const struct {
        uint32_t max, tries;
        bool may;
    } rows[] = {{0, 0, false}, {1, 0, true},  {1, 1, false}, {2, 1, true},
                {2, 2, false}, {2, 3, false}, {5, 4, true},  {5, 5, false}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct retry_facts facts = allowed;
        struct config_retry policy = usual;
        policy.max = rows[i].max;
        facts.tries = rows[i].tries;
        assert_int_equal(retry_may(&policy, &facts), rows[i].may);
    }
}

static void a_body_that_is_gone_cannot_be_sent_again(void **state)
{
    struct retry_facts facts = allowed;
    (void)state;
    facts.is_replayable = false;
    assert_false(retry_may(&usual, &facts));
    facts.nothing_sent = true; /* read from the client, and not here any more */
    facts.cause = RETRY_CONNECT;
    assert_false(retry_may(&usual, &facts));
}

/* What no endpoint has seen may be sent again whatever it is. */
static void the_method_decides_once_something_was_sent(void **state)
{
    (void)state;
    for (unsigned method = METHOD_OTHER; method <= METHOD_TRACE; method++) {
        struct retry_facts facts = allowed;
        struct config_retry policy = usual;
        facts.method = (uint8_t)method;
        assert_int_equal(retry_may(&policy, &facts), (IDEMPOTENT & 1u << method) != 0);
        facts.nothing_sent = true;
        assert_true(retry_may(&policy, &facts));
        policy.methods = 0;
        assert_true(retry_may(&policy, &facts));
        facts.nothing_sent = false;
        assert_false(retry_may(&policy, &facts));
        policy.methods = 1u << method;
        assert_true(retry_may(&policy, &facts));
        policy.methods = ~(1u << method);
        assert_false(retry_may(&policy, &facts));
    }
}

/* A 1xx is a beginning: what comes behind it must be of the same answer. */
static void an_answer_that_has_begun_is_the_last(void **state)
{
    struct retry_facts facts = allowed;
    (void)state;
    facts.went_down = true;
    assert_false(retry_may(&usual, &facts));
    facts.nothing_sent = true;
    assert_false(retry_may(&usual, &facts));
}

static void the_budget_is_a_share_of_the_requests_but_never_below_its_floor(void **state)
{
    static const struct {
        uint64_t requests;
        uint32_t budget_bp;
        uint64_t most;
    } rows[] = {
        {0, 2000, RETRY_BUDGET_FLOOR},
        {1, 2000, RETRY_BUDGET_FLOOR},
        {154, 2000, RETRY_BUDGET_FLOOR}, /* 30.8 */
        {155, 2000, 31},
        {1000, 2000, 200},
        {12345, 2000, 2469},
        {99999, 1, RETRY_BUDGET_FLOOR},
        {500000, 1, 50},
        {1000, 0, RETRY_BUDGET_FLOOR},
        {1000, SHARE_FULL_BP, 1000},
        {UINT64_MAX, SHARE_FULL_BP, UINT64_MAX}, /* does not overflow */
        {UINT64_MAX, 5000, UINT64_MAX / 2},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_retry policy = usual;
        policy.budget_bp = rows[i].budget_bp;
        assert_int_equal(retry_most(&policy, rows[i].requests), rows[i].most);
    }
}

static void methods_that_may_come_twice(void **state)
{
    (void)state;
    for (unsigned method = METHOD_OTHER; method <= METHOD_TRACE; method++)
        assert_int_equal(retry_is_idempotent((uint8_t)method),
                         ((IDEMPOTENT | 1u << METHOD_DELETE) & 1u << method) != 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_usual_request_is_retried),
        cmocka_unit_test(only_the_causes_that_are_named_count),
        cmocka_unit_test(tries_end_at_max),
        cmocka_unit_test(a_body_that_is_gone_cannot_be_sent_again),
        cmocka_unit_test(the_method_decides_once_something_was_sent),
        cmocka_unit_test(an_answer_that_has_begun_is_the_last),
        cmocka_unit_test(the_budget_is_a_share_of_the_requests_but_never_below_its_floor),
        cmocka_unit_test(methods_that_may_come_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
