/* A table of the protocol's keys and where their numbers go.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge_config.h"
#include "base/check.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

/* Weights are whole basis points; a percentage within this of one is meant to be it. */
#define BP_SLACK 1e-6

#define COUNT_MAX 9007199254740992.0 /* 2^53: whole numbers up to it are exact */
#define GROUP_MAX 16                 /* bytes of a group's name in the table */

/* A number of every stage: one stands for all of them, the last of several for the rest; n 0: it is
 * not given. */
struct per_stage {
    size_t n;
    double at[JUDGE_STAGES_MAX];
};

/* What does not lie in the settings as it stands in the configuration. */
struct shared {
    struct per_stage hold_s, max_hold_s, min_requests;
    double lat_margin; /* known, but the caller has already applied it to the thresholds */
};

/* What a key leads to. */
enum kind { NUMBER, MARGIN, NUMBERS, COUNT, FLAG, PER_STAGE, SHARED, TIMEOUT };

struct key {
    const char *path;
    enum kind kind;
    size_t at;    /* offset in judge_settings, or in struct shared */
    size_t count; /* NUMBERS: offset of their size_t */
    size_t most;
};

#define SETTING(member) offsetof(struct judge_settings, member)
#define GRID(member)                                                                               \
    NUMBERS, SETTING(member) + offsetof(struct evidence_grid, at),                                 \
        SETTING(member) + offsetof(struct evidence_grid, n), EVIDENCE_GRID_MAX
#define STAGES(member)                                                                             \
    PER_STAGE, offsetof(struct shared, member) + offsetof(struct per_stage, at),                   \
        offsetof(struct shared, member) + offsetof(struct per_stage, n), JUDGE_STAGES_MAX
#define PER_QUANTILE(member) NUMBERS, SETTING(latency.member), SETTING(latency.n), JUDGE_LATENCY_MAX

static const struct key keys[] = {
    {"alpha", NUMBER, SETTING(alpha), 0, 0},
    {"beta", NUMBER, SETTING(beta), 0, 0},
    {"hold_e", NUMBER, SETTING(hold_evidence), 0, 0},
    {"cap", NUMBER, SETTING(cap), 0, 0},
    {"brake_s", NUMBER, SETTING(brake_s), 0, 0},
    {"budget", NUMBER, SETTING(harm_budget), 0, 0},
    {"min_stage_s", STAGES(hold_s)},
    {"max_stage_s", STAGES(max_hold_s)},
    {"min_req", STAGES(min_requests)},
    {"no_data_req", COUNT, SETTING(no_data_requests), 0, 0},
    {"on_timeout", TIMEOUT, SETTING(on_low_evidence), 0, 0},
    {"epoch_s", NUMBER, SETTING(epoch_s), 0, 0},
    {"mass0", NUMBER, SETTING(mass0), 0, 0},
    {"grid_r", GRID(ratio_grid)},
    {"grid_psi", GRID(odds_grid)},
    {"grid_abs", GRID(ceiling_grid)},
    {"grid_b", GRID(safe_grid)},
    {"fail.w", NUMBER, SETTING(errors.weight), 0, 0},
    {"fail.rho", MARGIN, SETTING(errors.margin), 0, 0},
    {"fail.delta", NUMBER, SETTING(errors.margin_absolute), 0, 0},
    {"c4.w", NUMBER, SETTING(client_errors.weight), 0, 0},
    {"c4.rho", MARGIN, SETTING(client_errors.margin), 0, 0},
    {"c4.delta", NUMBER, SETTING(client_errors.margin_absolute), 0, 0},
    {"c4.on", FLAG, SETTING(client_errors.enabled), 0, 0},
    {"ceil.w", NUMBER, SETTING(ceiling.weight), 0, 0},
    {"ceil.c", NUMBER, SETTING(ceiling.ceiling), 0, 0},
    {"ceil.on", FLAG, SETTING(ceiling.enabled), 0, 0},
    {"lat.w", PER_QUANTILE(weight)},
    {"lat.q", PER_QUANTILE(quantile)},
    {"lat.margin", SHARED, offsetof(struct shared, lat_margin), 0, 0},
    {"lat.prior_n", NUMBER, SETTING(latency.prior_requests), 0, 0},
    {"lat.half_s", NUMBER, SETTING(latency.half_life_s), 0, 0},
    {"lat.warmup_s", NUMBER, SETTING(latency.warmup_s), 0, 0},
    {"lat.on", FLAG, SETTING(latency.enabled), 0, 0},
    {"incident.fast_s", NUMBER, SETTING(incident.fast_s), 0, 0},
    {"incident.slow_s", NUMBER, SETTING(incident.slow_s), 0, 0},
    {"incident.ratio", NUMBER, SETTING(incident.ratio), 0, 0},
    {"incident.prior_n", NUMBER, SETTING(incident.prior_requests), 0, 0},
};

static const struct key *key_find(const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (strcmp(keys[i].path, path) == 0)
            return &keys[i];
    return NULL;
}

static enum err read_numbers(char *base, const struct key *key, const cJSON *item, struct why *why)
{
    int n = cJSON_GetArraySize(item);
    if (!cJSON_IsArray(item) || n < 1 || (size_t)n > key->most)
        return why_set(why, ERR_INVALID, "config.%s: expected an array of 1 to %zu numbers",
                       key->path, key->most);
    double *at = (double *)(void *)(base + key->at);
    const cJSON *element;
    cJSON_ArrayForEach(element, item)
    {
        if (!cJSON_IsNumber(element))
            return why_set(why, ERR_INVALID, "config.%s: expected numbers only", key->path);
        *at++ = element->valuedouble;
    }
    *(size_t *)(void *)(base + key->count) = (size_t)n;
    return OK;
}

/* By enum plan_low_evidence. pause and abort are the machine's to carry out: the protocol prints
 * hold. */
static const char *const timeouts[] = {"advance", "hold", "pause", "abort"};

static enum err read_timeout(enum plan_low_evidence *at, const cJSON *item, struct why *why)
{
    for (unsigned i = 0; cJSON_IsString(item) && i < ARRAY_LEN(timeouts); i++) {
        if (strcmp(item->valuestring, timeouts[i]) == 0) {
            *at = (enum plan_low_evidence)i;
            return OK;
        }
    }
    return why_set(why, ERR_INVALID, "config.on_timeout: expected advance, hold, pause or abort");
}

static enum err read_flag(bool *at, const char *path, const cJSON *item, struct why *why)
{
    if (!cJSON_IsBool(item))
        return why_set(why, ERR_INVALID, "config.%s: expected true or false", path);
    *at = cJSON_IsTrue(item);
    return OK;
}

static enum err read_number(char *base, const struct key *key, const cJSON *item, struct why *why)
{
    void *at = base + key->at;
    if (!cJSON_IsNumber(item))
        return why_set(why, ERR_INVALID, "config.%s: expected a number", key->path);
    double value = item->valuedouble;
    if (key->kind == COUNT && (!(value >= 0 && value <= COUNT_MAX) || value != floor(value)))
        return why_set(why, ERR_INVALID, "config.%s: %g is not a count", key->path, value);
    if (key->kind == COUNT)
        *(uint64_t *)at = (uint64_t)value;
    else
        *(double *)at = value - (key->kind == MARGIN ? 1 : 0);
    if (key->kind == PER_STAGE)
        *(size_t *)(void *)(base + key->count) = 1;
    return OK;
}

static enum err read_key(struct judge_settings *settings, struct shared *shared, const char *path,
                         const cJSON *item, struct why *why)
{
    const struct key *key = key_find(path);
    if (!key)
        return why_set(why, ERR_INVALID, "config.%s: no such key", path);
    bool is_shared = key->kind == SHARED || key->kind == PER_STAGE;
    char *base = is_shared ? (char *)shared : (char *)settings;
    if (key->kind == NUMBERS || (key->kind == PER_STAGE && cJSON_IsArray(item)))
        return read_numbers(base, key, item, why);
    if (key->kind == TIMEOUT)
        return read_timeout(&settings->on_low_evidence, item, why);
    if (key->kind == FLAG)
        return read_flag((bool *)(base + key->at), path, item, why);
    return read_number(base, key, item, why);
}

/* A check that the protocol speaks of is on, whatever the file says. */
static void enable(struct judge_settings *settings, const char *check)
{
    settings->client_errors.enabled |= strcmp(check, "c4") == 0;
    settings->ceiling.enabled |= strcmp(check, "ceil") == 0;
    settings->latency.enabled |= strcmp(check, "lat") == 0;
}

static enum err read_config(struct judge_settings *settings, struct shared *shared,
                            const cJSON *config, struct why *why)
{
    const cJSON *item, *member;
    enum err e = OK;
    cJSON_ArrayForEach(item, config)
    {
        if (!cJSON_IsObject(item)) {
            e = read_key(settings, shared, item->string, item, why);
            if (e)
                return e;
            continue;
        }
        enable(settings, item->string);
        cJSON_ArrayForEach(member, item)
        {
            char path[64]; /* longer ones are no key */
            (void)snprintf(path, sizeof path, "%s.%s", item->string, member->string);
            e = read_key(settings, shared, path, member, why);
            if (e)
                return e;
        }
    }
    return e;
}

/* The file's stage of that weight; its first one where there is none. */
static struct judge_stage stage_like(const struct judge_settings *base, uint32_t weight_bp)
{
    struct judge_stage stage = base->stages[0];
    for (size_t i = 0; i < base->n_stages; i++)
        if (base->stages[i].weight_bp == weight_bp)
            stage = base->stages[i];
    stage.weight_bp = weight_bp;
    return stage;
}

static enum err read_stages(struct judge_settings *settings, const cJSON *stages, struct why *why)
{
    const struct judge_settings base = *settings;
    int n = cJSON_GetArraySize(stages);
    if (!cJSON_IsArray(stages) || n < 1 || n > JUDGE_STAGES_MAX)
        return why_set(why, ERR_INVALID, "stages: expected an array of 1 to %d weights in percent",
                       JUDGE_STAGES_MAX);
    settings->n_stages = 0;
    const cJSON *stage;
    cJSON_ArrayForEach(stage, stages)
    {
        double bp = cJSON_IsNumber(stage) ? stage->valuedouble * 100 : -1;
        if (!(bp >= 0 && bp <= 10000) || fabs(bp - round(bp)) > BP_SLACK)
            return why_set(why, ERR_INVALID,
                           "stages[%zu]: expected 0 to 100 in whole hundredths of a percent",
                           settings->n_stages);
        settings->stages[settings->n_stages++] = stage_like(&base, (uint32_t)lround(bp));
    }
    return OK;
}

static double of_stage(const struct per_stage *values, size_t stage)
{
    return values->at[stage < values->n ? stage : values->n - 1];
}

static enum err apply_shared(struct judge_settings *settings, const struct shared *shared,
                             struct why *why)
{
    const struct per_stage *requests = &shared->min_requests;
    for (size_t i = 0; i < requests->n; i++)
        if (!(requests->at[i] >= 0 && requests->at[i] <= COUNT_MAX))
            return why_set(why, ERR_INVALID, "config.min_req: %g is not a count", requests->at[i]);
    for (size_t i = 0; i < settings->n_stages; i++) {
        struct judge_stage *stage = &settings->stages[i];
        if (shared->hold_s.n)
            stage->hold_s = of_stage(&shared->hold_s, i);
        if (shared->max_hold_s.n)
            stage->max_hold_s = of_stage(&shared->max_hold_s, i);
        if (requests->n)
            stage->min_requests = (uint64_t)of_stage(requests, i);
    }
    return OK;
}

enum err judge_config_read(struct judge_settings *settings, const struct judge_settings *base,
                           const cJSON *stages, const cJSON *config, struct why *why)
{
    struct shared shared = {.lat_margin = 0};
    if (base)
        *settings = *base;
    else
        judge_settings_default(settings);
    if (config && !cJSON_IsNull(config) && !cJSON_IsObject(config))
        return why_set(why, ERR_INVALID, "config: expected an object");
    enum err e = read_config(settings, &shared, config, why);
    if (!e && (stages || !base))
        e = read_stages(settings, stages, why);
    if (!e)
        e = apply_shared(settings, &shared, why);
    return e ? e : judge_settings_check(settings, why);
}

/* --- and back --- */

/* One number where all are the same, as the protocol has it; the destination is never judged. */
static cJSON *numbers_new(const double *values, size_t n, bool may_be_one)
{
    size_t same = 1;
    while (same < n && values[same] == values[0])
        same++;
    if (may_be_one && same == n)
        return cJSON_CreateNumber(values[0]);
    return cJSON_CreateDoubleArray(values, (int)n);
}

static void share(struct shared *shared, const struct judge_settings *settings, double lat_margin)
{
    size_t n = settings->n_stages > 1 ? settings->n_stages - 1 : 1;
    *shared = (struct shared){.lat_margin = lat_margin};
    shared->hold_s.n = shared->max_hold_s.n = shared->min_requests.n = n;
    for (size_t i = 0; i < n; i++) {
        shared->hold_s.at[i] = settings->stages[i].hold_s;
        shared->max_hold_s.at[i] = settings->stages[i].max_hold_s;
        shared->min_requests.at[i] = (double)settings->stages[i].min_requests;
    }
}

static cJSON *item_new(const struct key *key, const struct judge_settings *settings,
                       const struct shared *shared)
{
    bool is_shared = key->kind == SHARED || key->kind == PER_STAGE;
    const char *base = is_shared ? (const char *)shared : (const char *)settings;
    const void *at = base + key->at, *count = base + key->count;
    switch (key->kind) {
    case NUMBERS:
    case PER_STAGE:
        return numbers_new(at, *(const size_t *)count, key->kind == PER_STAGE);
    case COUNT:
        return cJSON_CreateNumber((double)*(const uint64_t *)at);
    case FLAG:
        return cJSON_CreateBool(*(const bool *)at);
    case TIMEOUT:
        return cJSON_CreateString(timeouts[settings->on_low_evidence]);
    default:
        return cJSON_CreateNumber(*(const double *)at + (key->kind == MARGIN ? 1 : 0));
    }
}

/* The object that holds the key: into itself, or the group before the point. NULL: memory. */
static cJSON *group_of(cJSON *into, const char *path, const char **name)
{
    char group[GROUP_MAX];
    const char *point = strchr(path, '.');
    *name = point ? point + 1 : path;
    if (!point)
        return into;
    (void)snprintf(group, sizeof group, "%.*s", (int)(point - path), path);
    cJSON *found = cJSON_GetObjectItemCaseSensitive(into, group);
    return found ? found : cJSON_AddObjectToObject(into, group);
}

enum err judge_config_write(const struct judge_settings *settings, double lat_margin, cJSON *into)
{
    struct shared shared;
    share(&shared, settings, lat_margin);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *name;
        cJSON *group = group_of(into, keys[i].path, &name);
        cJSON *item = group ? item_new(&keys[i], settings, &shared) : NULL;
        if (!item || !cJSON_AddItemToObject(group, name, item)) {
            cJSON_Delete(item);
            return ERR_MEMORY;
        }
    }
    return OK;
}
