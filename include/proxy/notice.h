/* What it takes to notice: how many canary requests each stage of a rollout needs, at the traffic last seen.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_NOTICE_H
#define SERIN_PROXY_NOTICE_H

#include "proxy/conf/config.h"
#include "proxy/control/seen.h"
#include "rollout/decide/power.h"

struct cJSON;

/* The traffic that the figures are for. */
struct notice {
    struct judge_settings settings;
    struct power_traffic traffic;
    double mirrored; /* share of the requests that is copied, at a first step without users */
    bool is_seen;    /* false: an example, for nothing was seen */
    bool has_slow;   /* whether latency is judged and enough of stable's was seen */
    struct power_slow slow;   /* of the highest quantile, where has_slow */
    struct seen_figures seen; /* where is_seen */
    char why_not
        [WHY_MAX]; /* why nothing was seen, where something is wrong; "" = there was no traffic yet */
};

/* Reads what was seen of the route from state_dir. The route must have a rollout. Blocks on the file. */
void notice_read(struct notice *n, const struct config *config, const struct config_route *route);

/* One figure of a stage. */
struct notice_stage {
    bool is_judged; /* it has a weight to compare at */
    struct power_answer twice, five_times,
        slow;                  /* errors; the p99 check, INFINITY where not has_slow */
    struct power_answer widen; /* without any failure */
};

/* stage: index of the plan's judged steps, then the bake. Pure. */
struct notice_stage notice_stage(const struct notice *n, unsigned stage);

/* A table below the plan. */
void notice_print(const struct notice *n);

/* The same as one object; the caller frees it, NULL when memory is short. */
struct cJSON *notice_json(const struct notice *n);

#endif
