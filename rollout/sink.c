/* A decision goes out: the split into the data plane, one line into the log, events to whoever
 * listens. SPDX-License-Identifier: Apache-2.0 */
#include "rollout/sink.h"

#include "base/log.h"
#include "rollout/asks.h"
#include "rollout/event.h"
#include "rollout/explain.h"
#include "rollout/inside.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* Workers adopt a snapshot between two events; one that has not after this is asked again, and a
 * person is told. */
#define CONFIRM_AGAIN_MS 10000

static void apply(struct rollout *r, const struct rollout_split *split)
{
    struct sink *s = &r->sink;
    r->ports.apply_split(r->ports.host, r->record.route, split);
    if (!s->applied || s->weight_bp != split->weight_bp)
        s->at_weight = r->record.machine.counts;
    s->applied = true;
    s->applied_ms = r->ports.monotonic_ms(r->ports.host);
    s->weight_bp = split->weight_bp;
    s->active = split->active;
    (void)snprintf(s->stable, sizeof s->stable, "%s", split->stable);
    (void)snprintf(s->canary, sizeof s->canary, "%s", split->canary ? split->canary : "");
    (void)snprintf(s->salt, sizeof s->salt, "%s", split->salt);
}

/* What is slow: stable's own quantiles for stable, with the margin on top for the canary. Nothing is counted where no
 * run compares it. */
static void apply_slow_limits(struct rollout *r)
{
    const struct record *record = &r->record;
    struct sink *s = &r->sink;
    uint64_t limits_us[ROLE_COUNT][JUDGED_QUANTILES] = {{0}};
    bool compares = record->judged && machine_is_running(&record->machine);
    for (unsigned q = 0; compares && q < JUDGED_QUANTILES; q++) {
        double allowed_us = (double)record->slow_us[q] * (1 + record->plan.latency_margin);
        limits_us[ROLE_STABLE][q] = record->slow_us[q];
        limits_us[ROLE_CANARY][q] = (uint64_t)ceil(allowed_us);
    }
    if (!r->ports.apply_slow_limits ||
        (s->applied && memcmp(s->slow_us, limits_us, sizeof limits_us) == 0))
        return;
    memcpy(s->slow_us, limits_us, sizeof limits_us);
    r->ports.apply_slow_limits(r->ports.host, record->route, s->slow_us);
}

void sink_apply(struct rollout *r)
{
    apply_slow_limits(r);
    const struct sink *s = &r->sink;
    struct rollout_split split;
    rollout_split(r, &split);
    if (s->applied && s->weight_bp == split.weight_bp && s->active == split.active &&
        strcmp(s->stable, split.stable) == 0 &&
        strcmp(s->canary, split.canary ? split.canary : "") == 0 &&
        strcmp(s->salt, split.salt) == 0)
        return;
    apply(r, &split);
}

bool sink_confirmed(struct rollout *r)
{
    if (!r->sink.applied)
        return false;
    if (cluster_weight_bp(r) != r->record.machine.weight_bp)
        return false; /* waits for the cluster's objects, not for a worker */
    if (r->ports.split_confirmed(r->ports.host, r->record.route))
        return true;
    if (r->ports.monotonic_ms(r->ports.host) - r->sink.applied_ms < CONFIRM_AGAIN_MS)
        return false;
    log_warn("weight_not_confirmed", "route=%s weight=%.2f%% after_ms=%d", r->record.route,
             r->record.machine.weight_bp / 100.0, CONFIRM_AGAIN_MS);
    sink_event(r, "WeightVerifyError", "a worker has not taken over the weight; it is set again");
    struct rollout_split split;
    rollout_split(r, &split);
    apply(r, &split);
    return false;
}

/* The members that every event has. NULL when memory is short. */
static cJSON *event_json(const struct rollout *r, const char *why)
{
    const struct machine *m = &r->record.machine;
    cJSON *json = cJSON_CreateObject();
    bool whole = cJSON_AddStringToObject(json, "route", r->record.route) &&
                 cJSON_AddStringToObject(json, "rollout_id", r->record.run.id) &&
                 cJSON_AddStringToObject(json, "phase", rollout_phase_name(machine_phase(m))) &&
                 cJSON_AddStringToObject(json, "state", machine_state_name(m->state)) &&
                 cJSON_AddNumberToObject(json, "weight", m->weight_bp / 100.0) &&
                 cJSON_AddStringToObject(json, "why", why);
    if (whole)
        return json;
    cJSON_Delete(json);
    return NULL;
}

static void count(struct rollout_event_counts *out, const struct judge_side *now,
                  const struct judge_side *at_stage)
{
    out->requests = now->requests - at_stage->requests;
    out->failed = now->failed - at_stage->failed;
}

/* Whose run was the one before: what had been told of that canary may be over now. "" = nobody's. */
static const char *canary_before(const struct record *record)
{
    if (strcmp(record->run.canary, record->pair.canary.name) != 0)
        return record->run.canary;
    const char *name = cJSON_GetStringValue(
        cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(record->history, 0), "canary"));
    return name ? name : "";
}

/* move: NULL where the event is none of a move. */
static void tell_elsewhere(const struct rollout *r, const struct machine_move *move,
                           const char *name, const char *why)
{
    const struct record *record = &r->record;
    const struct machine *m = &record->machine;
    unsigned steps = (unsigned)plan_judged_steps(&record->plan) + 1;
    unsigned step = m->step < steps ? m->step : steps - 1;
    if (!r->ports.tell || !r->leads)
        return;
    struct rollout_event e = {.wall_ms = r->ports.wall_ms(r->ports.host),
                              .name = name,
                              .phase = rollout_phase_name(machine_phase(m)),
                              .state = machine_state_name(m->state),
                              .verdict =
                                  r->decided ? judge_verdict_name(r->decision.verdict) : "none",
                              .is_failure = move && machine_cause_is_failure(move->cause),
                              .step = step + 1,
                              .steps = steps,
                              .step_bp = (uint32_t)plan_stage_weight_bp(&record->plan, step),
                              .weight_from_bp = move ? move->weight_from_bp : m->weight_bp,
                              .weight_bp = m->weight_bp};
    memcpy(e.route, record->route, sizeof e.route);
    memcpy(e.rollout_id, record->run.id, sizeof e.rollout_id);
    memcpy(e.stable, record->pair.stable.name, sizeof e.stable);
    memcpy(e.canary, record->pair.canary.name, sizeof e.canary);
    explain_copy(e.canary_before, sizeof e.canary_before, canary_before(record));
    explain_copy(e.why, sizeof e.why, why);
    count(&e.of_stable, &m->counts.stable, &m->at_stage.stable);
    count(&e.of_canary, &m->counts.canary, &m->at_stage.canary);
    r->ports.tell(r->ports.host, &e);
}

static void tell(struct rollout *r, const struct machine_move *move, const char *name,
                 const char *why)
{
    gate_tell(r, GATE_EVENT, name, why);
    tell_elsewhere(r, move, name, why);
    if (!r->ports.event)
        return;
    cJSON *json = event_json(r, why);
    if (json)
        r->ports.event(r->ports.host, r->record.route, name, json);
    cJSON_Delete(json);
}

void sink_event(struct rollout *r, const char *name, const char *why)
{
    tell(r, NULL, name, why);
}

void sink_log(const struct rollout *r, const struct machine_move *move, const char *why)
{
    const struct machine *m = &r->record.machine;
    const struct judge_side *stable = &m->counts.stable, *canary = &m->counts.canary;
    log_info("rollout_move",
             "route=%s rollout=%s from=%s to=%s cause=%s step=%u weight=%.2f%%->%.2f%% verdict=%s "
             "stable_failed=%llu stable_requests=%llu canary_failed=%llu canary_requests=%llu "
             "why=\"%s\"",
             r->record.route, r->record.run.id, machine_state_name(move->from),
             machine_state_name(move->to), machine_cause_name(move->cause), m->step + 1,
             move->weight_from_bp / 100.0, move->weight_to_bp / 100.0,
             r->decided ? judge_verdict_name(r->decision.verdict) : "none",
             (unsigned long long)(stable->failed - m->at_stage.stable.failed),
             (unsigned long long)(stable->requests - m->at_stage.stable.requests),
             (unsigned long long)(canary->failed - m->at_stage.canary.failed),
             (unsigned long long)(canary->requests - m->at_stage.canary.requests), why);
}

/* The event of entering a state; NULL where there is none. */
static const char *entered(const struct machine_move *move)
{
    if (move->from == MACHINE_PAUSED && move->to != MACHINE_ABORTING)
        return "RolloutResumed";
    switch (move->to) {
    case MACHINE_SCALING:
        return "StepStarted";
    case MACHINE_HOLDING:
        return "RolloutHeld";
    case MACHINE_PAUSED:
        return "RolloutPaused";
    case MACHINE_ABORTING:
        return "RolloutAborted";
    case MACHINE_ABORTED:
        return "StableRestored";
    case MACHINE_COMPLETED:
        return "RolloutCompleted";
    case MACHINE_FAILED_PROMOTION:
        return "PromotionFailed";
    default: /* where a hold has ended, and no step begins with it */
        return move->from == MACHINE_HOLDING && move->to != MACHINE_STABLE ? "RolloutResumed"
                                                                           : NULL;
    }
}

void sink_tell(struct rollout *r, const struct machine_move *move, const char *why)
{
    sink_log(r, move, why);
    bool passed = move->from == MACHINE_ANALYZING || move->from == MACHINE_BAKING
                      ? move->to == MACHINE_SCALING || move->to == MACHINE_PROMOTING ||
                            move->to == MACHINE_FINALIZING ||
                            move->cause == MACHINE_CAUSE_STEP_PAUSE
                      : false;
    if (passed)
        tell(r, move, "StepCompleted", why);
    if (move->cause == MACHINE_CAUSE_LOW_EVIDENCE && move->from != move->to)
        tell(r, move, "AnalysisInconclusive", why);
    bool failed = move->to == MACHINE_ABORTING || move->to == MACHINE_PAUSED;
    if (failed && machine_cause_is_failure(move->cause))
        tell(r, move, "AnalysisFailed", why);
    if (move->weight_from_bp != move->weight_to_bp)
        tell(r, move, "WeightChanged", why);
    const char *name = move->from == move->to ? NULL : entered(move);
    if (name)
        tell(r, move, name, why);
    if (name && (move->to == MACHINE_ABORTED || move->to == MACHINE_COMPLETED))
        gate_tell(r, GATE_AFTER_END, name, why);
}
