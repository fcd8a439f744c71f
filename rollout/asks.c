/* What the running rollout asks of others.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/asks.h"

#include "base/check.h"
#include "base/log.h"
#include "rollout/inside.h"
#include "rollout/zone_file.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int64_t now_ms(const struct rollout *r)
{
    return r->ports.monotonic_ms(r->ports.host);
}

static int64_t wall_s(const struct rollout *r)
{
    return r->ports.wall_ms(r->ports.host) / 1000;
}

static void open_windows(struct asks *a)
{
    for (size_t i = 0; i < a->outside.n_windows; i++) {
        const struct outside_window *w = &a->outside.windows[i];
        struct why why;
        if (zone_file_load(ZONE_FILE_DIR, w->tz, &a->zones[i], &why) == OK &&
            window_read(&a->windows[i], w, a->zones[i], &why) == OK)
            continue;
        (void)snprintf(a->windows_error, sizeof a->windows_error, "%s", why.text);
        log_error("windows_unknown", "route=%s why=\"%s\"", a->rollout->record.route, why.text);
    }
}

void asks_end(struct rollout *r)
{
    struct asks *a = r->asks;
    r->asks = NULL;
    if (!a)
        return;
    for (size_t i = 0; i < a->outside.n_checks; i++)
        if (a->checks[i].call)
            r->ports.ask_cancel(r->ports.host, a->checks[i].call);
    for (size_t i = 0; i < a->outside.n_gates; i++)
        gate_forget(&a->gates[i]);
    for (size_t i = 0; i < a->outside.n_windows; i++)
        zone_free(a->zones[i]);
    free(a);
}

void asks_begin(struct rollout *r)
{
    struct why why;
    struct asks *a = calloc(1, sizeof *a);
    asks_end(r);
    if (!a || outside_from_json(&a->outside, &a->room, r->record.outside, &why) != OK) {
        log_error("asks_unknown", "route=%s why=\"%s\"", r->record.route,
                  a ? why.text : "out of memory");
        free(a);
        return;
    }
    if (a->outside.n_checks + a->outside.n_gates + a->outside.n_windows == 0) {
        free(a);
        return;
    }
    a->rollout = r;
    for (size_t i = 0; i < a->outside.n_checks; i++) {
        a->checks[i] =
            (struct ask_check){.asks = a, .answer = {.verdict = ANSWER_NO_DATA, .value = NAN}};
        (void)snprintf(a->checks[i].answer.why, ANSWER_WHY_MAX, "it has not been asked yet");
    }
    for (size_t i = 0; i < a->outside.n_gates; i++) {
        a->gates[i] = (struct ask_gate){.asks = a};
        (void)snprintf(a->gates[i].why, ANSWER_WHY_MAX, "it has not answered yet");
    }
    open_windows(a);
    r->asks = a;
}

static const struct outside_check *plan_of(const struct ask_check *c)
{
    return &c->asks->outside.checks[c - c->asks->checks];
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct ask_check *c = arg;
    const struct outside_check *plan = plan_of(c);
    enum answer_verdict before = c->answer.verdict;
    struct slice body = slice_of(answer->body, answer->len);
    c->call = NULL;
    if (plan->kind == OUTSIDE_PROMETHEUS)
        answer_of_query(&c->answer, plan, answer->status, answer->error, body);
    else
        answer_of_webhook(&c->answer, answer->status, answer->error, body);
    c->failures = c->answer.verdict == ANSWER_FAIL ? c->failures + 1 : 0;
    if (c->answer.verdict != before || c->answer.verdict == ANSWER_FAIL)
        log_info("check", "route=%s check=%s verdict=%s failures=%u of=%u%s why=\"%s\"",
                 c->asks->rollout->record.route, plan->name, answer_verdict_name(c->answer.verdict),
                 c->failures, plan->failures, plan->dry_run ? " dry_run=true" : "", c->answer.why);
    c->is_answered = true;
}

static void ask(struct ask_check *c, const struct record *next)
{
    struct rollout *r = c->asks->rollout;
    const struct outside_check *plan = plan_of(c);
    struct answer_names names = {next->route, next->pair.stable.name, next->pair.canary.name};
    char url[ANSWER_URL_MAX];
    char *body = NULL;
    int64_t timeout_ms = plan->interval_ms < ASKS_TIMEOUT_MS ? plan->interval_ms : ASKS_TIMEOUT_MS;
    struct http_ask question = {
        .url = plan->url, .timeout_ms = (uint32_t)timeout_ms, .done = on_answer, .arg = c};
    c->due_ms = now_ms(r) + plan->interval_ms;
    if (plan->kind == OUTSIDE_PROMETHEUS) {
        question.url = answer_query_url(plan, &names, url) ? url : NULL;
    } else {
        body = gate_body(r, next, "check", plan->name, "");
        question.body = body;
    }
    bool may_ask = r->ports.ask && question.url && (body || plan->kind == OUTSIDE_PROMETHEUS);
    c->call = may_ask ? r->ports.ask(r->ports.host, &question) : NULL;
    free(body);
    if (!c->call) {
        c->answer = (struct answer){.verdict = ANSWER_ERROR, .value = NAN};
        (void)snprintf(c->answer.why, ANSWER_WHY_MAX, "%s",
                       question.url ? "it cannot be asked: out of memory"
                                    : "the query is too long");
    }
}

void asks_tick(struct rollout *r, const struct record *next)
{
    struct asks *a = r->asks;
    if (!a)
        return;
    if (!machine_is_running(&next->machine)) {
        asks_end(r);
        return;
    }
    const struct machine *m = &next->machine;
    bool meets_requests = m->weight_bp > 0 || machine_is_mirroring(m, &next->plan);
    for (size_t i = 0; i < a->outside.n_checks && meets_requests; i++)
        if (!a->checks[i].call && now_ms(r) >= a->checks[i].due_ms)
            ask(&a->checks[i], next);
}

/* The worst of those that decide; NULL where all pass. */
static const struct ask_check *worst(const struct asks *a)
{
    const struct ask_check *found = NULL;
    for (size_t i = 0; i < a->outside.n_checks; i++) {
        const struct ask_check *c = &a->checks[i];
        if (!a->outside.checks[i].dry_run && c->answer.verdict != ANSWER_PASS &&
            (!found || c->answer.verdict > found->answer.verdict))
            found = c;
    }
    return found;
}

bool asks_has_failed(const struct rollout *r)
{
    const struct asks *a = r->asks;
    for (size_t i = 0; a && i < a->outside.n_checks; i++)
        if (!a->outside.checks[i].dry_run && a->checks[i].failures >= a->outside.checks[i].failures)
            return true;
    return false;
}

static bool is_outside_windows(const struct rollout *r)
{
    const struct asks *a = r->asks;
    return a->windows_error[0] || !window_is_open(a->windows, a->outside.n_windows, wall_s(r));
}

/* The gate that stands before the next move of a state that raises the weight. */
static enum outside_moment gate_of(enum machine_state where)
{
    if (where == MACHINE_PENDING)
        return GATE_BEFORE_START;
    return where == MACHINE_SCALING ? GATE_BEFORE_STEP : GATE_BEFORE_PROMOTE;
}

enum machine_cause asks_hold(struct rollout *r, const struct record *next)
{
    const struct machine *m = &next->machine;
    enum machine_state where = machine_underlying(m);
    bool promotes = where == MACHINE_PROMOTING && m->weight_bp < next->plan.bake_weight_bp;
    bool raises = where == MACHINE_PENDING || where == MACHINE_SCALING || promotes;
    if (!r->asks || m->full || m->direct)
        return MACHINE_CAUSE_NONE;
    if (raises && is_outside_windows(r))
        return MACHINE_CAUSE_WINDOW;
    if (raises && !gate_is_open(r, next, gate_of(where)))
        return MACHINE_CAUSE_GATE;
    bool compares = where == MACHINE_ANALYZING || where == MACHINE_BAKING;
    return m->stage >= 0 && (raises || compares) && worst(r->asks) ? MACHINE_CAUSE_CHECK
                                                                   : MACHINE_CAUSE_NONE;
}

static void explain_window(const struct rollout *r, struct why *why)
{
    const struct asks *a = r->asks;
    char opens[WINDOW_TEXT_MAX];
    size_t which = 0;
    int64_t at_s = window_next_open_s(a->windows, a->outside.n_windows, wall_s(r), &which);
    if (a->windows_error[0]) {
        (void)why_set(why, OK, "its time windows cannot be known: %.300s", a->windows_error);
    } else if (at_s == WINDOW_NEVER_S) {
        (void)why_set(why, OK, "outside its time windows");
    } else {
        window_text(&a->windows[which], at_s, opens);
        (void)why_set(why, OK, "outside its time windows until %s", opens);
    }
}

static void explain_gate(const struct asks *a, struct why *why)
{
    for (size_t i = 0; i < a->outside.n_gates; i++) {
        const struct ask_gate *g = &a->gates[i];
        if (g->is_open || g->due_ms == 0)
            continue;
        (void)why_set(why, OK, "gate %s is not open: %s",
                      answer_moment_name(a->outside.gates[i].on), g->why);
        return;
    }
    (void)why_set(why, OK, "a gate is not open");
}

bool asks_explain(const struct rollout *r, enum machine_cause cause, struct why *why)
{
    const struct asks *a = r->asks;
    const struct ask_check *c;
    if (!a)
        return false;
    switch (cause) {
    case MACHINE_CAUSE_WINDOW:
        explain_window(r, why);
        return true;
    case MACHINE_CAUSE_GATE:
        explain_gate(a, why);
        return true;
    case MACHINE_CAUSE_CHECK:
    case MACHINE_CAUSE_CHECK_FAILED:
        c = worst(a);
        if (!c)
            return false;
        (void)why_set(why, OK, "check %s %s%s: %s", plan_of(c)->name,
                      answer_verdict_name(c->answer.verdict),
                      cause == MACHINE_CAUSE_CHECK_FAILED ? " as often as the plan allows" : "",
                      c->answer.why);
        return true;
    default:
        return false;
    }
}

static bool add_check(cJSON *list, const struct ask_check *c)
{
    const struct outside_check *plan = plan_of(c);
    cJSON *item = cJSON_CreateObject();
    return item && cJSON_AddItemToArray(list, item) &&
           cJSON_AddStringToObject(item, "name", plan->name) &&
           cJSON_AddStringToObject(item, "kind",
                                   plan->kind == OUTSIDE_PROMETHEUS ? "prometheus" : "webhook") &&
           cJSON_AddStringToObject(item, "verdict", answer_verdict_name(c->answer.verdict)) &&
           (isfinite(c->answer.value) ? cJSON_AddNumberToObject(item, "value", c->answer.value)
                                      : cJSON_AddNullToObject(item, "value")) &&
           cJSON_AddNumberToObject(item, "failures", c->failures) &&
           cJSON_AddNumberToObject(item, "fails_at", plan->failures) &&
           cJSON_AddBoolToObject(item, "dry_run", plan->dry_run) &&
           cJSON_AddStringToObject(item, "why", c->answer.why);
}

static bool add_gate(cJSON *list, const struct asks *a, size_t i)
{
    const struct ask_gate *g = &a->gates[i];
    if (a->outside.gates[i].on >= GATE_AFTER_END)
        return true; /* told, not asked */
    cJSON *item = cJSON_CreateObject();
    return item && cJSON_AddItemToArray(list, item) &&
           cJSON_AddStringToObject(item, "on", answer_moment_name(a->outside.gates[i].on)) &&
           cJSON_AddBoolToObject(item, "open", g->is_open) &&
           cJSON_AddStringToObject(item, "why", g->why);
}

bool asks_status(const struct rollout *r, cJSON *json)
{
    const struct asks *a = r->asks;
    cJSON *checks = cJSON_AddArrayToObject(json, "more_checks");
    cJSON *gates = cJSON_AddArrayToObject(json, "gates");
    bool whole = checks && gates;
    for (size_t i = 0; whole && a && i < a->outside.n_checks; i++)
        whole = add_check(checks, &a->checks[i]);
    for (size_t i = 0; whole && a && i < a->outside.n_gates; i++)
        whole = add_gate(gates, a, i);
    if (!whole || !a || a->outside.n_windows == 0)
        return whole;
    return cJSON_AddBoolToObject(json, "window_open", !is_outside_windows(r)) != NULL;
}
