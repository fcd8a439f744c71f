/* Fuzzer of manifests: any bytes give documents that print as JSON, or a reason why not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>

static void hold_to_promises(const struct cJSON *item, unsigned depth)
{
    CHECK(depth <= 66);
    CHECK(!cJSON_IsRaw(item) && !cJSON_IsInvalid(item));
    CHECK(!cJSON_IsNumber(item) || item->valuedouble - item->valuedouble == 0.0); /* finite */
    for (const struct cJSON *child = item->child; child; child = child->next) {
        if (cJSON_IsObject(item))
            CHECK(cJSON_GetObjectItemCaseSensitive(item, child->string) == child);
        hold_to_promises(child, depth + 1);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct why why = {""};
    char *text = fuzz_copy(data, size);
    struct cJSON *documents = manifest_parse("fuzz", text, size, &why);
    free(text);
    CHECK((documents != NULL) == (why.text[0] == '\0'));
    if (!documents)
        return 0;
    hold_to_promises(documents, 0);
    char *printed = cJSON_PrintUnformatted(documents);
    CHECK(printed);
    cJSON_free(printed);
    cJSON_Delete(documents);
    return 0;
}
