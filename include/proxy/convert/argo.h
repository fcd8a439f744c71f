/* Rollouts of Argo Rollouts with the strategy canary. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_ARGO_H
#define SERIN_PROXY_CONVERT_ARGO_H

#include "proxy/convert/draft.h"

/* Whether an object is a Rollout. Pure. */
bool argo_is(const struct cJSON *object);

/* Writes a route with a rollout for each Rollout of the file. */
void argo_convert(struct draft *d);

#endif
