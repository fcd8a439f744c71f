/* A configuration with everything that is read with it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/keep.h"

#include "proxy/conf/load.h"
#include "proxy/control/certificates.h"
#include "proxy/control/manifests.h"
#include "proxy/control/upstream_tls.h"
#include "proxy/control/webhooks.h"
#include "proxy/wire/time.h"
#include <stdlib.h>

struct config_keep *config_keep_new(struct config *config)
{
    struct config_keep *k = calloc(1, sizeof *k);
    if (!k)
        return NULL;
    atomic_init(&k->refs, 1);
    k->config = config;
    return k;
}

/* Everything is tried, so that all errors are told at once. */
static void read_rest(struct config_keep *k, const struct config_keep *before,
                      struct config_errors *errors)
{
    k->manifests = manifests_read(k->config, errors);
    int64_t now = time_wall_ms() / 1000;
    k->certificates = certificates_read(k->config, now, errors);
    k->upstream_tls =
        upstream_tls_read(k->config, now, before ? before->upstream_tls : NULL, errors);
    k->webhooks = webhooks_read(k->config, errors);
}

struct config_keep *config_keep_read(const char *path, const struct config_keep *before,
                                     struct config_errors *errors)
{
    struct config *config = config_load(path, errors);
    struct config_keep *k = config ? config_keep_new(config) : NULL;
    if (config && !k) {
        config_free(config);
        errors->code = ERR_MEMORY;
    }
    if (!k)
        return NULL;
    read_rest(k, before, errors);
    if (errors->code == OK)
        return k;
    config_keep_unref(k);
    return NULL;
}

void config_keep_warn(const struct config_keep *k, struct config_errors *warnings)
{
    config_errors_init(warnings, k->config->file);
    certificates_warn(k->certificates, time_wall_ms() / 1000, warnings);
    upstream_tls_warn(k->upstream_tls, k->config, time_wall_ms() / 1000, warnings);
    webhooks_warn(k->webhooks, warnings);
}

void config_keep_unref(struct config_keep *k)
{
    if (!k || atomic_fetch_sub_explicit(&k->refs, 1, memory_order_acq_rel) != 1)
        return;
    manifests_free(k->manifests);
    upstream_tls_free(k->upstream_tls);
    certificates_free(k->certificates);
    webhooks_free(k->webhooks);
    config_free(k->config);
    free(k);
}
