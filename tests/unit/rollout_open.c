/* How a rollout is opened and reloaded: what refuses, what is said, what is left alone.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout_fixture.h"

static void test_only_one_opens(void **state)
{
    (void)state;
    struct why why;
    struct rollout_setup setup = setup_of("v2");
    struct rollout_ports ports = world_ports(&world);
    come_up("v2");
    assert_null(rollout_open(&setup, &ports, &why));
    assert_non_null(strstr(why.text, "another process"));
}

/* What an open writes is not synced: a power cut may leave it empty. Nothing of the route was lost by that. */
static void test_an_empty_record_of_a_new_route(void **state)
{
    (void)state;
    char path[128];
    (void)snprintf(path, sizeof path, "%s/my-web.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    come_up("v2");
    cJSON *json = rollout_status(rollout);
    assert_null(strstr(cJSON_GetStringValue(cJSON_GetObjectItem(json, "why")), "lost"));
    cJSON_Delete(json);
}

static void test_open_refuses(void **state)
{
    (void)state;
    struct why why = {""};
    struct rollout_ports ports = world_ports(&world);
    struct rollout_setup setup = setup_of("v1");
    assert_null(rollout_open(&setup, &ports, &why));
    assert_non_null(strstr(why.text, "v1"));
    setup = setup_of("v2");
    setup.state_dir = "/nonexistent/serin/state";
    assert_null(rollout_open(&setup, &ports, &why));
    assert_non_null(strstr(why.text, "/nonexistent/serin/state"));
    setup.state_dir = NULL;
    assert_null(rollout_open(&setup, &ports, &why));
    setup = setup_of("v2");
    plan.bake_weight_bp = 10000;
    assert_null(rollout_open(&setup, &ports, &why));
    assert_non_null(strstr(why.text, "rollout.bake_weight"));
    plan.bake_weight_bp = 9900;
    char name[200];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    setup.canary.name = name;
    assert_null(rollout_open(&setup, &ports, &why));
    setup = setup_of("v2");
    setup.route = name;
    assert_null(rollout_open(&setup, &ports, &why));
    rollout_close(NULL);
}

static void test_reload_says_what_changes(void **state)
{
    (void)state;
    struct why why;
    come_up("v2");
    struct rollout_setup setup = setup_of("v2");
    assert_int_equal(rollout_configure(rollout, &setup, &why), OK);
    assert_string_equal(why.text, "");
    plan.hold_ms++;
    assert_int_equal(rollout_configure(rollout, &setup, &why), OK);
    assert_non_null(strstr(why.text, "next rollout has a new plan"));
    verb(ROLLOUT_START);
    plan.hold_ms++;
    assert_int_equal(rollout_configure(rollout, &setup, &why), OK);
    assert_non_null(strstr(why.text, "for the next"));
    setup = setup_of("v3");
    assert_int_equal(rollout_configure(rollout, &setup, &why), OK);
    assert_non_null(strstr(why.text, "v3"));
}

/* Written by a newer release: left as it is, and the start is refused. */
static void test_newer_record_is_left_alone(void **state)
{
    (void)state;
    static const char newer[] = "{\"schema\":2,\"more\":true}";
    char path[128], text[64] = "";
    struct why why = {""};
    struct rollout_ports ports = world_ports(&world);
    struct rollout_setup setup = setup_of("v2");
    (void)snprintf(path, sizeof path, "%s/my-web.json", dir);
    FILE *f = fopen(path, "w");
    assert_true(f && fputs(newer, f) >= 0 && fclose(f) == 0);
    assert_null(rollout_open(&setup, &ports, &why));
    assert_non_null(strstr(why.text, "schema: 2, but this release reads 1"));
    f = fopen(path, "r");
    assert_true(f && fread(text, 1, sizeof text - 1, f) > 0 && fclose(f) == 0);
    assert_string_equal(text, newer);
}

/* The files of a state come and go while serin runs without a canary: a restored backup, say. */
static void move_state(const char *from, const char *to)
{
    static const char *const names[] = {"my-web.json", "my-web.json.bak", "my-web.used"};
    char before[128], after[128];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(before, sizeof before, "%s/%s%s", dir, names[i], from);
        (void)snprintf(after, sizeof after, "%s/%s%s", dir, names[i], to);
        assert_int_equal(rename(before, after), 0);
    }
}

/* A canary that is named later meets what is remembered of the route, as at a start. */
static void test_canary_named_later_meets_the_record(void **state)
{
    (void)state;
    struct why why = {""};
    come_up("v2");
    verb(ROLLOUT_START);
    pass(60); /* promoted */
    rollout_close(rollout);
    move_state("", ".away");
    come_up(NULL);
    pass(2);
    move_state(".away", "");
    struct rollout_setup other = setup_of("v3"), same = setup_of("v2");
    assert_int_equal(rollout_may_configure(rollout, &other, &why), ERR_CONFLICT);
    assert_non_null(strstr(why.text, "v2 was promoted"));
    assert_int_equal(rollout_configure(rollout, &other, &why), ERR_CONFLICT);
    assert_int_equal(rollout_configure(rollout, &same, &why), OK);
    struct rollout_split split;
    rollout_split(rollout, &split);
    assert_string_equal(split.stable, "v2");
    pass(2);
    assert_string_equal(world.stable, "v2");
    cJSON *history = rollout_history(rollout);
    assert_int_equal(cJSON_GetArraySize(history), 1);
    cJSON_Delete(history);
}

static void check_refused(struct rollout_setup setup, bool at_start, const char *const said[3])
{
    struct why why = {""};
    struct rollout_ports ports = world_ports(&world);
    if (at_start)
        assert_null(rollout_open(&setup, &ports, &why));
    else
        assert_int_equal(rollout_may_configure(rollout, &setup, &why), ERR_CONFLICT);
    for (size_t i = 0; i < 3; i++)
        if (!strstr(why.text, said[i]))
            fail_msg("\"%s\" is not in \"%s\"", said[i], why.text);
}

/* A refusal names what can be done where it is read: a verb while serin runs, files where it does
 * not. */
static void test_refusals_name_the_ways_out(void **state)
{
    (void)state;
    char files[128];
    (void)snprintf(files, sizeof files, "%s/my-web.json", dir);
    struct rollout_setup setup = setup_of("v2"), other = setup_of("v3"), again = setup_of("v1");
    plan.on_new_version = ON_NEW_VERSION_REFUSE;
    setup.canary.revision = "a";
    struct rollout_ports ports = world_ports(&world);
    struct why why;
    rollout = rollout_open(&setup, &ports, &why);
    assert_non_null(rollout);
    verb(ROLLOUT_START);
    pass(4);
    check_refused(other, false, (const char *const[3]){"v2", "refuse", "abort it"});
    rollout_close(rollout);
    check_refused(other, true, (const char *const[3]){"v2", "name it again", files});
    rollout = rollout_open(&setup, &ports, &why);
    assert_non_null(rollout);
    pass(60);
    again.stable = (struct rollout_version){.name = "v2", .revision = "b"};
    check_refused(other, false, (const char *const[3]){"v1", "stable: v2", "serin reset my-web"});
    check_refused(again, false, (const char *const[3]){"revision a", "revision b", "serin reset"});
    rollout_close(rollout);
    rollout = NULL;
    check_refused(other, true, (const char *const[3]){"v1", "stable: v2", files});
    check_refused(again, true, (const char *const[3]){"revision a", "revision b", files});
}

#define EACH(test) cmocka_unit_test_setup_teardown(test, before_each, after_each)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_an_empty_record_of_a_new_route, before_each,
                                        after_each),
        cmocka_unit_test_setup_teardown(test_only_one_opens, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_open_refuses, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_reload_says_what_changes, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_newer_record_is_left_alone, before_each, after_each),
        cmocka_unit_test_setup_teardown(test_canary_named_later_meets_the_record, before_each,
                                        after_each),
        cmocka_unit_test_setup_teardown(test_refusals_name_the_ways_out, before_each, after_each),
    };
    return cmocka_run_group_tests(tests, world_quiet, NULL);
}
