/* What a rollout says of itself: status and history as JSON, and the numbers of /metrics.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/asks.h"
#include "rollout/decide/interval.h"
#include "rollout/decide/judge_counts.h"
#include "rollout/explain.h"
#include "rollout/inside.h"
#include "rollout/moment.h"
#include "rollout/status_checks.h"

#include "base/check.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Both versions' intervals together hold with 95 %. */
#define INTERVAL_ALPHA 0.025

/* A likelihood ratio beyond this says nothing more, and stays a number in JSON. */
#define EVIDENCE_MAX 1e12

/* Exit codes of `serin status`. */
enum { EXIT_OK = 0, EXIT_PROGRESSING = 3, EXIT_DEGRADED = 4, EXIT_PAUSED = 5 };

static double ratio_of(double log_value)
{
    double value = exp(log_value);
    return value < EVIDENCE_MAX ? value : EVIDENCE_MAX;
}

static struct judge_side since(const struct judge_side *now, const struct judge_side *then)
{
    return counts_gained(then, now);
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : NAN;
}

/* The canary's share of what was counted since the weight last changed; NaN without requests, or
 * without a weight. */
static double observed_weight(const struct rollout *r)
{
    const struct judge_seen *now = &r->record.machine.counts, *then = &r->sink.at_weight;
    uint64_t canary = since(&now->canary, &then->canary).requests;
    uint64_t stable = since(&now->stable, &then->stable).requests;
    return r->record.machine.weight_bp ? share(canary, canary + stable) : NAN;
}

/* Whether the newest run is about the pair that is in force, and was not reset: otherwise it is
 * only history. The machine of a run keeps its stage when it comes to rest. */
static bool is_current(const struct record *record)
{
    if (record->machine.state == MACHINE_STABLE && record->machine.stage < 0)
        return false;
    const struct record_run *run = &record->run;
    const char *stable = record->pair.stable.name, *canary = record->pair.canary.name;
    return run->id[0] && ((strcmp(run->stable, stable) == 0 && strcmp(run->canary, canary) == 0) ||
                          (strcmp(run->stable, canary) == 0 && strcmp(run->canary, stable) == 0));
}

static bool add_moment(cJSON *json, const char *name, int64_t wall_ms)
{
    char text[MOMENT_TEXT_MAX];
    if (wall_ms <= 0)
        return cJSON_AddNullToObject(json, name) != NULL;
    moment_rfc3339(wall_ms, text);
    return cJSON_AddStringToObject(json, name, text) != NULL;
}

static bool add_quantile(cJSON *json, const char *name, const struct hist_sum *sum, double q)
{
    return status_add_number(json, name,
                             hist_count(sum) ? (double)hist_quantile_us(sum, q) / 1000 : NAN);
}

static struct interval shown_rate(const struct judge_side *side)
{
    return interval_rate((double)side->failed, (double)side->requests, INTERVAL_ALPHA);
}

/* A bound that is none is null. scale: 100 for points of a percentage. */
static bool add_interval(cJSON *json, const char *name, struct interval interval, double scale)
{
    double bounds[] = {interval.low * scale, interval.high * scale};
    cJSON *pair = cJSON_AddArrayToObject(json, name);
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        cJSON *bound = isfinite(bounds[i]) ? cJSON_CreateNumber(status_short_number(bounds[i]))
                                           : cJSON_CreateNull();
        if (!pair || !bound || !cJSON_AddItemToArray(pair, bound)) {
            cJSON_Delete(bound);
            return false;
        }
    }
    return true;
}

struct shown_version {
    const char *name, *role;
    struct judge_side tally;
    const struct hist_sum *durations;
    unsigned available, endpoints;
    const struct cluster_version *cluster;
};

static bool add_version(cJSON *list, const struct shown_version *v)
{
    cJSON *json = cJSON_CreateObject();
    if (!json || !cJSON_AddItemToArray(list, json))
        return false;
    return cJSON_AddStringToObject(json, "name", v->name) &&
           cJSON_AddStringToObject(json, "role", v->role) &&
           status_add_number(json, "requests", (double)v->tally.requests) &&
           status_add_number(json, "failed", (double)v->tally.failed) &&
           status_add_number(json, "error_rate", share(v->tally.failed, v->tally.requests)) &&
           add_interval(json, "interval", shown_rate(&v->tally), 1) &&
           add_quantile(json, "p50_ms", v->durations, 0.50) &&
           add_quantile(json, "p99_ms", v->durations, 0.99) &&
           status_add_number(json, "available", v->available) &&
           status_add_number(json, "endpoints", v->endpoints) &&
           cluster_status_version(v->cluster, json);
}

static bool add_versions(const struct rollout *r, cJSON *json)
{
    const struct record *record = &r->record;
    const struct machine *m = &record->machine;
    struct hist_sum stable, canary;
    source_durations(&r->source, &r->ports, record, &stable, &canary);
    const char *name = record->pair.canary.name;
    struct rollout_health health = r->ports.health(r->ports.host, record->route,
                                                   record->pair.stable.name, name[0] ? name : NULL);
    struct shown_version shown = {.name = record->pair.stable.name,
                                  .role = "stable",
                                  .tally = since(&m->counts.stable, &m->at_stage.stable),
                                  .durations = &stable,
                                  .available = health.stable_available,
                                  .endpoints = health.stable_endpoints,
                                  .cluster = &r->cluster.stable};
    cJSON *list = cJSON_AddArrayToObject(json, "versions");
    if (!list || !add_version(list, &shown))
        return false;
    if (name[0] == '\0')
        return true;
    shown = (struct shown_version){.name = name,
                                   .role = "canary",
                                   .tally = since(&m->counts.canary, &m->at_stage.canary),
                                   .durations = &canary,
                                   .available = health.canary_available,
                                   .endpoints = health.canary_endpoints,
                                   .cluster = &r->cluster.canary};
    return add_version(list, &shown);
}

/* How the canary's error rate compares with stable's at this step, with 95 %. For eyes only: it
 * takes the rates for steady, and no decision uses it. */
static bool add_bands(const struct machine *m, cJSON *json)
{
    struct judge_side stable = since(&m->counts.stable, &m->at_stage.stable);
    struct judge_side canary = since(&m->counts.canary, &m->at_stage.canary);
    if (stable.requests == 0 || canary.requests == 0)
        return cJSON_AddNullToObject(json, "difference") && cJSON_AddNullToObject(json, "ratio");
    struct interval of_stable = shown_rate(&stable), of_canary = shown_rate(&canary);
    return add_interval(json, "difference", interval_difference(of_canary, of_stable), 100) &&
           add_interval(json, "ratio", interval_ratio(of_canary, of_stable), 1);
}

static bool add_evidence(const struct rollout *r, cJSON *json)
{
    const struct judge_decision *d = &r->decision;
    if (!r->decided || !r->record.judged)
        return cJSON_AddNullToObject(json, "evidence") != NULL;
    cJSON *evidence = cJSON_AddObjectToObject(json, "evidence");
    return evidence && cJSON_AddStringToObject(evidence, "check", d->check) &&
           status_add_number(evidence, "against", ratio_of(d->log_evidence)) &&
           status_add_number(evidence, "revert_at", ratio_of(d->log_revert_at)) &&
           status_add_number(evidence, "safe", ratio_of(d->log_safe)) &&
           status_add_number(evidence, "widen_at", ratio_of(d->log_promote_at));
}

static bool add_quarantine(const struct record *record, cJSON *json)
{
    cJSON *list = cJSON_AddArrayToObject(json, "quarantine");
    if (!list)
        return false;
    for (size_t i = 0; i < record->n_quarantine; i++) {
        const struct record_quarantine *q = &record->quarantine[i];
        cJSON *item = cJSON_CreateObject();
        if (!item || !cJSON_AddItemToArray(list, item) ||
            !cJSON_AddStringToObject(item, "name", q->name) ||
            !cJSON_AddStringToObject(item, "revision", q->revision) ||
            !add_moment(item, "at", q->at_ms) || !cJSON_AddStringToObject(item, "why", q->why))
            return false;
    }
    return true;
}

/* A version that serves everyone and has no endpoint is not healthy, though no rollout is amiss. */
static enum rollout_phase phase_of(const struct rollout *r)
{
    enum rollout_phase phase = machine_phase(&r->record.machine);
    struct why why;
    if (phase != ROLLOUT_PHASE_HEALTHY)
        return phase;
    explain_no_stable(r, &r->record, &why);
    return why.text[0] ? ROLLOUT_PHASE_DEGRADED : phase;
}

static int exit_code(const struct rollout *r)
{
    static const int codes[ROLLOUT_PHASE_COUNT] = {EXIT_OK, EXIT_PROGRESSING, EXIT_PAUSED,
                                                   EXIT_DEGRADED};
    return codes[phase_of(r)];
}

static bool add_times(const struct record *record, cJSON *json)
{
    const struct machine *m = &record->machine;
    bool running = machine_is_running(m);
    double hold_s = running ? (double)plan_stage_hold_ms(&record->plan, m->step) / 1000 : NAN;
    return status_add_number(json, "elapsed_s", (double)m->elapsed_ms / 1000) &&
           status_add_number(json, "step_elapsed_s", (double)m->stage_ms / 1000) &&
           status_add_number(json, "hold_s", hold_s) &&
           add_moment(json, "started_at", is_current(record) ? record->run.started_ms : 0);
}

static bool add_result(const struct record *record, cJSON *json)
{
    bool ended = is_current(record) && record->run.result != ROLLOUT_RESULT_NONE;
    return ended ? cJSON_AddStringToObject(json, "result", rollout_result_name(record->run.result))
                 : cJSON_AddNullToObject(json, "result");
}

static bool add_weight(const struct rollout *r, cJSON *json)
{
    cJSON *weight = cJSON_AddObjectToObject(json, "weight");
    return weight && status_add_number(weight, "intended", r->record.machine.weight_bp / 100.0) &&
           status_add_number(weight, "observed", 100 * observed_weight(r));
}

/* 1 to steps while one runs, and where it stopped; otherwise 0. */
static unsigned shown_step(const struct machine *m)
{
    return machine_is_running(m) || m->state == MACHINE_ABORTED ? m->step + 1 : 0;
}

static const struct plan *shown_plan(const struct rollout *r)
{
    const struct machine *m = &r->record.machine;
    bool frozen = machine_is_running(m) || m->state == MACHINE_ABORTED;
    return frozen ? &r->record.plan : &r->next_plan;
}

/* The bake counts as the last: so a list that ends in 100 % shows its own length. */
static unsigned shown_steps(const struct rollout *r)
{
    return (unsigned)plan_judged_steps(shown_plan(r)) + 1;
}

/* In percent, one a step; the last is where it goes. */
static bool add_weights(const struct rollout *r, cJSON *json)
{
    const struct plan *p = shown_plan(r);
    cJSON *list = cJSON_AddArrayToObject(json, "weights");
    if (!list)
        return false;
    for (size_t i = 0; i <= plan_judged_steps(p); i++) {
        double percent = i < plan_judged_steps(p) ? p->steps[i].weight_bp / 100.0 : 100;
        cJSON *weight = cJSON_CreateNumber(percent);
        if (!weight || !cJSON_AddItemToArray(list, weight))
            return false;
    }
    return true;
}

/* What the counts are of: users' requests, or copies that nobody sees. */
static bool add_mirroring(const struct record *record, cJSON *json)
{
    return cJSON_AddBoolToObject(json, "mirroring",
                                 machine_is_mirroring(&record->machine, &record->plan));
}

static bool add_head(const struct rollout *r, cJSON *json)
{
    const struct record *record = &r->record;
    const struct machine *m = &record->machine;
    const char *canary = record->pair.canary.name;
    return cJSON_AddStringToObject(json, "route", record->route) &&
           cJSON_AddStringToObject(json, "phase", rollout_phase_name(phase_of(r))) &&
           cJSON_AddStringToObject(json, "state", machine_state_name(m->state)) &&
           cJSON_AddStringToObject(json, "cause", machine_cause_name(m->cause)) &&
           status_add_number(json, "step", shown_step(m)) &&
           status_add_number(json, "steps", shown_steps(r)) && add_weights(r, json) &&
           cJSON_AddStringToObject(json, "stable", record->pair.stable.name) &&
           (canary[0] ? cJSON_AddStringToObject(json, "canary", canary)
                      : cJSON_AddNullToObject(json, "canary")) &&
           cJSON_AddStringToObject(json, "rollout_id", is_current(record) ? record->run.id : "");
}

cJSON *rollout_status(const struct rollout *r)
{
    const struct record *record = &r->record;
    char why[RECORD_WHY_MAX];
    explain_status(r, why);
    cJSON *json = cJSON_CreateObject();
    if (json && add_head(r, json) && add_weight(r, json) && add_mirroring(record, json) &&
        cJSON_AddStringToObject(json, "why", why) && add_versions(r, json) &&
        cluster_status(r, json) && add_bands(&record->machine, json) && add_evidence(r, json) &&
        status_add_checks(r, json) && asks_status(r, json) && add_times(record, json) &&
        add_result(record, json) && add_quarantine(record, json) &&
        status_add_number(json, "exit", exit_code(r)))
        return json;
    cJSON_Delete(json);
    return NULL;
}

/* The judge's words where the judge decided. */
static const char *verdict_word(enum machine_cause cause)
{
    if (cause == MACHINE_CAUSE_VERDICT)
        return judge_verdict_name(JUDGE_PROMOTE);
    return cause == MACHINE_CAUSE_FAILED ? judge_verdict_name(JUDGE_REVERT)
                                         : machine_cause_name(cause);
}

static bool add_steps(const struct record_run *run, cJSON *json)
{
    cJSON *list = cJSON_AddArrayToObject(json, "steps");
    if (!list)
        return false;
    for (size_t i = 0; i < run->n_steps; i++) {
        const struct record_step *step = &run->steps[i];
        cJSON *item = cJSON_CreateObject();
        if (!item || !cJSON_AddItemToArray(list, item) ||
            !status_add_number(item, "weight", step->weight_bp / 100.0) ||
            !add_moment(item, "entered_at", step->entered_ms) ||
            !(step->verdict == MACHINE_CAUSE_NONE
                  ? cJSON_AddNullToObject(item, "verdict")
                  : cJSON_AddStringToObject(item, "verdict", verdict_word(step->verdict))) ||
            !cJSON_AddStringToObject(item, "why", step->why))
            return false;
    }
    return true;
}

static bool add_run(cJSON *list, const struct record_run *run)
{
    cJSON *json = cJSON_CreateObject();
    return json && cJSON_AddItemToArray(list, json) &&
           cJSON_AddStringToObject(json, "rollout_id", run->id) &&
           cJSON_AddStringToObject(json, "stable", run->stable) &&
           cJSON_AddStringToObject(json, "canary", run->canary) &&
           add_moment(json, "started_at", run->started_ms) &&
           add_moment(json, "ended_at", run->ended_ms) &&
           (run->result == ROLLOUT_RESULT_NONE
                ? cJSON_AddNullToObject(json, "result")
                : cJSON_AddStringToObject(json, "result", rollout_result_name(run->result))) &&
           cJSON_AddStringToObject(json, "verb", rollout_verb_name(run->verb)) &&
           cJSON_AddStringToObject(json, "why", run->why) &&
           cJSON_AddStringToObject(json, "who", run->who) && add_steps(run, json);
}

cJSON *rollout_history(const struct rollout *r)
{
    cJSON *list = cJSON_CreateArray();
    bool whole = list && (r->record.run.id[0] == '\0' || add_run(list, &r->record.run));
    const cJSON *item;
    cJSON_ArrayForEach(item, r->record.history)
    {
        struct record_run run;
        whole = whole && record_run_from_json(&run, item, NULL) == OK && add_run(list, &run);
    }
    if (whole)
        return list;
    cJSON_Delete(list);
    return NULL;
}

static double value_or_nan(const struct rollout *r, double log_value)
{
    return r->decided && r->record.judged ? ratio_of(log_value) : NAN;
}

/* What a margin makes of stable's share. */
static double limit_of(const struct plan_check *margin, double stable)
{
    return (1 + margin->margin) * stable + margin->margin_absolute;
}

/* The margin is in the threshold above which a request is slow: stable's own share is the limit. */
static void latency_check_metrics(const struct plan *plan, unsigned quantile,
                                  const struct judge_side *stable, const struct judge_side *canary,
                                  struct rollout_check_metrics *c)
{
    (void)snprintf(c->check, sizeof c->check, "latency_p%g", 100 * plan->quantiles[quantile]);
    c->value = share(canary->slow[quantile], canary->requests);
    c->limit = share(stable->slow[quantile], stable->requests);
}

/* Each check that the plan judges: the canary's share at this step, and the one that would not be held against it. */
size_t rollout_metrics_checks(const struct rollout *r,
                              struct rollout_check_metrics checks[JUDGE_CHECK_COUNT])
{
    const struct record *record = &r->record;
    const struct plan *plan = &record->plan;
    const struct judge *j = &record->judge;
    const struct machine *m = &record->machine;
    struct judge_side stable = since(&m->counts.stable, &m->at_stage.stable);
    struct judge_side canary = since(&m->counts.canary, &m->at_stage.canary);
    double errors = share(canary.failed, canary.requests);
    size_t n = 0;
    for (unsigned i = 0; record->judged && i < JUDGE_CHECK_COUNT; i++) {
        struct rollout_check_metrics c = {.evidence = ratio_of(judge_check_log(j, i))};
        (void)snprintf(c.check, sizeof c.check, "%s", judge_check_name(i));
        if (i == JUDGE_CHECK_ERRORS) {
            c.value = errors;
            c.limit = limit_of(&plan->errors, share(stable.failed, stable.requests));
        } else if (i == JUDGE_CHECK_CLIENT_ERRORS && plan->client_errors_judged) {
            c.value = share(canary.client_errors, canary.requests);
            c.limit = limit_of(&plan->client_errors, share(stable.client_errors, stable.requests));
        } else if (i == JUDGE_CHECK_CEILING && j->ceiling_on) {
            c.value = errors;
            c.limit = plan->errors_ceiling;
        } else if (i >= JUDGE_CHECK_LATENCY && plan->latency_judged &&
                   i - JUDGE_CHECK_LATENCY < plan->n_quantiles) {
            latency_check_metrics(plan, i - JUDGE_CHECK_LATENCY, &stable, &canary, &c);
        } else {
            continue;
        }
        checks[n++] = c;
    }
    return n;
}

void rollout_metrics(const struct rollout *r, struct rollout_metrics *out)
{
    const struct machine *m = &r->record.machine;
    struct judge_side stable = since(&m->counts.stable, &m->at_stage.stable);
    struct judge_side canary = since(&m->counts.canary, &m->at_stage.canary);
    *out = (struct rollout_metrics){
        .route = r->record.route,
        .phase = phase_of(r),
        .step = machine_is_running(m) ? m->step + 1 : 0,
        .steps = shown_steps(r),
        .weight_intended = m->weight_bp / 10000.0,
        .weight_observed = observed_weight(r),
        .check = r->decided ? r->decision.check : "",
        .evidence_against = value_or_nan(r, r->decision.log_evidence),
        .revert_at = value_or_nan(r, r->decision.log_revert_at),
        .decided_against = r->decided ? ratio_of(r->decision.log_evidence) : NAN,
        .decided_at = r->decided ? ratio_of(r->decision.log_revert_at) : NAN,
        .evidence_safe = value_or_nan(r, r->decision.log_safe),
        .widen_at = value_or_nan(r, r->decision.log_promote_at),
        .error_rate_stable = share(stable.failed, stable.requests),
        .error_rate_canary = share(canary.failed, canary.requests),
        .reverted_seconds = r->reverted_seconds,
    };
    memcpy(out->verdicts, r->verdicts, sizeof out->verdicts);
    memcpy(out->results, r->results, sizeof out->results);
}
