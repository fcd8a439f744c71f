/* How runs begin and end in the record: new pairs, starts, retries, undos, promotions, quarantine,
 * history. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/lifecycle.h"

#include "base/check.h"
#include "base/log.h"
#include "rollout/asks.h"
#include "rollout/explain.h"
#include "rollout/inside.h"
#include "rollout/moment.h"
#include <cjson/cJSON.h>
#include <string.h>

static enum err copy_name(char *to, const char *from, const char *what, struct why *why)
{
    size_t len = from ? strlen(from) : 0;
    if (len >= RECORD_NAME_MAX)
        return why_set(why, ERR_LIMIT, "%s \"%.40s...\": longer than %d bytes", what, from,
                       RECORD_NAME_MAX - 1);
    memset(to, 0, RECORD_NAME_MAX);
    memcpy(to, from ? from : "", len);
    return OK;
}

static enum err copy_version(struct record_version *to, const struct rollout_version *from,
                             const char *what, struct why *why)
{
    enum err e = copy_name(to->name, from->name, what, why);
    return e == OK ? copy_name(to->revision, from->name ? from->revision : NULL, "revision", why)
                   : e;
}

enum err lifecycle_pair(const struct rollout_setup *setup, struct record_pair *pair,
                        struct why *why)
{
    enum err e = copy_version(&pair->stable, &setup->stable, "stable", why);
    if (e == OK)
        e = copy_version(&pair->canary, &setup->canary, "canary", why);
    if (e == OK && pair->stable.name[0] == '\0')
        e = why_set(why, ERR_INVALID, "stable: no name");
    if (e == OK && strcmp(pair->stable.name, pair->canary.name) == 0)
        e = why_set(why, ERR_INVALID, "canary: %s is stable itself", pair->canary.name);
    return e;
}

#define VERSION_TEXT_MAX (2 * RECORD_NAME_MAX + 16)

/* A version beside another: with its revision where the name alone does not tell them apart. */
static const char *tell_apart(const struct record_version *v, const struct record_version *other,
                              char text[VERSION_TEXT_MAX])
{
    bool same_name = strcmp(v->name, other->name) == 0;
    const char *revision = v->revision[0] ? v->revision : "none";
    if (same_name)
        (void)snprintf(text, VERSION_TEXT_MAX, "%s (revision %s)", v->name, revision);
    else
        (void)snprintf(text, VERSION_TEXT_MAX, "%s", v->name);
    return text;
}

static enum err refuse_promoted(const struct record *record, const struct record_version *serves,
                                const struct record_pair *wanted, const char *files,
                                struct why *why)
{
    char promoted[VERSION_TEXT_MAX], named[VERSION_TEXT_MAX], reset[RECORD_NAME_MAX + 16];
    (void)snprintf(reset, sizeof reset, "`serin reset %s`", record->route);
    return why_set(why, ERR_CONFLICT,
                   "route %s: %s was promoted and serves everyone, but the file's stable is %s: "
                   "name it (stable: %s), or let the file rule again: %s%s",
                   record->route, tell_apart(serves, &wanted->stable, promoted),
                   tell_apart(&wanted->stable, serves, named), serves->name, files ? "remove " : "",
                   files ? files : reset);
}

static enum err refuse_running(const struct record *record, const struct record_pair *wanted,
                               const char *files, struct why *why)
{
    char canary[VERSION_TEXT_MAX];
    (void)tell_apart(&record->pair.canary, &wanted->canary, canary);
    if (!files)
        return why_set(why, ERR_CONFLICT,
                       "route %s: a rollout of %s is running and on_new_version says refuse: "
                       "abort it first",
                       record->route, canary);
    return why_set(why, ERR_CONFLICT,
                   "route %s: a rollout of %s has not ended and on_new_version says refuse: name "
                   "it again and abort it, or forget it: remove %s",
                   record->route, canary, files);
}

enum err lifecycle_accepts(const struct record *record, const struct record_pair *wanted,
                           const char *files, struct why *why)
{
    if (record_pair_equal(&record->file, wanted))
        return OK;
    const struct machine *m = &record->machine;
    if (m->state == MACHINE_FINALIZING || m->state == MACHINE_COMPLETED)
        return record_version_equal(&wanted->stable, &record->pair.canary)
                   ? OK
                   : refuse_promoted(record, &record->pair.canary, wanted, files, why);
    if (record->promoted && !record_version_equal(&wanted->stable, &record->pair.stable))
        return refuse_promoted(record, &record->pair.stable, wanted, files, why);
    bool ends = m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING;
    if (machine_is_running(m) && !ends && wanted->canary.name[0] &&
        record->plan.on_new_version == ON_NEW_VERSION_REFUSE)
        return refuse_running(record, wanted, files, why);
    return OK;
}

/* What was counted belongs to versions in roles that they no longer have. */
static void forget_counts(struct machine *m)
{
    static const struct judge_seen none;
    m->counts = m->at_stage = m->at_steady = none;
}

/* The record is idle and now belongs to the wanted pair. */
static void take_pair(struct record *next, const struct record_pair *wanted)
{
    struct machine *m = &next->machine;
    bool drops = m->state == MACHINE_ABORTED && !m->then_stable;
    enum machine_cause cause = drops ? MACHINE_CAUSE_DROPPED : m->cause;
    machine_init(m);
    m->cause = cause;
    next->file = *wanted;
    next->pair = *wanted;
    next->promoted = false;
    next->settled = next->alert[0] || record_find_quarantine(next, &wanted->canary) >= 0;
}

/* A rollout that ended for another pair lets that pair start by itself. Where it cannot, or where
 * the file went back meanwhile, no later pair inherits this. True: changed. */
static bool use_up_restart(struct record *next)
{
    struct machine *m = &next->machine;
    bool may_start = next->pair.canary.name[0] && !next->settled;
    if (m->state != MACHINE_STABLE || m->cause != MACHINE_CAUSE_NEW_VERSION || may_start)
        return false;
    m->cause = MACHINE_CAUSE_NONE;
    return true;
}

bool lifecycle_adopt(struct record *next, const struct record_pair *wanted)
{
    struct machine *m = &next->machine;
    if (record_pair_equal(&next->file, wanted))
        return use_up_restart(next);
    if (m->state == MACHINE_STABLE || m->state == MACHINE_ABORTED) {
        take_pair(next, wanted);
        return true;
    }
    if (m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING ||
        m->state == MACHINE_FINALIZING || m->state == MACHINE_COMPLETED)
        return false;
    enum machine_cause cause =
        wanted->canary.name[0] ? MACHINE_CAUSE_NEW_VERSION : MACHINE_CAUSE_DROPPED;
    CHECK(machine_abort(m, cause, true, NULL) == OK);
    return true;
}

/* The newest step of the run was left. */
static void close_step(struct record_run *run, enum machine_cause cause, const char *why)
{
    if (run->n_steps == 0 || run->steps[run->n_steps - 1].verdict != MACHINE_CAUSE_NONE)
        return;
    struct record_step *step = &run->steps[run->n_steps - 1];
    step->verdict = cause;
    explain_copy(step->why, sizeof step->why, why);
}

static void open_step(struct record_run *run, uint32_t weight_bp, int64_t wall_ms)
{
    if (run->n_steps < RECORD_STEPS_MAX)
        run->steps[run->n_steps++] =
            (struct record_step){.weight_bp = weight_bp, .entered_ms = wall_ms};
}

static void end_run(struct record *next, int64_t wall_ms)
{
    struct record_run *run = &next->run;
    run->result = machine_result(&next->machine);
    run->ended_ms = wall_ms;
    next->judged = false;
}

/* The canary is stable now, and the other way round. */
static void swap_pair(struct record *next, int64_t wall_ms)
{
    struct record_version promoted = next->pair.canary;
    next->pair.canary = next->pair.stable;
    next->pair.stable = promoted;
    forget_counts(&next->machine);
    next->promoted = !record_version_equal(&promoted, &next->file.stable);
    if (next->machine.direct)
        record_quarantine(next, &next->pair.canary, wall_ms, "undone");
}

/* Whether the run that was aborted puts its canary into quarantine: not what an undo went back to,
 * nor what the file took away by itself before it was proven bad. */
static bool is_bad(const struct machine *m)
{
    bool proven = machine_cause_is_failure(m->cause);
    return !m->direct && (!m->then_stable || proven);
}

void lifecycle_note(struct record *next, const struct machine *before,
                    const struct machine_move *move, int64_t wall_ms, const char *why)
{
    struct machine *m = &next->machine;
    struct record_run *run = &next->run;
    bool ends =
        move->to == MACHINE_ABORTING || move->to == MACHINE_RESTORING || machine_has_failed(m);
    bool passes =
        m->step > before->step || move->to == MACHINE_PROMOTING || move->to == MACHINE_FINALIZING;
    bool ended = before->state == MACHINE_ABORTING || before->state == MACHINE_RESTORING ||
                 machine_has_failed(before); /* the reason stands */
    if (!ended && (ends || passes)) {
        close_step(run, move->cause == MACHINE_CAUSE_NONE ? MACHINE_CAUSE_OPERATOR : move->cause,
                   why);
        explain_copy(run->why, sizeof run->why, why);
    }
    if (machine_underlying(before) == MACHINE_PENDING && move->to == MACHINE_ABORTING)
        next->replicas = 0; /* none was moved: none is restored, whoever moves them */
    if (m->stage != before->stage && m->stage >= 0)
        open_step(run, m->weight_bp, wall_ms);
    if (move->to == move->from)
        return;
    if (move->to == MACHINE_ABORTED) {
        end_run(next, wall_ms);
        if (is_bad(m))
            record_quarantine(next, &next->pair.canary, wall_ms, run->why);
    } else if (move->to == MACHINE_STABLE && move->from == MACHINE_COMPLETED) {
        end_run(next, wall_ms);
        swap_pair(next, wall_ms);
    } else if (move->to == MACHINE_STABLE && move->from == MACHINE_PENDING) {
        explain_copy(run->why, sizeof run->why, why);
        end_run(next, wall_ms);
    }
}

/* The runs before the next one, with the newest among them. NULL when memory is short. */
static cJSON *archive(const struct record *record)
{
    cJSON *list = cJSON_Duplicate(record->history, true);
    if (!list || record->run.id[0] == '\0')
        return list;
    cJSON *run = cJSON_CreateObject();
    if (!run || !cJSON_InsertItemInArray(list, 0, run)) {
        cJSON_Delete(list);
        return NULL;
    }
    if (record_run_to_json(&record->run, run) != OK) {
        cJSON_Delete(list);
        return NULL;
    }
    while (cJSON_GetArraySize(list) > RECORD_HISTORY_MAX)
        cJSON_DeleteItemFromArray(list, RECORD_HISTORY_MAX);
    return list;
}

static void begin_run(struct record *next, const char *who, int64_t wall_ms)
{
    struct record_run *run = &next->run;
    char stamp[MOMENT_TEXT_MAX];
    moment_stamp(wall_ms, stamp);
    *run = (struct record_run){.started_ms = wall_ms};
    next->serial++;
    (void)snprintf(run->id, sizeof run->id, "%.48s-%s-%llu", next->route, stamp,
                   (unsigned long long)next->serial);
    memcpy(run->stable, next->pair.stable.name, sizeof run->stable);
    memcpy(run->canary, next->pair.canary.name, sizeof run->canary);
    explain_copy(run->who, sizeof run->who, who);
    explain_copy(next->actor, sizeof next->actor, who);
    next->settled = true;
    next->alert[0] = '\0';
}

static enum err may_start(const struct record *record, struct why *why)
{
    const struct machine *m = &record->machine;
    const char *canary = record->pair.canary.name;
    if (m->state == MACHINE_ABORTED)
        return why_set(why, ERR_CONFLICT, "start: the rollout of %s is aborted: use retry", canary);
    if (m->state != MACHINE_STABLE)
        return why_set(why, ERR_CONFLICT, "start: a rollout of %s is running (%s)", canary,
                       machine_state_name(m->state));
    if (canary[0] == '\0')
        return why_set(why, ERR_CONFLICT, "start: the file names no canary for this route");
    if (record->promoted)
        return why_set(why, ERR_CONFLICT, "start: %s is promoted already: name another pair",
                       record->pair.stable.name);
    if (record_find_quarantine(record, &record->pair.canary) >= 0)
        return why_set(why, ERR_CONFLICT, "start: %s is in quarantine: use retry", canary);
    return OK;
}

static enum err may_retry(const struct record *record, struct why *why)
{
    const struct machine *m = &record->machine;
    bool idle_in_quarantine =
        m->state == MACHINE_STABLE && record_find_quarantine(record, &record->pair.canary) >= 0;
    if (m->state == MACHINE_ABORTED || machine_has_failed(m) || idle_in_quarantine)
        return OK;
    return why_set(why, ERR_CONFLICT, "retry: no aborted rollout (%s)",
                   machine_state_name(m->state));
}

static enum err may_undo(const struct record *record, struct why *why)
{
    if (machine_is_running(&record->machine))
        return why_set(why, ERR_CONFLICT, "undo: a rollout is running (%s): use abort",
                       machine_state_name(record->machine.state));
    if (record->machine.state == MACHINE_ABORTED && record->machine.direct)
        return OK; /* that undo again */
    bool done = record->machine.state == MACHINE_STABLE &&
                record->run.result == ROLLOUT_RESULT_COMPLETED && record->pair.canary.name[0] &&
                strcmp(record->run.canary, record->pair.stable.name) == 0 &&
                strcmp(record->run.stable, record->pair.canary.name) == 0;
    if (!done)
        return why_set(why, ERR_CONFLICT, "undo: no promotion to take back");
    if (record_find_quarantine(record, &record->pair.canary) >= 0)
        return why_set(why, ERR_CONFLICT, "undo: %s is in quarantine: use retry",
                       record->pair.canary.name);
    return OK;
}

static enum err may_begin(const struct record *record, enum lifecycle_kind kind, struct why *why)
{
    if (kind == LIFECYCLE_START)
        return may_start(record, why);
    return kind == LIFECYCLE_RETRY ? may_retry(record, why) : may_undo(record, why);
}

/* The frozen plan, the judge and the machine of a new run. */
static enum err prepare(const struct rollout *r, struct record *next, enum lifecycle_kind kind,
                        struct why *why)
{
    struct judge_baseline baseline = source_baseline(&r->source);
    bool again = next->machine.state == MACHINE_ABORTED || machine_has_failed(&next->machine);
    bool direct = kind == LIFECYCLE_UNDO || (again && next->machine.direct);
    next->plan = r->next_plan;
    enum err e = cluster_begin(r, next, why);
    if (e != OK)
        return e;
    if (machine_has_failed(&next->machine) || record_find_quarantine(next, &next->pair.canary) >= 0)
        plan_double_holds(&next->plan);
    record_release(next, &next->pair.canary);
    struct judge_settings settings;
    e = judge_settings_from_plan(&settings, &next->plan, why);
    if (e != OK)
        return e;
    judge_start(&next->judge, &settings, r->is_sticky, &baseline);
    memset(next->slow_us, 0, sizeof next->slow_us);
    next->judged = true;
    machine_begin(&next->machine, &next->plan, direct, next->replicas > 0);
    if (!direct)
        next->machine.step = cluster_step(r, &next->plan);
    next->run.verb = direct ? ROLLOUT_UNDO : (enum rollout_verb)kind;
    return OK;
}

/* It is stored: the split gets the new salt, counting begins, and whoever listens is told. */
static void tell_begin(struct rollout *r, enum machine_state before)
{
    struct machine_move move = {
        .from = before, .to = r->record.machine.state, .cause = MACHINE_CAUSE_OPERATOR};
    char why[RECORD_WHY_MAX];
    asks_begin(r);
    source_base(&r->source, &r->ports, &r->record);
    source_base_durations(&r->source, &r->ports, &r->record);
    r->decided = false;
    r->hold_alerted = false;
    sink_apply(r);
    explain_begin(&r->record, why);
    sink_log(r, &move, why);
    sink_event(r, "RolloutStarted", why);
}

enum err lifecycle_begin(struct rollout *r, enum lifecycle_kind kind, const char *who,
                         struct why *why)
{
    struct record next = r->record;
    enum machine_state before = next.machine.state;
    enum err e = may_begin(&next, kind, why);
    if (e != OK)
        return e;
    bool had_failed = machine_has_failed(&next.machine); /* and ends only now */
    if (had_failed) {
        next.run.result = ROLLOUT_RESULT_REVERTED;
        next.run.ended_ms = r->ports.wall_ms(r->ports.host);
    }
    cJSON *history = archive(&next), *outside = cJSON_Duplicate(r->next_outside, true);
    if (!history || !outside) {
        cJSON_Delete(history);
        cJSON_Delete(outside);
        return why_set(why, ERR_MEMORY, "out of memory");
    }
    next.history = history;
    next.outside = outside;
    begin_run(&next, who, r->ports.wall_ms(r->ports.host));
    e = prepare(r, &next, kind, why);
    cJSON *old = r->record.history, *old_outside = r->record.outside;
    if (e == OK && rollout_commit(r, &next, true, false) != OK)
        e = why_set(why, ERR_IO, "cannot write state: %.400s", r->write_error);
    cJSON_Delete(e == OK ? old : history);
    cJSON_Delete(e == OK ? old_outside : outside);
    if (e != OK)
        return e;
    if (had_failed)
        r->results[ROLLOUT_RESULT_REVERTED]++;
    tell_begin(r, before);
    return OK;
}

/* Where nothing moves any more but for want of something: a reset is a way out. */
static bool may_reset(enum machine_state state)
{
    return state == MACHINE_STABLE || state == MACHINE_ABORTED || state == MACHINE_ABORTING ||
           state == MACHINE_RESTORING || state == MACHINE_FAILED_PROMOTION;
}

/* The run ends here, and not by its own moves. */
static void end_by_reset(struct record *next, const char *who, int64_t wall_ms)
{
    struct why why;
    if (next->machine.state == MACHINE_FAILED_PROMOTION) {
        (void)why_set(&why, OK, "reset by %s while no endpoint of %s was available",
                      who[0] ? who : "a person", next->pair.stable.name);
        explain_copy(next->run.why, sizeof next->run.why, why.text);
    }
    end_run(next, wall_ms);
}

enum err lifecycle_reset(struct rollout *r, const char *who, struct why *why)
{
    struct record next = r->record;
    struct machine *m = &next.machine;
    if (!may_reset(m->state))
        return why_set(why, ERR_CONFLICT,
                       "reset: a rollout of %s is under way (%s): abort it first",
                       next.pair.canary.name, machine_state_name(m->state));
    bool ends = machine_is_running(m);
    if (ends)
        end_by_reset(&next, who, r->ports.wall_ms(r->ports.host));
    machine_init(m);
    next.file = next.pair = r->wanted;
    next.promoted = false;
    next.settled = true;
    next.alert[0] = '\0';
    next.n_quarantine = 0;
    if (rollout_commit(r, &next, true, false) != OK)
        return why_set(why, ERR_IO, "cannot write state: %.400s", r->write_error);
    if (ends)
        r->results[next.run.result]++;
    sink_apply(r);
    struct why said;
    (void)why_set(&said, OK, "the record is forgotten, asked for by %s: %s serves everyone",
                  who[0] ? who : "a person", next.pair.stable.name);
    sink_event(r, "RolloutReset", said.text);
    return OK;
}

void lifecycle_begin_auto(struct rollout *r)
{
    const struct record *record = &r->record;
    bool restart = record->machine.cause == MACHINE_CAUSE_NEW_VERSION;
    struct why why;
    if (record->machine.state != MACHINE_STABLE || record->settled || r->unwritten ||
        !(r->next_plan.start_auto || restart) || may_start(record, &why) != OK)
        return;
    struct record trial = {.plan = r->next_plan};
    if (cluster_begin(r, &trial, &why) != OK)
        return; /* not known yet */
    if (lifecycle_begin(r, LIFECYCLE_START, restart ? "new version" : "auto", &why) != OK)
        log_error("rollout_not_started", "route=%s why=\"%s\"", record->route, why.text);
}
