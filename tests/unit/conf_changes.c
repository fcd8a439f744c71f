/* Tests what a reload says that it changes, and what it says needs a restart.
 * SPDX-License-Identifier: Apache-2.0 */
#include "conf_help.h"
#include "proxy/conf/changes.h"
#include "proxy/conf/fields.h"

static char told[16384];

static void tell(void *arg, const char *line)
{
    (void)arg;
    size_t len = strlen(told);
    (void)snprintf(told + len, sizeof told - len, "%s\n", line);
}

static const char *changes(const char *old_text, const char *new_text)
{
    struct config *old = help_good(old_text), *new = help_good(new_text);
    told[0] = '\0';
    changes_tell(old, new, tell, NULL);
    config_free(old);
    config_free(new);
    return told;
}

static const char *fixed(const char *old_text, const char *new_text)
{
    struct config *old = help_good(old_text), *new = help_good(new_text);
    told[0] = '\0';
    size_t n = changes_tell_fixed(old, new, tell, NULL), lines = 0;
    for (const char *c = told; *c; c++)
        lines += *c == '\n';
    assert_int_equal(n, lines);
    config_free(old);
    config_free(new);
    return told;
}

#define PAIR(v1, v2)                                                                               \
    "    versions: { v1: { endpoints: [" v1 "] }, v2: { endpoints: [" v2                           \
    "] } }\n    stable: v1\n    canary: v2\n"
#define A "\"10.0.0.1:80\""
#define B "\"10.0.0.2:80\""
#define C "\"10.0.0.3:80\""
#define PODS                                                                                       \
    "    versions: { v1: { workload: rc/a, port: 80 }, v2: { workload: rc/b, port: 80 } }\n"       \
    "    stable: v1\n    canary: v2\n"
#define WEB LISTENER "routes:\n  - name: web\n"

static const struct {
    const char *old, *new, *lines;
} rows[] = {
    {GOOD, GOOD, ""},
    {GOOD,
     GOOD "timeouts: { drain: 5s, request_total: 1m }\nlimits: { connections: 100 }\nlog: { level: "
          "debug }\n",
     "log.level: debug (before: info)\n"
     "timeouts.request_total: 1m (before: 0)\n"
     "timeouts.drain: 5s (before: 30s)\n"
     "limits.connections: 100 (before: 0)\n"},
    {WEB PAIR(A, B),
     "listeners: [{ bind: \"127.0.0.1:0\", proxy_protocol: true, trusted: [10.0.0.0/8] }]\n"
     "routes:\n  - name: web\n" PAIR(A, B),
     "listeners[0].proxy_protocol: true (before: false)\n"
     "listeners[0].trusted: 10.0.0.0/8 (before: none)\n"},
    {WEB PAIR(A, B), WEB PAIR(A ", " C, B),
     "route web: versions.v1.endpoints: 10.0.0.1:80, 10.0.0.3:80 (before: 10.0.0.1:80)\n"},
    {WEB PAIR(A, B),
     WEB PAIR(
         A,
         B) "    paths: [/a]\n    sticky: { by: client_ip }\n    headers: { request_id: false }\n",
     "route web: paths: /a (before: /)\n"
     "route web: sticky.by: client_ip (before: none)\n"
     "route web: headers.request_id: false (before: true)\n"},
    {WEB PAIR(A, B), WEB PAIR(A, B) "    hosts: [a.test, b.test]\n",
     "route web: hosts: a.test, b.test (before: every host)\n"},
    {WEB PAIR(A, B),
     WEB "    versions: { v1: { endpoints: [" A "] }, v3: { endpoints: [" C
         "] } }\n    stable: v1\n",
     "route web: versions.v3: added\n"
     "route web: versions.v2: removed\n"
     "route web: canary: no canary (before: v2)\n"},
    {WEB PAIR(A, B), WEB PAIR(A, B) "  - name: api\n    paths: [/api]\n" PAIR(A, B),
     "route api: added\n"},
    {WEB PAIR(A, B) "  - name: api\n    paths: [/api]\n" PAIR(A, B), WEB PAIR(A, B),
     "route api: removed\n"},
    {WEB PAIR(A, B), WEB PAIR(A, B) "    weight: 10%\n",
     "route web: weight: added: a fixed split instead of a rollout\n"
     "route web: weight: 10% (before: 0%)\n"},
    {WEB PAIR(A, B),
     WEB PAIR(A, B) "    rollout: { hold: 2m, start: auto, steps: [5%, { weight: 50%, hold: 3m, "
                    "pause: true }], checks: { latency: { quantiles: "
                    "[99%] } } }\n",
     "route web: rollout.start: auto (before: manual)\n"
     "route web: rollout.steps: 5%, 50% hold 3m pause (before: 1%, 5%, 10%, 25%, 50%, 100%), for "
     "the next rollout\n"
     "route web: rollout.hold: 2m (before: 1m), for the next rollout\n"
     "route web: rollout.checks.latency.quantiles: 99% (before: 50%, 90%, 99%), for the next "
     "rollout\n"},
    {WEB PAIR(A, B), WEB PODS,
     "route web: versions.v1.endpoints: none (before: 10.0.0.1:80)\n"
     "route web: versions.v1.workload: rc/a (before: none)\n"
     "route web: versions.v1.port: 80 (before: 0)\n"
     "route web: versions.v2.endpoints: none (before: 10.0.0.2:80)\n"
     "route web: versions.v2.workload: rc/b (before: none)\n"
     "route web: versions.v2.port: 80 (before: 0)\n"},
    {WEB PODS,
     WEB PODS "    rollout: { replicas: { mode: capacity, max_surge: 25%, max_unavailable: 2, "
              "headroom: 150% } }\n",
     "route web: rollout.replicas.mode: capacity (before: match_weight), for the next rollout\n"
     "route web: rollout.replicas.max_surge: 25% (before: 1), for the next rollout\n"
     "route web: rollout.replicas.max_unavailable: 2 (before: 0), for the next rollout\n"
     "route web: rollout.replicas.headroom: 150% (before: 120%), for the next rollout\n"},
};

static void changes_are_told_in_the_words_of_the_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(changes(rows[i].old, rows[i].new), rows[i].lines);
}

/* A list that is cut where it is shown is compared whole. */
static void a_change_behind_the_cut_is_seen(void **state)
{
    (void)state;
    static char texts[2][4096];
    for (unsigned t = 0; t < 2; t++) {
        int at = snprintf(texts[t], sizeof texts[t],
                          WEB "    stable: v1\n    versions: { v1: { endpoints: [");
        for (unsigned i = 1; i <= 40; i++)
            at += snprintf(texts[t] + at, sizeof texts[t] - (size_t)at, "\"10.0.0.%u:80\",",
                           i == 40 ? 40 + t : i);
        (void)snprintf(texts[t] + at, sizeof texts[t] - (size_t)at, "] } }\n");
    }
    assert_non_null(strstr(changes(texts[0], texts[1]), "…"));
    assert_string_equal(changes(texts[0], texts[0]), "");
}

static void every_key_that_needs_a_restart_is_told_with_its_place(void **state)
{
    (void)state;
    assert_string_equal(fixed("workers: 1\n" GOOD, "workers: 1\n" GOOD), "");
    assert_string_equal(
        fixed("workers: 1\n" GOOD,
              "workers: 2\nstate_dir: /var/lib/other\nadmin: { bind: \"127.0.0.1:1\" }\n"
              "listeners: [{ bind: \"127.0.0.1:8\" }, { bind: \"127.0.0.1:9\" }]\n" ROUTE),
        "f:1:10: workers: 2 needs a restart (1 is in force)\n"
        "f:2:12: state_dir: /var/lib/other needs a restart (/var/lib/serin is in force)\n"
        "f:3:16: admin.bind: 127.0.0.1:1 needs a restart (127.0.0.1:9900 is in force)\n"
        "f:4:21: listeners[0].bind: 127.0.0.1:8 needs a restart (127.0.0.1:0 is in force)\n"
        "f:4:46: listeners[1].bind: 127.0.0.1:9 needs a restart (none is in force)\n");
    assert_string_equal(
        fixed("workers: 1\nadmin: { bind: \"127.0.0.1:1\" }\n" GOOD, "workers: 1\n" GOOD),
        "f: admin.bind: 127.0.0.1:9900 needs a restart (127.0.0.1:1 is in force)\n");
}

static void the_cluster_needs_a_restart(void **state)
{
    (void)state;
    assert_string_equal(
        fixed("workers: 1\n" GOOD,
              "workers: 1\nkubernetes: { kubeconfig: " TESTS_DIR "/packages,\n"
              "  context: a, namespace: shop, lease: front, lease_duration: 20s }\n" GOOD),
        "f:2:27: kubernetes.kubeconfig: " TESTS_DIR "/packages needs a restart (none is in force)\n"
        "f:3:12: kubernetes.context: a needs a restart (none is in force)\n"
        "f:3:26: kubernetes.namespace: shop needs a restart (none is in force)\n"
        "f:3:39: kubernetes.lease: front needs a restart (serin is in force)\n"
        "f:3:62: kubernetes.lease_duration: 20s needs a restart (15s is in force)\n");
}

#define SECURE(keys) "listeners: [{ bind: unix:/a, tls: { " keys " } }]\n" ROUTE
#define FILE_A       TESTS_DIR "/packages"
#define FILE_B       TESTS_DIR "/run"
#define PAIR_OF(c)   "{ certificate: " c ", key: " FILE_A " }"

static void tls_of_a_listener_changes(void **state)
{
    (void)state;
    assert_string_equal(
        changes(
            SECURE("certificates: [" PAIR_OF(FILE_A) "], min_version: \"1.3\""),
            SECURE("certificates: [" PAIR_OF(FILE_B) ", " PAIR_OF(FILE_A) "], client_ca: " FILE_A)),
        "listeners[0].tls.min_version: 1.2 (before: 1.3)\n"
        "listeners[0].tls.client_ca: " FILE_A " (before: none)\n"
        "listeners[0].tls.certificates[0].certificate: " FILE_B " (before: " FILE_A ")\n"
        "listeners[0].tls.certificates[1].certificate: added\n");
    assert_string_equal(changes(SECURE("certificates: [" PAIR_OF(FILE_B) ", " PAIR_OF(FILE_A) "]"),
                                SECURE("certificates: [" PAIR_OF(FILE_B) "]")),
                        "listeners[0].tls.certificates[1].certificate: removed\n");
    assert_string_equal(fixed("listeners: [{ bind: unix:/a }]\n" ROUTE,
                              SECURE("certificates: [" PAIR_OF(FILE_A) "]")),
                        "f:1:21: listeners[0].tls: on needs a restart (off is in force)\n");
    assert_string_equal(fixed(SECURE("certificates: [" PAIR_OF(FILE_A) "]"),
                              "listeners: [{ bind: unix:/a }]\n" ROUTE),
                        "f:1:21: listeners[0].tls: off needs a restart (on is in force)\n");
}

/* A key that joins the table with RELOAD_RESTART has to be compared in changes_tell_fixed. */
static void no_key_that_needs_a_restart_is_forgotten(void **state)
{
    (void)state;
    static const char *const known[] = {"workers",
                                        "state_dir",
                                        "listeners[].bind",
                                        "admin.bind",
                                        "admin.token_file",
                                        "kubernetes.kubeconfig",
                                        "kubernetes.context",
                                        "kubernetes.namespace",
                                        "kubernetes.lease",
                                        "kubernetes.lease_duration"};
    size_t n = 0;
    for (size_t i = 0; i < config_fields_n; i++) {
        const struct config_field *f = &config_fields[i];
        if (f->reload != RELOAD_RESTART || f->type == TYPE_MAPPING || f->type == TYPE_LIST)
            continue;
        assert_true(n < ARRAY_LEN(known));
        assert_string_equal(f->path, known[n++]);
    }
    assert_int_equal(n, ARRAY_LEN(known));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_are_told_in_the_words_of_the_file),
        cmocka_unit_test(a_change_behind_the_cut_is_seen),
        cmocka_unit_test(every_key_that_needs_a_restart_is_told_with_its_place),
        cmocka_unit_test(the_cluster_needs_a_restart),
        cmocka_unit_test(tls_of_a_listener_changes),
        cmocka_unit_test(no_key_that_needs_a_restart_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
