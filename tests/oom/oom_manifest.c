/* Manifests are parsed whole, or refused with a reason.
 * SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>
#include <string.h>

static const char yaml[] =
    "apiVersion: v1\nkind: ReplicationController\nmetadata:\n  name: web-v2\n"
    "  labels: {app: web, \"version\": 'v2'}\nspec:\n  replicas: 3\n"
    "  template:\n    spec:\n      containers:\n        - name: web\n"
    "          image: web:2\n          args: [\"-v\", 0.5, yes, ~]\n---\n"
    "kind: Service\ntext: |\n  two\n  lines\n";
static const char json[] = "{\"kind\": \"List\", \"items\": [{\"a\": 1}, {\"b\": [true, null]}]}";

static const char *text;

static bool parse(void)
{
    struct why why = {""};
    struct cJSON *documents = manifest_parse("f", text, strlen(text), &why);
    CHECK((documents != NULL) == (why.text[0] == '\0'));
    CHECK(!documents || cJSON_GetArraySize(documents) == (text == yaml ? 2 : 1));
    cJSON_Delete(documents);
    return documents;
}

int main(void)
{
    text = yaml;
    oom_every("a manifest of two documents", parse, 50);
    text = json;
    oom_every("a manifest in JSON", parse, 10);
    return 0;
}
