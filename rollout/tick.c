/* One tick: gather, judge, move, store, act.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/tick.h"

#include "base/check.h"
#include "base/log.h"
#include "rollout/asks.h"
#include "rollout/explain.h"
#include "rollout/inside.h"
#include "rollout/journal.h"
#include "rollout/lifecycle.h"
#include "rollout/recording.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

/* A tick that comes later than this was not late: the process stood still (suspended, stopped). */
#define TICK_LATE_MS 10000

/* Fewer recent requests of stable than this say too little about its p99. */
#define LATENCY_REQUESTS_MIN 1000

/* A record in which nothing but the time is new is written so often: a thousand of them each second would keep the disk and
 * the control thread busy. No more than what machine_resume makes up for. */
#define IDLE_WRITE_MS 10000

/* The clock may have been set: a gap beyond this is not believed. */
#define GAP_MAX_MS (30 * 24 * 3600 * (int64_t)1000)

static enum err write_record(struct rollout *r, const struct record *record, bool durable,
                             struct why *why)
{
    if (!r->journal)
        return OK;
    char *text = record_encode(record);
    if (!text)
        return why_set(why, ERR_MEMORY, "out of memory");
    enum err e = journal_write(r->journal, text, durable, why);
    cluster_store(r, record, text, durable);
    free(text);
    return e;
}

/* What a stop that is not on disk is at the next open; USED where the record's state is no stop. */
static enum journal_mark stop_mark(const struct machine *m)
{
    if (m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING ||
        m->state == MACHINE_ABORTED || machine_has_failed(m))
        return JOURNAL_ABORTED;
    return m->state == MACHINE_PAUSED ? JOURNAL_PAUSED : JOURNAL_USED;
}

/* After write_record failed. A stop that was answered outlives the process though the disk is full:
 * in the record, with the backup's room, or at least in the name of the mark. OK: in the record. */
static enum err write_stop(struct rollout *r, const struct record *record)
{
    enum journal_mark mark = stop_mark(&record->machine);
    char *text = r->journal && mark != JOURNAL_USED ? record_encode(record) : NULL;
    if (!text)
        return ERR_IO;
    struct why why;
    enum err e = journal_write_alone(r->journal, text, &why);
    free(text);
    if (e != OK && journal_mark(r->journal, mark, &why) != OK)
        log_error("stop_not_written", "route=%s why=\"%s\"", record->route, why.text);
    return e;
}

/* A raise waits for the cluster's objects; what is lower does not. */
static void note_raise(struct rollout *r, const struct record *stored)
{
    if (stored->machine.weight_bp > r->record.machine.weight_bp)
        r->raised_seq = stored->seq;
}

static void note_write_error(struct rollout *r, const struct why *why)
{
    if (!r->unwritten || strcmp(r->write_error, why->text) != 0)
        log_error("state_not_written", "route=%s why=\"%s\"", r->record.route, why->text);
    (void)snprintf(r->write_error, sizeof r->write_error, "%s", why->text);
    r->unwritten = true;
}

enum err rollout_commit(struct rollout *r, const struct record *next, bool durable, bool keep)
{
    static const struct why none = {""};
    struct why why = none;
    struct record *record = &r->record;
    struct record stamped;
    record_copy(&stamped, next);
    stamped.seq = record->seq + cluster_counts(r, next);
    cluster_note_told(r, &stamped);
    stamped.written_ms = r->ports.wall_ms(r->ports.host);
    bool behind = r->unwritten;
    enum err e = write_record(r, &stamped, durable || behind, &why);
    if (e != OK && keep)
        e = write_stop(r, &stamped);
    if (e == OK) {
        note_raise(r, &stamped);
        record_copy(record, &stamped);
        r->unwritten = false;
        r->write_error[0] = '\0';
        if (behind)
            log_info("state_written", "route=%s", record->route);
        return OK;
    }
    note_write_error(r, &why);
    if (!keep)
        return ERR_IO;
    record_copy(record, &stamped);
    return OK;
}

/* What may go ahead though the disk does not know: stopping, and less for the canary. */
static bool is_narrowing(const struct machine_move *move)
{
    bool stops = move->to == MACHINE_HOLDING || move->to == MACHINE_PAUSED ||
                 move->to == MACHINE_ABORTING || move->to == MACHINE_RESTORING ||
                 move->to == MACHINE_ABORTED;
    return stops && move->weight_to_bp <= move->weight_from_bp;
}

static void count_end(struct rollout *r, const struct machine_move *move)
{
    const struct record *record = &r->record;
    bool ended =
        move->to != move->from && (move->to == MACHINE_ABORTED ||
                                   (move->to == MACHINE_STABLE && move->from != MACHINE_ABORTED));
    if (ended)
        r->results[record->run.result]++;
    if (machine_cause_is_failure(move->cause) && move->weight_from_bp > 0 &&
        move->weight_to_bp == 0 && record->machine.first_bad_ms >= 0)
        r->reverted_seconds =
            (double)(record->machine.elapsed_ms - record->machine.first_bad_ms) / 1000;
}

enum err tick_make(struct rollout *r, struct record *next, enum machine_cause cause,
                   const char *who)
{
    struct machine before = r->record.machine;
    struct machine_move move = {.from = before.state,
                                .to = next->machine.state,
                                .cause = cause,
                                .weight_from_bp = before.weight_bp,
                                .weight_to_bp = next->machine.weight_bp};
    char why[RECORD_WHY_MAX];
    explain_move(r, next, &move, who, why);
    lifecycle_note(next, &before, &move, r->ports.wall_ms(r->ports.host), why);
    if (rollout_commit(r, next, true, is_narrowing(&move)) != OK)
        return ERR_IO;
    if (r->record.machine.stage != before.stage)
        source_base_durations(&r->source, &r->ports, &r->record);
    sink_apply(r);
    count_end(r, &move);
    sink_tell(r, &move, why);
    return OK;
}

bool tick_adopt(struct rollout *r)
{
    struct record next = r->record;
    if (lifecycle_accepts(&next, &r->wanted, NULL, NULL) != OK)
        return false; /* followed from a proxy with another file: what it says stands */
    if (!lifecycle_adopt(&next, &r->wanted))
        return false;
    if (next.machine.state != r->record.machine.state)
        return tick_make(r, &next, next.machine.cause, "") == OK;
    if (rollout_commit(r, &next, true, false) != OK)
        return false;
    sink_apply(r);
    log_info("rollout_pair", "route=%s stable=%s canary=%s", r->record.route,
             r->record.pair.stable.name, r->record.pair.canary.name);
    return true;
}

/* The first tick after a restart lets the time pass that nobody saw. */
static int64_t pass_time(struct rollout *r, struct machine *m)
{
    int64_t now_ms = r->ports.monotonic_ms(r->ports.host);
    int64_t dt_ms = r->ticked ? now_ms - r->last_tick_ms : 0;
    if (!r->ticked && r->record.written_ms > 0) {
        int64_t gap_ms = r->ports.wall_ms(r->ports.host) - r->record.written_ms;
        if (gap_ms > 0)
            machine_resume(m, gap_ms < GAP_MAX_MS ? gap_ms : GAP_MAX_MS);
    }
    r->ticked = true;
    r->last_tick_ms = now_ms;
    if (dt_ms < 0)
        return 0;
    if (dt_ms <= TICK_LATE_MS)
        return dt_ms;
    machine_resume(m, dt_ms - TICK_LATE_MS);
    return TICK_LATE_MS;
}

/* What decided was counted until here: status shows those numbers until the next run. An abort that has the time goes on
 * counting while the canary has users: proof against it ends their way back. */
static bool is_over(const struct machine *m)
{
    bool keeps_users = m->state == MACHINE_ABORTING && m->weight_bp > 0;
    return (m->state == MACHINE_ABORTING && !keeps_users) || m->state == MACHINE_RESTORING ||
           m->state == MACHINE_ABORTED || machine_has_failed(m);
}

static void gather(struct rollout *r, struct record *next, struct machine_input *in)
{
    const struct rollout_ports *ports = &r->ports;
    const char *canary = next->pair.canary.name;
    r->health =
        ports->health(ports->host, next->route, next->pair.stable.name, canary[0] ? canary : NULL);
    struct judge_seen unseen = next->machine.counts;
    source_read(&r->source, ports, next, is_over(&next->machine) ? &unseen : &next->machine.counts);
    if (next->machine.first_bad_ms < 0 && next->machine.counts.canary.failed > 0)
        next->machine.first_bad_ms = next->machine.elapsed_ms;
    *in = (struct machine_input){
        .confirmed = sink_confirmed(r),
        .unwritable = r->unwritten,
        .stable_available = r->health.stable_available,
        .canary_available = r->health.canary_available,
        .breaker_open = r->health.breaker != ROLLOUT_BREAKER_CLOSED,
        .failed_trickles = r->health.failed_trickles,
        .verdict = JUDGE_CONTINUE,
        .verdict_stage = -1,
    };
    cluster_look(r, next, in->confirmed);
    cluster_fill(r, in);
}

/* Judges where there is something to compare: the canary has a share, and it is not all, or it gets copies. */
static void judge(struct rollout *r, struct record *next, struct machine_input *in, int64_t dt_ms)
{
    const struct machine *m = &next->machine;
    bool meets_requests = m->weight_bp > 0 || machine_is_mirroring(m, &next->plan);
    if (!next->judged || !machine_is_running(m) || !meets_requests ||
        m->state == MACHINE_FINALIZING)
        return;
    struct judge_input input = {.t_ms = m->elapsed_ms,
                                .stage_t_ms = m->stage_ms,
                                .elapsed_s = (double)dt_ms / 1000,
                                .stage = m->stage < 0 ? m->step : (unsigned)m->stage,
                                .weight_bp = m->weight_bp,
                                .latency_known = r->sink.slow_us[ROLE_STABLE][0] > 0,
                                .stable = m->counts.stable,
                                .canary = m->counts.canary};
    judge_tick(&next->judge, &input, &r->decision);
    recording_note(r, &input);
    r->decided = true;
    r->verdicts[r->decision.verdict]++;
    in->verdict = r->decision.verdict;
    in->verdict_stage = m->stage;
    in->low_evidence = r->decision.low_evidence;
    in->no_data = r->decision.no_data;
    in->incident = r->decision.incident;
}

/* Fixes what is slow for the rest of the run, once stable has had enough requests in ten minutes. */
static void learn_latency(const struct rollout *r, struct record *next)
{
    struct hist_sum recent;
    if (!next->judged || !next->plan.latency_judged || next->slow_us[0] ||
        !machine_is_running(&next->machine) || !r->ports.recent_durations)
        return;
    r->ports.recent_durations(r->ports.host, next->route, &recent);
    if (hist_count(&recent) < LATENCY_REQUESTS_MIN)
        return;
    for (size_t q = 0; q < next->plan.n_quantiles; q++) {
        uint64_t us = hist_quantile_us(&recent, next->plan.quantiles[q]);
        next->slow_us[q] = us ? us : 1;
    }
}

/* Nothing but the weight decides who goes where. */
static bool is_share_fair(const struct rollout *r, const struct machine_input *in)
{
    const struct rollout_health *h = &r->health;
    return in->confirmed && !in->breaker_open && h->canary_available == h->canary_endpoints;
}

/* Moves until the machine rests. Each move is stored before it is acted on. */
static bool move_on(struct rollout *r, struct record *next, struct machine_input *in)
{
    bool moved = false;
    for (int i = 0; i < MACHINE_MOVES_MAX; i++) {
        struct machine rests = next->machine;
        struct machine_move move;
        in->outside = asks_hold(r, next);
        if (!machine_step(&next->machine, &next->plan, in, &move))
            break;
        if (tick_make(r, next, move.cause, "") != OK) {
            *next = r->record;
            next->machine = rests; /* time and counts go on; what was not stored does not */
            if (in->unwritable)
                break;
            in->unwritable = true;
            continue;
        }
        moved = true;
        *next = r->record;
        in->confirmed = sink_confirmed(r);
        cluster_look(r, next, in->confirmed);
        cluster_fill(r, in);
    }
    return moved;
}

static void alert_long_hold(struct rollout *r)
{
    const struct record *record = &r->record;
    if (record->machine.held_ms == 0)
        r->hold_alerted = false;
    if (record->machine.state != MACHINE_HOLDING || r->hold_alerted ||
        record->machine.held_ms < record->plan.max_hold_ms)
        return;
    char why[RECORD_WHY_MAX];
    explain_status(r, why);
    log_warn("rollout_held", "route=%s for_s=%lld why=\"%s\"", record->route,
             (long long)(record->machine.held_ms / 1000), why);
    sink_event(r, "RolloutHeld", why);
    r->hold_alerted = true;
}

/* A tick that counted nothing: only time has passed since the last write, and a restart believes in so much of it. */
static bool is_idle(const struct rollout *r, const struct record *next)
{
    int64_t since_ms = r->ports.wall_ms(r->ports.host) - r->record.written_ms;
    const struct judge_seen *now = &next->machine.counts, *before = &r->record.machine.counts;
    return !r->unwritten && since_ms >= 0 && since_ms < IDLE_WRITE_MS &&
           memcmp(now, before, sizeof *now) == 0;
}

/* A tick without a move: what was counted and judged, not synced. A failure is seen, and retried,
 * at the next tick. */
static void keep_evidence(struct rollout *r, const struct record *next)
{
    if (machine_is_running(&next->machine) && is_idle(r, next)) {
        record_copy(&r->record, next);
        return;
    }
    if (!machine_is_running(&next->machine) || rollout_commit(r, next, false, true) != OK)
        r->record.machine = next->machine;
}

static void tell_tick(struct rollout *r)
{
    const struct rollout_ports *ports = &r->ports;
    if (!ports->event || (ports->is_followed && !ports->is_followed(ports->host)))
        return;
    cJSON *status = rollout_status(r);
    if (status)
        ports->event(ports->host, r->record.route, "tick", status);
    cJSON_Delete(status);
}

static void tell_recovered(struct rollout *r)
{
    if (r->recovered[0])
        sink_event(r, "StateRecovered", r->recovered);
    r->recovered[0] = '\0';
}

void rollout_tick(struct rollout *r)
{
    source_note_baseline(&r->source, &r->ports, &r->record);
    if (!r->journal)
        return;
    sink_apply(r);
    tell_recovered(r);
    cluster_take_file(r);
    cluster_look(r, &r->record, sink_confirmed(r));
    if (!cluster_leads(r)) {
        tell_tick(r);
        return;
    }
    struct record next;
    record_copy(&next, &r->record);
    if (r->unwritten && rollout_commit(r, &next, true, false) == OK)
        record_copy(&next, &r->record);
    struct machine_input in;
    recording_look(r);
    int64_t dt_ms = pass_time(r, &next.machine);
    gather(r, &next, &in);
    machine_advance(&next.machine, &in, dt_ms);
    judge(r, &next, &in, dt_ms);
    learn_latency(r, &next);
    asks_tick(r, &next);
    in.check_failed = asks_has_failed(r);
    in.share_is_off = source_share_is_off(&r->share, &r->ports, &next, is_share_fair(r, &in));
    bool moved = move_on(r, &next, &in);
    if (!moved)
        keep_evidence(r, &next);
    recording_write(r, moved);
    sink_apply(r); /* what was learnt counts from here on, whole seconds at a time */
    while (tick_adopt(r))
        continue;
    lifecycle_begin_auto(r);
    alert_long_hold(r);
    tell_tick(r);
}
