/* Endpoints that are names, before anything is known of them: what is ready, what is counted, what a reload forgets. Nobody
 * answers here; the end-to-end tests have a name server.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "metrics/log.h"
#include "proxy/conf/load.h"
#include "proxy/control/host.h"
#include "proxy/control/names.h"
#include "proxy/control/publish.h"
#include "proxy/wire/time.h"
#include <event2/event.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define FILE_OF(v1, v2)                                                                            \
    "listeners: [{ bind: \"127.0.0.1:0\" }]\n"                                                     \
    "dns: { servers: [\"127.0.0.1:1\"], timeout: 50ms }\n"                                         \
    "routes:\n  - name: web\n    stable: v1\n    canary: v2\n    weight: 10%\n    versions:\n"     \
    "      v1: { endpoints: [" v1 "] }\n      v2: { endpoints: [" v2 "] }\n"
#define A     "\"10.0.0.1:80\""
#define B     "\"10.0.0.2:80\""
#define NAME  "\"dns:nowhere.test.:80\""
#define OTHER "\"dns:other.test:80\""

static struct control control;

static void take_file(struct control *c, const char *text)
{
    static struct config_errors errors;
    struct why why;
    struct config_keep *old = c->keep;
    struct config *config = config_load_text("f", text, strlen(text), &errors);
    if (!config)
        config_errors_print(&errors, stderr);
    assert_non_null(config);
    c->keep = config_keep_new(config);
    assert_int_equal(known_configure(&c->known, config, &why), OK);
    assert_int_equal(names_configure(c->names, &why), OK);
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next)
        host_take_split(CONTAINER_OF(l, struct known_route, link));
    assert_int_equal(publish(c), OK);
    config_keep_unref(old);
}

static int setup(void **state)
{
    const struct log_setup quiet = {.level = LOG_ERROR};
    struct control *c = &control;
    memset(c, 0, sizeof *c);
    assert_int_equal(log_open(&quiet, NULL), OK);
    c->base = event_base_new();
    c->metrics = metrics_new(1);
    known_init(&c->known, c->metrics, 1);
    c->names = names_new(c);
    assert_non_null(c->names);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct control *c = *state;
    names_free(c->names);
    known_fini(&c->known);
    snapshot_unref(c->snapshot);
    config_keep_unref(c->keep);
    metrics_free(c->metrics);
    event_base_free(c->base);
    return 0;
}

static int64_t now_ms(void)
{
    return time_monotonic_us() / 1000;
}

static void ready_waits_for_stable_and_not_for_ever(void **state)
{
    struct control *c = *state;
    take_file(c, FILE_OF(A ", " NAME, B));
    int64_t start = now_ms();
    assert_false(names_are_ready(c->names, start));
    assert_false(names_are_ready(c->names, start + NAMES_READY_MAX_MS - 5000));
    assert_true(names_are_ready(c->names, start + NAMES_READY_MAX_MS));
    assert_true(names_are_ready(c->names, start)); /* from then on */
}

static void ready_waits_for_no_canary(void **state)
{
    struct control *c = *state;
    take_file(c, FILE_OF(A, NAME));
    assert_true(names_are_ready(c->names, now_ms()));
    take_file(c, FILE_OF(NAME, B)); /* no reload takes that back */
    assert_true(names_are_ready(c->names, now_ms()));
}

static void collect(void *arg, const char *name, double age_s)
{
    char *text = arg;
    (void)snprintf(text + strlen(text), 256 - strlen(text), "%s%s ", name, isnan(age_s) ? "" : "!");
}

static void a_reload_adds_and_forgets(void **state)
{
    struct control *c = *state;
    char text[256] = "";
    take_file(c, FILE_OF(NAME ", " A, OTHER ", \"dns:OTHER.test:81\""));
    names_ages(c->names, collect, text);
    assert_string_equal(text, "nowhere.test. other.test ");
    (void)event_base_loop(c->base, EVLOOP_ONCE); /* it asks: the questions outlive the name */
    take_file(c, FILE_OF(A, OTHER));
    text[0] = '\0';
    names_ages(c->names, collect, text);
    assert_string_equal(text, "other.test ");
    take_file(c, FILE_OF(A, B));
    text[0] = '\0';
    names_ages(c->names, collect, text);
    assert_string_equal(text, "");
}

static void what_serves_stays_where_a_name_is_not_found(void **state)
{
    struct control *c = *state;
    take_file(c, FILE_OF(A, B));
    take_file(c, FILE_OF(NAME, B));
    while (names_lookups(c->names, LOOKUP_TIMEOUT) == 0)
        (void)event_base_loop(c->base, EVLOOP_ONCE);
    assert_int_equal(c->snapshot->routes[0].stable.n_endpoints, 1);
    assert_string_equal(c->snapshot->routes[0].stable.endpoints[0].text, "10.0.0.1:80");
    for (unsigned r = 0; r < LOOKUP_RESULTS; r++)
        assert_int_equal(names_lookups(c->names, (enum lookup_result)r), r == LOOKUP_TIMEOUT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ready_waits_for_stable_and_not_for_ever),
        TEST(ready_waits_for_no_canary),
        TEST(a_reload_adds_and_forgets),
        TEST(what_serves_stays_where_a_name_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
