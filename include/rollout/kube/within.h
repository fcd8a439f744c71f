/* Whether an object is what a manifest asks for, however the API server spells it. Pure.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_ROLLOUT_KUBE_WITHIN_H
#define SERIN_ROLLOUT_KUBE_WITHIN_H

#include <stdbool.h>

struct cJSON;

/* Every member that the manifest gives is in the object, which has defaults besides. What is empty, 0 or false may be
 * left out by the server, and a quantity ("0.5", "1024Mi", 1) comes back in its own spelling ("500m", "1Gi", "1").
 * object: NULL = not there. Pure. */
bool kube_is_within(const struct cJSON *manifest, const struct cJSON *object);

#endif
