/* What a rollout says of itself: the members of status and history, metrics, events.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout_fixture.h"

static const cJSON *member(const cJSON *json, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, name);
    if (!item)
        fail_msg("%s is missing", name);
    return item;
}

static double number(const cJSON *json, const char *name)
{
    const cJSON *item = member(json, name);
    if (!cJSON_IsNumber(item))
        fail_msg("%s is no number", name);
    return item->valuedouble;
}

static const char *text(const cJSON *json, const char *name)
{
    const cJSON *item = member(json, name);
    if (!cJSON_IsString(item))
        fail_msg("%s is no text", name);
    return item->valuestring;
}

static void expect_short_numbers(const cJSON *json) /* no 100.00000000000004 */
{
    char digits[32];
    for (; json; json = json->next) {
        expect_short_numbers(json->child);
        snprintf(digits, sizeof digits, "%.12g", json->valuedouble);
        assert_true(!cJSON_IsNumber(json) || strtod(digits, NULL) == json->valuedouble);
    }
}

static void test_status_while_running(void **state)
{
    (void)state;
    come_up("v2");
    world_version(&world, "v1")->error_rate = 0.01;
    verb(ROLLOUT_START);
    pass(4);
    cJSON *json = rollout_status(rollout);
    expect_short_numbers(json);
    assert_string_equal(text(json, "route"), "my-web");
    assert_string_equal(text(json, "phase"), "Progressing");
    assert_string_equal(text(json, "state"), "ANALYZING");
    assert_string_equal(text(json, "stable"), "v1");
    assert_string_equal(text(json, "canary"), "v2");
    assert_int_equal(number(json, "step"), 1);
    assert_int_equal(number(json, "steps"), 2);
    assert_int_equal(cJSON_GetArraySize(member(json, "weights")), 2);
    assert_int_equal(number(member(json, "weight"), "intended"), 10);
    assert_int_equal(number(member(json, "weight"), "observed"), 10);
    assert_int_equal(number(json, "exit"), 3);
    assert_true(cJSON_IsNull(member(json, "result")));
    assert_true(text(json, "why")[0] != '\0');
    assert_int_equal(number(json, "hold_s"), 5);
    assert_true(number(json, "elapsed_s") >= 2 && number(json, "step_elapsed_s") >= 1);
    assert_int_equal(strlen(text(json, "started_at")), strlen("2026-01-01T00:00:00Z"));
    assert_true(strlen(text(json, "rollout_id")) > 0);
    const cJSON *evidence = member(json, "evidence");
    assert_true(fabs(number(evidence, "revert_at") - 100) < 1e-6);
    assert_true(fabs(number(evidence, "widen_at") - 20) < 1e-6);
    assert_true(number(evidence, "against") > 0 && number(evidence, "safe") > 0);
    const cJSON *check = member(json, "checks")->child;
    assert_string_equal(text(check, "check"), "errors");
    assert_true(number(check, "value") == 0 && number(check, "evidence") > 0);
    assert_true(fabs(number(check, "limit") - (1.1 * 0.01 + 0.0002)) < 1e-3);
    while (strncmp(text(check, "check"), "latency", 7) != 0)
        check = check->next;
    assert_true(cJSON_IsNull(member(check, "value"))); /* stable has not said yet what slow is */
    const cJSON *stable = cJSON_GetArrayItem(member(json, "versions"), 0);
    const cJSON *canary = cJSON_GetArrayItem(member(json, "versions"), 1);
    assert_string_equal(text(stable, "role"), "stable");
    assert_string_equal(text(canary, "role"), "canary");
    assert_true(fabs(number(stable, "error_rate") - 0.01) < 1e-3);
    assert_int_equal(number(canary, "failed"), 0);
    assert_int_equal(number(canary, "available"), 2);
    assert_int_equal(number(canary, "endpoints"), 2);
    const cJSON *interval = member(stable, "interval");
    double low = cJSON_GetArrayItem(interval, 0)->valuedouble;
    double high = cJSON_GetArrayItem(interval, 1)->valuedouble;
    assert_true(low > 0 && low < 0.01 && high > 0.01 && high < 1);
    /* canary 0 of a few, stable 1 %: anything from better to much worse */
    const cJSON *difference = member(json, "difference"), *ratio = member(json, "ratio");
    assert_true(fabs(cJSON_GetArrayItem(difference, 0)->valuedouble + 100 * high) < 1e-9);
    assert_true(cJSON_GetArrayItem(difference, 1)->valuedouble > 0);
    assert_true(cJSON_GetArrayItem(ratio, 0)->valuedouble == 0);
    assert_true(cJSON_GetArrayItem(ratio, 1)->valuedouble > 1);
    cJSON_Delete(json);
    world_version(&world, "v2")->error_rate = 1;
    world_version(&world, "v1")->error_rate = 0;
    pass(1);
    json = rollout_status(rollout);
    assert_true(cJSON_GetArrayItem(member(json, "ratio"), 0)->valuedouble > 0);
    cJSON_Delete(json);
}

static void test_status_at_rest(void **state)
{
    (void)state;
    come_up("v2");
    pass(2);
    cJSON *json = rollout_status(rollout);
    assert_string_equal(text(json, "phase"), "Healthy");
    assert_int_equal(cJSON_GetArraySize(member(json, "checks")), 0);
    assert_int_equal(number(json, "exit"), 0);
    assert_int_equal(number(json, "step"), 0);
    assert_true(cJSON_IsNull(member(json, "evidence")));
    assert_true(cJSON_IsNull(member(json, "difference")) && cJSON_IsNull(member(json, "ratio")));
    assert_true(cJSON_IsNull(member(json, "started_at")));
    assert_string_equal(text(json, "rollout_id"), "");
    assert_non_null(strstr(text(json, "why"), "serin start my-web"));
    cJSON_Delete(json);
}

static void test_without_a_canary(void **state)
{
    (void)state;
    char path[128];
    struct why why;
    come_up(NULL);
    pass(2);
    (void)snprintf(path, sizeof path, "%s/my-web.json", dir);
    assert_int_equal(access(path, F_OK), -1); /* touches no disk */
    cJSON *json = rollout_status(rollout);
    assert_true(cJSON_IsNull(member(json, "canary")));
    assert_int_equal(cJSON_GetArraySize(member(json, "versions")), 1);
    cJSON_Delete(json);
    assert_int_equal(rollout_command(rollout, ROLLOUT_START, NULL, &why), ERR_CONFLICT);
    assert_int_equal(rollout_command(rollout, ROLLOUT_ABORT, NULL, &why), ERR_CONFLICT);
    struct rollout_setup setup = setup_of("v2"); /* the file names one later */
    assert_int_equal(rollout_may_configure(rollout, &setup, &why), OK);
    assert_int_equal(rollout_configure(rollout, &setup, &why), OK);
    pass(2);
    assert_int_equal(access(path, F_OK), 0);
    verb(ROLLOUT_START);
    pass(3);
    assert_int_equal(world.weight_bp, 1000);
}

static void test_history(void **state)
{
    (void)state;
    come_up("v2");
    for (int i = 0; i < 12; i++) {
        verb(i == 0 ? ROLLOUT_START : ROLLOUT_RETRY);
        pass(3);
        verb(ROLLOUT_ABORT);
        pass(3);
    }
    verb(ROLLOUT_RETRY);
    pass(3);
    cJSON *list = rollout_history(rollout);
    assert_int_equal(cJSON_GetArraySize(list), 10);
    const cJSON *newest = cJSON_GetArrayItem(list, 0), *before = cJSON_GetArrayItem(list, 1);
    assert_true(cJSON_IsNull(member(newest, "result")) && cJSON_IsNull(member(newest, "ended_at")));
    assert_string_equal(text(before, "result"), "aborted");
    assert_string_equal(text(before, "who"),
                        "ann 'x' "); /* nothing that breaks a line of the log */
    assert_string_equal(text(before, "stable"), "v1");
    assert_string_not_equal(text(before, "rollout_id"), text(newest, "rollout_id"));
    assert_true(strcmp(text(before, "ended_at"), text(before, "started_at")) > 0);
    const cJSON *step = cJSON_GetArrayItem(member(before, "steps"), 0);
    assert_int_equal(number(step, "weight"), 10);
    assert_string_equal(text(step, "verdict"), "operator");
    assert_true(text(step, "entered_at")[0] == '2' && text(step, "why")[0]);
    cJSON_Delete(list);
}

static void test_verdicts_in_history(void **state)
{
    (void)state;
    come_up("v2");
    verb(ROLLOUT_START);
    pass(60);
    cJSON *list = rollout_history(rollout);
    const cJSON *run = cJSON_GetArrayItem(list, 0), *steps = member(run, "steps");
    assert_string_equal(text(run, "result"), "completed");
    assert_int_equal(cJSON_GetArraySize(steps), 2);
    assert_int_equal(number(cJSON_GetArrayItem(steps, 1), "weight"), 99);
    assert_string_equal(text(cJSON_GetArrayItem(steps, 0), "verdict"), "promote");
    assert_string_equal(text(cJSON_GetArrayItem(steps, 1), "verdict"), "promote");
    cJSON_Delete(list);
}

static void test_metrics(void **state)
{
    (void)state;
    static const char *const checks[] = {"errors", "client_errors", "latency_p50", "latency_p90",
                                         "latency_p99"};
    struct rollout_check_metrics shown[JUDGE_CHECK_COUNT];
    struct rollout_metrics m;
    come_up("v2");
    rollout_metrics(rollout, &m);
    assert_string_equal(m.route, "my-web");
    assert_int_equal(m.phase, ROLLOUT_PHASE_HEALTHY);
    assert_true(m.step == 0 && isnan(m.weight_observed) && isnan(m.reverted_seconds));
    assert_true(isnan(m.evidence_against) && rollout_metrics_checks(rollout, shown) == 0);
    verb(ROLLOUT_START);
    pass(4);
    rollout_metrics(rollout, &m);
    assert_int_equal(m.phase, ROLLOUT_PHASE_PROGRESSING);
    assert_int_equal(m.step, 1);
    assert_true(fabs(m.weight_intended - 0.1) < 1e-9 && fabs(m.weight_observed - 0.1) < 1e-3);
    assert_int_equal(rollout_metrics_checks(rollout, shown), ARRAY_LEN(checks));
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        assert_string_equal(shown[i].check, checks[i]);
    assert_true(shown[0].value == 0 && shown[0].limit > 0 && shown[0].evidence <= 1);
    assert_true(m.verdicts[JUDGE_CONTINUE] > 0);
    world_version(&world, "v2")->error_rate = 0.5;
    pass(20);
    rollout_metrics(rollout, &m);
    assert_int_equal(m.phase, ROLLOUT_PHASE_DEGRADED);
    assert_int_equal(m.results[ROLLOUT_RESULT_REVERTED], 1);
    assert_int_equal(m.verdicts[JUDGE_REVERT], 1);
    assert_true(m.reverted_seconds > 0 && m.reverted_seconds < 15);
    assert_true(m.step == 0);
}

/* A failure that paused ends with the retry, and counts as one. */
static void test_retried_failure_is_counted(void **state)
{
    (void)state;
    struct rollout_metrics m;
    plan.on_failure = ON_FAILURE_PAUSE;
    come_up("v2");
    world_version(&world, "v2")->error_rate = 0.5;
    verb(ROLLOUT_START);
    pass(30);
    rollout_metrics(rollout, &m);
    assert_int_equal(m.phase, ROLLOUT_PHASE_PAUSED);
    assert_int_equal(m.results[ROLLOUT_RESULT_REVERTED], 0);
    verb(ROLLOUT_RETRY);
    pass(30);
    rollout_metrics(rollout, &m);
    assert_int_equal(m.results[ROLLOUT_RESULT_REVERTED], 1);
    verb(ROLLOUT_ABORT);
    pass(5);
    rollout_metrics(rollout, &m);
    assert_int_equal(m.results[ROLLOUT_RESULT_REVERTED], 2);
}

static void test_events(void **state)
{
    (void)state;
    static const char *const good[] = {"RolloutStarted", "StepStarted", "WeightChanged",
                                       "StepCompleted", "RolloutCompleted"};
    come_up("v2");
    verb(ROLLOUT_START);
    pass(1);
    verb(ROLLOUT_PAUSE);
    pass(1);
    verb(ROLLOUT_RESUME);
    pass(60);
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (world_event_count(&world, good[i]) == 0)
            fail_msg("no %s", good[i]);
    assert_int_equal(world_event_count(&world, "RolloutStarted"), 1);
    assert_int_equal(world_event_count(&world, "RolloutPaused"), 1);
    assert_int_equal(world_event_count(&world, "RolloutResumed"), 1);
    assert_int_equal(world_event_count(&world, "RolloutAborted"), 0);
    assert_int_equal(world_event_count(&world, "tick"), 62);
}

/* Moves are told all the same: they are few, and webhooks hear of them by the same way. */
static void test_no_status_is_made_for_nobody(void **state)
{
    (void)state;
    come_up("v2");
    world.nobody_follows = true;
    verb(ROLLOUT_START);
    pass(3);
    assert_int_equal(world_event_count(&world, "tick"), 0);
    assert_int_equal(world_event_count(&world, "RolloutStarted"), 1);
    world.nobody_follows = false;
    pass(3);
    assert_int_equal(world_event_count(&world, "tick"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status_while_running, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_status_at_rest, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_without_a_canary, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_history, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_verdicts_in_history, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_metrics, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_retried_failure_is_counted, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_events, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_no_status_is_made_for_nobody, before_each, after_each),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
