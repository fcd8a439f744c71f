/* The judge's state as JSON: exact there and back, and nothing malformed is let in.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge.h"
#include "base/check.h"
#include "decide_vectors.h"

/* A Kubernetes annotation holds the whole record in less than 8 KiB. */
#define STATE_MAX_BYTES 5000

static void tick(struct judge *j, struct judge_input *in, struct vectors_random *random,
                 struct judge_decision *out)
{
    in->t_ms += 1000;
    in->stage_t_ms += 1000;
    in->elapsed_s = 1;
    in->canary.requests += vectors_next(random) % 20;
    in->stable.requests += vectors_next(random) % 900;
    struct judge_side *sides[] = {&in->canary, &in->stable};
    for (size_t i = 0; i < ARRAY_LEN(sides); i++) {
        sides[i]->failed += vectors_next(random) % 2;
        sides[i]->client_errors += vectors_next(random) % 2;
        sides[i]->slow[0] += vectors_next(random) % 8;
        sides[i]->slow[2] += vectors_next(random) % 2;
        sides[i]->key_requests = sides[i]->requests;
        sides[i]->key_failed = sides[i]->failed;
    }
    judge_tick(j, in, out);
}

static char *print(const struct judge *j)
{
    cJSON *object = cJSON_CreateObject();
    assert_int_equal(judge_to_json(j, object), OK);
    char *text = cJSON_PrintUnformatted(object);
    cJSON_Delete(object);
    assert_non_null(text);
    return text;
}

static enum err parse(struct judge *j, const struct judge_settings *settings, const char *text,
                      struct why *why)
{
    cJSON *object = cJSON_Parse(text);
    enum err e = judge_from_json(j, settings, object, why);
    cJSON_Delete(object);
    return e;
}

static void test_a_restart_at_any_tick_changes_nothing(void **state)
{
    (void)state;
    for (int sticky = 0; sticky < 2; sticky++) {
        struct judge_settings settings;
        judge_settings_default(&settings);
        settings.latency.warmup_s = 40;
        struct judge whole, restarted;
        judge_start(&whole, &settings, sticky, &(struct judge_baseline){600000, 600});
        restarted = whole;
        struct judge_input in = {.latency_known = true}, in2 = in;
        struct vectors_random random = {5}, random2 = {5};
        struct judge_decision out, out2;
        for (int t = 0; t < 150; t++) {
            in.stage = in2.stage = t >= 90;
            tick(&whole, &in, &random, &out);
            char *text = print(&restarted);
            assert_true(strlen(text) < STATE_MAX_BYTES);
            struct why why = {""};
            if (parse(&restarted, &settings, text, &why) != OK)
                fail_msg("%s", why.text);
            free(text);
            tick(&restarted, &in2, &random2, &out2);
            assert_true(out.log_evidence == out2.log_evidence && out.log_safe == out2.log_safe);
            assert_int_equal(out.verdict, out2.verdict);
            assert_string_equal(out.why, out2.why);
        }
        char *text = print(&whole), *text2 = print(&restarted);
        assert_string_equal(text, text2);
        free(text);
        free(text2);
    }
}

static void test_a_tree_that_was_never_printed(void **state)
{
    (void)state;
    struct judge_settings settings;
    judge_settings_default(&settings);
    struct judge j, read;
    struct judge_input in = {0};
    struct judge_decision out;
    struct vectors_random random = {6};
    struct why why = {""};
    judge_start(&j, &settings, false, NULL);
    tick(&j, &in, &random, &out);
    cJSON *object = cJSON_CreateObject();
    assert_int_equal(judge_to_json(&j, object), OK);
    assert_int_equal(judge_from_json(&read, &settings, object, &why), OK);
    cJSON_Delete(object);
    assert_memory_equal(read.evidence, j.evidence, sizeof j.evidence);
}

/* Puts a value in place of the member at path ("errors/mass/1"); NULL takes it away. */
static void put(cJSON *object, const char *path, const char *value)
{
    char name[64];
    const char *slash = strchr(path, '/');
    size_t len = slash ? (size_t)(slash - path) : strlen(path);
    assert_true(len < sizeof name);
    memcpy(name, path, len);
    name[len] = '\0';
    bool is_array = cJSON_IsArray(object);
    cJSON *item = is_array ? cJSON_GetArrayItem(object, atoi(name))
                           : cJSON_GetObjectItemCaseSensitive(object, name);
    assert_non_null(item);
    if (slash)
        put(item, slash + 1, value);
    else if (!value)
        cJSON_Delete(cJSON_DetachItemViaPointer(object, item));
    else if (is_array)
        assert_true(cJSON_ReplaceItemInArray(object, atoi(name), cJSON_Parse(value)));
    else
        assert_true(cJSON_ReplaceItemInObjectCaseSensitive(object, name, cJSON_Parse(value)));
}

static void test_refuses(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value, *says;
    } rows[] = {
        {"sticky", NULL, "sticky"},
        {"sticky", "1", "sticky"},
        {"warm", "\"yes\"", "warm"},
        {"stage_epoch", NULL, "stage_epoch"},
        {"stage_epoch", "[0]", "stage_epoch"},
        {"stage_epoch", "[6,0]", "stage_epoch: the stage is beyond the plan's"},
        {"stage_epoch", "[0.5,0]", "stage_epoch: holds a fraction"},
        {"stage_epoch", "[-1,0]", "stage_epoch"},
        {"stage_epoch", "[0,1e17]", "stage_epoch"},
        {"errors", "[]", "errors: missing, or not an object"},
        {"errors", NULL, "errors"},
        {"latency2", NULL, "latency2"},
        {"errors/log_r", "[1,2,3]", "log_r: missing, or not an array of the expected length"},
        {"errors/log_r/3", "1e301", "log_r"},
        {"errors/log_r/3", "1e999", "log_r"},
        {"errors/log_r/3", "\"1\"", "log_r"},
        {"errors/log_r/3", "true", "log_r"},
        {"errors/mass/0", "null", "mass"},
        {"errors/mass/0", "1.01", "mass"},
        {"errors/mass/1", "-0.1", "mass"},
        {"errors/mass", "[0.1,0.9]", "errors: more mass is pending than remains"},
        {"errors/open/0", "-1", "open"},
        {"errors/open/2", "1e31", "open"},
        {"log_uncapped/0", "{}", "log_uncapped"},
        {"log_safe/0", "null", "log_safe"},
        {"brake_left_s", "[-1]", "brake_left_s"},
        {"brake_left_s", "30", "brake_left_s"},
        {"slow_stable/1", "-1", "slow_stable"},
        {"requests_stable/0", "null", "requests_stable"},
        {"rates_stable/3", "-0.5", "rates_stable"},
        {"last/canary/0", "1.5", "canary"},
        {"last/canary/0", "9007199254740994", "canary"},
        {"last/stable", NULL, "stable"},
        {"in_stage", "null", "in_stage"},
        {"in_rollout/stable/7", "null", "stable"},
    };
    struct judge_settings settings;
    judge_settings_default(&settings);
    struct judge j, untouched;
    judge_start(&j, &settings, false, NULL);
    char *text = print(&j);
    memset(&j, 0x5a, sizeof j);
    untouched = j;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cJSON *object = cJSON_Parse(text);
        struct why why = {""};
        put(object, rows[i].path, rows[i].value);
        enum err e = judge_from_json(&j, &settings, object, &why);
        cJSON_Delete(object);
        if (e != ERR_INVALID || !strstr(why.text, rows[i].says))
            fail_msg("%s = %s: %d, \"%s\"", rows[i].path, rows[i].value, e, why.text);
        assert_memory_equal(&j, &untouched, sizeof j);
    }
    free(text);
}

static void test_refuses_what_is_no_state(void **state)
{
    (void)state;
    struct judge_settings settings;
    judge_settings_default(&settings);
    struct judge j;
    struct why why;
    assert_int_equal(judge_from_json(&j, &settings, NULL, &why), ERR_INVALID);
    assert_int_equal(parse(&j, &settings, "[]", &why), ERR_INVALID);
    assert_int_equal(parse(&j, &settings, "{}", &why), ERR_INVALID);
    settings.alpha = 0;
    assert_int_equal(parse(&j, &settings, "{}", &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "false_abort"));
}

/* Whatever random bytes do to a state, what is let in judges on without a NaN. */
static void test_a_damaged_state_never_makes_a_nan(void **state)
{
    (void)state;
    struct judge_settings settings;
    judge_settings_default(&settings);
    struct judge j;
    struct judge_input in = {0};
    struct judge_decision out;
    struct vectors_random random = {11};
    judge_start(&j, &settings, false, NULL);
    for (int t = 0; t < 50; t++)
        tick(&j, &in, &random, &out);
    char *text = print(&j);
    size_t len = strlen(text);
    int accepted = 0;
    for (int i = 0; i < 3000; i++) {
        static const char bytes[] = "0123456789.e-+,nul[]{}\" ";
        char *damaged = malloc(len + 1);
        assert_non_null(damaged);
        memcpy(damaged, text, len + 1);
        for (unsigned n = 1 + (unsigned)(vectors_next(&random) % 3); n > 0; n--)
            damaged[vectors_next(&random) % len] =
                bytes[vectors_next(&random) % (sizeof bytes - 1)];
        struct judge read;
        struct judge_input next = in;
        if (parse(&read, &settings, damaged, NULL) == OK) {
            accepted++;
            next.stage = read.stage;
            tick(&read, &next, &random, &out);
            assert_true(isfinite(out.log_evidence) && isfinite(out.log_safe));
        }
        free(damaged);
    }
    assert_true(accepted > 100 && accepted < 3000);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_restart_at_any_tick_changes_nothing),
        cmocka_unit_test(test_a_tree_that_was_never_printed),
        cmocka_unit_test(test_refuses),
        cmocka_unit_test(test_refuses_what_is_no_state),
        cmocka_unit_test(test_a_damaged_state_never_makes_a_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
