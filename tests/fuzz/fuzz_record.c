/* Fuzzer of the rollout record: any text is refused with a reason, or is a record that comes back the same.
 * SPDX-License-Identifier: Apache-2.0 */
/* An input is a text; or, behind a byte 1, hurts of three bytes for a sound record (which member, what becomes of it): text
 * that is mutated blindly seldom gets past the JSON. */
#include "fuzz.h"
#include "rollout/decide/judge_settings.h"
#include "rollout/decide/record.h"

#include <cjson/cJSON.h>

static struct record first, second;

/* What the rest of the controller takes for granted. */
static void hold_to_promises(const struct record *r)
{
    const struct machine *m = &r->machine;
    CHECK(m->state < MACHINE_STATE_COUNT && m->left < MACHINE_STATE_COUNT);
    CHECK(m->weight_bp <= 10000 && m->confirmed_bp <= 10000 && m->step <= PLAN_STEPS_MAX);
    CHECK(plan_check(&r->plan, NULL) == OK);
    CHECK(r->run.n_steps <= RECORD_STEPS_MAX && r->n_quarantine <= RECORD_QUARANTINE_MAX);
    CHECK(cJSON_IsArray(r->history) && cJSON_GetArraySize(r->history) <= RECORD_HISTORY_MAX);
    CHECK(cJSON_IsObject(r->outside));
    CHECK(r->replicas >= 0 && r->replicas <= RECORD_REPLICAS_MAX);
}

/* A record that was read is written, read and written again: the two texts are equal. */
static void there_and_back(const struct record *r)
{
    struct why why = {""};
    char *text = record_encode(r);
    CHECK(text);
    CHECK(record_decode(&second, text, strlen(text), &why) == OK);
    char *again = record_encode(&second);
    CHECK(again && strcmp(text, again) == 0);
    record_fini(&second);
    free(text);
    free(again);
}

static void judge_text(const char *bytes, size_t size)
{
    struct why why = {""};
    char *text = fuzz_copy(bytes, size);
    enum err e = record_decode(&first, text, size, &why);
    free(text);
    CHECK((e == OK) == (why.text[0] == '\0'));
    CHECK(e == OK || e == ERR_INVALID || e == ERR_UNSUPPORTED);
    if (e != OK)
        return;
    hold_to_promises(&first);
    there_and_back(&first);
    record_fini(&first);
}

/* One of a rollout at its first step, with evidence. */
static char *sound_record(void)
{
    static struct record r;
    static struct judge_settings settings;
    struct judge_input input = {.t_ms = 1000, .elapsed_s = 1, .weight_bp = 100, .stage = 0};
    struct judge_decision decision;
    CHECK(record_init(&r, "web") == OK);
    strcpy(r.file.stable.name, "v1");
    strcpy(r.file.canary.name, "v2");
    r.pair = r.file;
    r.machine.state = r.machine.left = MACHINE_ANALYZING;
    r.machine.stage = 0;
    r.machine.weight_bp = r.machine.confirmed_bp = r.plan.steps[0].weight_bp;
    r.run = (struct record_run){.id = "web-1", .stable = "v1", .canary = "v2", .started_ms = 7};
    r.run.steps[0] = (struct record_step){100, 8, MACHINE_CAUSE_NONE, ""};
    r.run.n_steps = 1;
    record_quarantine(&r, &(struct record_version){"v0", "old"}, 55, "it failed");
    CHECK(judge_settings_from_plan(&settings, &r.plan, NULL) == OK);
    judge_start(&r.judge, &settings, false, NULL);
    input.stable.requests = 1000, input.canary.requests = 100, input.canary.failed = 3;
    judge_tick(&r.judge, &input, &decision);
    r.judged = true;
    cJSON *run = cJSON_CreateObject();
    CHECK(run && record_run_to_json(&r.run, run) == OK && cJSON_AddItemToArray(r.history, run));
    char *text = record_encode(&r);
    CHECK(text && record_decode(&second, text, strlen(text), &(struct why){""}) == OK);
    record_fini(&second);
    record_fini(&r);
    return text;
}

/* The member that is left below when so many have been passed by, depth first; NULL beyond the last. */
static cJSON *find_member(cJSON *in, unsigned *left)
{
    for (cJSON *child = in->child; child; child = child->next) {
        if ((*left)-- == 0)
            return child;
        cJSON *deeper = find_member(child, left);
        if (deeper)
            return deeper;
    }
    return NULL;
}

static void hurt(cJSON *root, unsigned which, uint8_t how)
{
    static const double numbers[] = {0,    1,    -1,    0.5,          2, 9, 10000, 1e9, 1e15,
                                     1e16, 1e19, 1e308, -2147483649.0};
    static const char *const words[] = {"",       "v1",     "v2",    "ABORTING", "HOLDING",
                                        "PAUSED", "BAKING", "abort", "COMPLETED"};
    cJSON *m = find_member(root, &which);
    if (!m)
        return;
    if (how < ARRAY_LEN(numbers) && cJSON_IsNumber(m)) {
        (void)cJSON_SetNumberHelper(m, numbers[how]);
        return;
    }
    /* in place, as if it had been written so: its children go */
    cJSON_Delete(m->child);
    cJSON_free(m->valuestring);
    m->child = NULL;
    m->valuestring = NULL;
    m->type = how & 64   ? cJSON_String
              : how & 32 ? cJSON_True
              : how & 16 ? cJSON_NULL
                         : cJSON_Number;
    m->valuedouble = how;
    if (m->type == cJSON_String)
        CHECK((m->valuestring = strdup(words[how % ARRAY_LEN(words)])));
    if (how & 128 && m->string) /* an unknown name, and one that is missing */
        m->string[0] ^= 1;
}

static void judge_hurt(const uint8_t *data, size_t size)
{
    static char *sound;
    if (!sound)
        sound = sound_record();
    cJSON *json = cJSON_Parse(sound);
    CHECK(json);
    for (size_t i = 0; i + 3 <= size; i += 3)
        hurt(json, data[i] | (unsigned)data[i + 1] << 8, data[i + 2]);
    char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    CHECK(text);
    judge_text(text, strlen(text));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size && data[0] == 1)
        judge_hurt(data + 1, size - 1);
    else
        judge_text((const char *)data, size);
    return 0;
}
