/* What a rolling update keeps in annotations: the record, its source, what kubectl shows, and whether a template is the
 * same in spite of the server's defaults.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/kube/rolling.h"
#include <cjson/cJSON.h>
#include <string.h>

static void test_round_trip(void **state)
{
    (void)state;
    for (int phase = ROLLING_FORWARD; phase <= ROLLING_RENAMING; phase++) {
        struct rolling_record in = {.phase = (enum rolling_phase)phase,
                                    .id = "0123456789abcdef",
                                    .source = "my-web-v1:u-1",
                                    .original = phase == ROLLING_BACK ? -1 : 4,
                                    .replicas = phase == ROLLING_RENAMING ? 3 : -1,
                                    .takes_name = phase == ROLLING_FINISHED};
        cJSON *json = cJSON_Parse("{\"metadata\":{}}");
        assert_int_equal(rolling_record_write(json, &in), OK);
        struct rolling_record out = rolling_record_read(json);
        assert_int_equal(out.phase, in.phase);
        assert_string_equal(out.id, in.id);
        assert_string_equal(out.source, in.source);
        assert_int_equal(out.original, in.original);
        assert_int_equal(out.replicas, in.replicas);
        assert_int_equal(out.takes_name, in.takes_name);
        in.phase = ROLLING_NONE;
        assert_int_equal(rolling_record_write(json, &in), OK);
        assert_null(kube_annotation(json, KUBE_ROLLOUT));
        cJSON_Delete(json);
    }
}

static void test_foreign_records(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "nonsense",
        "[]",
        "{}",
        "{\"phase\":\"forward\"}",
        "{\"tool\":\"other\",\"phase\":\"forward\"}",
        "{\"tool\":\"rolling-update\",\"phase\":\"\"}",
        "{\"tool\":\"rolling-update\",\"phase\":4}",
        "{\"tool\":\"rolling-update\",\"phase\":\"sideways\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        cJSON *json = cJSON_Parse("{\"metadata\":{}}");
        assert_int_equal(kube_annotate(json, KUBE_ROLLOUT, texts[i]), OK);
        assert_int_equal(rolling_record_read(json).phase, ROLLING_NONE);
        cJSON_Delete(json);
    }
    cJSON *json = cJSON_Parse("{\"metadata\":{}}");
    assert_int_equal(
        kube_annotate(json, KUBE_ROLLOUT,
                      "{\"tool\":\"rolling-update\",\"phase\":\"back\",\"original\":1e9,"
                      "\"replicas\":-4,\"id\":7,\"source\":[]}"),
        OK);
    struct rolling_record record = rolling_record_read(json);
    assert_int_equal(record.phase, ROLLING_BACK);
    assert_int_equal(record.original, -1);
    assert_int_equal(record.replicas, -1);
    assert_string_equal(record.id, "");
    assert_string_equal(record.source, "");
    cJSON_Delete(json);
}

static void test_source(void **state)
{
    (void)state;
    struct rolling_side side = {.name = "foo", .uid = "1234"};
    assert_true(rolling_source_is("foo:1234", &side));
    assert_true(rolling_source_is("foo", &side)); /* the design note's */
    assert_false(rolling_source_is("foo:12345", &side));
    assert_false(rolling_source_is("foo-bar:1234", &side));
    assert_false(rolling_source_is("", &side));
}

static void test_shown(void **state)
{
    (void)state;
    char text[64];
    cJSON *json = cJSON_Parse("{\"metadata\":{\"annotations\":{\"b\":\"2\",\"a\":\"1\"}}}");
    rolling_annotations_show(json, text, sizeof text);
    assert_string_equal(text, "map[a:1 b:2]");
    rolling_annotations_show(json, text, 8); /* cut */
    assert_string_equal(text, "map[a:1");
    cJSON_Delete(json);
    rolling_annotations_show(NULL, text, sizeof text);
    assert_string_equal(text, "map[]");
}

static void test_cleared(void **state)
{
    (void)state;
    cJSON *json = cJSON_Parse("{\"metadata\":{\"annotations\":{"
                              "\"kubectl.kubernetes.io/update-source-id\":\"a:b\","
                              "\"kubectl.kubernetes.io/desired-replicas\":\"4\","
                              "\"kubectl.kubernetes.io/original-replicas\":\"4\","
                              "\"kubectl.kubernetes.io/next-controller-id\":\"c\","
                              "\"kubernetes.io/desired-replicas\":\"4\",\"mine\":\"stays\"}}}");
    assert_int_equal(rolling_annotations_clear(json), OK);
    char text[64];
    rolling_annotations_show(json, text, sizeof text);
    assert_string_equal(text, "map[mine:stays]");
    cJSON_Delete(json);
}

static void test_covers(void **state)
{
    (void)state;
    static const struct {
        const char *live, *wanted;
        bool covers;
    } rows[] = {
        {"{\"a\":1,\"b\":{\"c\":2,\"d\":3}}", "{\"b\":{\"c\":2}}", true},
        {"{\"a\":1}", "{\"a\":2}", false},
        {"{\"a\":1}", "{\"b\":1}", false},
        {"{\"a\":1}", "{\"a\":1,\"b\":null}", true},
        {"[{\"a\":1,\"b\":2}]", "[{\"a\":1}]", true},
        {"[{\"a\":1},{\"a\":2}]", "[{\"a\":1}]", false},
        {"[]", "{}", true},
        {"{}", "[]", false},
        {"{\"a\":\"x\"}", "{\"a\":{}}", true},
        {"{\"a\":\"x\"}", "{\"a\":{\"b\":1}}", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cJSON *live = cJSON_Parse(rows[i].live), *wanted = cJSON_Parse(rows[i].wanted);
        assert_int_equal(rolling_covers(live, wanted), rows[i].covers);
        cJSON_Delete(live);
        cJSON_Delete(wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_foreign_records),
        cmocka_unit_test(test_source),     cmocka_unit_test(test_shown),
        cmocka_unit_test(test_cleared),    cmocka_unit_test(test_covers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
