/* One run of a rollout, as the record and its history hold it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/record.h"

#include "base/check.h"
#include "rollout/decide/fields.h"
#include <cjson/cJSON.h>

static const char *result_name(int value)
{
    return rollout_result_name((enum rollout_result)value);
}

static const char *verb_name(int value)
{
    return rollout_verb_name((enum rollout_verb)value);
}

static const char *cause_name(int value)
{
    return machine_cause_name((enum machine_cause)value);
}

static const struct field run_rows[] = {
    FIELD_ROW_TEXT("id", struct record_run, id),
    FIELD_ROW_TEXT("stable", struct record_run, stable),
    FIELD_ROW_TEXT("canary", struct record_run, canary),
    FIELD_ROW_NUMBER("started_at_ms", FIELD_I64, struct record_run, started_ms, 0,
                     FIELDS_WHOLE_MAX),
    FIELD_ROW_NUMBER("ended_at_ms", FIELD_I64, struct record_run, ended_ms, 0, FIELDS_WHOLE_MAX),
    FIELD_ROW_ENUM("result", struct record_run, result, ROLLOUT_RESULT_COUNT, result_name),
    FIELD_ROW_ENUM("verb", struct record_run, verb, ROLLOUT_VERB_COUNT, verb_name),
    FIELD_ROW_TEXT("why", struct record_run, why),
    FIELD_ROW_TEXT("who", struct record_run, who),
};
static const char *const run_nested[] = {"steps"};
static const struct field_set run_set = {run_rows, ARRAY_LEN(run_rows), run_nested, 1};

static const struct field step_rows[] = {
    FIELD_ROW_NUMBER("weight_bp", FIELD_INT, struct record_step, weight_bp, 0, 10000),
    FIELD_ROW_NUMBER("entered_at_ms", FIELD_I64, struct record_step, entered_ms, 0,
                     FIELDS_WHOLE_MAX),
    FIELD_ROW_ENUM("verdict", struct record_step, verdict, MACHINE_CAUSE_COUNT, cause_name),
    FIELD_ROW_TEXT("why", struct record_step, why),
};
static const struct field_set step_set = {step_rows, ARRAY_LEN(step_rows), NULL, 0};

enum err record_run_to_json(const struct record_run *run, cJSON *into)
{
    cJSON *steps = cJSON_AddArrayToObject(into, "steps");
    if (!steps || fields_write(into, &run_set, run) != OK)
        return ERR_MEMORY;
    for (size_t i = 0; i < run->n_steps; i++) {
        cJSON *step = cJSON_CreateObject();
        if (!step || !cJSON_AddItemToArray(steps, step) ||
            fields_write(step, &step_set, &run->steps[i]) != OK)
            return ERR_MEMORY;
    }
    return OK;
}

enum err record_run_from_json(struct record_run *run, const cJSON *from, struct why *why)
{
    *run = (struct record_run){0};
    if (fields_read(from, &run_set, run, "run.", why) != OK)
        return ERR_INVALID;
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(from, "steps");
    if (!cJSON_IsArray(steps) || cJSON_GetArraySize(steps) > RECORD_STEPS_MAX)
        return why_set(why, ERR_INVALID, "run.steps: not a list of at most %d", RECORD_STEPS_MAX);
    const cJSON *step;
    cJSON_ArrayForEach(step, steps)
    {
        if (fields_read(step, &step_set, &run->steps[run->n_steps], "run.steps[].", why) != OK)
            return ERR_INVALID;
        run->n_steps++;
    }
    return OK;
}
