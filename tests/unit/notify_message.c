/* What receivers get to read: each form as a golden text, and texts that try to be more than texts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/notify/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include "base/check.h"
#include "rollout/notify/alerts.h"
#include "rollout/notify/slack.h"
#include <cjson/cJSON.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define EVERY 0xffffffffu
#define NOON  1772366400000 /* 2026-03-01T12:00:00Z */

static struct rollout_event event_of(const char *name)
{
    return (struct rollout_event){.wall_ms = NOON,
                                  .name = name,
                                  .phase = "Progressing",
                                  .state = "ANALYZING",
                                  .verdict = "CONTINUE",
                                  .route = "web",
                                  .rollout_id = "web-1",
                                  .stable = "v1",
                                  .canary = "v2",
                                  .why = "because",
                                  .step = 2,
                                  .steps = 6,
                                  .step_bp = 1000,
                                  .weight_from_bp = 500,
                                  .weight_bp = 1000,
                                  .of_stable = {10000, 1},
                                  .of_canary = {200, 12}};
}

static char *make(enum notify_format format, const struct rollout_event *e, const char *page)
{
    struct message m = {.event = e, .id = "00ff", .page = page, .events = EVERY};
    return message_make(format, &m);
}

static void expect(enum notify_format format, const struct rollout_event *e, const char *page,
                   const char *golden)
{
    char *text = make(format, e, page);
    assert_non_null(text);
    assert_string_equal(text, golden);
    free(text);
}

static void generic(void **state)
{
    (void)state;
    struct rollout_event e = event_of("StepStarted");
    expect(NOTIFY_GENERIC, &e, "https://serin.test/",
           "{\"schema\":1,\"id\":\"00ff\",\"time\":\"2026-03-01T12:00:00Z\",\"event\":"
           "\"StepStarted\",\"kind\":\"step\",\"route\":\"web\",\"rollout_id\":\"web-1\","
           "\"stable\":\"v1\",\"canary\":\"v2\",\"phase\":\"Progressing\",\"state\":\"ANALYZING\","
           "\"step\":2,\"steps\":6,\"verdict\":\"CONTINUE\",\"headline\":\"web: v2 goes to 10% "
           "(step 2 of 6)\",\"why\":\"because\",\"weight\":{\"from\":5,\"to\":10,\"step\":10},"
           "\"rates\":{\"stable\":{\"requests\":10000,\"failed\":1,\"error_rate\":0.0001},"
           "\"canary\":{\"requests\":200,\"failed\":12,\"error_rate\":0.06}},\"url\":"
           "\"https://serin.test/#/web\"}");
    e.of_stable = e.of_canary = (struct rollout_event_counts){0, 0};
    char *text = make(NOTIFY_GENERIC, &e, NULL);
    assert_non_null(strstr(text, "\"canary\":{\"requests\":0,\"failed\":0,\"error_rate\":null}"));
    assert_non_null(strstr(text, "\"url\":null"));
    free(text);
}

static void slack(void **state)
{
    (void)state;
    struct rollout_event e = event_of("RolloutAborted");
    expect(NOTIFY_SLACK, &e, "https://serin.test",
           "{\"text\":\"web: v2 is aborted, everyone goes back to v1\",\"attachments\":[{\"color\":"
           "\"#c62828\",\"fallback\":\"because\",\"text\":\"because\",\"title\":\"The page of this "
           "rollout\",\"title_link\":\"https://serin.test/#/web\",\"fields\":[{\"title\":\"v2\","
           "\"value\":\"12 of 200 requests failed (6%)\",\"short\":true},{\"title\":\"v1\","
           "\"value\":\"1 of 10000 requests failed (0.01%)\",\"short\":true}]}]}");
    e = event_of("RolloutStarted");
    e.of_stable = e.of_canary = (struct rollout_event_counts){0, 0};
    expect(NOTIFY_SLACK, &e, NULL,
           "{\"text\":\"web: the rollout of v2 begins\",\"attachments\":[{\"color\":\"#1565c0\","
           "\"fallback\":\"because\",\"text\":\"because\",\"fields\":[]}]}");
}

static void headlines(void **state)
{
    (void)state;
    static const struct {
        const char *name, *line;
    } rows[] = {
        {"RolloutStarted", "web: the rollout of v2 begins"},
        {"StepStarted", "web: v2 goes to 10% (step 2 of 6)"},
        {"WeightChanged", "web: v2 from 5% to 10%"},
        {"RolloutHeld", "web: v2 is held at 10%"},
        {"RolloutPaused", "web: the rollout of v2 is paused at 10%"},
        {"RolloutResumed", "web: the rollout of v2 goes on at 10%"},
        {"PromotionFailed", "web: the promotion of v2 has failed"},
        {"RolloutAborted", "web: v2 is aborted, everyone goes back to v1"},
        {"StableRestored", "web: v1 serves everyone again, v2 stays out"},
        {"RolloutCompleted", "web: v2 serves everyone"},
        {"RolloutReset", "web: RolloutReset"},
        {"AnalysisFailed", "web: AnalysisFailed"},
        {"WeightVerifyError", "web: WeightVerifyError"},
    };
    char text[MESSAGE_HEADLINE_MAX];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rollout_event e = event_of(rows[i].name);
        assert_string_equal(message_headline(&e, text), rows[i].line);
    }
}

/* Whatever an answer of others has put into a sentence stays text: no markup, no mention, no second member, and JSON in
 * UTF-8. */
static void hostile_texts(void **state)
{
    (void)state;
    static const struct {
        const char *why, *slack, *generic;
    } rows[] = {
        {"<!channel> & <http://evil|safe>", "&lt;!channel&gt; &amp; &lt;http://evil|safe&gt;",
         NULL},
        {"@everyone see [here](http://evil)",
         "@\xe2\x80\x8b"
         "everyone see [here]\xe2\x80\x8b(http://evil)",
         NULL},
        {"a \"b\", \"schema\":2 \\u0041 \\", "a \"b\", \"schema\":2 \\u0041 \\", NULL},
        {"a\nb\r\x1b[2J\x7f\xc2\x85z", "a b  [2J  z", "a b  [2J  z"},
        {"\xff\xc3(\xed\xa0\x80", NULL,
         "\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"na\xc3\xafve \xf0\x9f\x90\xa6", "na\xc3\xafve \xf0\x9f\x90\xa6", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rollout_event e = event_of("RolloutHeld");
        (void)snprintf(e.why, sizeof e.why, "%s", rows[i].why);
        char *text = make(NOTIFY_GENERIC, &e, NULL);
        cJSON *json = cJSON_Parse(text);
        const char *why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "why"));
        assert_string_equal(why, rows[i].generic ? rows[i].generic : rows[i].why);
        cJSON_Delete(json);
        free(text);
        text = make(NOTIFY_SLACK, &e, NULL);
        json = cJSON_Parse(text);
        cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "attachments"), 0);
        why = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(first, "text"));
        if (rows[i].slack)
            assert_string_equal(why, rows[i].slack);
        cJSON_Delete(json);
        free(text);
    }
}

/* The longest of everything, all of it escaped: nothing is cut in the middle of an escape. */
static void the_longest(void **state)
{
    (void)state;
    struct rollout_event e = event_of("RolloutAborted");
    memset(e.route, '&', sizeof e.route - 1);
    memset(e.stable, '<', sizeof e.stable - 1);
    memset(e.canary, '>', sizeof e.canary - 1);
    memset(e.why, '&', sizeof e.why - 1);
    char *text = make(NOTIFY_SLACK, &e, NULL);
    cJSON *json = cJSON_Parse(text);
    const char *line = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "text"));
    assert_int_equal(strlen(line),
                     5 * 127 + 4 * 127 + 4 * 127 + strlen(":  is aborted, everyone goes back to "));
    cJSON_Delete(json);
    free(text);
    char out[8];
    assert_string_equal(slack_safe("&&", out, sizeof out), "&amp;");
}

static void links(void **state)
{
    (void)state;
    static char long_page[MESSAGE_URL_MAX];
    memset(long_page, 'a', sizeof long_page - 1);
    struct rollout_event e = event_of("StepStarted");
    struct message m = {.event = &e, .page = "https://serin.test/base"};
    char url[MESSAGE_URL_MAX];
    assert_string_equal(message_link(&m, url), "https://serin.test/base/#/web");
    (void)snprintf(e.route, sizeof e.route, "a/b c?");
    assert_string_equal(message_link(&m, url), "https://serin.test/base/#/a%2Fb%20c%3F");
    m.page = long_page;
    assert_null(message_link(&m, url));
    m.page = NULL;
    assert_null(message_link(&m, url));
}

static void an_alert_fires(void **state)
{
    (void)state;
    struct rollout_event e = event_of("RolloutHeld");
    expect(NOTIFY_ALERTMANAGER, &e, "https://serin.test",
           "[{\"labels\":{\"alertname\":\"SerinRolloutHeld\",\"route\":\"web\",\"version\":\"v2\","
           "\"severity\":\"warning\"},\"annotations\":{\"summary\":\"web: v2 is held at 10%\","
           "\"description\":\"because\"},\"startsAt\":\"2026-03-01T12:00:00Z\",\"endsAt\":"
           "\"2026-03-02T12:00:00Z\",\"generatorURL\":\"https://serin.test/#/web\"}]");
}

/* "+Held.v2 -Failed.v2": what fires and what ends. */
static void read_changes(const char *text, char *out, size_t room)
{
    cJSON *list = cJSON_Parse(text), *alert;
    size_t len = 0;
    out[0] = '\0';
    cJSON_ArrayForEach(alert, list)
    {
        const cJSON *labels = cJSON_GetObjectItemCaseSensitive(alert, "labels");
        const char *name =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(labels, "alertname"));
        const char *version =
            cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(labels, "version"));
        bool fires = cJSON_HasObjectItem(alert, "startsAt");
        len += (size_t)snprintf(out + len, room - len, "%s%c%s.%s", len ? " " : "",
                                fires ? '+' : '-', name + strlen("SerinRollout"), version);
    }
    cJSON_Delete(list);
}

static void alerts_fire_and_end(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool is_failure;
        uint32_t events;
        const char *changes; /* NULL: nothing to say */
    } rows[] = {
        {"RolloutHeld", false, EVERY, "+Held.v2"},
        {"RolloutHeld", false, NOTIFY_ABORTED, NULL},
        {"RolloutPaused", false, EVERY, "-Held.v2"},
        {"RolloutPaused", true, EVERY, "-Held.v2 +Failed.v2"},
        {"PromotionFailed", true, EVERY, "-Held.v2 +Failed.v2"},
        {"RolloutAborted", false, EVERY, "-Held.v2 -Failed.v2 +Aborted.v2"},
        {"RolloutAborted", false, NOTIFY_HELD, "-Held.v2 -Failed.v2"},
        {"RolloutResumed", false, NOTIFY_HELD, "-Held.v2 -Failed.v2 -Aborted.v2"},
        {"StepStarted", false, NOTIFY_HELD, "-Held.v2 -Failed.v2 -Aborted.v2"},
        {"RolloutCompleted", false, NOTIFY_HELD, "-Held.v2 -Failed.v2 -Aborted.v2"},
        {"RolloutStarted", false, NOTIFY_HELD,
         "-Held.v2 -Held.v0 -Failed.v2 -Failed.v0 -Aborted.v2 -Aborted.v0"},
        {"StableRestored", false, EVERY, NULL},
        {"WeightChanged", false, EVERY, NULL},
        {"LeaderChanged", false, EVERY, NULL},
    };
    char changes[256];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct rollout_event e = event_of(rows[i].name);
        e.is_failure = rows[i].is_failure;
        (void)snprintf(e.canary_before, sizeof e.canary_before, "v0");
        struct message m = {.event = &e, .id = "1", .events = rows[i].events};
        char *text = message_make(NOTIFY_ALERTMANAGER, &m);
        assert_int_equal(message_is_wanted(NOTIFY_ALERTMANAGER, &e, rows[i].events), text != NULL);
        assert_int_equal(text != NULL, rows[i].changes != NULL);
        if (!text)
            continue;
        read_changes(text, changes, sizeof changes);
        assert_string_equal(changes, rows[i].changes);
        free(text);
    }
}

static void what_is_wanted(void **state)
{
    (void)state;
    struct rollout_event e = event_of("StepCompleted"), test = event_of(MESSAGE_TEST);
    assert_true(message_is_wanted(NOTIFY_GENERIC, &e, NOTIFY_JUDGED));
    assert_false(message_is_wanted(NOTIFY_GENERIC, &e, NOTIFY_ABORTED));
    assert_true(message_is_wanted(NOTIFY_SLACK, &test, NOTIFY_ABORTED));
    assert_true(message_is_wanted(NOTIFY_ALERTMANAGER, &test, NOTIFY_ABORTED));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(generic),        cmocka_unit_test(slack),
        cmocka_unit_test(headlines),      cmocka_unit_test(hostile_texts),
        cmocka_unit_test(the_longest),    cmocka_unit_test(links),
        cmocka_unit_test(an_alert_fires), cmocka_unit_test(alerts_fire_and_end),
        cmocka_unit_test(what_is_wanted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
