/* A manifest beside the object that the API server made of it: what is the same, and what is not.
 * SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/check.h"
#include "rollout/kube/within.h"
#include <cjson/cJSON.h>

static const struct row {
    const char *manifest, *object; /* object NULL = not there */
    bool is_within;
} rows[] = {
    {"{\"a\":1}", "{\"a\":1,\"b\":2}", true},
    {"{\"a\":1}", "{\"b\":2}", false},
    {"{\"a\":1}", NULL, false},
    {"{\"image\":\"my-web:v1\"}", "{\"image\":\"my-web:v2\"}", false},
    {"[{\"name\":\"a\"}]", "[{\"name\":\"a\",\"x\":1}]", true},
    {"[{\"name\":\"a\"}]", "[{\"name\":\"a\"},{\"name\":\"b\"}]", false},
    {"[{\"name\":\"a\"},{\"name\":\"b\"}]", "[{\"name\":\"a\"}]", false},
    {"{\"a\":{}}", "{\"a\":[]}", false},
    /* left out by the server */
    {"{\"hostNetwork\":false}", "{}", true},
    {"{\"value\":\"\"}", "{}", true},
    {"{\"args\":[]}", "{}", true},
    {"{\"resources\":{}}", "{}", true},
    {"{\"replicas\":0}", "{}", true},
    {"{\"a\":null}", "{\"a\":1}", true},
    {"{\"hostNetwork\":true}", "{}", false},
    {"{\"hostNetwork\":false}", "{\"hostNetwork\":true}", false},
    /* quantities */
    {"{\"cpu\":1}", "{\"cpu\":\"1\"}", true},
    {"{\"cpu\":0.5}", "{\"cpu\":\"500m\"}", true},
    {"{\"cpu\":\"1000m\"}", "{\"cpu\":\"1\"}", true},
    {"{\"memory\":\"1024Mi\"}", "{\"memory\":\"1Gi\"}", true},
    {"{\"memory\":\"1Gi\"}", "{\"memory\":\"1G\"}", false},
    {"{\"memory\":\"1Gi\"}", "{\"memory\":\"2Gi\"}", false},
    {"{\"cpu\":\"100m\"}", "{\"cpu\":\"100\"}", false},
    {"{\"a\":\"x\"}", "{\"a\":1}", false},
    {"{\"a\":\"1.2.3\"}", "{\"a\":\"1.2.4\"}", false},
    {"{\"a\":true}", "{\"a\":\"true\"}", false},
};

static void what_the_server_makes_of_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        cJSON *manifest = cJSON_Parse(rows[i].manifest);
        cJSON *object = rows[i].object ? cJSON_Parse(rows[i].object) : NULL;
        if (kube_is_within(manifest, object) != rows[i].is_within)
            fail_msg("%s in %s", rows[i].manifest, rows[i].object ? rows[i].object : "nothing");
        cJSON_Delete(manifest);
        cJSON_Delete(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_the_server_makes_of_it)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
