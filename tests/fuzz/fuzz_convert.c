/* Fuzzer of `serin convert`: any objects give a configuration that serin takes, or a reason why not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "proxy/conf/load.h"
#include "proxy/convert/convert.h"
#include "proxy/convert/yaml.h"
#include "rollout/cli/text.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>

static void hold_to_promises(const struct draft *d)
{
    static struct config_errors errors;
    struct text yaml = {0};
    yaml_write(&yaml, d->config);
    struct config *config = config_load_text("fuzz", text_str(&yaml), yaml.len, &errors);
    if (!config) {
        fputs(text_str(&yaml), stderr);
        config_errors_print(&errors, stderr);
    }
    CHECK(config);
    config_free(config);
    text_fini(&yaml);
    for (size_t i = 0; i < d->n_notes; i++)
        CHECK(d->notes[i].object && d->notes[i].path && d->notes[i].text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct draft draft;
    struct why why = {""};
    enum convert_from from = CONVERT_ANY;
    char *text = fuzz_copy(data, size);
    struct cJSON *documents = manifest_parse("fuzz", text, size, &why);
    free(text);
    if (!documents)
        return 0;
    enum err err = draft_init(&draft, "fuzz", documents, &why);
    if (!err)
        err = convert(&draft, &from, &why);
    CHECK((err == OK) == (why.text[0] == '\0'));
    if (!err)
        hold_to_promises(&draft);
    draft_fini(&draft);
    cJSON_Delete(documents);
    return 0;
}
