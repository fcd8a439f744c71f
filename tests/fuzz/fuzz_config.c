/* Fuzzer of the configuration: any bytes give a configuration, or reasons why not.
 * SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "proxy/conf/load.h"

/* What the data plane and the controller take for granted. */
static void hold_to_promises(const struct config *config)
{
    CHECK(config->n_listeners > 0 && config->n_routes > 0 && config->workers > 0);
    for (size_t i = 0; i < config->n_routes; i++) {
        const struct config_route *r = &config->routes[i];
        CHECK(r->name && r->stable && r->paths.n > 0);
        CHECK(config_find_version(r, r->stable));
        CHECK(!r->canary || config_find_version(r, r->canary));
        CHECK(!r->has_weight || (r->canary && !r->has_rollout));
        CHECK(!r->has_rollout || plan_check(&r->plan, NULL) == OK);
        for (size_t k = 0; k < r->n_versions; k++)
            CHECK(r->versions[k].name &&
                  (r->versions[k].endpoints.n > 0 || r->versions[k].workload));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config_errors errors;
    char *text = fuzz_copy(data, size);
    struct config *config = config_load_text("fuzz", text, size, &errors);
    free(text); /* the configuration keeps nothing of it */
    CHECK((config != NULL) == (errors.code == OK));
    CHECK((config != NULL) == (errors.n == 0));
    for (size_t i = 0; i < errors.n; i++) {
        CHECK(memchr(errors.items[i].path, '\0', CONFIG_PATH_MAX));
        CHECK(i == 0 || errors.items[i - 1].line <= errors.items[i].line);
    }
    if (config)
        hold_to_promises(config);
    config_free(config);
    return 0;
}
