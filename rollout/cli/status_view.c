/* A route's status as the admin API tells it, read once into fields.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/status_view.h"
#include "base/check.h"
#include "rollout/cli/numbers.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

static const char *string_of(const cJSON *object, const char *key)
{
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return s ? s : "";
}

static double number_of(const cJSON *object, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(item) ? item->valuedouble : NAN;
}

static unsigned small_count_of(const cJSON *object, const char *key)
{
    double v = number_of(object, key);
    return v >= 0 && v <= 1000 ? (unsigned)v : 0;
}

static struct status_version version_of(const cJSON *json)
{
    const cJSON *interval = cJSON_GetObjectItemCaseSensitive(json, "interval");
    const cJSON *low = cJSON_GetArrayItem(interval, 0), *high = cJSON_GetArrayItem(interval, 1);
    return (struct status_version){
        .name = string_of(json, "name"),
        .role = string_of(json, "role"),
        .requests = number_of(json, "requests"),
        .failed = number_of(json, "failed"),
        .error_rate = number_of(json, "error_rate"),
        .low = cJSON_IsNumber(low) ? low->valuedouble : NAN,
        .high = cJSON_IsNumber(high) ? high->valuedouble : NAN,
        .p50_ms = number_of(json, "p50_ms"),
        .p99_ms = number_of(json, "p99_ms"),
        .available = number_of(json, "available"),
        .endpoints = number_of(json, "endpoints"),
    };
}

static struct status_check check_of(const cJSON *json)
{
    return (struct status_check){
        .name = string_of(json, "name"),
        .verdict = string_of(json, "verdict"),
        .why = string_of(json, "why"),
        .is_dry = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "dry_run")),
    };
}

static void read_pair(double pair[2], const cJSON *json, const char *key)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, key);
    for (int i = 0; i < 2; i++) {
        const cJSON *item = cJSON_GetArrayItem(list, i);
        pair[i] = cJSON_IsNumber(item) ? item->valuedouble : NAN;
    }
}

static void read_lists(struct status_view *v, const cJSON *json)
{
    read_pair(v->difference, json, "difference");
    read_pair(v->ratio, json, "ratio");
    const cJSON *item, *versions = cJSON_GetObjectItemCaseSensitive(json, "versions");
    cJSON_ArrayForEach(item, versions)
    {
        if (v->n_versions < ARRAY_LEN(v->versions))
            v->versions[v->n_versions++] = version_of(item);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "more_checks"))
    {
        if (v->n_checks < ARRAY_LEN(v->checks))
            v->checks[v->n_checks++] = check_of(item);
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "weights"))
    {
        if (v->n_weights < ARRAY_LEN(v->weights) && cJSON_IsNumber(item))
            v->weights[v->n_weights++] = item->valuedouble;
    }
    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(json, "quarantine"))
    {
        v->is_quarantined |= v->canary[0] && strcmp(string_of(item, "name"), v->canary) == 0;
    }
}

struct status_view status_view_of(const struct cJSON *json)
{
    const cJSON *weight = cJSON_GetObjectItemCaseSensitive(json, "weight");
    const cJSON *evidence = cJSON_GetObjectItemCaseSensitive(json, "evidence");
    double exit_code = number_of(json, "exit");
    struct status_view v = {
        .route = string_of(json, "route"),
        .phase = string_of(json, "phase"),
        .state = string_of(json, "state"),
        .cause = string_of(json, "cause"),
        .stable = string_of(json, "stable"),
        .canary = string_of(json, "canary"),
        .rollout_id = string_of(json, "rollout_id"),
        .why = string_of(json, "why"),
        .result = string_of(json, "result"),
        .step = small_count_of(json, "step"),
        .steps = small_count_of(json, "steps"),
        .intended = number_of(weight, "intended"),
        .observed = number_of(weight, "observed"),
        .against = number_of(evidence, "against"),
        .revert_at = number_of(evidence, "revert_at"),
        .safe = number_of(evidence, "safe"),
        .widen_at = number_of(evidence, "widen_at"),
        .elapsed_s = number_of(json, "elapsed_s"),
        .step_elapsed_s = number_of(json, "step_elapsed_s"),
        .hold_s = number_of(json, "hold_s"),
        .is_mirroring = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "mirroring")),
        .exit = exit_code >= 0 && exit_code <= 5 ? (int)exit_code : -1,
    };
    read_lists(&v, json);
    return v;
}

bool status_is_running(const struct status_view *v)
{
    static const char *const ended[] = {"", "STABLE", "COMPLETED", "ABORTED", "FAILED_PROMOTION"};
    for (size_t i = 0; i < ARRAY_LEN(ended); i++)
        if (strcmp(v->state, ended[i]) == 0)
            return false;
    return true;
}

bool status_has_failed(const struct status_view *v)
{
    return strcmp(v->state, "PAUSED") == 0 &&
           (strcmp(v->cause, "failed") == 0 || strcmp(v->cause, "critical") == 0);
}

const char *status_hindrance(const struct status_view *v)
{
    /* a cause outlives what it stood for, but for these two states: of a rollout, of a fixed weight
     */
    bool is_now = strcmp(v->state, "HOLDING") == 0 || strcmp(v->state, "STABLE") == 0;
    if (!(v->intended > 0))
        return NULL;
    if (is_now && strcmp(v->cause, "breaker") == 0)
        return "after the breaker closes";
    for (size_t i = 0; i < v->n_versions; i++)
        if (strcmp(v->versions[i].role, "canary") == 0 && v->versions[i].endpoints > 0 &&
            v->versions[i].available == 0)
            return "when an endpoint is available";
    return NULL;
}

double status_effective(const struct status_view *v)
{
    return status_hindrance(v) ? 0 : v->intended;
}

enum cli_exit status_exit(const struct status_view *v)
{
    static const struct {
        const char *phase;
        enum cli_exit exit;
    } phases[] = {{"Healthy", CLI_OK},
                  {"Progressing", CLI_PROGRESSING},
                  {"Paused", CLI_PAUSED},
                  {"Degraded", CLI_ABORTED}};
    if (v->exit == CLI_OK || (v->exit >= CLI_PROGRESSING && v->exit <= CLI_PAUSED))
        return (enum cli_exit)v->exit;
    for (size_t i = 0; i < ARRAY_LEN(phases); i++)
        if (strcmp(v->phase, phases[i].phase) == 0)
            return phases[i].exit;
    return CLI_ERROR;
}

enum cli_exit status_worse_exit(enum cli_exit a, enum cli_exit b)
{
    static const int severity[] = {
        [CLI_OK] = 0,    [CLI_PROGRESSING] = 1, [CLI_PAUSED] = 2,   [CLI_ABORTED] = 3,
        [CLI_USAGE] = 4, [CLI_ERROR] = 4,       [CLI_TIMED_OUT] = 4};
    return severity[a] >= severity[b] ? a : b;
}

static bool is_figure(char c)
{
    return (c >= '0' && c <= '9') || c == '.' || c == ',';
}

void status_add_key(struct text *t, const struct status_view *v)
{
    text_add(t, "%s|%s|%s|%s|%u|%.2f|", v->rollout_id, v->phase, v->state, v->result, v->step,
             v->intended);
    for (const char *s = v->why; *s; s++)
        if (!is_figure(*s))
            text_add_bytes(t, s, 1);
}

void status_add_line(struct text *t, const struct status_view *v)
{
    text_add_clean(t, v->route);
    if (v->step > 0 && v->steps > 0)
        text_add(t, "  step %u/%u", v->step, v->steps);
    bool is_at_rest = strcmp(v->state, "STABLE") == 0 && v->intended == 0;
    if (v->intended >= 0 && !is_at_rest)
        text_add(t, "  %s", number_percent(status_effective(v)).at);
    text_add(t, "  ");
    text_add_clean(t, v->state[0] ? v->state : v->phase);
    if (v->why[0]) {
        text_add(t, "  ");
        text_add_clean(t, v->why);
    }
}
