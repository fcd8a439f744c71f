/* The checks of the judge in a rollout's status, and numbers as a status shows them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/status_checks.h"

#include "rollout/inside.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double status_short_number(double value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%.12g", value);
    return strtod(text, NULL);
}

bool status_add_number(cJSON *json, const char *name, double value)
{
    return isfinite(value) ? cJSON_AddNumberToObject(json, name, status_short_number(value)) != NULL
                           : cJSON_AddNullToObject(json, name) != NULL;
}

/* Before it is known what slow means no request is slow: that is no share of 0. */
static bool is_known(const struct rollout *r, const struct rollout_check_metrics *c)
{
    return strncmp(c->check, "latency", strlen("latency")) != 0 ||
           r->sink.slow_us[ROLE_STABLE][0] > 0;
}

bool status_add_checks(const struct rollout *r, cJSON *json)
{
    struct rollout_check_metrics checks[JUDGE_CHECK_COUNT];
    size_t n = machine_is_running(&r->record.machine) ? rollout_metrics_checks(r, checks) : 0;
    cJSON *list = cJSON_AddArrayToObject(json, "checks");
    bool whole = list != NULL;
    for (size_t i = 0; whole && i < n; i++) {
        const struct rollout_check_metrics *c = &checks[i];
        cJSON *item = cJSON_CreateObject();
        whole = item && cJSON_AddItemToArray(list, item) &&
                cJSON_AddStringToObject(item, "check", c->check) &&
                status_add_number(item, "value", is_known(r, c) ? c->value : NAN) &&
                status_add_number(item, "limit", is_known(r, c) ? c->limit : NAN) &&
                status_add_number(item, "evidence", c->evidence);
    }
    return whole;
}
