/* What a single key may be: unknown ones, types, ranges, what is missing, what is not built yet.
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include "conf_help.h"

static void run(const struct help_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        help_expect(rows[i].text, rows[i].errors);
}

static void test_unknown_keys(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "    stabel: v1\n",
         "f:7:5: routes[0]: unknown key \"stabel\" (did you mean \"stable\"?)\n"},
        {GOOD "worker: 2\n", "f:7:1: unknown key \"worker\" (did you mean \"workers\"?)\n"},
        {GOOD "    max_hold: 1m\n", "f:7:5: routes[0]: unknown key \"max_hold\" (its place is "
                                    "routes[].rollout.max_hold)\n"},
        {GOOD "    rollout: { checks: { cpu: 1 } }\n",
         "f:7:26: routes[0].rollout.checks: unknown key \"cpu\"\n"},
        {GOOD "log: { levle: info }\n",
         "f:7:8: log: unknown key \"levle\" (did you mean \"level\"?)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_types(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "workers: many\n",
         "f:7:10: workers: \"many\" is not an integer (an integer from 1 to 256, or auto)\n"},
        {GOOD "workers: [1]\n",
         "f:7:1: workers: is a list (expected an integer from 1 to 256, or auto)\n"},
        {GOOD "workers: { a: 1 }\n",
         "f:7:1: workers: is a mapping (expected an integer from 1 to 256, or auto)\n"},
        {GOOD "workers:\n",
         "f:7:9: workers: has no value (expected an integer from 1 to 256, or auto)\n"},
        {GOOD "log: text\n", "f:7:6: log: is a single value (expected a mapping: what serin says "
                             "about itself)\n"},
        {GOOD "log: [text]\n",
         "f:7:1: log: is a list (expected a mapping: what serin says about itself)\n"},
        {GOOD "log: { level: loud }\n",
         "f:7:15: log.level: \"loud\" is not known (one of error, warn, info, debug)\n"},
        {GOOD "    headers: { request_id: yes }\n",
         "f:7:28: routes[0].headers.request_id: \"yes\" is not a switch (true or false)\n"},
        {GOOD "    paths: /\n",
         "f:7:12: routes[0].paths: is a single value (expected a list of 1 to "
         "256: the beginning of a path such as /api/)\n"},
        {GOOD "    paths: []\n", "f:7:5: routes[0].paths: has 0 items (a list of 1 to 256: the "
                                 "beginning of a path such as /api/)\n"},
        {GOOD "    paths: [[/]]\n",
         "f:7:13: routes[0].paths[0]: is a list (expected the beginning of a "
         "path such as /api/)\n"},
        {GOOD "    paths: [/, ~, api]\n", "f:7:16: routes[0].paths[1]: has no value (expected the "
                                          "beginning of a path such as /api/)\n"
                                          "f:7:19: routes[0].paths[2]: \"api\" does not begin with "
                                          "/ (the beginning of a path such as "
                                          "/api/)\n"},
        {GOOD "    retry: { on: [connect, connect] }\n",
         "f:7:28: routes[0].retry.on[1]: \"connect\" is there twice\n"},
        {GOOD "    retry: { on: [connect, 500] }\n",
         "f:7:28: routes[0].retry.on[1]: \"500\" is not known (one of connect, reset, 502, 503, "
         "504)\n"},
        {"listeners: { bind: 1 }\n" ROUTE,
         "f:1:1: listeners: is a mapping (expected a list of 1 to 64 items)\n"},
        {LISTENER "routes: [7, ~, [a]]\n",
         "f:2:10: routes[0]: is a single value (expected a mapping of keys)\n"
         "f:2:13: routes[1]: has no value (expected a mapping of keys)\n"
         "f:2:16: routes[2]: is a list (expected a mapping of keys)\n"},
        {LISTENER "routes:\n  - name: r\n    versions: [v1]\n    stable: v1\n",
         "f:4:5: routes[0].versions: is a list (expected a mapping: its versions, by name)\n"},
        {LISTENER
         "routes:\n  - name: r\n    versions: { v1: x, \"v 2\": { endpoints: [unix:/a] } }\n"
         "    stable: v1\n",
         "f:4:21: routes[0].versions.v1: is a single value (expected a mapping of keys)\n"
         "f:4:24: routes[0].versions.v 2: \"v 2\" holds a character that no name may have (1 to 64 "
         "of "
         "A-Z a-z 0-9 . _ -)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "workers: 0\n",
         "f:7:10: workers: 0 is below 1 (an integer from 1 to 256, or auto)\n"},
        {GOOD "workers: 257\n",
         "f:7:10: workers: 257 is above 256 (an integer from 1 to 256, or auto)\n"},
        {GOOD "workers: -1\n",
         "f:7:10: workers: \"-1\" is negative (an integer from 1 to 256, or auto)\n"},
        {GOOD "timeouts: { connect: 0 }\n",
         "f:7:22: timeouts.connect: 0 is below 1ms (a duration from 1ms to 24h)\n"},
        {GOOD "timeouts: { connect: 10 }\n",
         "f:7:22: timeouts.connect: \"10\" has no unit (a duration from 1ms to 24h)\n"},
        {GOOD "timeouts: { drain: 25h }\n", "f:7:20: timeouts.drain: 25h is above 24h (a duration "
                                            "from 1ms to 24h, or 0 for no waiting)\n"},
        {GOOD "limits: { header_bytes: 1MiB }\n",
         "f:7:25: limits.header_bytes: 1MiB is above 64KiB (a size from 1KiB to 64KiB)\n"},
        {GOOD "limits: { headers: 257 }\n",
         "f:7:20: limits.headers: 257 is above 256 (an integer from 1 to 256)\n"},
        {GOOD "    rollout:\n      steps: [1%, 5%, 120%]\n",
         "f:8:23: routes[0].rollout.steps[2].weight: 120% is above 100% (a share from 0% to "
         "100%)\n"},
        {GOOD "    rollout: { steps: [{ weight: 1%, hold: 5x }, {}, { hold: 1m }, 0.001%] }\n",
         "f:7:44: routes[0].rollout.steps[0].hold: \"5x\" is not a duration (a duration from 0 to "
         "168h)\n"
         "f:7:50: routes[0].rollout.steps[1].weight: is missing (the canary's share at this step)\n"
         "f:7:54: routes[0].rollout.steps[2].weight: is missing (the canary's share at this step)\n"
         "f:7:68: routes[0].rollout.steps[3].weight: \"0.001%\" is finer than 0.01% (a share from "
         "0% to "
         "100%)\n"},
        {GOOD "    rollout: { bake_weight: 100% }\n",
         "f:7:29: routes[0].rollout.bake_weight: 100% is above 99.99% (a share from 0.01% to "
         "99.99%)\n"},
        {GOOD "    rollout: { steps: [] }\n",
         "f:7:16: routes[0].rollout.steps: has 0 items (a list of 1 to 64 items)\n"},
        {GOOD "    breaker: { error_rate: 0% }\n",
         "f:7:28: routes[0].breaker.error_rate: 0% is below 0.01% (a share from 0.01% to 100%)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_missing(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {ROUTE, "f:1:1: listeners: is missing (where clients connect)\n"},
        {"listeners: [{}]\n" ROUTE, "f:1:13: listeners[0].bind: is missing (address:port, "
                                    "[v6]:port, unix:/path, or fd:NAME for a socket of "
                                    "systemd's; port 0 = any free one)\n"},
        {LISTENER "routes:\n  - hosts: [a]\n",
         "f:3:5: routes[0].name: is missing (its name in commands, metrics and records)\n"
         "f:3:5: routes[0].versions: is missing (its versions, by name)\n"
         "f:3:5: routes[0].stable: is missing (version that serves everyone while no rollout "
         "runs)\n"},
        {LISTENER "routes:\n  - name: r\n    versions: { v1: {} }\n    stable: v1\n",
         "f:4:17: routes[0].versions.v1.endpoints: is missing (addresses of its servers; on "
         "Kubernetes: workload)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

#define BELOW_CHECKS(text) GOOD "    rollout:\n      checks:\n        " text "\n"
#define VERSION(text)                                                                              \
    LISTENER "routes:\n  - name: r\n    stable: v1\n    versions:\n      v1: { endpoints: "        \
             "[\"10.0.0.1:80\"], " text " }\n"

static const struct help_row more_rows[] = {
    {GOOD "    health: {}\n", "f:7:5: routes[0].health.path: is missing (what is asked for; 2xx "
                              "and 3xx are good answers)\n"},
    {GOOD "    balance: hash\n    health: { path: /up }\n    eject: { consecutive: 0, base: 1s }\n",
     ""},
    {GOOD "workers: 4\nlimits: { upstream_connections_per_endpoint: 3 }\n",
     "f:8:46: limits.upstream_connections_per_endpoint: 3 is below workers 4 (at least one "
     "connection a worker)\n"},
    {GOOD "workers: 4\nlimits: { upstream_connections_per_endpoint: 4 }\n", ""},
    {GOOD "log: { access: json, access_file: \"-\" }\n", ""},
    {GOOD "log: { access: nginx }\n",
     "f:7:16: log.access: \"nginx\" is not known (one of off, combined, json)\n"},
    {GOOD "    headers: { version: X-Version, trace: false }\n", ""},
    {GOOD "    headers: { version: content-length }\n",
     "f:7:25: routes[0].headers.version: \"content-length\" means something already (expected a "
     "name of its own, such as X-Serin-Version)\n"},
    {GOOD "    rollout: { more_checks: [{ webhook: { name: a } }] }\n",
     "f:7:32: routes[0].rollout.more_checks[0].webhook.url: is missing (where it goes)\n"},
    {GOOD "    rollout: { gates: [{ on: always, url: x }] }\n",
     "f:7:30: routes[0].rollout.gates[0].on: \"always\" is not known (one of before_start, "
     "before_step, before_promote, after_end, event)\n"
     "f:7:43: routes[0].rollout.gates[0].url: \"x\" does not begin with http:// or https:// (a "
     "URL "
     "such as http://host/path)\n"},
    {GOOD "    rollout: { windows: [{ from: \"9:00\", to: \"17:00\", days: [mon, noon] }] }\n",
     "f:7:34: routes[0].rollout.windows[0].from: \"9:00\" is not a time of day (a time of day such "
     "as 09:00)\n"
     "f:7:67: routes[0].rollout.windows[0].days[1]: \"noon\" is not known (one of mon, tue, wed, "
     "thu, fri, sat, sun)\n"},
};

static void test_features(void **state)
{
    (void)state;
    run(more_rows, ARRAY_LEN(more_rows));
}

/* The same value in another unit, or the same set in another order, is still the default. */
static void test_a_default_in_other_words(void **state)
{
    (void)state;
    static const char *const texts[] = {
        GOOD "limits: { upstream_connections_per_endpoint: 0 }\n",
        GOOD "    retry: { on: [504, 503, 502, reset, connect], to: stable, budget: 20.00% }\n",
        GOOD "    mirror: 0\n    eject: { base: 31s }\n",
        BELOW_CHECKS("latency: { quantiles: [50.0%, 90%, 99%], warmup: 120s }"),
        GOOD "    rollout: { more_checks: [], gates: [], windows: [], abort_steps: [] }\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        config_free(help_good(texts[i]));
}

static void test_all_errors_at_once_in_order(void **state)
{
    (void)state;
    help_expect(
        "workers: 0\n"
        "routes:\n"
        "  - stabel: v1\n"
        "    name: a/b\n"
        "    versions: { v1: { endpoints: [\"10.0.0.1:80\"] } }\n"
        "    stable: v2\n"
        "listeners: []\n",
        "f:1:10: workers: 0 is below 1 (an integer from 1 to 256, or auto)\n"
        "f:3:5: routes[0]: unknown key \"stabel\" (did you mean \"stable\"?)\n"
        "f:4:11: routes[0].name: \"a/b\" holds a character that no name may have (1 to 64 of A-Z "
        "a-z 0-9 . _ -)\n"
        "f:6:13: routes[0].stable: \"v2\" is no version of this route (v1)\n"
        "f:7:1: listeners: has 0 items (a list of 1 to 64 items)\n");
}

/* A file that is wrong in every line is answered by the first errors and the number of the rest. */
static void test_too_many_errors(void **state)
{
    (void)state;
    static char text[16 * 1024];
    size_t at = 0;
    for (int i = 0; i < 200; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "nonsense%d: 1\n", 199 - i);
    config_free(help_load(text));
    const char *printed = help_print();
    assert_int_equal(help_errors.n, CONFIG_ERRORS_MAX);
    assert_non_null(strstr(printed, "f: … and 138 more\n")); /* 200 and two keys that are missing */
    for (size_t i = 1; i < help_errors.n; i++)
        assert_true(help_errors.items[i - 1].line <= help_errors.items[i].line);
    assert_int_equal(help_errors.items[CONFIG_ERRORS_MAX - 1].line, CONFIG_ERRORS_MAX - 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unknown_keys),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_missing),
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_a_default_in_other_words),
        cmocka_unit_test(test_all_errors_at_once_in_order),
        cmocka_unit_test(test_too_many_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
