/* Canaries of Flagger. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_FLAGGER_H
#define SERIN_PROXY_CONVERT_FLAGGER_H

#include "proxy/convert/draft.h"

/* Whether an object is a Canary of Flagger. Pure. */
bool flagger_is(const struct cJSON *object);

/* Writes a route with a rollout for each Canary of the file. */
void flagger_convert(struct draft *d);

#endif
