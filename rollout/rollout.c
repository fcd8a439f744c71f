/* One route's rollout: opened, configured, commanded, closed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/rollout.h"

#include "base/check.h"
#include "base/log.h"
#include "rollout/asks.h"
#include "rollout/decide/outside_json.h"
#include "rollout/decide/plan_json.h"
#include "rollout/explain.h"
#include "rollout/inside.h"
#include "rollout/journal.h"
#include "rollout/lifecycle.h"
#include "rollout/recording.h"
#include "rollout/tick.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STATE_FILES_MAX (3 * JOURNAL_NAME_MAX + 256)

static void plan_of(const struct rollout_setup *setup, struct plan *plan)
{
    if (setup->plan)
        *plan = *setup->plan;
    else
        plan_default(plan);
}

static enum err check_plan(const struct rollout_setup *setup, struct why *why)
{
    struct why reason;
    if (!setup->plan || plan_check(setup->plan, &reason) == OK)
        return OK;
    return why_set(why, ERR_INVALID, "route %s: rollout.%.400s", setup->route, reason.text);
}

/* Reads one copy. ERR_INVALID: it is there but cannot be used. */
static enum err read_copy(struct rollout *r, enum journal_copy copy, const char *route,
                          struct record *record, struct why *why)
{
    char *text = NULL;
    size_t len = 0;
    enum err e = journal_read(r->journal, copy, &text, &len, why);
    if (e != OK)
        return e == ERR_LIMIT ? ERR_INVALID : e;
    if (len == 0 && journal_marked(r->journal) == JOURNAL_NEW) {
        free(text); /* power was lost before anything of this route was worth a sync */
        return why_set(why, ERR_NOT_FOUND, "empty");
    }
    e = record_decode(record, text, len, why);
    free(text);
    if (e == OK && strcmp(record->route, route) != 0) {
        e = why_set(why, ERR_INVALID, "route: \"%.100s\" is another route's", record->route);
        record_fini(record);
    }
    return e;
}

static enum err start_fresh(struct rollout *r, const char *route, bool lost)
{
    enum err e = record_init(&r->record, route);
    if (e != OK)
        return e;
    r->record.file = r->record.pair = r->wanted;
    r->record.settled = lost;
    if (lost)
        (void)snprintf(r->record.alert, sizeof r->record.alert,
                       "the record of this route was lost: the file's stable serves everyone and "
                       "nothing starts by itself before `serin start` or `serin reset`");
    return OK;
}

/* The record, or its backup, or, where both are gone, the file's stable and an alert. */
static enum err load(struct rollout *r, const char *route, struct why *why)
{
    struct why first, second;
    enum err e = read_copy(r, JOURNAL_MAIN, route, &r->record, &first);
    if (e == OK)
        return OK;
    if (e != ERR_NOT_FOUND && e != ERR_INVALID)
        return why_set(why, e, "route %s: %.400s", route, first.text);
    bool corrupt = e == ERR_INVALID;
    if (corrupt)
        journal_keep_corrupt(r->journal);
    e = read_copy(r, JOURNAL_BACKUP, route, &r->record, &second);
    if (e == OK) {
        (void)snprintf(r->recovered, sizeof r->recovered, "read from the backup: %.400s",
                       first.text);
        log_error("state_recovered", "route=%s from=backup why=\"%s\"", route, first.text);
        return OK;
    }
    if (e != ERR_NOT_FOUND && e != ERR_INVALID)
        return why_set(why, e, "route %s: %.400s", route, second.text);
    bool lost = corrupt || e == ERR_INVALID || journal_marked(r->journal) != JOURNAL_NEW;
    e = start_fresh(r, route, lost);
    if (e != OK)
        return why_set(why, e, "route %.100s: %s", route, err_text(e));
    if (lost) {
        (void)snprintf(r->recovered, sizeof r->recovered, "%s", r->record.alert);
        log_error("state_lost", "route=%s record=\"%s\" backup=\"%s\"", route, first.text,
                  second.text);
    }
    return OK;
}

static enum err open_journal(struct rollout *r, const struct rollout_setup *setup, struct why *why)
{
    struct why reason;
    bool found = false;
    if (!setup->canary.name && setup->state_dir &&
        journal_exists(setup->state_dir, setup->route, &found, &reason) != OK)
        return why_set(why, ERR_IO, "route %.100s: %.400s", setup->route, reason.text);
    bool may_follow =
        setup->has_cluster && setup->state_dir; /* others may have a canary under way */
    if (!setup->canary.name && !found && !may_follow)
        return OK;
    if (!setup->state_dir)
        return why_set(why, ERR_INVALID, "route %s: a canary needs state_dir", setup->route);
    r->journal = journal_open(setup->state_dir, setup->route, &reason);
    return r->journal ? OK
                      : why_set(why, ERR_IO, "route %.100s: %.400s", setup->route, reason.text);
}

/* The first write of this process: proves the disk. Keeps the wall time of the last one, from which the first tick learns how
 * long nobody watched. */
static enum err store_opened(struct rollout *r, bool durable, struct why *why)
{
    char *text = record_encode(&r->record);
    if (!text)
        return why_set(why, ERR_MEMORY, "out of memory");
    enum err e = journal_write(r->journal, text, durable, why);
    free(text);
    return e;
}

/* A stop that a full disk kept from the record holds from here on. False: there was none. */
static bool obey_mark(struct rollout *r)
{
    static const char said[] = "stopped while its state could not be written";
    enum journal_mark mark = journal_marked(r->journal);
    struct record *record = &r->record;
    struct machine before = record->machine;
    struct machine *m = &record->machine;
    enum err e = OK;
    if (!machine_is_running(m) || mark == JOURNAL_USED || mark == JOURNAL_NEW)
        return false;
    if (mark == JOURNAL_ABORTED)
        e = machine_abort(m, MACHINE_CAUSE_OPERATOR, false, NULL);
    else
        e = machine_command(m, &record->plan, ROLLOUT_PAUSE, NULL);
    if (e != OK)
        return false;
    struct machine_move move = {.from = before.state,
                                .to = m->state,
                                .cause = MACHINE_CAUSE_OPERATOR,
                                .weight_from_bp = before.weight_bp,
                                .weight_to_bp = m->weight_bp};
    lifecycle_note(record, &before, &move, record->written_ms, said);
    log_warn("rollout_stopped", "route=%s state=%s why=\"%s\"", record->route,
             machine_state_name(m->state), said);
    return true;
}

/* A pair that changed while nobody ran: taken over, or the old run aborted, before anybody is
 * served. False: it did not. */
static bool adopt_at_open(struct rollout *r)
{
    struct record *record = &r->record;
    struct machine before = record->machine;
    bool has_changed = false;
    while (lifecycle_adopt(record, &r->wanted)) {
        has_changed = true;
        struct machine_move move = {.from = before.state,
                                    .to = record->machine.state,
                                    .cause = record->machine.cause,
                                    .weight_from_bp = before.weight_bp,
                                    .weight_to_bp = record->machine.weight_bp};
        char why[RECORD_WHY_MAX];
        explain_cause(r, record, move.cause, "", why);
        lifecycle_note(record, &before, &move, record->written_ms, why);
        before = record->machine;
        log_info("rollout_pair", "route=%s stable=%s canary=%s state=%s", record->route,
                 r->wanted.stable.name, r->wanted.canary.name,
                 machine_state_name(record->machine.state));
    }
    return has_changed;
}

/* Whether what was read can live with the file; a start names the files of the state. */
static enum err check_state(const struct rollout *r, const struct rollout_setup *setup,
                            struct why *why)
{
    char files[STATE_FILES_MAX], name[JOURNAL_NAME_MAX];
    journal_name(setup->route, name, sizeof name);
    (void)snprintf(files, sizeof files, "%.200s/%s.json, %s.json.bak and %s.used", setup->state_dir,
                   name, name, name);
    return lifecycle_accepts(&r->record, &r->wanted, files, why);
}

/* The record behind an open journal becomes that of the rollout, and belongs to the file. What was decided is on disk before
 * anybody is served. Who writes from now on is not synced: a thousand routes that sync a file each would keep everybody
 * waiting. */
static enum err read_state(struct rollout *r, const struct rollout_setup *setup, struct why *why)
{
    enum err e = load(r, setup->route, why);
    bool has_changed = e == OK && obey_mark(r);
    if (e == OK)
        e = check_state(r, setup, why);
    if (e != OK)
        return e;
    has_changed = adopt_at_open(r) || has_changed;
    if (!r->has_cluster) { /* there, who leads is the lease's word */
        r->record.epoch++;
        r->record.seq++;
    }
    return store_opened(r, has_changed, why);
}

static enum err open_all(struct rollout *r, const struct rollout_setup *setup, struct why *why)
{
    enum err e = check_plan(setup, why);
    if (e == OK)
        e = lifecycle_pair(setup, &r->wanted, why);
    if (e == OK && strlen(setup->route) >= RECORD_NAME_MAX)
        e = why_set(why, ERR_LIMIT, "route %.40s...: the name is longer than %d bytes",
                    setup->route, RECORD_NAME_MAX - 1);
    if (e == OK)
        e = open_journal(r, setup, why);
    if (e != OK)
        return e;
    return r->journal ? read_state(r, setup, why) : start_fresh(r, setup->route, false);
}

static void free_all(struct rollout *r)
{
    asks_end(r);
    gate_forget_tells(r);
    recording_free(r->recording);
    journal_close(r->journal);
    record_fini(&r->record);
    cJSON_Delete(r->next_outside);
    free(r);
}

struct rollout *rollout_open(const struct rollout_setup *setup, const struct rollout_ports *ports,
                             struct why *why)
{
    CHECK(ports->counts && ports->apply_split && ports->split_confirmed && ports->health &&
          ports->monotonic_ms && ports->wall_ms);
    struct rollout *r = calloc(1, sizeof *r);
    if (!r) {
        (void)why_set(why, ERR_MEMORY, "out of memory");
        return NULL;
    }
    r->ports = *ports;
    list_init(&r->tells);
    r->reverted_seconds = NAN;
    plan_of(setup, &r->next_plan);
    r->is_sticky = setup->is_sticky;
    r->has_cluster = r->names_cluster = setup->has_cluster && ports->cluster;
    r->leads = !r->has_cluster;
    r->next_outside = outside_to_json(setup->outside);
    enum err e =
        r->next_outside ? open_all(r, setup, why) : why_set(why, ERR_MEMORY, "out of memory");
    if (e == OK) {
        asks_begin(r);
        return r;
    }
    free_all(r);
    return NULL;
}

void rollout_close(struct rollout *r)
{
    if (!r)
        return;
    struct why why;
    if (r->journal) {
        char *text = record_encode(&r->record);
        if (!text || journal_write(r->journal, text, true, &why) != OK)
            log_error("state_not_written", "route=%s why=\"%s\"", r->record.route,
                      text ? why.text : "out of memory");
        free(text);
    }
    free_all(r);
}

static bool is_same_plan(const struct plan *a, const struct plan *b)
{
    cJSON *first = cJSON_CreateObject(), *second = cJSON_CreateObject();
    bool same = first && second && plan_to_json(a, first) == OK && plan_to_json(b, second) == OK &&
                cJSON_Compare(first, second, true);
    cJSON_Delete(first);
    cJSON_Delete(second);
    return same;
}

enum err rollout_may_configure(const struct rollout *r, const struct rollout_setup *setup,
                               struct why *why)
{
    struct record_pair wanted;
    CHECK(strcmp(setup->route, r->record.route) == 0);
    enum err e = check_plan(setup, why);
    if (e == OK)
        e = lifecycle_pair(setup, &wanted, why);
    if (e == OK)
        e = lifecycle_accepts(&r->record, &wanted, NULL, why);
    if (e != OK || r->journal)
        return e;
    struct rollout trial = {.wanted = wanted};
    e = open_journal(&trial, setup, why);
    if (e == OK && trial.journal) {
        e = load(&trial, setup->route, why);
        if (e == OK)
            e = check_state(&trial, setup, why);
    }
    journal_close(trial.journal);
    record_fini(&trial.record);
    return e;
}

/* The file names another pair than the one that is under way, which ends first. The next one begins
 * by itself (on_new_version: restart), unless it has been reverted before. */
static void say_next_pair(const struct rollout *r, struct why *why)
{
    const char *ended = r->record.pair.canary.name, *route = r->record.route;
    const struct record_version *canary = &r->wanted.canary;
    if (canary->name[0] == '\0')
        (void)why_set(why, OK, "route %s: the rollout of %s is aborted, then %s serves everyone",
                      route, ended, r->wanted.stable.name);
    else
        (void)why_set(why, OK,
                      "route %s: the rollout of %s is aborted, then stable %s, canary %s%s%s %s",
                      route, ended, r->wanted.stable.name, canary->name,
                      canary->revision[0] ? " revision " : "", canary->revision,
                      record_find_quarantine(&r->record, canary) >= 0 ? "waits for a retry"
                                                                      : "starts by itself");
}

/* What a reload changes, in words. */
static void say_changes(const struct rollout *r, bool pair, bool plan, struct why *why)
{
    const struct record *record = &r->record;
    bool running = machine_is_running(&record->machine);
    why->text[0] = '\0';
    if (pair && running)
        say_next_pair(r, why);
    else if (pair)
        (void)why_set(why, OK, "route %s: stable %s, canary %s", record->route,
                      record->pair.stable.name,
                      record->pair.canary.name[0] ? record->pair.canary.name : "none");
    else if (plan && running)
        (void)why_set(why, OK,
                      "route %s: steps, times and checks of a running rollout stay as they were "
                      "at its start; the new ones are for the next",
                      record->route);
    else if (plan)
        (void)why_set(why, OK, "route %s: the next rollout has a new plan", record->route);
}

/* A route whose file named no canary so far meets what is remembered of it, as at a start. */
static enum err take_journal(struct rollout *r, const struct rollout_setup *setup,
                             const struct record_pair *wanted, struct why *why)
{
    struct record before = r->record;
    struct record_pair wanted_before = r->wanted;
    enum err e = open_journal(r, setup, why);
    if (e != OK || !r->journal)
        return e;
    r->wanted = *wanted;
    r->record = (struct record){0};
    e = read_state(r, setup, why);
    if (e == OK) {
        record_fini(&before);
        return OK;
    }
    record_fini(&r->record);
    journal_close(r->journal);
    r->journal = NULL;
    r->record = before;
    r->wanted = wanted_before;
    return e;
}

enum err rollout_configure(struct rollout *r, const struct rollout_setup *setup, struct why *why)
{
    struct record_pair wanted;
    struct plan plan;
    enum err e = rollout_may_configure(r, setup, why);
    if (e == OK)
        e = lifecycle_pair(setup, &wanted, why);
    if (e != OK)
        return e;
    bool pair_changed = !record_pair_equal(&r->wanted, &wanted);
    if (!r->journal)
        e = take_journal(r, setup, &wanted, why);
    if (e != OK)
        return e;
    plan_of(setup, &plan);
    cJSON *outside = outside_to_json(setup->outside);
    if (!outside)
        return why_set(why, ERR_MEMORY, "out of memory");
    bool plan_changed =
        !is_same_plan(&r->next_plan, &plan) || !cJSON_Compare(r->next_outside, outside, true);
    cJSON_Delete(r->next_outside);
    r->next_outside = outside;
    r->wanted = wanted;
    r->next_plan = plan;
    r->is_sticky = setup->is_sticky;
    r->names_cluster = setup->has_cluster && r->ports.cluster;
    cluster_take_file(r);
    if (!r->journal) {
        r->record.file = r->record.pair = wanted;
    } else {
        while ((r->leads || !machine_is_running(&r->record.machine)) && tick_adopt(r))
            continue; /* a run of another proxy's ends, or not, by its word */
    }
    struct why said;
    say_changes(r, pair_changed, plan_changed, &said);
    if (why)
        *why = said;
    return OK;
}

void rollout_drop(struct rollout *r)
{
    struct record next = r->record;
    enum machine_state state = next.machine.state;
    bool ends = state == MACHINE_ABORTING || state == MACHINE_RESTORING;
    if (!r->leads || !machine_is_running(&next.machine) || ends ||
        machine_abort(&next.machine, MACHINE_CAUSE_DROPPED, true, NULL) != OK)
        return;
    (void)!tick_make(r, &next, next.machine.cause,
                     ""); /* narrowing: done, and logged if not stored */
}

static enum err run_verb(struct rollout *r, enum rollout_verb verb, const char *who,
                         struct why *why)
{
    switch (verb) {
    case ROLLOUT_START:
        return lifecycle_begin(r, LIFECYCLE_START, who, why);
    case ROLLOUT_RETRY:
        return lifecycle_begin(r, LIFECYCLE_RETRY, who, why);
    case ROLLOUT_UNDO:
        return lifecycle_begin(r, LIFECYCLE_UNDO, who, why);
    case ROLLOUT_RESET:
        return lifecycle_reset(r, who, why);
    default:
        break;
    }
    struct record next = r->record;
    enum err e = machine_command(&next.machine, &next.plan, verb, why);
    if (e != OK)
        return e;
    explain_copy(next.actor, sizeof next.actor, who);
    if (tick_make(r, &next, MACHINE_CAUSE_OPERATOR, who) != OK)
        return why_set(why, ERR_IO, "cannot write state: %.400s", r->write_error);
    if (verb == ROLLOUT_ABORT)
        explain_no_stable(r, &next, why);
    if (r->unwritten)
        return why_set(why, OK, "in force, but not on disk yet: %.400s", r->write_error);
    return OK;
}

enum err rollout_command(struct rollout *r, enum rollout_verb verb, const char *who,
                         struct why *why)
{
    struct why reason = {""};
    char name[RECORD_WHO_MAX];
    CHECK((unsigned)verb < ROLLOUT_VERB_COUNT);
    explain_copy(name, sizeof name, who ? who : "");
    enum err e = ERR_CONFLICT;
    if (!r->leads && r->has_cluster)
        (void)why_set(&reason, e, "%s: another proxy decides for this route%s%s",
                      rollout_verb_name(verb), r->cluster.leader[0] ? ": ask " : "",
                      r->cluster.leader);
    else if (!r->journal)
        (void)why_set(&reason, e, "%s: the file names no canary for this route",
                      rollout_verb_name(verb));
    else
        e = run_verb(r, verb, name, &reason);
    if (why)
        *why = reason;
    return e;
}

void rollout_split(const struct rollout *r, struct rollout_split *split)
{
    const struct record *record = &r->record;
    *split = (struct rollout_split){
        .stable = record->pair.stable.name,
        .canary = record->pair.canary.name[0] ? record->pair.canary.name : NULL,
        .weight_bp = cluster_weight_bp(r),
    };
    split->active = split->weight_bp > 0 || machine_is_mirroring(&record->machine, &record->plan);
    (void)snprintf(split->salt, sizeof split->salt, "%s", record->run.id);
}
