/* All that one route's rollout must remember over a restart, to JSON and back.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/record.h"

#include "base/check.h"
#include "rollout/decide/fields.h"
#include "rollout/decide/outside_json.h"
#include "rollout/decide/plan_json.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const char *state_name(int value)
{
    return machine_state_name((enum machine_state)value);
}

static const char *cause_name(int value)
{
    return machine_cause_name((enum machine_cause)value);
}

/* What may stand in a record that is read: far below FIELDS_WHOLE_MAX, for all of it goes on
 * growing and must be read back. In milliseconds and counts more than any process lives to see. */
#define GROWS_MAX 1125899906842624.0 /* 2^50 */

#define COUNT(key, member) FIELD_ROW_NUMBER(key, FIELD_U64, struct record, member, 0, GROWS_MAX)
#define TIME(key, member)  FIELD_ROW_NUMBER(key, FIELD_I64, struct record, member, 0, GROWS_MAX)
static const struct field record_rows[] = {
    COUNT("epoch", epoch),
    COUNT("seq", seq),
    COUNT("serial", serial),
    FIELD_ROW_TEXT("route", struct record, route),
    TIME("written_at_ms", written_ms),
    FIELD_ROW_BOOL("promoted", struct record, promoted),
    FIELD_ROW_BOOL("settled", struct record, settled),
    FIELD_ROW_TEXT("alert", struct record, alert),
    FIELD_ROW_TEXT("actor", struct record, actor),
    COUNT("slow0_us", slow_us[0]),
    COUNT("slow1_us", slow_us[1]),
    COUNT("slow2_us", slow_us[2]),
    FIELD_ROW_ENUM("state", struct record, machine.state, MACHINE_STATE_COUNT, state_name),
    FIELD_ROW_ENUM("left", struct record, machine.left, MACHINE_STATE_COUNT, state_name),
    FIELD_ROW_ENUM("cause", struct record, machine.cause, MACHINE_CAUSE_COUNT, cause_name),
    FIELD_ROW_NUMBER("step", FIELD_INT, struct record, machine.step, 0, PLAN_STEPS_MAX),
    FIELD_ROW_NUMBER("stage", FIELD_INT, struct record, machine.stage, -1, PLAN_STEPS_MAX),
    FIELD_ROW_NUMBER("weight_desired", FIELD_INT, struct record, machine.weight_bp, 0, 10000),
    FIELD_ROW_NUMBER("weight_confirmed", FIELD_INT, struct record, machine.confirmed_bp, 0, 10000),
    FIELD_ROW_BOOL("direct", struct record, machine.direct),
    FIELD_ROW_BOOL("full", struct record, machine.full),
    FIELD_ROW_BOOL("then_stable", struct record, machine.then_stable),
    FIELD_ROW_BOOL("waived", struct record, machine.waived),
    {.name = "gradual",
     .type = FIELD_BOOL,
     .offset = offsetof(struct record, machine.gradual),
     .is_later = true},
    {.name = "scaled",
     .type = FIELD_BOOL,
     .offset = offsetof(struct record, machine.scaled),
     .is_later = true},
    {.name = "told_epoch",
     .type = FIELD_U64,
     .offset = offsetof(struct record, told_epoch),
     .max = GROWS_MAX,
     .is_later = true},
    {.name = "told_seq",
     .type = FIELD_U64,
     .offset = offsetof(struct record, told_seq),
     .max = GROWS_MAX,
     .is_later = true},
    {.name = "replicas",
     .type = FIELD_INT,
     .offset = offsetof(struct record, replicas),
     .max = RECORD_REPLICAS_MAX,
     .is_later = true},
    TIME("elapsed_ms", machine.elapsed_ms),
    TIME("stage_ms", machine.stage_ms),
    TIME("steady_ms", machine.steady_ms),
    TIME("state_ms", machine.state_ms),
    TIME("held_ms", machine.held_ms),
    FIELD_ROW_NUMBER("first_bad_ms", FIELD_I64, struct record, machine.first_bad_ms, -1, GROWS_MAX),
    TIME("progress_ms", machine.progress_ms),
};

static const char *const record_nested[] = {"schema",  "file",       "pair",     "plan",
                                            "outside", "counts",     "at_stage", "at_steady",
                                            "run",     "quarantine", "evidence", "history"};
static const struct field_set record_set = {record_rows, ARRAY_LEN(record_rows), record_nested,
                                            ARRAY_LEN(record_nested)};

static const struct field pair_rows[] = {
    FIELD_ROW_TEXT("stable", struct record_pair, stable.name),
    FIELD_ROW_TEXT("revision_stable", struct record_pair, stable.revision),
    FIELD_ROW_TEXT("canary", struct record_pair, canary.name),
    FIELD_ROW_TEXT("revision_canary", struct record_pair, canary.revision),
};
static const struct field_set pair_set = {pair_rows, ARRAY_LEN(pair_rows), NULL, 0};

#define SIDE(key, member) FIELD_ROW_NUMBER(key, FIELD_U64, struct judge_side, member, 0, GROWS_MAX)

static const struct field side_rows[] = {
    SIDE("requests", requests),
    SIDE("failed", failed),
    SIDE("client_errors", client_errors),
    SIDE("slow0", slow[0]),
    SIDE("slow1", slow[1]),
    SIDE("slow2", slow[2]),
    SIDE("key_requests", key_requests),
    SIDE("key_failed", key_failed),
};
static const struct field_set side_set = {side_rows, ARRAY_LEN(side_rows), NULL, 0};

static const struct field quarantine_rows[] = {
    FIELD_ROW_TEXT("name", struct record_quarantine, name),
    FIELD_ROW_TEXT("revision", struct record_quarantine, revision),
    FIELD_ROW_NUMBER("at_ms", FIELD_I64, struct record_quarantine, at_ms, 0, GROWS_MAX),
    FIELD_ROW_TEXT("why", struct record_quarantine, why),
};
static const struct field_set quarantine_set = {quarantine_rows, ARRAY_LEN(quarantine_rows), NULL,
                                                0};

static enum err copy_text(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    if (len >= size)
        return ERR_LIMIT;
    memcpy(to, from, len + 1);
    return OK;
}

enum err record_init(struct record *r, const char *route)
{
    *r = (struct record){0};
    machine_init(&r->machine);
    plan_default(&r->plan);
    if (copy_text(r->route, sizeof r->route, route) != OK)
        return ERR_LIMIT;
    r->history = cJSON_CreateArray();
    r->outside = outside_to_json(NULL);
    return r->history && r->outside ? OK : ERR_MEMORY;
}

void record_fini(struct record *r)
{
    cJSON_Delete(r->history);
    cJSON_Delete(r->outside);
    r->history = r->outside = NULL;
}

static enum err write_seen(cJSON *root, const char *name, const struct judge_seen *seen)
{
    cJSON *json = cJSON_AddObjectToObject(root, name);
    cJSON *stable = cJSON_AddObjectToObject(json, "stable");
    cJSON *canary = cJSON_AddObjectToObject(json, "canary");
    if (!stable || !canary || fields_write(stable, &side_set, &seen->stable) != OK)
        return ERR_MEMORY;
    return fields_write(canary, &side_set, &seen->canary);
}

static enum err write_quarantine(const struct record *r, cJSON *list)
{
    for (size_t i = 0; i < r->n_quarantine; i++) {
        cJSON *item = cJSON_CreateObject();
        if (!item || !cJSON_AddItemToArray(list, item) ||
            fields_write(item, &quarantine_set, &r->quarantine[i]) != OK)
            return ERR_MEMORY;
    }
    return OK;
}

static enum err write_evidence(const struct record *r, cJSON *root)
{
    if (!r->judged)
        return cJSON_AddNullToObject(root, "evidence") ? OK : ERR_MEMORY;
    cJSON *evidence = cJSON_AddObjectToObject(root, "evidence");
    return evidence ? judge_to_json(&r->judge, evidence) : ERR_MEMORY;
}

/* History and outside are borrowed for the length of the print: the record stays their owner. */
static enum err write_all(const struct record *r, cJSON *root)
{
    if (!cJSON_AddNumberToObject(root, "schema", RECORD_SCHEMA) ||
        fields_write(root, &record_set, r) != OK)
        return ERR_MEMORY;
    cJSON *file = cJSON_AddObjectToObject(root, "file");
    cJSON *pair = cJSON_AddObjectToObject(root, "pair");
    cJSON *plan = cJSON_AddObjectToObject(root, "plan");
    cJSON *run = cJSON_AddObjectToObject(root, "run");
    cJSON *quarantine = cJSON_AddArrayToObject(root, "quarantine");
    if (!file || !pair || !plan || !run || !quarantine)
        return ERR_MEMORY;
    if (fields_write(file, &pair_set, &r->file) != OK ||
        fields_write(pair, &pair_set, &r->pair) != OK || plan_to_json(&r->plan, plan) != OK ||
        record_run_to_json(&r->run, run) != OK || write_quarantine(r, quarantine) != OK)
        return ERR_MEMORY;
    const struct machine *m = &r->machine;
    if (write_seen(root, "counts", &m->counts) != OK ||
        write_seen(root, "at_stage", &m->at_stage) != OK ||
        write_seen(root, "at_steady", &m->at_steady) != OK || write_evidence(r, root) != OK)
        return ERR_MEMORY;
    return fields_lend(root, "outside", r->outside) && fields_lend(root, "history", r->history)
               ? OK
               : ERR_MEMORY;
}

/* The bytes from one offset to another. */
static void copy_part(struct record *to, const struct record *from, size_t at, size_t end)
{
    memcpy((char *)to + at, (const char *)from + at, end - at);
}

void record_copy(struct record *to, const struct record *from)
{
    size_t steps = offsetof(struct record, run) + offsetof(struct record_run, steps);
    size_t quarantine = offsetof(struct record, quarantine);
    copy_part(to, from, 0, steps + from->run.n_steps * sizeof from->run.steps[0]);
    copy_part(to, from, steps + sizeof from->run.steps,
              quarantine + from->n_quarantine * sizeof from->quarantine[0]);
    copy_part(to, from, quarantine + sizeof from->quarantine, sizeof *from);
}

char *record_encode(const struct record *r)
{
    cJSON *root = cJSON_CreateObject();
    char *text = NULL;
    if (root && write_all(r, root) == OK)
        text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static enum err read_schema(const cJSON *root, struct why *why)
{
    const cJSON *schema = cJSON_GetObjectItemCaseSensitive(root, "schema");
    if (!cJSON_IsNumber(schema))
        return why_set(why, ERR_INVALID, "schema: missing");
    if (schema->valuedouble > RECORD_SCHEMA) /* not damage: a newer release wrote it */
        return why_set(why, ERR_UNSUPPORTED,
                       "schema: %g, but this release reads %d: use the release that wrote it",
                       schema->valuedouble, RECORD_SCHEMA);
    if (schema->valuedouble != RECORD_SCHEMA)
        return why_set(why, ERR_INVALID, "schema: %g, but this release reads %d",
                       schema->valuedouble, RECORD_SCHEMA);
    return OK;
}

static enum err read_seen(const cJSON *root, const char *name, struct judge_seen *seen,
                          struct why *why)
{
    char path[2][32];
    const cJSON *json = cJSON_GetObjectItemCaseSensitive(root, name);
    const cJSON *stable = cJSON_GetObjectItemCaseSensitive(json, "stable");
    const cJSON *canary = cJSON_GetObjectItemCaseSensitive(json, "canary");
    (void)snprintf(path[0], sizeof path[0], "%s.stable.", name);
    (void)snprintf(path[1], sizeof path[1], "%s.canary.", name);
    if (cJSON_GetArraySize(json) != 2)
        return why_set(why, ERR_INVALID, "%s: not stable and canary", name);
    enum err e = fields_read(stable, &side_set, &seen->stable, path[0], why);
    return e ? e : fields_read(canary, &side_set, &seen->canary, path[1], why);
}

static enum err read_quarantine(struct record *r, const cJSON *list, struct why *why)
{
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > RECORD_QUARANTINE_MAX)
        return why_set(why, ERR_INVALID, "quarantine: not a list of at most %d",
                       RECORD_QUARANTINE_MAX);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        struct record_quarantine *q = &r->quarantine[r->n_quarantine];
        if (fields_read(item, &quarantine_set, q, "quarantine[].", why) != OK)
            return ERR_INVALID;
        r->n_quarantine++;
    }
    return OK;
}

static enum err read_evidence(struct record *r, const cJSON *evidence, struct why *why)
{
    r->judged = !cJSON_IsNull(evidence);
    if (!r->judged)
        return OK;
    struct judge_settings settings;
    struct why reason;
    if (judge_settings_from_plan(&settings, &r->plan, &reason) != OK ||
        judge_from_json(&r->judge, &settings, evidence, &reason) != OK)
        return why_set(why, ERR_INVALID, "evidence.%.400s", reason.text);
    if (r->judge.stage > plan_judged_steps(&r->plan))
        return why_set(why, ERR_INVALID, "evidence.stage: %u is beyond the plan", r->judge.stage);
    return OK;
}

/* Every element must be a run; the list itself is kept as it is. */
static enum err read_history(struct record *r, cJSON *root, struct why *why)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, "history");
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) > RECORD_HISTORY_MAX)
        return why_set(why, ERR_INVALID, "history: not a list of at most %d", RECORD_HISTORY_MAX);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        struct record_run run;
        if (record_run_from_json(&run, item, why) != OK)
            return ERR_INVALID;
    }
    r->history = cJSON_DetachItemFromObjectCaseSensitive(root, "history");
    return OK;
}

static enum err read_outside(struct record *r, cJSON *root, struct why *why)
{
    struct outside outside;
    struct outside_room room;
    const cJSON *from = cJSON_GetObjectItemCaseSensitive(root, "outside");
    if (outside_from_json(&outside, &room, from, why) != OK)
        return ERR_INVALID;
    r->outside = cJSON_DetachItemFromObjectCaseSensitive(root, "outside");
    return OK;
}

/* Who runs against whom: the file's pair, or the other way round after a promotion. */
static enum err check_pair(const struct record *r, struct why *why)
{
    const struct record_pair *pair = &r->pair, *file = &r->file;
    const struct record_pair back = {.stable = file->canary, .canary = file->stable};
    if (strcmp(pair->stable.name, pair->canary.name) == 0)
        return why_set(why, ERR_INVALID, "pair.canary: %s is stable itself", pair->canary.name);
    if (!record_pair_equal(pair, file) && !record_pair_equal(pair, &back))
        return why_set(why, ERR_INVALID, "pair: %s and %s, but the file's are %s and %s",
                       pair->stable.name, pair->canary.name, file->stable.name, file->canary.name);
    return OK;
}

static enum err check_whole(const struct record *r, struct why *why)
{
    if (r->route[0] == '\0')
        return why_set(why, ERR_INVALID, "route: empty");
    if (r->pair.stable.name[0] == '\0' || r->file.stable.name[0] == '\0')
        return why_set(why, ERR_INVALID, "pair.stable: empty");
    if (machine_is_running(&r->machine) && r->pair.canary.name[0] == '\0')
        return why_set(why, ERR_INVALID, "pair.canary: empty, but the state is %s",
                       machine_state_name(r->machine.state));
    if (machine_is_running(&r->machine) && r->run.id[0] == '\0')
        return why_set(why, ERR_INVALID, "run.id: empty, but the state is %s",
                       machine_state_name(r->machine.state));
    if (machine_is_running(&r->machine) && !r->judged)
        return why_set(why, ERR_INVALID, "evidence: none, but the state is %s",
                       machine_state_name(r->machine.state));
    enum err e = check_pair(r, why);
    return e == OK ? machine_check(&r->machine, &r->plan, why) : e;
}

static enum err read_all(struct record *r, cJSON *root, struct why *why)
{
    enum err e = read_schema(root, why);
    if (e != OK)
        return e;
    if (fields_read(root, &record_set, r, "", why) != OK)
        return ERR_INVALID;
    const cJSON *file = cJSON_GetObjectItemCaseSensitive(root, "file");
    const cJSON *pair = cJSON_GetObjectItemCaseSensitive(root, "pair");
    const cJSON *plan = cJSON_GetObjectItemCaseSensitive(root, "plan");
    const cJSON *run = cJSON_GetObjectItemCaseSensitive(root, "run");
    if (fields_read(file, &pair_set, &r->file, "file.", why) != OK ||
        fields_read(pair, &pair_set, &r->pair, "pair.", why) != OK ||
        plan_from_json(&r->plan, plan, why) != OK ||
        record_run_from_json(&r->run, run, why) != OK ||
        read_seen(root, "counts", &r->machine.counts, why) != OK ||
        read_seen(root, "at_stage", &r->machine.at_stage, why) != OK ||
        read_seen(root, "at_steady", &r->machine.at_steady, why) != OK ||
        read_quarantine(r, cJSON_GetObjectItemCaseSensitive(root, "quarantine"), why) != OK ||
        read_evidence(r, cJSON_GetObjectItemCaseSensitive(root, "evidence"), why) != OK ||
        check_whole(r, why) != OK)
        return ERR_INVALID;
    if (read_outside(r, root, why) != OK || read_history(r, root, why) != OK) {
        cJSON_Delete(r->outside);
        r->outside = NULL;
        return ERR_INVALID;
    }
    return OK;
}

enum err record_decode(struct record *r, const char *text, size_t len, struct why *why)
{
    *r = (struct record){0};
    const char *end = text;
    cJSON *root = cJSON_ParseWithLengthOpts(text, len, &end, false);
    bool whole = root && (end == text + len || (end == text + len - 1 && *end == '\n'));
    enum err e = whole && cJSON_IsObject(root) ? read_all(r, root, why)
                                               : why_set(why, ERR_INVALID, "not one JSON object");
    cJSON_Delete(root);
    return e;
}

bool record_version_equal(const struct record_version *a, const struct record_version *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->revision, b->revision) == 0;
}

bool record_pair_equal(const struct record_pair *a, const struct record_pair *b)
{
    return record_version_equal(&a->stable, &b->stable) &&
           record_version_equal(&a->canary, &b->canary);
}

int record_find_quarantine(const struct record *r, const struct record_version *v)
{
    for (size_t i = 0; i < r->n_quarantine; i++)
        if (strcmp(r->quarantine[i].name, v->name) == 0 &&
            strcmp(r->quarantine[i].revision, v->revision) == 0)
            return (int)i;
    return -1;
}

void record_release(struct record *r, const struct record_version *v)
{
    int i = record_find_quarantine(r, v);
    if (i < 0)
        return;
    r->n_quarantine--;
    memmove(&r->quarantine[i], &r->quarantine[i + 1],
            (r->n_quarantine - (size_t)i) * sizeof r->quarantine[0]);
}

void record_quarantine(struct record *r, const struct record_version *v, int64_t at_ms,
                       const char *why)
{
    record_release(r, v);
    if (r->n_quarantine == RECORD_QUARANTINE_MAX) {
        r->n_quarantine--;
        memmove(&r->quarantine[0], &r->quarantine[1], r->n_quarantine * sizeof r->quarantine[0]);
    }
    struct record_quarantine *q = &r->quarantine[r->n_quarantine++];
    *q = (struct record_quarantine){.at_ms = at_ms};
    memcpy(q->name, v->name, sizeof q->name);
    memcpy(q->revision, v->revision, sizeof q->revision);
    (void)snprintf(q->why, sizeof q->why, "%s", why);
}
