/* A plan's thresholds put onto recorded weights; keys set one by one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/replay_config.h"

#include "base/check.h"
#include "rollout/decide/judge_config.h"
#include <cjson/cJSON.h>
#include <string.h>

#define KEY_MAX 32 /* bytes of a key; all known ones are shorter */

cJSON *replay_config_recorded(const struct replay *r)
{
    const cJSON *recorded = cJSON_GetObjectItemCaseSensitive(r->start, "config");
    return cJSON_IsObject(recorded) ? cJSON_Duplicate(recorded, true) : cJSON_CreateObject();
}

/* The plan's stage of a recorded weight, or what the plan says of steps at large. */
static struct judge_stage stage_of(const struct judge_settings *settings, const struct plan *plan,
                                   uint32_t weight_bp)
{
    for (size_t i = 0; i < plan_judged_steps(plan); i++)
        if (settings->stages[i].weight_bp == weight_bp)
            return settings->stages[i];
    double hold_s = (double)plan->hold_ms / 1000, max_hold_s = (double)plan->max_hold_ms / 1000;
    return (struct judge_stage){weight_bp, hold_s, max_hold_s, (uint64_t)plan->min_requests};
}

static bool has_weights(const struct judge_settings *a, const struct judge_settings *b)
{
    bool same = a->n_stages == b->n_stages;
    for (size_t i = 0; same && i < a->n_stages; i++)
        same = a->stages[i].weight_bp == b->stages[i].weight_bp;
    return same;
}

cJSON *replay_config_of_plan(const struct replay *r, const struct plan *plan, bool *same_steps,
                             struct why *why)
{
    struct judge_settings settings;
    const struct judge_settings *recorded = &r->judge.judge.settings;
    if (judge_settings_from_plan(&settings, plan, why) != OK)
        return NULL;
    struct judge_settings used = settings;
    *same_steps = has_weights(&settings, recorded);
    used.n_stages = recorded->n_stages;
    for (size_t i = 0; !*same_steps && i < recorded->n_stages; i++) {
        bool is_bake = i == judge_settings_bake(recorded);
        used.stages[i] = stage_of(&settings, plan, recorded->stages[i].weight_bp);
        if (is_bake)
            used.stages[i] = settings.stages[judge_settings_bake(&settings)];
        used.stages[i].weight_bp = recorded->stages[i].weight_bp;
    }
    cJSON *config = cJSON_CreateObject();
    if (config && judge_config_write(&used, plan->latency_margin, config) == OK)
        return config;
    cJSON_Delete(config);
    (void)why_set(why, ERR_MEMORY, "out of memory");
    return NULL;
}

static cJSON *value_new(const char *text)
{
    const char *end = NULL;
    cJSON *value = cJSON_ParseWithOpts(text, &end, true);
    return value ? value : cJSON_CreateString(text);
}

/* Takes value. False: memory. */
static bool put(cJSON *object, const char *name, cJSON *value)
{
    cJSON_DeleteItemFromObjectCaseSensitive(object, name);
    if (value && cJSON_AddItemToObject(object, name, value))
        return true;
    cJSON_Delete(value);
    return false;
}

enum err replay_config_set(cJSON *config, const char *assignment, struct why *why)
{
    char key[KEY_MAX];
    const char *equals = strchr(assignment, '=');
    if (!equals || equals == assignment)
        return why_set(why, ERR_INVALID, "--set %.100s: expected KEY=VALUE, such as fail.rho=1.5",
                       assignment);
    size_t len = (size_t)(equals - assignment);
    if (len >= sizeof key)
        return why_set(why, ERR_INVALID, "--set %.100s: no such key", assignment);
    memcpy(key, assignment, len);
    key[len] = '\0';
    char *point = strchr(key, '.');
    cJSON *group = config;
    if (point) {
        *point = '\0';
        group = cJSON_GetObjectItemCaseSensitive(config, key);
        if (!group)
            group = cJSON_AddObjectToObject(config, key);
        if (!group)
            return why_set(why, ERR_MEMORY, "out of memory");
        if (!cJSON_IsObject(group))
            return why_set(why, ERR_INVALID, "--set %.100s: no such key", assignment);
    }
    cJSON *value = value_new(equals + 1);
    if (cJSON_IsObject(value)) { /* a group, where a key is expected */
        cJSON_Delete(value);
        return why_set(why, ERR_INVALID, "--set %.100s: expected a number, a list or a word",
                       assignment);
    }
    return put(group, point ? point + 1 : key, value) ? OK
                                                      : why_set(why, ERR_MEMORY, "out of memory");
}
