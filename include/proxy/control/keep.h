/* A configuration with everything that is read with it: all of it is right, or none of it is taken.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_KEEP_H
#define SERIN_PROXY_CONTROL_KEEP_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"
#include <stdatomic.h>

struct certificates;
struct manifests;
struct upstream_tls;
struct webhooks;

/* Snapshots point into it; freed by whoever lets go last, on any thread. */
struct config_keep {
    _Atomic uint32_t refs;
    struct config *config;
    struct manifests *manifests;
    struct certificates *certificates; /* NULL for a configuration alone */
    struct upstream_tls *upstream_tls; /* likewise */
    struct webhooks *webhooks;         /* likewise */
};

/* Reads the file and what it names, with one reference. before: the configuration in force, of which it takes over what has
 * not changed, or NULL. NULL: errors says why, errors->code ERR_MEMORY where only memory
 * was short. Blocks for the files. */
struct config_keep *config_keep_read(const char *path, const struct config_keep *before,
                                     struct config_errors *errors) MUST_USE;

/* What is right now and will not stay so, or is not wise: certificates that expire, keys that anybody may read, endpoints
 * that are believed without proof, secrets that anybody may read. Nothing is
 * there before the call. */
void config_keep_warn(const struct config_keep *k, struct config_errors *warnings);

/* A configuration alone, with one reference; NULL when memory is short. Takes the configuration. */
struct config_keep *config_keep_new(struct config *config) MUST_USE;

/* Any thread. NULL is allowed. */
void config_keep_unref(struct config_keep *k);

#endif
