/* A frozen plan as it stands in the record.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/plan_json.h"

#include "base/check.h"
#include "rollout/decide/fields.h"
#include <cjson/cJSON.h>

static const char *low_evidence_name(int value)
{
    static const char *const names[] = {"advance", "hold", "pause", "abort"};
    return names[value];
}

static const char *on_failure_name(int value)
{
    return value == ON_FAILURE_PAUSE ? "pause" : "abort";
}

static const char *on_new_version_name(int value)
{
    return value == ON_NEW_VERSION_REFUSE ? "refuse" : "restart";
}

static const char *replicas_mode_name(int value)
{
    static const char *const names[] = {"none", "match_weight", "capacity", "coupled"};
    return names[value];
}

static const char *cleanup_name(int value)
{
    return value == CLEANUP_DELETE ? "delete" : "preserve";
}

#define TIME(key, member)  FIELD_ROW_NUMBER(key, FIELD_I64, struct plan, member, 0, FIELDS_WHOLE_MAX)
#define SHARE(key, member) FIELD_ROW_NUMBER(key, FIELD_DOUBLE, struct plan, member, 0, 100)

static const struct field plan_rows[] = {
    FIELD_ROW_BOOL("start_auto", struct plan, start_auto),
    TIME("hold_ms", hold_ms),
    TIME("max_hold_ms", max_hold_ms),
    TIME("min_requests", min_requests),
    FIELD_ROW_ENUM("on_low_evidence", struct plan, on_low_evidence, 4, low_evidence_name),
    TIME("bake_ms", bake_ms),
    FIELD_ROW_NUMBER("bake_weight_bp", FIELD_INT, struct plan, bake_weight_bp, 0, 10000),
    TIME("progress_deadline_ms", progress_deadline_ms),
    TIME("max_pause_ms", max_pause_ms),
    FIELD_ROW_ENUM("on_failure", struct plan, on_failure, 2, on_failure_name),
    FIELD_ROW_ENUM("on_new_version", struct plan, on_new_version, 2, on_new_version_name),
    SHARE("false_abort", false_abort),
    SHARE("harm_budget", harm_budget),
    SHARE("errors_margin", errors.margin),
    SHARE("errors_margin_absolute", errors.margin_absolute),
    SHARE("errors_ceiling", errors_ceiling),
    FIELD_ROW_BOOL("client_errors_judged", struct plan, client_errors_judged),
    SHARE("client_errors_margin", client_errors.margin),
    SHARE("client_errors_margin_absolute", client_errors.margin_absolute),
    FIELD_ROW_BOOL("latency_judged", struct plan, latency_judged),
    SHARE("latency_margin", latency_margin),
    TIME("latency_warmup_ms", latency_warmup_ms),
};

/* The last ones came later: a record of before has none of replicas, or of abort_steps. */
static const char *const plan_nested[] = {"steps", "quantiles", "replicas", "abort_steps"};
static const struct field_set plan_set = {plan_rows, ARRAY_LEN(plan_rows), plan_nested,
                                          ARRAY_LEN(plan_nested)};
static const struct field_set old_plan_set = {plan_rows, ARRAY_LEN(plan_rows), plan_nested,
                                              ARRAY_LEN(plan_nested) - 1};
static const struct field_set oldest_plan_set = {plan_rows, ARRAY_LEN(plan_rows), plan_nested,
                                                 ARRAY_LEN(plan_nested) - 2};

static const struct field step_rows[] = {
    FIELD_ROW_NUMBER("weight_bp", FIELD_INT, struct plan_step, weight_bp, 0, 10000),
    FIELD_ROW_NUMBER("hold_ms", FIELD_I64, struct plan_step, hold_ms, -1, FIELDS_WHOLE_MAX),
    FIELD_ROW_NUMBER("min_requests", FIELD_I64, struct plan_step, min_requests, -1,
                     FIELDS_WHOLE_MAX),
    FIELD_ROW_BOOL("pause", struct plan_step, pause),
};

static const struct field_set step_set = {step_rows, ARRAY_LEN(step_rows), NULL, 0};

#define AMOUNT(key, member)                                                                        \
    FIELD_ROW_BOOL(key "_is_share", struct plan, member.is_share),                                 \
        FIELD_ROW_NUMBER(key, FIELD_INT, struct plan, member.value, 0, PLAN_REPLICAS_MAX)

static const struct field replicas_rows[] = {
    FIELD_ROW_ENUM("mode", struct plan, replicas_mode, PLAN_REPLICAS_MODES, replicas_mode_name),
    {.name = "cleanup",
     .type = FIELD_ENUM,
     .offset = offsetof(struct plan, cleanup),
     .max = 2,
     .name_of = cleanup_name,
     .is_later = true},
    AMOUNT("max_surge", surge),
    AMOUNT("max_unavailable", unavailable),
    FIELD_ROW_NUMBER("headroom", FIELD_DOUBLE, struct plan, headroom, 1, PLAN_HEADROOM_MAX),
};

static const struct field_set replicas_set = {replicas_rows, ARRAY_LEN(replicas_rows), NULL, 0};

static enum err write_shares(cJSON *list, const double *shares, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        cJSON *share = cJSON_CreateNumber(shares[i]);
        if (!share || !cJSON_AddItemToArray(list, share))
            return ERR_MEMORY;
    }
    return OK;
}

enum err plan_to_json(const struct plan *p, cJSON *into)
{
    cJSON *steps = cJSON_AddArrayToObject(into, "steps");
    cJSON *quantiles = cJSON_AddArrayToObject(into, "quantiles");
    cJSON *replicas = cJSON_AddObjectToObject(into, "replicas");
    cJSON *abort_steps = cJSON_AddArrayToObject(into, "abort_steps");
    if (!steps || !quantiles || !replicas || !abort_steps ||
        fields_write(replicas, &replicas_set, p) != OK)
        return ERR_MEMORY;
    for (size_t i = 0; i < p->n_steps; i++) {
        cJSON *step = cJSON_CreateObject();
        if (!step || !cJSON_AddItemToArray(steps, step) ||
            fields_write(step, &step_set, &p->steps[i]) != OK)
            return ERR_MEMORY;
    }
    if (write_shares(quantiles, p->quantiles, p->n_quantiles) != OK ||
        write_shares(abort_steps, p->abort_steps, p->n_abort_steps) != OK)
        return ERR_MEMORY;
    return fields_write(into, &plan_set, p);
}

static enum err read_steps(struct plan *p, const cJSON *steps, struct why *why)
{
    int n = cJSON_GetArraySize(steps);
    if (!cJSON_IsArray(steps) || n > PLAN_STEPS_MAX)
        return why_set(why, ERR_INVALID, "plan.steps: not a list of at most %d", PLAN_STEPS_MAX);
    const cJSON *step;
    cJSON_ArrayForEach(step, steps)
    {
        if (fields_read(step, &step_set, &p->steps[p->n_steps], "plan.steps[].", why) != OK)
            return ERR_INVALID;
        p->n_steps++;
    }
    return OK;
}

/* list NULL: the record has none. */
static enum err read_shares(const cJSON *list, const char *name, double *shares, size_t most,
                            size_t *n, struct why *why)
{
    *n = 0;
    if (!list)
        return OK;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > (int)most)
        return why_set(why, ERR_INVALID, "plan.%s: not a list of at most %zu", name, most);
    const cJSON *share;
    cJSON_ArrayForEach(share, list)
    {
        if (!cJSON_IsNumber(share))
            return why_set(why, ERR_INVALID, "plan.%s: not numbers", name);
        shares[(*n)++] = share->valuedouble;
    }
    return OK;
}

static enum err read_replicas(struct plan *p, const cJSON *replicas, struct why *why)
{
    if (replicas)
        return fields_read(replicas, &replicas_set, p, "plan.replicas.", why);
    struct plan standard;
    plan_default(&standard);
    p->replicas_mode = standard.replicas_mode;
    p->surge = standard.surge;
    p->unavailable = standard.unavailable;
    p->headroom = standard.headroom;
    return OK;
}

enum err plan_from_json(struct plan *p, const cJSON *from, struct why *why)
{
    const cJSON *replicas = cJSON_GetObjectItemCaseSensitive(from, "replicas");
    const cJSON *abort_steps = cJSON_GetObjectItemCaseSensitive(from, "abort_steps");
    const cJSON *quantiles = cJSON_GetObjectItemCaseSensitive(from, "quantiles");
    const struct field_set *set = abort_steps ? &plan_set
                                  : replicas  ? &old_plan_set
                                              : &oldest_plan_set;
    *p = (struct plan){0};
    if (fields_read(from, set, p, "plan.", why) != OK ||
        read_steps(p, cJSON_GetObjectItemCaseSensitive(from, "steps"), why) != OK ||
        read_shares(quantiles, "quantiles", p->quantiles, PLAN_QUANTILES_MAX, &p->n_quantiles,
                    why) != OK ||
        read_shares(abort_steps, "abort_steps", p->abort_steps, PLAN_ABORT_STEPS_MAX,
                    &p->n_abort_steps, why) != OK ||
        read_replicas(p, replicas, why) != OK)
        return ERR_INVALID;
    struct why reason;
    if (plan_check(p, &reason) != OK)
        return why_set(why, ERR_INVALID, "plan.%.400s", reason.text);
    return OK;
}
