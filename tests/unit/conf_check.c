/* Rules between keys: a row is a file that breaks one, and the line that says so.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/check.h"
#include <stdio.h>
#include <stdlib.h>
#include "conf_help.h"

#define ENDPOINTS(text) "    versions: { v1: { endpoints: [" text "] } }\n    stable: v1\n"
#define ONE(name, rest) "  - name: " name "\n" ENDPOINTS("unix:/a") rest

static void run(const struct help_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        help_expect(rows[i].text, rows[i].errors);
}

static void test_proxy_headers(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {"listeners: [{ bind: \"1.2.3.4:80\", proxy_protocol: true, trusted: [10.0.0.0/8] "
         "}]\n" ROUTE,
         ""},
        {"listeners: [{ bind: unix:/a, proxy_protocol: true }]\n" ROUTE, ""},
        {"listeners: [{ bind: \"1.2.3.4:80\", proxy_protocol: false, trusted: [] }]\n" ROUTE, ""},
        {"listeners: [{ bind: \"1.2.3.4:80\", proxy_protocol: true }]\n" ROUTE,
         "f:1:13: listeners[0].trusted: is missing (networks whose PROXY headers are believed, "
         "such "
         "as 10.0.0.0/8)\n"},
        {"listeners: [{ bind: \"1.2.3.4:80\", proxy_protocol: true, trusted: [] }]\n" ROUTE,
         "f:1:57: listeners[0].trusted: names nobody who may send the PROXY header (networks such "
         "as "
         "10.0.0.0/8)\n"},
        {"listeners: [{ bind: unix:/a }, { bind: unix:/b, trusted: [10.0.0.0/8] }]\n" ROUTE,
         "f:1:49: listeners[1].trusted: is of no use here (expected proxy_protocol: true)\n"},
        {"listeners: [{ bind: unix:/a, proxy_protocol: true, trusted: [10.0.0.1/8] }]\n" ROUTE,
         "f:1:62: listeners[0].trusted[0]: \"10.0.0.1/8\" has bits set behind its prefix of 8 (a "
         "network such as 10.0.0.0/8)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {"listeners: [{ bind: \"1.2.3.4:80\" }, { bind: \"1.2.3.4:80\" }]\n" ROUTE,
         "f:1:45: listeners[1].bind: 1.2.3.4:80 is the address of listeners[0] too\n"},
        {"listeners: [{ bind: \"[::1]:80\" }, { bind: \"[0:0::1]:80\" }]\n" ROUTE,
         "f:1:43: listeners[1].bind: [0:0::1]:80 is the address of listeners[0] too\n"},
        {"listeners: [{ bind: unix:/a }, { bind: unix:/a }]\n" ROUTE,
         "f:1:40: listeners[1].bind: unix:/a is the address of listeners[0] too\n"},
        {"listeners: [{ bind: \"127.0.0.1:9900\" }]\n" ROUTE,
         "f:1:1: listeners: 127.0.0.1:9900 is the address of listeners[0] too, by the default of "
         "admin.bind\n"},
        {"listeners: [{ bind: \"127.0.0.1:81\" }]\nadmin: { bind: \"127.0.0.1:81\" }\n" ROUTE,
         "f:2:16: admin.bind: 127.0.0.1:81 is the address of listeners[0] too\n"},
        /* each gets a free port of its own */
        {"listeners: [{ bind: \"1.2.3.4:0\" }, { bind: \"1.2.3.4:0\" }]\n" ROUTE, ""},
        {"listeners: [{ bind: \"1.2.3.4:80\" }, { bind: \"1.2.3.5:80\" }, { bind: \"[::]:80\" "
         "}]\n" ROUTE,
         ""},
        {GOOD "admin: { bind: \"0.0.0.0:1\" }\n",
         "f:7:1: admin.token_file: is missing (bind 0.0.0.0:1 can be reached from other "
         "machines)\n"},
        {GOOD "admin: { bind: \"[::]:1\" }\n",
         "f:7:1: admin.token_file: is missing (bind [::]:1 can be reached from other machines)\n"},
        {GOOD "admin: { bind: \"0.0.0.0:1\", token_file: " TESTS_DIR "/packages }\n", ""},
        {GOOD "admin: { bind: \"127.0.0.2:1\" }\n", ""},
        {GOOD "admin: { bind: \"[::1]:1\" }\n", ""},
        {GOOD "admin: { bind: unix:/run/admin.sock }\n", ""},
        {"listeners: [{ bind: fd:web, proxy_protocol: true }]\nadmin: { bind: fd:admin }\n" ROUTE,
         ""},
        {"listeners: [{ bind: fd:a }, { bind: fd:b }]\nadmin: { bind: fd:b }\n" ROUTE,
         "f:2:16: admin.bind: fd:b is the address of listeners[1] too\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_names(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {LISTENER "routes:\n" ONE("a", "") ONE("b", "    paths: [/b]\n")
             ONE("a", "    paths: [/c]\n"),
         "f:10:11: routes[2].name: \"a\" is the name of routes[0] too\n"},
        {LISTENER "routes:\n" ONE("a", "") ONE("A", "    paths: [/b]\n"), ""},
        {LISTENER "routes:\n" ONE("a", "    canary: v2\n"),
         "f:6:13: routes[0].canary: \"v2\" is no version of this route (v1)\n"},
        {LISTENER "routes:\n" ONE("a", "    canary: v1\n"),
         "f:6:13: routes[0].canary: \"v1\" is the stable version too (expected another one)\n"},
        /* the name that is wrong may be the one that was meant: one error, not two */
        {LISTENER "routes:\n  - name: a\n    versions: { \"v 1\": { endpoints: [unix:/a] } }\n"
                  "    stable: v1\n",
         "f:4:17: routes[0].versions.v 1: \"v 1\" holds a character that no name may have (1 to 64 "
         "of "
         "A-Z a-z 0-9 . _ -)\n"},
        {GOOD "    weight: 5%\n", ""},
        {GOOD "    weight: 0%\n", ""},
        {GOOD "    weight: 5%\n    rollout: {}\n",
         "f:7:13: routes[0].weight: stands beside rollout (expected one of the two)\n"},
        {LISTENER "routes:\n" ONE("a", "    weight: 5%\n"),
         "f:6:13: routes[0].weight: has no canary to go to (expected the key canary)\n"},
        /* a plan may wait for the next canary */
        {LISTENER "routes:\n" ONE("a", "    rollout: { hold: 2m }\n"), ""},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_sticky(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "    sticky: { by: cookie }\n",
         "f:7:5: routes[0].sticky.name: is missing (name of the cookie)\n"},
        {GOOD "    sticky: { by: header }\n",
         "f:7:5: routes[0].sticky.name: is missing (name of the header)\n"},
        {GOOD "    sticky: { by: header, name: X-User }\n", ""},
        {GOOD "    sticky: { by: client_ip }\n", ""},
        {GOOD "    sticky: { name: uid }\n",
         "f:7:21: routes[0].sticky.name: is of no use here (expected by: cookie or by: header)\n"},
        {GOOD "    sticky: { by: header, name: X-User, issue: true }\n",
         "f:7:48: routes[0].sticky.issue: needs a cookie to set (expected by: cookie)\n"},
        {GOOD "    sticky: { by: ckie }\n",
         "f:7:19: routes[0].sticky.by: \"ckie\" is not known (one of "
         "none, cookie, header, client_ip)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_endpoints(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {LISTENER "routes:\n  - name: a\n" ENDPOINTS("\"1.1.1.1:1\", \"1.1.1.2:1\", \"1.1.1.1:1\""),
         "f:4:61: routes[0].versions.v1.endpoints[2]: 1.1.1.1:1 is an endpoint of version \"v1\" "
         "twice\n"},
        {LISTENER "routes:\n  - name: a\n    versions:\n"
                  "      v1: { endpoints: [\"[::1]:1\"] }\n"
                  "      v2: { endpoints: [\"1.1.1.1:1\", \"[0::1]:1\"] }\n    stable: v1\n",
         "f:6:38: routes[0].versions.v2.endpoints[1]: [0::1]:1 is an endpoint of version \"v1\" "
         "too\n"},
        {LISTENER "routes:\n  - name: a\n    versions:\n"
                  "      v1: { endpoints: [unix:/a] }\n"
                  "      v2: { endpoints: [unix:/a] }\n    stable: v1\n",
         "f:6:25: routes[0].versions.v2.endpoints[0]: unix:/a is an endpoint of version \"v1\" "
         "too\n"},
        {LISTENER
         "routes:\n  - name: a\n    versions:\n"
         "      v1: { endpoints: [\"dns:a.test:1\", \"dns:a.test.:1\", \"dns:a.test:2\"] }\n"
         "      v2: { endpoints: [\"dns:A.Test:1\"] }\n    stable: v1\n",
         "f:6:25: routes[0].versions.v2.endpoints[0]: dns:A.Test:1 is an endpoint of version "
         "\"v1\" "
         "too\n"},
        {GOOD "dns: { servers: [\"127.0.0.1:53\", \"[::1]:5353\"], timeout: 500ms }\n", ""},
        {GOOD "dns: { servers: [] }\n",
         "f:7:8: dns.servers: has 0 items (a list of 1 to 8: 127.0.0.1:53 or [::1]:53)\n"},
        {GOOD "dns: { timeout: 1ms }\n",
         "f:7:17: dns.timeout: 1ms is below 50ms (a duration from 50ms to 30s)\n"},
        /* two routes may share their servers */
        {LISTENER "routes:\n" ONE("a", "") ONE("b", "    paths: [/b]\n"), ""},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_hosts_and_paths(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {LISTENER "routes:\n" ONE("a", "") ONE("b", ""),
         "f:6:5: routes[1]: every host, / belongs to routes[0] too\n"},
        {LISTENER "routes:\n" ONE("a", "    hosts: [x.example, y.example]\n")
             ONE("b", "    hosts: [Y.example]\n"),
         "f:10:5: routes[1].hosts: y.example/ belongs to routes[0] too\n"},
        {LISTENER "routes:\n" ONE("a", "    hosts: [x.example]\n    paths: [/, /a]\n")
             ONE("b", "    hosts: [x.example]\n    paths: [/b, /a]\n"),
         "f:12:5: routes[1].paths: x.example/a belongs to routes[0] too\n"},
        {LISTENER "routes:\n" ONE("a", "    paths: [/a, /a]\n"),
         "f:6:5: routes[0].paths: every host, /a is there twice\n"},
        /* one host and every host are different matches; so are /a and /a/ */
        {LISTENER "routes:\n" ONE("a", "    hosts: [x.example]\n") ONE("b", ""), ""},
        {LISTENER "routes:\n" ONE("a", "    paths: [/a, /a/]\n"), ""},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_plans(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "    rollout: { steps: [1%, 5%, 5%, 3%, 50%] }\n",
         "f:7:32: routes[0].rollout.steps[2].weight: 5% is not above an earlier step (5%)\n"
         "f:7:36: routes[0].rollout.steps[3].weight: 3% is not above an earlier step (5%)\n"},
        {GOOD "    rollout: { steps: [0%, 5%] }\n",
         "f:7:24: routes[0].rollout.steps[0].weight: 0% is a step without users (allowed as the "
         "first, with routes[].mirror)\n"},
        {GOOD "    rollout: { abort_steps: [10%, 5%, 0%] }\n", ""},
        {GOOD "    rollout: { abort_steps: [10%, 10%, 0%] }\n",
         "f:7:35: routes[0].rollout.abort_steps[1]: 10% does not fall below 10%\n"},
        {GOOD "    rollout: { abort_steps: [100%, 5%] }\n",
         "f:7:30: routes[0].rollout.abort_steps[0]: 100% does not fall below 100%\n"
         "f:7:36: routes[0].rollout.abort_steps[1]: 5% is the last one (expected 0%)\n"},
        {GOOD "    mirror: 1%\n    rollout: { steps: [0%, 5%] }\n", ""},
        {GOOD "    mirror: 1%\n    rollout: { steps: [0%, 0%, 5%] }\n",
         "f:8:28: routes[0].rollout.steps[1].weight: 0% is a step without users (allowed as the "
         "first, with routes[].mirror)\n"},
        {GOOD "    mirror: 1%\n    rollout: { steps: [5%, 0%] }\n",
         "f:8:28: routes[0].rollout.steps[1].weight: 0% is a step without users (allowed as the "
         "first, with routes[].mirror)\n"},
        /* what is wrong by itself is not compared */
        {GOOD "    rollout: { steps: [5%, 1, 6%] }\n",
         "f:7:28: routes[0].rollout.steps[1].weight: \"1\" has no % sign (a share from 0% to "
         "100%)\n"},
        {GOOD "    rollout: { hold: 11m }\n",
         "f:7:22: routes[0].rollout.hold: hold 11m is above max_hold 10m\n"},
        {GOOD "    rollout: { max_hold: 30s }\n",
         "f:7:26: routes[0].rollout.max_hold: hold 1m is above max_hold 30s\n"},
        {GOOD "    rollout: { hold: 10m }\n", ""},
        {GOOD "    rollout: { steps: [1%, { weight: 2%, hold: 11m }] }\n",
         "f:7:48: routes[0].rollout.steps[1].hold: 11m is above max_hold (10m)\n"},
        {GOOD "    rollout: { bake_weight: 40% }\n",
         "f:7:29: routes[0].rollout.bake_weight: bake_weight 40% is below the last step 50%\n"},
        {GOOD "    rollout: { steps: [1%, 99.5%] }\n",
         "f:7:28: routes[0].rollout.steps[1]: bake_weight 99% is below the last step 99.5%\n"},
        {GOOD "    rollout: { steps: [1%, 99%, 100%] }\n", ""},
        {GOOD "    rollout: { steps: [100%] }\n", ""},
        {GOOD "    rollout: { progress_deadline: 500ms }\n",
         "f:7:35: routes[0].rollout.progress_deadline: 500ms is below 1s (a duration from 1s to "
         "168h)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

/* Many routes with many hosts and paths: bounded, and answered in one line. */
#define MORE(items) GOOD "    rollout: { more_checks: [" items "] }\n"
#define QUERY       "name: cpu, url: \"http://p:9090\", query: up"
#define WEBHOOK     "webhook: { name: smoke, url: \"http://ci/\" }"

static void test_more_checks(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {MORE("{ prometheus: { " QUERY ", max: 0.8 } }, { " WEBHOOK " }"), ""},
        {MORE("{ prometheus: { " QUERY ", min: -1 } }"), ""},
        {MORE("{ prometheus: { " QUERY " } }"),
         "f:7:32: routes[0].rollout.more_checks[0].prometheus.max: is missing (the bound of a good "
         "value; or min)\n"},
        {MORE("{}"), "f:7:30: routes[0].rollout.more_checks[0]: names no kind of check (expected "
                     "prometheus or webhook)\n"},
        {MORE("{ prometheus: { " QUERY ", max: 1 }, " WEBHOOK " }"),
         "f:7:30: routes[0].rollout.more_checks[0]: names both kinds of check (expected prometheus "
         "or webhook)\n"},
        {MORE("{ " WEBHOOK " }, { " WEBHOOK " }"),
         "f:7:98: routes[0].rollout.more_checks[1].webhook.name: \"smoke\" is the name of "
         "more_checks[0] too\n"},
        {MORE("{ webhook: { name: latency, url: \"http://ci/\" } }"),
         "f:7:49: routes[0].rollout.more_checks[0].webhook.name: \"latency\" is the name of one of "
         "the judge's own checks\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_zones(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "    rollout: { windows: [{ from: \"09:00\", to: \"17:00\", tz: UTC }] }\n", ""},
        {GOOD "    rollout: { windows: [{ from: \"09:00\", to: \"17:00\", tz: Europe/Paris }] }\n",
         ""},
        {GOOD "    rollout: { windows: [{ from: \"09:00\", to: \"17:00\", tz: Europe/Pariss }] }\n",
         "f:7:60: routes[0].rollout.windows[0].tz: time zone Europe/Pariss: not in "
         "/usr/share/zoneinfo\n"},
        {GOOD "    rollout: { windows: [{ from: \"09:00\", to: \"17:00\", tz: ../etc/passwd }] }\n",
         "f:7:60: routes[0].rollout.windows[0].tz: time zone ../etc/passwd: not a name of the time "
         "zone database, "
         "such as Europe/Paris\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_outside_is_kept(void **state)
{
    (void)state;
    static const char text[] =
        MORE("{ " WEBHOOK " }, { prometheus: { " QUERY ", max: 0.8, failures: 5 } }");
    struct config_errors errors;
    struct config *c = config_load_text("f", text, strlen(text), &errors);
    assert_non_null(c);
    const struct outside *o = &c->routes[0].outside;
    assert_int_equal(o->n_checks, 2);
    assert_int_equal(o->checks[0].kind, OUTSIDE_WEBHOOK);
    assert_string_equal(o->checks[0].url, "http://ci/");
    assert_int_equal(o->checks[0].interval_ms, 60000);
    assert_int_equal(o->checks[0].failures, 3);
    assert_int_equal(o->checks[1].kind, OUTSIDE_PROMETHEUS);
    assert_string_equal(o->checks[1].query, "up");
    assert_string_equal(o->checks[1].max, "0.8");
    assert_null(o->checks[1].min);
    assert_int_equal(o->checks[1].failures, 5);
    config_free(c);
}

static void test_too_many_matches(void **state)
{
    (void)state;
    size_t room = 512 * 1024, at = 0;
    char *text = malloc(room);
    assert_non_null(text);
    at += (size_t)snprintf(text, room, LISTENER "routes:\n");
    for (int r = 0; r < 2; r++) {
        at += (size_t)snprintf(text + at, room - at,
                               "  - name: r%d\n" ENDPOINTS("unix:/a") "    hosts: [", r);
        for (int i = 0; i < 256; i++)
            at += (size_t)snprintf(text + at, room - at, "h%d-%d,", r, i);
        at += (size_t)snprintf(text + at, room - at, "]\n    paths: [");
        for (int i = 0; i < 256; i++)
            at += (size_t)snprintf(text + at, room - at, "/p%d,", i);
        at += (size_t)snprintf(text + at, room - at, "]\n");
    }
    help_expect(text, "f:2:1: routes: has 131072 pairs of host and path (at most 65536)\n");
    free(text);
}

static void test_too_many_names(void **state)
{
    (void)state;
    size_t room = 65536, at = 0;
    char *text = malloc(room);
    assert_non_null(text);
    at += (size_t)snprintf(text, room, "%s", LISTENER "routes:\n");
    for (int r = 0; r < 5; r++) {
        at += (size_t)snprintf(text + at, room - at,
                               "  - name: r%d\n    paths: [/%d]\n    stable: v1\n"
                               "    versions: { v1: { endpoints: [",
                               r, r);
        for (int i = 0; i < 205; i++)
            at += (size_t)snprintf(text + at, room - at, "\"dns:n%d:80\",", i);
        at += (size_t)snprintf(text + at, room - at, "] } }\n");
    }
    help_expect(text, "f:2:1: routes: has 1025 endpoints that are names (at most 1024)\n");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proxy_headers), cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_names),         cmocka_unit_test(test_sticky),
        cmocka_unit_test(test_endpoints),     cmocka_unit_test(test_hosts_and_paths),
        cmocka_unit_test(test_plans),         cmocka_unit_test(test_too_many_matches),
        cmocka_unit_test(test_more_checks),   cmocka_unit_test(test_outside_is_kept),
        cmocka_unit_test(test_zones),         cmocka_unit_test(test_too_many_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
