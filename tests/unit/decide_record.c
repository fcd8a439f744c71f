/* Records: there and back unchanged; every member that is missing, of the wrong type, out of range,
 * or unknown is refused by name. SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/decide/record.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* One with something in every corner. */
static void fill(struct record *r)
{
    struct judge_settings settings;
    struct judge_input input = {.t_ms = 1000, .elapsed_s = 1, .weight_bp = 1000, .stage = 2};
    struct judge_decision decision;
    assert_int_equal(record_init(r, "my-web"), OK);
    r->epoch = 3, r->seq = 41, r->serial = 2, r->written_ms = 1767225600123;
    strcpy(r->file.stable.name, "v1");
    strcpy(r->file.canary.name, "v2");
    strcpy(r->file.canary.revision, "build 7 \"x\" \xc3\xa9");
    r->pair = r->file;
    r->settled = true;
    strcpy(r->alert, "somebody must look");
    r->machine = (struct machine){.state = MACHINE_HOLDING,
                                  .left = MACHINE_ANALYZING,
                                  .cause = MACHINE_CAUSE_INCIDENT,
                                  .step = 2,
                                  .stage = 2,
                                  .weight_bp = 1000,
                                  .confirmed_bp = 1000,
                                  .full = true,
                                  .elapsed_ms = 123456789,
                                  .stage_ms = 5,
                                  .steady_ms = 4,
                                  .state_ms = 3,
                                  .progress_ms = 2,
                                  .counts = {{.requests = 1000, .failed = 10, .client_errors = 5},
                                             {.requests = 100, .failed = 1, .client_errors = 2}},
                                  .at_stage = {{.requests = 900, .failed = 9, .client_errors = 4},
                                               {.requests = 90, .failed = 0, .client_errors = 1}},
                                  .at_steady = {{.requests = 950, .failed = 9, .client_errors = 4},
                                                {.requests = 95, .failed = 0, .client_errors = 1}}};
    r->run = (struct record_run){.id = "my-web-1", .stable = "v1", .canary = "v2", .started_ms = 7};
    strcpy(r->run.who, "ann");
    r->run.steps[0] = (struct record_step){100, 8, MACHINE_CAUSE_VERDICT, "fine"};
    r->run.steps[1] = (struct record_step){500, 9, MACHINE_CAUSE_NONE, ""};
    r->run.n_steps = 2;
    record_quarantine(r, &(struct record_version){"v0", "old"}, 55, "it failed");
    assert_int_equal(judge_settings_from_plan(&settings, &r->plan, NULL), OK);
    judge_start(&r->judge, &settings, false, NULL);
    input.stable.requests = 1000, input.canary.requests = 100, input.canary.failed = 3;
    judge_tick(&r->judge, &input, &decision);
    r->judged = true;
    cJSON *run = cJSON_CreateObject();
    assert_int_equal(record_run_to_json(&r->run, run), OK);
    cJSON_AddItemToArray(r->history, run);
}

static char *encoded(void)
{
    struct record r;
    fill(&r);
    char *text = record_encode(&r);
    assert_non_null(text);
    record_fini(&r);
    return text;
}

static void test_round(void **state)
{
    (void)state;
    struct record r, back;
    struct why why = {""};
    fill(&r);
    char *text = record_encode(&r);
    if (record_decode(&back, text, strlen(text), &why) != OK)
        fail_msg("%s", why.text);
    char *again = record_encode(&back);
    assert_string_equal(text, again);
    assert_memory_equal(&r.machine.counts, &back.machine.counts, sizeof r.machine.counts);
    assert_int_equal(back.machine.state, MACHINE_HOLDING);
    assert_int_equal(back.machine.left, MACHINE_ANALYZING);
    assert_string_equal(back.file.canary.revision, r.file.canary.revision);
    assert_int_equal(back.run.n_steps, 2);
    assert_int_equal(back.n_quarantine, 1);
    assert_true(back.judged);
    free(text);
    free(again);
    record_fini(&r);
    record_fini(&back);
}

/* A copy says the same, whatever stood there before and with as many steps and versions as there are room for. */
static void test_copy(void **state)
{
    (void)state;
    struct record r, copy;
    for (unsigned full = 0; full < 2; full++) {
        fill(&r);
        for (int i = 0; full && i < RECORD_QUARANTINE_MAX; i++) {
            struct record_version v = {{(char)('a' + i)}, ""};
            record_quarantine(&r, &v, i, "failed");
        }
        for (; full && r.run.n_steps < RECORD_STEPS_MAX; r.run.n_steps++)
            r.run.steps[r.run.n_steps] = (struct record_step){600, 9, MACHINE_CAUSE_NONE, "more"};
        memset(&copy, 0xa5, sizeof copy);
        record_copy(&copy, &r);
        char *text = record_encode(&r), *again = record_encode(&copy);
        assert_string_equal(text, again);
        free(text);
        free(again);
        record_fini(&r);
    }
}

static void test_not_judged(void **state)
{
    (void)state;
    struct record r, back;
    struct why why = {""};
    fill(&r);
    r.judged = false;
    machine_init(&r.machine); /* only at rest */
    char *text = record_encode(&r);
    assert_int_equal(record_decode(&back, text, strlen(text), &why), OK);
    assert_false(back.judged);
    free(text);
    record_fini(&r);
    record_fini(&back);
}

/* A member of the record, a new value for it (NULL = taken away), and what the refusal names. */
struct damage {
    const char *path; /* "machine" members stand at the top; "run.who" goes into objects;
                         "run.steps.0.why" into lists */
    const char *value;
    const char *names;
};

static const struct damage damages[] = {
    {"schema", NULL, "schema: missing"},
    {"schema", "0", "schema: 0"},
    {"schema", "\"1\"", "schema: missing"},
    {"epoch", NULL, "epoch: missing"},
    {"epoch", "-1", "epoch: "},
    {"seq", "1.5", "seq: not a whole number"},
    {"serial", "1e300", "serial: "},
    {"route", "7", "route: not a text"},
    {"route", "\"\"", "route: empty"},
    {"written_at_ms", "null", "written_at_ms: not a number"},
    {"promoted", "1", "promoted: neither true nor false"},
    {"state", "\"ANALYSING\"", "state: unknown word"},
    {"state", "4", "state: not a text"},
    {"left", "\"STABLE\"", "left: "},
    {"cause", "\"because\"", "cause: unknown word"},
    {"step", "65", "step: 65"},
    {"step", "9", "step: 9 is beyond"},
    {"stage", "-2", "stage: -2"},
    {"stage", "1", "stage: 1, but"},
    {"weight_desired", "10001", "weight_desired: 10001"},
    {"weight_desired", "1001", "weight_bp: 1001 is above 1000"},
    {"weight_desired", "\"1000\"", "weight_desired: not a number"},
    {"elapsed_ms", "-5", "elapsed_ms: -5"},
    {"elapsed_ms", "9007199254740992", "elapsed_ms: "}, /* would not be read back after a tick */
    {"stage_ms", "9007199254740992", "stage_ms: "},
    {"seq", "9007199254740992", "seq: "},
    {"counts.canary.requests", "9007199254740992", "counts.canary.requests: "},
    {"counts", NULL, "counts: missing"},
    {"counts", "{}", "counts: not stable and canary"},
    {"counts.extra", "1", "counts: not stable and canary"},
    {"counts.canary", "7", "counts.canary.: not an object"},
    {"counts.canary.slow1", NULL, "counts.canary.slow1: missing"},
    {"counts.canary.requests", "89", "counts: lower"},
    {"at_stage.canary.failed", "7", "counts: lower"},
    {"at_steady.stable.key_failed", "1", "counts: lower"},
    {"file", "[]", "file.: not an object"},
    {"file.canary", NULL, "file.canary: missing"},
    {"pair.stable", "\"\"", "pair.stable: empty"},
    {"pair.canary", "\"\"", "pair.canary: empty"},
    {"pair.stable", "\"v2\"", "pair.canary: v2 is stable itself"},
    {"pair.stable", "\"v9\"", "pair: v9 and v2, but the file's are v1 and v2"},
    {"pair.canary", "\"v9\"", "pair: v1 and v9"},
    {"pair.revision_canary", "\"other\"", "pair: "},
    {"pair.extra", "1", "pair.extra: unknown member"},
    {"plan", "7", "plan.: not an object"},
    {"plan.hold_ms", NULL, "plan.hold_ms: missing"},
    {"plan.on_failure", "\"explode\"", "plan.on_failure: unknown word"},
    {"plan.steps", "[]", "plan.steps: empty"},
    {"plan.steps.1.weight_bp", "50", "plan.steps[1].weight: "},
    {"plan.quantiles", "[\"x\"]", "plan.quantiles: not numbers"},
    {"run.id", "\"\"", "run.id: empty"},
    {"run.result", "\"lost\"", "run.result: unknown word"},
    {"run.steps", "{}", "run.steps: not a list"},
    {"run.steps.0.why", "7", "run.steps[].why: not a text"},
    {"quarantine", "{}", "quarantine: not a list"},
    {"quarantine.0.at_ms", NULL, "quarantine[].at_ms: missing"},
    {"evidence", "[]", "evidence."},
    {"evidence", "null", "evidence: none, but the state is HOLDING"},
    {"evidence.warm", NULL, "evidence.warm"},
    {"history", "3", "history: not a list"},
    {"history.0.who", NULL, "run.who: missing"},
    {"surprise", "1", "surprise: unknown member"},
};

/* Puts a value at a path; NULL takes it away. */
static void inflict(cJSON *at, const char *path, const char *value)
{
    char name[64];
    size_t len = strcspn(path, ".");
    assert_true(len < sizeof name);
    memcpy(name, path, len);
    name[len] = '\0';
    if (path[len] == '.') {
        cJSON *next = cJSON_IsArray(at) ? cJSON_GetArrayItem(at, atoi(name))
                                        : cJSON_GetObjectItemCaseSensitive(at, name);
        assert_non_null(next);
        inflict(next, path + len + 1, value);
        return;
    }
    cJSON_DeleteItemFromObjectCaseSensitive(at, name);
    if (value)
        cJSON_AddItemToObject(at, name, cJSON_Parse(value));
}

static void test_damage(void **state)
{
    (void)state;
    char *whole = encoded();
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        cJSON *json = cJSON_Parse(whole);
        inflict(json, damages[i].path, damages[i].value);
        char *text = cJSON_PrintUnformatted(json);
        struct record r;
        struct why why = {""};
        enum err e = record_decode(&r, text, strlen(text), &why);
        if (e != ERR_INVALID || strncmp(why.text, damages[i].names, strlen(damages[i].names)) != 0)
            fail_msg("%s = %s: want \"%s\", got %s \"%s\"", damages[i].path,
                     damages[i].value ? damages[i].value : "(gone)", damages[i].names, err_text(e),
                     why.text);
        free(text);
        cJSON_Delete(json);
    }
    free(whole);
}

/* Not damage: nothing may be written over what a newer release remembers. */
static void test_newer_schema(void **state)
{
    (void)state;
    char *whole = encoded();
    cJSON *json = cJSON_Parse(whole);
    inflict(json, "schema", "2");
    inflict(json, "unheard_of", "true");
    char *text = cJSON_PrintUnformatted(json);
    struct record r;
    struct why why = {""};
    assert_int_equal(record_decode(&r, text, strlen(text), &why), ERR_UNSUPPORTED);
    assert_non_null(strstr(why.text, "schema: 2, but this release reads 1"));
    free(text);
    free(whole);
    cJSON_Delete(json);
}

/* The other way round is what a promotion leaves. */
static void test_promoted_pair(void **state)
{
    (void)state;
    struct record r, back;
    struct why why = {""};
    fill(&r);
    r.pair = (struct record_pair){.stable = r.file.canary, .canary = r.file.stable};
    char *text = record_encode(&r);
    assert_int_equal(record_decode(&back, text, strlen(text), &why), OK);
    free(text);
    record_fini(&r);
    record_fini(&back);
}

/* What a record of an earlier release does not have. */
static bool is_later_member(const char *name)
{
    static const char *const later[] = {"gradual", "scaled", "replicas", "told_epoch", "told_seq"};
    for (size_t i = 0; i < ARRAY_LEN(later); i++)
        if (strcmp(name, later[i]) == 0)
            return true;
    return false;
}

/* Every top member in turn taken away, doubled, or turned into something else. */
static void test_every_member(void **state)
{
    (void)state;
    static const char *const others[] = {"null", "[[]]", "{\"a\":1}", "-7", "\"\\u0001\""};
    char *whole = encoded();
    cJSON *names = cJSON_Parse(whole);
    const cJSON *member;
    cJSON_ArrayForEach(member, names)
    {
        for (size_t i = 0; i < ARRAY_LEN(others) + 2; i++) {
            cJSON *json = cJSON_Parse(whole);
            struct record r;
            struct why why = {""};
            if (i == ARRAY_LEN(others))
                cJSON_AddItemToObject(json, member->string, cJSON_Duplicate(member, true));
            else
                inflict(json, member->string, i < ARRAY_LEN(others) ? others[i] : NULL);
            bool is_text = i == 4 && (strcmp(member->string, "alert") == 0 ||
                                      strcmp(member->string, "actor") == 0);
            bool is_later = i > ARRAY_LEN(others) && is_later_member(member->string);
            bool is_route = i == 4 && strcmp(member->string, "route") == 0;
            char *text = cJSON_PrintUnformatted(json);
            enum err e = record_decode(&r, text, strlen(text), &why);
            if ((e == OK) != (is_text || is_route || is_later))
                fail_msg("%s, change %zu: %s %s", member->string, i, err_text(e), why.text);
            if (e == OK)
                record_fini(&r);
            free(text);
            cJSON_Delete(json);
        }
    }
    cJSON_Delete(names);
    free(whole);
}

/* A write that stopped in the middle, at any byte. */
static void test_cut(void **state)
{
    (void)state;
    char *whole = encoded();
    size_t len = strlen(whole);
    for (size_t cut = 0; cut < len; cut += cut < 200 || cut + 200 > len ? 1 : 37) {
        struct record r;
        struct why why = {""};
        char *part = malloc(cut + 1); /* of its own, so that a read beyond it is seen */
        memcpy(part, whole, cut);
        if (record_decode(&r, part, cut, &why) != ERR_INVALID)
            fail_msg("%zu of %zu bytes were accepted", cut, len);
        free(part);
    }
    struct record r;
    struct why why = {""};
    char *more = malloc(len + 8);
    (void)snprintf(more, len + 8, "%s{}", whole);
    assert_int_equal(record_decode(&r, more, len + 2, &why), ERR_INVALID);
    free(more);
    free(whole);
}

static void test_quarantine(void **state)
{
    (void)state;
    struct record r;
    struct record_version v = {"v", "1"}, other = {"v", "2"};
    assert_int_equal(record_init(&r, "x"), OK);
    record_quarantine(&r, &v, 1, "first");
    assert_int_equal(record_find_quarantine(&r, &v), 0);
    assert_int_equal(record_find_quarantine(&r, &other), -1); /* the revision counts */
    record_quarantine(&r, &v, 2, "again");
    assert_int_equal(r.n_quarantine, 1);
    assert_string_equal(r.quarantine[0].why, "again");
    for (int i = 0; i < RECORD_QUARANTINE_MAX; i++) {
        (void)snprintf(other.name, sizeof other.name, "w%d", i);
        record_quarantine(&r, &other, 3, "more");
    }
    assert_int_equal(r.n_quarantine, RECORD_QUARANTINE_MAX);
    assert_int_equal(record_find_quarantine(&r, &v), -1); /* the oldest is forgotten */
    record_release(&r, &other);
    record_release(&r, &other);
    assert_int_equal(r.n_quarantine, RECORD_QUARANTINE_MAX - 1);
    record_fini(&r);
}

static void test_long_names(void **state)
{
    (void)state;
    struct record r;
    char name[RECORD_NAME_MAX + 1];
    memset(name, 'x', sizeof name);
    name[RECORD_NAME_MAX] = '\0';
    assert_int_equal(record_init(&r, name), ERR_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round),         cmocka_unit_test(test_not_judged),
        cmocka_unit_test(test_damage),        cmocka_unit_test(test_every_member),
        cmocka_unit_test(test_cut),           cmocka_unit_test(test_quarantine),
        cmocka_unit_test(test_long_names),    cmocka_unit_test(test_newer_schema),
        cmocka_unit_test(test_promoted_pair), cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
