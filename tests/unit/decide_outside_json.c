/* What a plan asks of others survives the record, and a damaged one is refused by name.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "rollout/decide/outside_json.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static struct outside_check checks[] = {
    {OUTSIDE_PROMETHEUS, "cpu", "http://prom:9090", "cpu{v=\"$canary\"}", NULL, "0.8", 30000, 3,
     false},
    {OUTSIDE_WEBHOOK, "smoke", "http://ci/smoke", NULL, NULL, NULL, 60000, 2, true},
};
static struct outside_gate gates[] = {{GATE_BEFORE_PROMOTE, "http://ci/ask", 10000},
                                      {GATE_EVENT, "http://chat/", 5000}};
static struct outside_window windows[] = {{0x0f, "09:00", "17:00", "Europe/Paris"}};
static const struct outside all = {checks, 2, gates, 2, windows, 1};

static cJSON *written(void)
{
    cJSON *json = outside_to_json(&all);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    json = cJSON_Parse(text);
    free(text);
    assert_non_null(json);
    return json;
}

static void there_and_back(void **state)
{
    (void)state;
    struct outside_room room;
    struct outside back;
    struct why why;
    cJSON *json = written();
    assert_int_equal(outside_from_json(&back, &room, json, &why), OK);
    assert_int_equal(back.n_checks, 2);
    assert_int_equal(back.checks[0].kind, OUTSIDE_PROMETHEUS);
    assert_string_equal(back.checks[0].query, checks[0].query);
    assert_null(back.checks[0].min);
    assert_string_equal(back.checks[0].max, "0.8");
    assert_int_equal(back.checks[0].interval_ms, 30000);
    assert_true(back.checks[1].kind == OUTSIDE_WEBHOOK && back.checks[1].dry_run);
    assert_int_equal(back.checks[1].failures, 2);
    assert_int_equal(back.n_gates, 2);
    assert_int_equal(back.gates[0].on, GATE_BEFORE_PROMOTE);
    assert_string_equal(back.gates[1].url, "http://chat/");
    assert_int_equal(back.n_windows, 1);
    assert_int_equal(back.windows[0].days, 0x0f);
    assert_string_equal(back.windows[0].tz, "Europe/Paris");
    cJSON_Delete(json);
}

static void nothing_is_asked(void **state)
{
    (void)state;
    struct outside_room room;
    struct outside back;
    struct why why;
    cJSON *json = outside_to_json(NULL);
    assert_int_equal(outside_from_json(&back, &room, json, &why), OK);
    assert_int_equal(back.n_checks + back.n_gates + back.n_windows, 0);
    cJSON_Delete(json);
}

static void damage_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *list, *member, *value; /* member NULL: the list itself */
        const char *names;
    } rows[] = {
        {"checks", NULL, "7", "outside.checks: "},
        {"gates", NULL, "{}", "outside.gates: "},
        {"windows", NULL, "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]", "outside.windows: "},
        {"checks", "kind", "\"oracle\"", "outside.checks[].kind: "},
        {"checks", "name", "null", "outside.checks[].name: "},
        {"checks", "query", "5", "outside.checks[].query: "},
        {"checks", "interval_ms", "0", "outside.checks[].interval_ms: "},
        {"checks", "failures", "1e9", "outside.checks[].failures: "},
        {"gates", "on", "\"never\"", "outside.gates[].on: "},
        {"gates", "timeout_ms", "-1", "outside.gates[].timeout_ms: "},
        {"windows", "days", "0", "outside.windows[].days: "},
        {"windows", "from", "\"9:00\"", "outside.windows[].from"},
        {"windows", "to", "\"24:01\"", "outside.windows[].from or to"},
        {"windows", "tz", "[]", "outside.windows[].tz: "},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct outside_room room;
        struct outside back;
        struct why why = {""};
        cJSON *json = written(), *value = cJSON_Parse(rows[i].value);
        if (rows[i].member)
            cJSON_ReplaceItemInObjectCaseSensitive(
                cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, rows[i].list), 0),
                rows[i].member, value);
        else
            cJSON_ReplaceItemInObjectCaseSensitive(json, rows[i].list, value);
        if (outside_from_json(&back, &room, json, &why) != ERR_INVALID ||
            strncmp(why.text, rows[i].names, strlen(rows[i].names)) != 0)
            fail_msg("row %zu: want %s, got \"%s\"", i, rows[i].names, why.text);
        cJSON_Delete(json);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(nothing_is_asked),
        cmocka_unit_test(damage_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
