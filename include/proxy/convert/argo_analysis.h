/* Analysis of Argo Rollouts. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_ARGO_ANALYSIS_H
#define SERIN_PROXY_CONVERT_ARGO_ANALYSIS_H

#include "proxy/convert/draft.h"

/* The metrics of the templates that an analysis (of a step, or in the background) names, as more_checks of a rollout,
 * where the file has the templates and Prometheus is asked; notes about all others. */
void argo_analysis_put(struct draft *d, const struct cJSON *analysis, struct cJSON *rollout);

#endif
