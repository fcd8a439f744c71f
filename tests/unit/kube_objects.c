/* Kubernetes objects read: names, paths, selectors, annotations, status, pods, hashes; hostile ones refused.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/kube/objects.h"
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#define TEMPLATE                                                                                   \
    "\"template\":{\"metadata\":{\"labels\":{\"version\":\"v1\",\"app\":\"my-web\"}},"             \
    "\"spec\":{\"containers\":[{\"name\":\"my-web\",\"image\":\"my-web:v1\"}]}}"

static enum err read_text(const char *text, struct kube_workload *w, struct why *why)
{
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    enum err e = kube_workload_read(json, w, why);
    cJSON_Delete(json);
    return e;
}

static void test_controller(void **state)
{
    (void)state;
    struct kube_workload w;
    struct why why = {""};
    assert_int_equal(
        read_text("{\"kind\":\"ReplicationController\",\"metadata\":{\"name\":\"my-web-v1\","
                  "\"uid\":\"u-1\",\"resourceVersion\":\"7\",\"generation\":3,\"annotations\":{"
                  "\"kubectl.kubernetes.io/update-source-id\":\"my-web-v0:u-0\","
                  "\"kubectl.kubernetes.io/desired-replicas\":\"4\","
                  "\"kubectl.kubernetes.io/original-replicas\":\"5\","
                  "\"kubectl.kubernetes.io/next-controller-id\":\"my-web-v2\"}},"
                  "\"spec\":{\"replicas\":2,\"minReadySeconds\":5,"
                  "\"selector\":{\"version\":\"v1\",\"app\":\"my-web\"}," TEMPLATE "},"
                  "\"status\":{\"replicas\":3,\"readyReplicas\":2,\"availableReplicas\":1,"
                  "\"observedGeneration\":2}}",
                  &w, &why),
        OK);
    assert_int_equal(w.kind, KUBE_RC);
    assert_string_equal(w.name, "my-web-v1");
    assert_string_equal(w.uid, "u-1");
    assert_string_equal(w.version, "7");
    assert_string_equal(w.selector, "app=my-web,version=v1");
    assert_int_equal(w.replicas, 2);
    assert_int_equal(w.seen, 3);
    assert_int_equal(w.ready, 2);
    assert_int_equal(w.available, 1);
    assert_false(w.is_observed);
    assert_false(w.is_deleting);
    assert_int_equal(w.min_ready_s, 5);
    assert_int_equal(w.desired, 4);
    assert_int_equal(w.original, 5);
    assert_string_equal(w.source_id, "my-web-v0:u-0");
    assert_string_equal(w.next, "my-web-v2");
    assert_int_equal(strlen(w.hash), 16);
}

static void test_left_out(void **state)
{
    (void)state;
    struct kube_workload w;
    struct why why = {""};
    assert_int_equal(read_text("{\"metadata\":{\"name\":\"a\",\"deletionTimestamp\":\"x\"},"
                               "\"spec\":{" TEMPLATE "}}",
                               &w, &why),
                     OK); /* as in a list: no kind, and no selector either */
    assert_int_equal(w.kind, KUBE_RC);
    assert_string_equal(w.selector, "app=my-web,version=v1");
    assert_int_equal(w.replicas, 1);
    assert_true(w.is_observed);
    assert_true(w.is_deleting);
    assert_int_equal(w.desired, -1);
    assert_int_equal(w.original, -1);
    assert_string_equal(w.source_id, "");
    assert_int_equal(
        read_text("{\"metadata\":{\"name\":\"a\",\"annotations\":{"
                  "\"kubernetes.io/desired-replicas\":\"3\",\"kubernetes.io/update-partner\":\"b\","
                  "\"serin.io/template-hash\":\"00000000000000aa\"}},\"spec\":{" TEMPLATE "}}",
                  &w, &why),
        OK); /* the names of the design note; the hash of the manifest */
    assert_int_equal(w.desired, 3);
    assert_string_equal(w.source_id, "b");
    assert_string_equal(w.hash, "00000000000000aa");
}

static void test_set_based(void **state)
{
    (void)state;
    struct kube_workload w;
    struct why why = {""};
    assert_int_equal(
        read_text("{\"kind\":\"Deployment\",\"metadata\":{\"name\":\"a\"},\"spec\":{"
                  "\"selector\":{\"matchLabels\":{\"b\":\"2\",\"a\":\"1\"},\"matchExpressions\":["
                  "{\"key\":\"c\",\"operator\":\"In\",\"values\":[\"x\",\"y\"]},"
                  "{\"key\":\"d\",\"operator\":\"NotIn\",\"values\":[\"z\"]},"
                  "{\"key\":\"e\",\"operator\":\"Exists\"},"
                  "{\"key\":\"f\",\"operator\":\"DoesNotExist\"}]}," TEMPLATE "}}",
                  &w, &why),
        OK);
    assert_int_equal(w.kind, KUBE_DEPLOYMENT);
    assert_string_equal(w.selector, "a=1,b=2,c in (x,y),d notin (z),e,!f");
    assert_int_equal(read_text("{\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{"
                               "\"matchLabels\":{\"a\":\"1\"}}," TEMPLATE "}}",
                               &w, &why),
                     OK);
    assert_int_equal(w.kind, KUBE_REPLICASET);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"{}", "metadata.name"},
        {"[]", "metadata.name"},
        {"{\"kind\":\"Service\"}", "no controller of replicas"},
        {"{\"kind\":4}", "no controller of replicas"},
        {"{\"metadata\":{\"name\":\"A_b\"}}", "metadata.name"},
        {"{\"metadata\":{\"name\":\"a\",\"uid\":4}}", "metadata"},
        {"{\"metadata\":{\"name\":\"a\"}}", "spec.template"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":-1," TEMPLATE "}}",
         "spec.replicas"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":1.5," TEMPLATE "}}",
         "spec.replicas"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":1e9," TEMPLATE "}}",
         "spec.replicas"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":1e300," TEMPLATE "}}",
         "spec.replicas"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"replicas\":\"4\"," TEMPLATE "}}",
         "spec.replicas"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{\"a\":1}," TEMPLATE "}}",
         "spec.selector"},
        {"{\"kind\":\"ReplicaSet\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{}"
         "," TEMPLATE "}}",
         "spec.selector"},
        {"{\"kind\":\"Deployment\",\"metadata\":{\"name\":\"a\"},\"spec\":{\"selector\":{"
         "\"matchExpressions\":[{\"key\":\"a\",\"operator\":\"Gt\"}]}," TEMPLATE "}}",
         "spec.selector"},
        {"{\"metadata\":{\"name\":\"a\"},\"spec\":{" TEMPLATE "},\"status\":{\"replicas\":-4}}",
         "status"},
        {"{\"metadata\":{\"name\":\"a\",\"annotations\":{"
         "\"kubectl.kubernetes.io/desired-replicas\":\"abc\"}},\"spec\":{" TEMPLATE "}}",
         "Unable to parse annotation for a: kubectl.kubernetes.io/desired-replicas=abc"},
        {"{\"metadata\":{\"name\":\"a\",\"annotations\":{"
         "\"kubectl.kubernetes.io/desired-replicas\":\"-1\"}},\"spec\":{" TEMPLATE "}}",
         "Unable to parse annotation for a: kubectl.kubernetes.io/desired-replicas=-1"},
        {"{\"metadata\":{\"name\":\"a\",\"annotations\":{"
         "\"kubectl.kubernetes.io/original-replicas\":\"1000000000\"}},\"spec\":{" TEMPLATE "}}",
         "Unable to parse annotation for a: kubectl.kubernetes.io/original-replicas=1000000000"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct kube_workload w;
        struct why why = {""};
        assert_int_equal(read_text(rows[i].text, &w, &why), ERR_INVALID);
        if (!strstr(why.text, rows[i].why))
            fail_msg("row %zu: \"%s\" does not say \"%s\"", i, why.text, rows[i].why);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const char *const bad[] = {"rc/",       "rc",        "rc/A",    "pod/a",
                                      "rc/a_b",    "rc/-a",     "rc/a..b", "rc/a/b",
                                      "service/a", "rc/a.-b.c", "",        "/a"};
    struct kube_ref ref;
    struct why why = {""};
    char name[300], path[KUBE_PATH_MAX], query[KUBE_QUERY_MAX];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(kube_ref_parse(bad[i], &ref, &why), ERR_INVALID);
    assert_int_equal(kube_ref_parse("rc/my-web-v1", &ref, &why), OK);
    assert_int_equal(ref.kind, KUBE_RC);
    assert_string_equal(ref.name, "my-web-v1");
    assert_int_equal(kube_ref_parse("deployment/a.b", &ref, &why), OK);
    assert_int_equal(ref.kind, KUBE_DEPLOYMENT);
    memset(name, 'a', sizeof name);
    name[64] = '\0';
    assert_false(kube_is_name(name));
    name[63] = '\0';
    assert_true(kube_is_name(name));
    kube_path(path, KUBE_RC, "default", "my-web-v1", "scale");
    assert_string_equal(path, "/api/v1/namespaces/default/replicationcontrollers/my-web-v1/scale");
    kube_path(path, KUBE_LEASE, "a", NULL, NULL);
    assert_string_equal(path, "/apis/coordination.k8s.io/v1/namespaces/a/leases");
    kube_path(path, KUBE_HPA, "a/../b?", "x y", NULL);
    assert_string_equal(path, "/apis/autoscaling/v2/namespaces/a%2F..%2Fb%3F/"
                              "horizontalpodautoscalers/x%20y");
    kube_path(path, KUBE_POD, "default", NULL, NULL);
    kube_query(query, path, "app=my-web,version in (v1,v2)");
    assert_string_equal(query, "/api/v1/namespaces/default/pods?labelSelector="
                               "app%3Dmy-web%2Cversion%20in%20%28v1%2Cv2%29");
}

static void test_annotations(void **state)
{
    (void)state;
    cJSON *json = cJSON_Parse("{\"metadata\":{\"annotations\":null,\"labels\":{\"a\":\"b\"}}}");
    assert_int_equal(kube_annotate(json, KUBE_NEXT, NULL), OK);
    assert_int_equal(kube_annotate(json, KUBE_NEXT, "x"), OK);
    assert_int_equal(kube_annotate(json, KUBE_NEXT, "y"), OK);
    assert_string_equal(kube_annotation(json, KUBE_NEXT), "y");
    assert_int_equal(kube_annotate(json, KUBE_NEXT, NULL), OK);
    assert_null(kube_annotation(json, KUBE_NEXT));
    assert_string_equal(kube_label(json, "a"), "b");
    assert_null(kube_label(json, "c"));
    cJSON_Delete(json);
    json = cJSON_CreateObject();
    assert_int_equal(kube_annotate(json, KUBE_NEXT, "x"), ERR_INVALID);
    cJSON_Delete(json);
}

static void test_source(void **state)
{
    (void)state;
    assert_true(kube_source_is("foo:1234", "foo"));
    assert_false(kube_source_is("foo-bar:1234", "foo"));
    assert_false(kube_source_is("fo:1234", "foo"));
    assert_true(kube_source_is("foo", "foo"));
    assert_false(kube_source_is("", "foo"));
}

static void hash_of(const char *text, char hash[KUBE_HASH_MAX])
{
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_int_equal(kube_hash(json, hash), OK);
    cJSON_Delete(json);
}

static void test_hash(void **state)
{
    (void)state;
    char a[KUBE_HASH_MAX], b[KUBE_HASH_MAX];
    hash_of("{\"a\":1,\"b\":{\"d\":[1,{\"y\":2,\"x\":1}],\"c\":null}}", a);
    hash_of("{\"e\":null,\"b\":{\"d\":[1.0,{\"x\":1,\"y\":2}]},\"a\":1}", b);
    assert_string_equal(a, b);
    hash_of("{\"b\":{\"d\":[{\"x\":1,\"y\":2},1]},\"a\":1}", b);
    assert_string_not_equal(a, b); /* the order of a list counts */
    hash_of("{}", b);
    assert_string_equal(b, "3ad6cea1d6a4222c"); /* never changes between releases */
}

static enum err pod_of(const char *metadata, const char *status, struct kube_pod *p)
{
    char text[1024];
    struct why why = {""};
    snprintf(text, sizeof text, "{\"metadata\":{%s},\"status\":{%s}}", metadata, status);
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    enum err e = kube_pod_read(json, p, &why);
    cJSON_Delete(json);
    return e;
}

#define READY                                                                                      \
    "\"conditions\":[{\"type\":\"Initialized\",\"status\":\"True\"},{\"type\":\"Ready\","          \
    "\"status\":\"True\",\"lastTransitionTime\":\"2026-11-23T06:16:46Z\"}]"
#define READY_MS 1795414606000LL

static void test_pod(void **state)
{
    (void)state;
    struct kube_pod p;
    assert_int_equal(pod_of("\"name\":\"a\",\"ownerReferences\":[{\"uid\":\"u-0\"},{\"uid\":"
                            "\"u-1\",\"controller\":true}]",
                            "\"podIP\":\"10.0.0.1\",\"phase\":\"Running\"," READY, &p),
                     OK);
    assert_string_equal(p.owner, "u-1");
    assert_string_equal(p.address, "10.0.0.1");
    assert_true(p.is_ready);
    assert_false(p.is_finished);
    assert_int_equal(p.ready_ms, READY_MS);
    assert_true(kube_pod_is_available(&p, 0, 0));
    assert_false(kube_pod_is_available(&p, 5, READY_MS));
    assert_false(kube_pod_is_available(&p, 5, READY_MS + 5000));
    assert_true(kube_pod_is_available(&p, 5, READY_MS + 6000));
    p.ready_ms = 0;
    assert_false(kube_pod_is_available(&p, 5, READY_MS + 6000));
    assert_int_equal(pod_of("\"name\":\"a\",\"deletionTimestamp\":\"x\"", READY, &p), OK);
    assert_true(p.is_terminating);
    assert_false(p.is_ready);
    assert_false(kube_pod_is_available(&p, 0, READY_MS));
    assert_int_equal(pod_of("\"name\":\"a\"", "\"phase\":\"Failed\"", &p), OK);
    assert_true(p.is_finished);
    assert_false(p.is_ready);
    assert_int_equal(pod_of("\"name\":4", "", &p), ERR_INVALID);
    assert_int_equal(pod_of("", "", &p), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_controller), cmocka_unit_test(test_left_out),
        cmocka_unit_test(test_set_based),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_names),      cmocka_unit_test(test_annotations),
        cmocka_unit_test(test_source),     cmocka_unit_test(test_hash),
        cmocka_unit_test(test_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
