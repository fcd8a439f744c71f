/* The rules between the keys that Kubernetes needs: a row is a file, and the lines that it is refused with.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/workloads.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "conf_help.h"

static void run(const struct help_row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        help_expect(rows[i].text, rows[i].errors);
}

/* One version on line 5. */
#define VERSION(keys)                                                                              \
    LISTENER "routes:\n  - name: r\n    stable: v1\n    versions: { v1: { " keys " } }\n"

static void test_one_version(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {VERSION("workload: rc/a, port: 80"), ""},
        {VERSION("workload: deployment/a.b-c, port: 65535, manifest: " TESTS_DIR "/packages"), ""},
        {VERSION("workload: replicaset/a, port: 1, revision: r2"), ""},
        {VERSION(""), "f:5:17: routes[0].versions.v1.endpoints: is missing (addresses of its "
                      "servers; on Kubernetes: workload)\n"},
        {VERSION("revision: r2"),
         "f:5:17: routes[0].versions.v1.endpoints: is missing (addresses of its servers; on "
         "Kubernetes: workload)\n"},
        {VERSION("endpoints: [unix:/a], workload: rc/a, port: 80"),
         "f:5:55: routes[0].versions.v1.workload: stands beside endpoints (expected one of the "
         "two)\n"},
        {VERSION("workload: rc/a"),
         "f:5:17: routes[0].versions.v1.port: is missing (port of the pods of rc/a)\n"},
        {VERSION("endpoints: [unix:/a], port: 80, manifest: " TESTS_DIR "/packages"),
         "f:5:51: routes[0].versions.v1.port: is of no use here (expected beside a workload)\n"
         "f:5:65: routes[0].versions.v1.manifest: is of no use here (expected beside a "
         "workload)\n"},
        {VERSION("workload: rc/a, port: 0"),
         "f:5:45: routes[0].versions.v1.port: 0 is below 1 (an integer from 1 to 65535)\n"},
        {VERSION("workload: rc/a, port: 65536"), "f:5:45: routes[0].versions.v1.port: 65536 is "
                                                 "above 65535 (an integer from 1 to 65535)\n"},
        {VERSION("workload: my-web, port: 80"),
         "f:5:33: routes[0].versions.v1.workload: \"my-web\" is not a workload (rc/NAME, "
         "deployment/NAME or replicaset/NAME)\n"},
        {VERSION("workload: pod/a, port: 80"),
         "f:5:33: routes[0].versions.v1.workload: \"pod/a\" is of no known kind (rc/NAME, "
         "deployment/NAME or replicaset/NAME)\n"},
        {VERSION("workload: rc/a, port: 80, manifest: /nonexistent/a.yaml"),
         "f:5:59: routes[0].versions.v1.manifest: \"/nonexistent/a.yaml\" cannot be read: No such "
         "file or directory\n"},
        {VERSION("workload: rc/a, port: 80, manifest: /tmp"),
         "f:5:59: routes[0].versions.v1.manifest: \"/tmp\" is a directory (expected a regular "
         "file)\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

/* A route with a canary, its versions on lines 4 and 5; a rollout follows on line 8. */
#define PAIR(name, v1, v2)                                                                         \
    "  - name: " name "\n    versions:\n      v1: { " v1 " }\n      v2: { " v2                     \
    " }\n    stable: v1\n    canary: v2\n"
#define A           "workload: rc/a, port: 80"
#define B           "workload: rc/b, port: 80"
#define C           "workload: rc/c, port: 80"
#define SERVER      "endpoints: [unix:/a]"
#define PODS        LISTENER "routes:\n" PAIR("r", A, B)
#define MIXED       LISTENER "routes:\n" PAIR("r", SERVER, B)
#define REPLICAS(k) "    rollout: { replicas: { " k " } }\n"

static void test_replicas(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {PODS, ""},
        {PODS REPLICAS("mode: coupled, max_surge: 0, max_unavailable: 25%"), ""},
        {PODS REPLICAS("mode: capacity, headroom: 100%"), ""},
        {PODS REPLICAS("max_surge: 0"),
         "f:9:39: routes[0].rollout.replicas.max_surge: is 0, and so is max_unavailable: no pod "
         "could be moved (expected one of them above 0)\n"},
        {PODS REPLICAS("mode: none, max_surge: 0%"), ""},
        {PODS REPLICAS("headroom: 150%"), "f:9:38: routes[0].rollout.replicas.headroom: is of no "
                                          "use here (expected mode: capacity)\n"},
        {PODS REPLICAS("mode: capacity, headroom: 99%"),
         "f:9:54: routes[0].rollout.replicas.headroom: 99% is below 100% (a share from 100% to "
         "1000%)\n"},
        {PODS REPLICAS("mode: all"),
         "f:9:34: routes[0].rollout.replicas.mode: \"all\" is not known "
         "(one of none, match_weight, capacity, coupled)\n"},
        {PODS REPLICAS("max_surge: 10001, max_unavailable: 101%"),
         "f:9:39: routes[0].rollout.replicas.max_surge: 10001 is above 10000 (a count from 0 to "
         "10000, or a share from 0% to 100%)\n"
         "f:9:63: routes[0].rollout.replicas.max_unavailable: \"101%\" is above 100% (a count from "
         "0 to 10000, or a share from 0% to 100%)\n"},
        {PODS REPLICAS("max_surge: 1.5, max_unavailable: 1.005%"),
         "f:9:39: routes[0].rollout.replicas.max_surge: \"1.5\" is not an integer (a count from 0 "
         "to 10000, or a share from 0% to 100%)\n"
         "f:9:61: routes[0].rollout.replicas.max_unavailable: \"1.005%\" is finer than 0.01% (a "
         "count from 0 to 10000, or a share from 0% to 100%)\n"},
        {PODS REPLICAS("max_surge: \"%\", max_unavailable: -1"),
         "f:9:39: routes[0].rollout.replicas.max_surge: \"%\" is not a share (a count from 0 to "
         "10000, or a share from 0% to 100%)\n"
         "f:9:61: routes[0].rollout.replicas.max_unavailable: \"-1\" is negative (a count from 0 "
         "to "
         "10000, or a share from 0% to 100%)\n"},
        /* one of the two is a workload */
        {MIXED, "f:8:13: routes[0].canary: replicas.mode is match_weight, but of stable v1 and "
                "canary v2 only v2 is a workload (expected two, or replicas.mode: none)\n"},
        {MIXED "    rollout: { hold: 2m }\n",
         "f:9:5: routes[0].rollout: replicas.mode is match_weight, but of stable v1 and canary v2 "
         "only v2 is a workload (expected two, or replicas.mode: none)\n"},
        {MIXED REPLICAS("mode: capacity"), "f:9:34: routes[0].rollout.replicas.mode: of stable v1 "
                                           "and canary v2 only v2 is a workload "
                                           "(expected two, or replicas.mode: none)\n"},
        {MIXED REPLICAS("mode: none"), ""},
        {MIXED "    weight: 10%\n", ""}, /* nobody moves a fixed weight, or its pods */
        /* nobody is */
        {GOOD, ""},
        {GOOD "    rollout: { replicas: ~ }\n", ""},
        {GOOD "    rollout: { replicas: { mode: none } }\n",
         "f:7:16: routes[0].rollout.replicas: has no effect: no version of this route is a "
         "workload\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_one_workload_one_version(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {LISTENER "routes:\n" PAIR("r", A, A),
         "f:6:23: routes[0].versions.v2.workload: rc/a is version \"v1\" too\n"},
        {LISTENER "routes:\n" PAIR("r", A, "workload: deployment/a, port: 80"), ""},
        {LISTENER "routes:\n" PAIR("r", A, B) PAIR("s", B, C) "    paths: [/s]\n",
         "f:11:23: routes[1].versions.v1.workload: rc/b is version \"v2\" of routes[0] too, whose "
         "rollout would move the same pods\n"},
        /* two routes may share pods where one of them rolls nothing out */
        {LISTENER "routes:\n" PAIR("r", A, B) PAIR("s", A, B) "    paths: [/s]\n    weight: 5%\n",
         ""},
        {LISTENER "routes:\n" PAIR(
             "r", A, B) "  - name: s\n    paths: [/s]\n    stable: v1\n    versions: { v1: { " B
                        " } }\n",
         ""},
    };
    run(rows, ARRAY_LEN(rows));
}

static void test_the_cluster(void **state)
{
    (void)state;
    static const struct help_row rows[] = {
        {GOOD "kubernetes: { lease: a.b, lease_duration: 3s, namespace: shop }\n", ""},
        {GOOD "kubernetes:\n", ""},
        {GOOD "kubernetes: { lease_duration: 3500ms }\n",
         "f:7:31: kubernetes.lease_duration: 3500ms is no whole number of seconds\n"},
        {GOOD "kubernetes: { lease_duration: 2s }\n",
         "f:7:31: kubernetes.lease_duration: 2s is below 3s (a duration from 3s to 1h)\n"},
        {GOOD "kubernetes: { namespace: My_Shop }\n",
         "f:7:26: kubernetes.namespace: \"My_Shop\" holds a character that no name in Kubernetes "
         "has (a name in Kubernetes such as my-web)\n"},
        {GOOD "kubernetes: { kubeconfig: /nonexistent/config }\n",
         "f:7:27: kubernetes.kubeconfig: \"/nonexistent/config\" cannot be read: No such file or "
         "directory\n"},
    };
    run(rows, ARRAY_LEN(rows));
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/* A manifest and a kubeconfig that are named by a relative path stand beside the file that names them. */
static void test_files_beside_the_file(void **state)
{
    (void)state;
    char directory[] = "/tmp/serin-conf-XXXXXX", conf[64], manifest[64], kubeconfig[64];
    assert_non_null(mkdtemp(directory));
    snprintf(conf, sizeof conf, "%s/serin.yaml", directory);
    snprintf(manifest, sizeof manifest, "%s/v1.yaml", directory);
    snprintf(kubeconfig, sizeof kubeconfig, "%s/config", directory);
    write_file(conf, "kubernetes: { kubeconfig: config }\n" VERSION(A ", manifest: v1.yaml"));
    write_file(manifest, "kind: Whatever\n"); /* what it holds is for others to judge */
    write_file(kubeconfig, "");
    struct config *c = config_load(conf, &help_errors);
    assert_string_equal(help_print(), "");
    assert_non_null(c);
    assert_string_equal(c->routes[0].versions[0].manifest, manifest);
    assert_string_equal(c->kubernetes.kubeconfig, kubeconfig);
    config_free(c);
    assert_int_equal(unlink(conf) | unlink(manifest) | unlink(kubeconfig) | rmdir(directory), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_version),
        cmocka_unit_test(test_replicas),
        cmocka_unit_test(test_one_workload_one_version),
        cmocka_unit_test(test_the_cluster),
        cmocka_unit_test(test_files_beside_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
