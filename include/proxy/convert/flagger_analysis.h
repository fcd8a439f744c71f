/* The analysis of a Canary: steps, metrics, webhooks. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_FLAGGER_ANALYSIS_H
#define SERIN_PROXY_CONVERT_FLAGGER_ANALYSIS_H

#include "proxy/convert/draft.h"

/* The analysis of a Canary, under either of its names, or NULL. Pure. */
const struct cJSON *flagger_analysis_of(const struct cJSON *canary);

/* What it says of the whole route: override, sticky and mirror. Returns whether there is a mirror. */
bool flagger_analysis_put_route(struct draft *d, const struct cJSON *analysis, struct cJSON *route);

/* Its steps into a rollout. */
void flagger_analysis_put_steps(struct draft *d, const struct cJSON *analysis, bool has_mirror,
                                struct cJSON *rollout);

/* What it measures, and whom it asks. canary: the whole object. */
void flagger_analysis_put_metrics(struct draft *d, const struct cJSON *canary,
                                  struct cJSON *rollout);
void flagger_analysis_put_webhooks(struct draft *d, const struct cJSON *analysis,
                                   struct cJSON *rollout);

/* How many checks may fail, 0 = it does not say. Pure. */
int64_t flagger_analysis_threshold(const struct cJSON *analysis);

#endif
