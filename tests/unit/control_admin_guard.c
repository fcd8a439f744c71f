/* Tests who may read and change through the admin port.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "proxy/control/admin_guard.h"

static const struct admin_guard loopback = {
    .is_local = true, .host = {"127.0.0.1", 9}, .token = NULL};
static const struct admin_guard loopback_token = {
    .is_local = true, .host = {"127.0.0.1", 9}, .token = "secret"};
static const struct admin_guard loopback_v6 = {
    .is_local = true, .host = {"[::1]", 5}, .token = NULL};
static const struct admin_guard unix_socket = {
    .is_local = true, .is_unix = true, .host = {"unix", 4}, .token = NULL};
static const struct admin_guard outside = {.host = {"10.1.2.3", 8}, .token = "secret"};

#define JSON "application/json"
#define GOOD "Bearer secret"

static const struct {
    const struct admin_guard *guard;
    const char *host, *origin, *authorization, *content_type;
    unsigned hosts;
    enum admin_verdict expected;
} changes[] = {
    /* Host */
    {&loopback, "127.0.0.1:9900", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "127.0.0.1", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "localhost:9900", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "LocalHost", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "127.9.9.9:1", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "[::1]:9900", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback_v6, "[::1]", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback_v6, "[0:0:0:0:0:0:0:1]:9900", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "evil.example:9900", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "localhost.evil.example", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "127.0.0.1.evil.example", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "10.1.2.3:9900", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "127.1", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "[::1", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "[::1]x", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "[]:1", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "::1", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "localhost:", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "localhost:99999", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "localhost:9900:1", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "user@localhost", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, "", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, ":9900", NULL, NULL, JSON, 1, ADMIN_WRONG_HOST},
    {&loopback, NULL, NULL, NULL, JSON, 0, ADMIN_WRONG_HOST},
    {&loopback, "localhost", NULL, NULL, JSON, 2, ADMIN_WRONG_HOST},
    {&loopback_token, "evil.example", NULL, GOOD, JSON, 1, ADMIN_WRONG_HOST},
    {&unix_socket, "anything", NULL, NULL, JSON, 1, ADMIN_ALLOWED},
    {&unix_socket, NULL, NULL, NULL, JSON, 0, ADMIN_ALLOWED},
    {&outside, "serin.internal:9900", NULL, GOOD, JSON, 1, ADMIN_ALLOWED},
    {&outside, NULL, NULL, GOOD, JSON, 0, ADMIN_WRONG_HOST},
    /* Origin */
    {&loopback, "localhost:9900", "http://localhost:9900", NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "localhost:9900", "https://localhost:9900", NULL, JSON, 1, ADMIN_ALLOWED},
    {&loopback, "localhost:9900", "http://localhost:3000", NULL, JSON, 1, ADMIN_FOREIGN_ORIGIN},
    {&loopback, "localhost:9900", "http://localhost", NULL, JSON, 1, ADMIN_FOREIGN_ORIGIN},
    {&loopback, "localhost:9900", "http://evil.example", NULL, JSON, 1, ADMIN_FOREIGN_ORIGIN},
    {&loopback, "localhost:9900", "null", NULL, JSON, 1, ADMIN_FOREIGN_ORIGIN},
    {&loopback, "localhost:9900", "", NULL, JSON, 1, ADMIN_FOREIGN_ORIGIN},
    {&outside, "a:9900", "http://b:9900", GOOD, JSON, 1, ADMIN_FOREIGN_ORIGIN},
    {&unix_socket, NULL, "http://localhost", NULL, JSON, 0, ADMIN_FOREIGN_ORIGIN},
    /* Token */
    {&loopback_token, "localhost", NULL, GOOD, JSON, 1, ADMIN_ALLOWED},
    {&loopback_token, "localhost", NULL, "bearer  secret ", JSON, 1, ADMIN_ALLOWED},
    {&loopback_token, "localhost", NULL, NULL, JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Bearer", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Bearer ", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Bearer secre", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Bearer secrets", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Bearer secretsecret", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Bearer Secret", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "Basic secret", JSON, 1, ADMIN_NO_TOKEN},
    {&loopback_token, "localhost", NULL, "secret", JSON, 1, ADMIN_NO_TOKEN},
    /* Content type */
    {&loopback, "localhost", NULL, NULL, "Application/JSON; charset=utf-8", 1, ADMIN_ALLOWED},
    {&loopback, "localhost", NULL, NULL, NULL, 1, ADMIN_NOT_JSON},
    {&loopback, "localhost", NULL, NULL, "", 1, ADMIN_NOT_JSON},
    {&loopback, "localhost", NULL, NULL, "text/plain", 1, ADMIN_NOT_JSON},
    {&loopback, "localhost", NULL, NULL, "application/jsonp", 1, ADMIN_NOT_JSON},
    {&loopback, "localhost", NULL, NULL, "application/x-www-form-urlencoded", 1, ADMIN_NOT_JSON},
    {&loopback, "localhost", NULL, NULL, "text/plain; application/json", 1, ADMIN_NOT_JSON},
    {&unix_socket, NULL, NULL, NULL, NULL, 0, ADMIN_NOT_JSON},
};

static void changes_follow_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        struct admin_claims claims = {.host = changes[i].host,
                                      .origin = changes[i].origin,
                                      .authorization = changes[i].authorization,
                                      .content_type = changes[i].content_type,
                                      .hosts = changes[i].hosts};
        enum admin_verdict verdict = admin_may_change(changes[i].guard, &claims);
        if (verdict != changes[i].expected)
            fail_msg("row %zu (host %s): %d, expected %d", i,
                     changes[i].host ? changes[i].host : "none", verdict, changes[i].expected);
    }
}

static void reading_needs_a_token_only_from_outside(void **state)
{
    (void)state;
    struct admin_claims none = {0}, good = {.authorization = GOOD},
                        bad = {.authorization = "Bearer guess"};
    assert_int_equal(admin_may_read(&loopback, &none), ADMIN_ALLOWED);
    assert_int_equal(admin_may_read(&loopback_token, &none), ADMIN_ALLOWED);
    assert_int_equal(admin_may_read(&unix_socket, &none), ADMIN_ALLOWED);
    assert_int_equal(admin_may_read(&outside, &none), ADMIN_NO_TOKEN);
    assert_int_equal(admin_may_read(&outside, &bad), ADMIN_NO_TOKEN);
    assert_int_equal(admin_may_read(&outside, &good), ADMIN_ALLOWED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_follow_the_table),
        cmocka_unit_test(reading_needs_a_token_only_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
