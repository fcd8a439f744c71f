/* The steps of a Rollout. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_ARGO_STEPS_H
#define SERIN_PROXY_CONVERT_ARGO_STEPS_H

#include "proxy/convert/draft.h"

/* What the steps say of the whole route: override and mirror. Returns whether there is a mirror. */
bool argo_steps_put_route(struct draft *d, const struct cJSON *canary, struct cJSON *route);

/* The steps into a rollout; has_mirror: it may begin at 0%. */
void argo_steps_put(struct draft *d, const struct cJSON *canary, bool has_mirror,
                    struct cJSON *rollout);

#endif
