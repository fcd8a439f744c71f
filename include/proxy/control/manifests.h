/* What the workloads of a configuration can be made from, read with it and as long as it.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONTROL_MANIFESTS_H
#define SERIN_PROXY_CONTROL_MANIFESTS_H

#include "proxy/conf/config.h"
#include "proxy/conf/errors.h"

struct cJSON;
struct manifests;

/* Reads the manifest of every version that names one. NULL: what is wrong with them is among the errors. */
struct manifests *manifests_read(const struct config *config,
                                 struct config_errors *errors) MUST_USE;
void manifests_free(struct manifests *m);

/* The object of a version, and the hash of its template, which is the version's identity. NULL: it names none. Borrowed. */
const struct cJSON *manifests_object(const struct manifests *m, const char *route,
                                     const char *version);
const char *manifests_hash(const struct manifests *m, const char *route, const char *version);

#endif
