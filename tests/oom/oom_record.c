/* A rollout's record and plan are written and read whole, or not at all.
 * SPDX-License-Identifier: Apache-2.0 */
#include "oom.h"
#include "rollout/decide/judge_settings.h"
#include "rollout/decide/plan_json.h"
#include "rollout/decide/record.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static struct record sound, back;
static char *text;

/* One in mid-rollout with evidence, quarantine and history. */
static void fill(struct record *r)
{
    static struct judge_settings settings;
    struct judge_input input = {.t_ms = 1000, .elapsed_s = 1, .weight_bp = 100};
    struct judge_decision decision;
    CHECK(record_init(r, "web") == OK);
    strcpy(r->file.stable.name, "v1");
    strcpy(r->file.canary.name, "v2");
    r->pair = r->file;
    r->machine.state = r->machine.left = MACHINE_ANALYZING;
    r->machine.stage = 0;
    r->machine.weight_bp = r->machine.confirmed_bp = r->plan.steps[0].weight_bp;
    r->run = (struct record_run){.id = "web-2", .stable = "v1", .canary = "v2", .started_ms = 7};
    r->run.steps[0] = (struct record_step){100, 8, MACHINE_CAUSE_NONE, ""};
    r->run.n_steps = 1;
    record_quarantine(r, &(struct record_version){"v0", "old"}, 55, "it failed");
    CHECK(judge_settings_from_plan(&settings, &r->plan, NULL) == OK);
    judge_start(&r->judge, &settings, false, NULL);
    input.stable.requests = 1000, input.canary.requests = 100;
    judge_tick(&r->judge, &input, &decision);
    r->judged = true;
    cJSON *run = cJSON_CreateObject();
    CHECK(run && record_run_to_json(&r->run, run) == OK && cJSON_AddItemToArray(r->history, run));
}

static bool init(void)
{
    enum err e = record_init(&back, "web");
    CHECK(e == OK || e == ERR_MEMORY);
    record_fini(&back);
    return e == OK;
}

static bool encode(void)
{
    char *written = record_encode(&sound);
    bool ok = written;
    CHECK(!ok || strcmp(written, text) == 0); /* never a part of it */
    free(written);
    return ok;
}

/* Text that cJSON had no memory for cannot be told from text that is no JSON: it is refused with a reason. */
static bool decode(void)
{
    struct why why = {""};
    enum err e = record_decode(&back, text, strlen(text), &why);
    CHECK((e == OK) == (why.text[0] == '\0'));
    CHECK(e == OK || e == ERR_MEMORY || e == ERR_INVALID);
    if (e == OK)
        record_fini(&back);
    return e == OK;
}

static bool plan_there_and_back(void)
{
    static struct plan plan, again;
    struct why why = {""};
    cJSON *json = cJSON_CreateObject();
    plan_default(&plan);
    enum err e = json ? plan_to_json(&plan, json) : ERR_MEMORY;
    CHECK(e == OK || e == ERR_MEMORY);
    if (e == OK)
        CHECK(plan_from_json(&again, json, &why) == OK);
    cJSON_Delete(json);
    return e == OK;
}

int main(void)
{
    fill(&sound);
    text = record_encode(&sound);
    CHECK(text);
    oom_every("record_init", init, 2);
    oom_every("plan_to_json, plan_from_json", plan_there_and_back, 20);
    record_fini(&sound);
    /* what the hooks of oom_every free must come from them */
    struct why why;
    CHECK(record_decode(&sound, text, strlen(text), &why) == OK);
    oom_every("record_encode", encode, 100);
    oom_every("record_decode", decode, 100);
    record_fini(&sound);
    free(text);
    return 0;
}
