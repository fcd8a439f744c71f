/* What two processes say to each other: every kind there and back, and whatever else may come in its place.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/control/handover_message.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static struct why why;

/* There and back; the caller ends what came back. */
static struct handover_message pass(const struct handover_message *m)
{
    struct handover_message back;
    char *text = handover_encode(m);
    assert_non_null(text);
    assert_true(strlen(text) < HANDOVER_BYTES_MAX);
    assert_int_equal(handover_decode(&back, text, strlen(text), &why), OK);
    assert_int_equal(back.kind, m->kind);
    cJSON_free(text);
    return back;
}

static struct handover_message split_message(void)
{
    struct handover_message m = {
        .kind = HANDOVER_SPLIT,
        .route = "web",
        .split = {
            .stable = "v1", .canary = "v2", .salt = "web-1", .weight_bp = 1234, .is_active = true}};
    return m;
}

static void test_a_split(void **state)
{
    (void)state;
    struct handover_message m = split_message(), back = pass(&m);
    assert_string_equal(back.route, "web");
    assert_memory_equal(&back.split, &m.split, sizeof m.split);
}

static void test_wants(void **state)
{
    (void)state;
    struct handover_socket wants[2] = {{.bind = "0.0.0.0:80"},
                                       {.bind = "unix:/run/a", .is_admin = true}};
    struct handover_message m = {
        .kind = HANDOVER_READY, .version = HANDOVER_VERSION, .wants = wants, .n_wants = 2};
    struct handover_message back = pass(&m);
    assert_int_equal(back.n_wants, 2);
    assert_memory_equal(back.wants, wants, sizeof wants);
    handover_message_fini(&back);
}

/* Another version may say other things: only its number is read, for the answer. */
static void test_another_version(void **state)
{
    (void)state;
    static const char text[] = "{\"kind\":\"ready\",\"version\":2,\"sockets\":true}";
    struct handover_message back;
    assert_int_equal(handover_decode(&back, text, strlen(text), &why), OK);
    assert_int_equal(back.version, 2);
    assert_null(back.wants);
}

static void test_a_socket(void **state)
{
    (void)state;
    struct handover_message m = {.kind = HANDOVER_SOCKET,
                                 .socket = {.bind = "unix:/run/a",
                                            .is_more = true,
                                            .file = {.path = "/run/a", .device = 0xfe01, .inode = UINT64_C(999999999999999)}}};
    struct handover_message back = pass(&m);
    assert_memory_equal(&back.socket, &m.socket, sizeof m.socket);
}

static void test_counts(void **state)
{
    (void)state;
    struct handover_message m = {
        .kind = HANDOVER_GAINED,
        .route = "web",
        .gained = {.version = "v2",
                   .role = ROLE_CANARY,
                   .is_mirror = true,
                   .judged = {9, 8, 7, {6, 5, 4}, 3, UINT64_C(1000000000000000)}}};
    struct handover_message back = pass(&m);
    assert_memory_equal(&back.gained, &m.gained, sizeof m.gained);
}

static void test_those_of_one_word(void **state)
{
    (void)state;
    static const enum handover_kind kinds[] = {HANDOVER_OLDER, HANDOVER_TICKETS, HANDOVER_GO,
                                               HANDOVER_SERVING};
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct handover_message m = {.kind = kinds[i]};
        (void)pass(&m);
        assert_string_not_equal(handover_kind_text(kinds[i]), "unknown");
    }
    struct handover_message no = {.kind = HANDOVER_REFUSED, .why = "because"}, back = pass(&no);
    assert_string_equal(back.why, "because");
    assert_string_equal(handover_kind_text(HANDOVER_KINDS), "unknown");
}

static void test_a_state(void **state)
{
    (void)state;
    struct handover_message m = {
        .kind = HANDOVER_ROUTE, .route = "web", .state = cJSON_CreateObject()};
    assert_non_null(cJSON_AddNumberToObject(m.state, "x", 7));
    struct handover_message back = pass(&m);
    assert_true(cJSON_Compare(back.state, m.state, true));
    cJSON_Delete(m.state);
    handover_message_fini(&back);
}

/* What is wrong, and how the reason begins. */
static const struct bad {
    const char *text, *why;
} rows[] = {
    {"", "message: "},
    {"null", "message: "},
    {"[]", "message: "},
    {"{}", "kind: "},
    {"{\"kind\":7}", "kind: "},
    {"{\"kind\":\"hello\"}", "kind: "},
    {"{\"kind\":\"go\"", "message: "},
    {"{\"kind\":\"ready\"}", "version: "},
    {"{\"kind\":\"ready\",\"version\":-1}", "version: "},
    {"{\"kind\":\"ready\",\"version\":1}", "wants: "},
    {"{\"kind\":\"ready\",\"version\":1,\"wants\":{}}", "wants: "},
    {"{\"kind\":\"ready\",\"version\":1,\"wants\":[7]}", "bind: "},
    {"{\"kind\":\"ready\",\"version\":1,\"wants\":[{\"bind\":\"\",\"admin\":true,\"more\":false,"
     "\"file\":\"\",\"device\":0,\"inode\":0}]}",
     "bind: "},
    {"{\"kind\":\"socket\",\"bind\":\"a\",\"admin\":1}", "admin: "},
    {"{\"kind\":\"socket\",\"bind\":\"a\",\"admin\":true,\"more\":true,\"file\":\"\",\"device\":1."
     "5}",
     "device: "},
    {"{\"kind\":\"socket\",\"bind\":\"a\",\"admin\":true,\"more\":true,\"file\":\"\",\"device\":"
     "1e300}",
     "device: "},
    {"{\"kind\":\"refused\"}", "why: "},
    {"{\"kind\":\"route\",\"state\":{}}", "route: "},
    {"{\"kind\":\"route\",\"route\":\"\",\"state\":{}}", "route: "},
    {"{\"kind\":\"route\",\"route\":\"web\"}", "state: "},
    {"{\"kind\":\"route\",\"route\":\"web\",\"state\":[]}", "state: "},
    {"{\"kind\":\"split\",\"route\":\"web\"}", "stable: "},
    {"{\"kind\":\"split\",\"route\":\"web\",\"stable\":\"v1\",\"canary\":\"v2\",\"salt\":\"\","
     "\"weight_bp\":10001,\"active\":true}",
     "weight_bp: "},
    {"{\"kind\":\"split\",\"route\":\"web\",\"stable\":\"v1\",\"canary\":\"\",\"salt\":\"\","
     "\"weight_bp\":1,\"active\":false}",
     "canary: "},
    {"{\"kind\":\"split\",\"route\":\"web\",\"stable\":\"v1\",\"canary\":\"\",\"salt\":\"\","
     "\"weight_bp\":0,\"active\":true}",
     "canary: "},
    {"{\"kind\":\"gained\",\"route\":\"web\",\"name\":\"v1\",\"canary\":false,\"mirror\":false,"
     "\"requests\":1,"
     "\"failed\":0,\"client_errors\":0,\"key_requests\":0,\"key_failed\":0,\"slow\":[1,2]}",
     "slow: "},
};

static void test_what_is_wrong_is_said(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct handover_message m;
        why.text[0] = '\0';
        assert_int_equal(handover_decode(&m, rows[i].text, strlen(rows[i].text), &why),
                         ERR_INVALID);
        if (strncmp(why.text, rows[i].why, strlen(rows[i].why)) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", rows[i].text, why.text, rows[i].why);
        assert_null(m.wants);
        assert_null(m.state);
    }
}

static void test_names_and_messages_are_bounded(void **state)
{
    (void)state;
    struct handover_message m = split_message(), back;
    char text[512];
    for (size_t len = KNOWN_NAME_MAX - 1; len <= KNOWN_NAME_MAX; len++) {
        char name[KNOWN_NAME_MAX + 1];
        memset(name, 'n', len);
        name[len] = '\0';
        (void)snprintf(
            text, sizeof text,
            "{\"kind\":\"split\",\"route\":\"%s\",\"stable\":\"v1\",\"canary\":\"\",\"salt\":\"\","
            "\"weight_bp\":0,\"active\":false}",
            name);
        assert_int_equal(handover_decode(&back, text, strlen(text), &why),
                         len < KNOWN_NAME_MAX ? OK : ERR_INVALID);
    }
    char *whole = calloc(1, HANDOVER_BYTES_MAX + 1), *split = handover_encode(&m);
    memset(whole, ' ', HANDOVER_BYTES_MAX + 1);
    memcpy(whole, split, strlen(split));
    assert_int_equal(handover_decode(&back, whole, HANDOVER_BYTES_MAX, &why), OK);
    assert_int_equal(handover_decode(&back, whole, HANDOVER_BYTES_MAX + 1, &why), ERR_LIMIT);
    cJSON_free(split);
    free(whole);
}

/* --- bytes by chance: whatever is accepted is within its bounds --- */

static uint32_t chance(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void assert_within_bounds(const struct handover_message *m)
{
    assert_true((unsigned)m->kind < HANDOVER_KINDS);
    assert_true(m->n_wants <= HANDOVER_WANTS_MAX);
    assert_true(m->split.weight_bp <= 10000);
    assert_true(m->kind != HANDOVER_SPLIT || m->split.canary[0] || !m->split.is_active);
    assert_true(m->kind != HANDOVER_ROUTE || m->state);
    assert_true(strlen(m->route) < KNOWN_NAME_MAX);
}

static void test_bytes_by_chance(void **state)
{
    (void)state;
    static const char bytes[] = "{}[]\",:0129-.eE\\tfn \0z";
    struct handover_socket want = {.bind = "0.0.0.0:80"};
    struct handover_message kinds[] = {
        split_message(),
        {.kind = HANDOVER_READY, .version = 1, .wants = &want, .n_wants = 1},
        {.kind = HANDOVER_SOCKET, .socket = {.bind = "[::]:80"}},
        {.kind = HANDOVER_GAINED,
         .route = "web",
         .gained = {.version = "v1", .judged = {1, 1, 1, {1, 1, 1}, 1, 1}}}};
    uint32_t seed = 1;
    unsigned accepted = 0;
    for (unsigned i = 0; i < 40000; i++) {
        char *text = handover_encode(&kinds[i % ARRAY_LEN(kinds)]);
        size_t len = strlen(text);
        for (unsigned n = 1 + chance(&seed) % 4; n > 0; n--)
            text[chance(&seed) % len] = bytes[chance(&seed) % (sizeof bytes - 1)];
        len = chance(&seed) % 4 ? len : chance(&seed) % len;
        struct handover_message m;
        if (handover_decode(&m, text, len, &why) == OK) {
            accepted++;
            assert_within_bounds(&m);
            handover_message_fini(&m);
        }
        cJSON_free(text);
    }
    assert_true(accepted > 100); /* or nothing was tried */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_split),
        cmocka_unit_test(test_wants),
        cmocka_unit_test(test_another_version),
        cmocka_unit_test(test_a_socket),
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_those_of_one_word),
        cmocka_unit_test(test_a_state),
        cmocka_unit_test(test_what_is_wrong_is_said),
        cmocka_unit_test(test_names_and_messages_are_bounded),
        cmocka_unit_test(test_bytes_by_chance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
