/* Gates: who is asked before a move, and who is told of one.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/asks.h"

#include "base/check.h"
#include "base/log.h"
#include "rollout/inside.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

void gate_forget(struct ask_gate *g)
{
    struct rollout *r = g->asks->rollout;
    if (g->call)
        r->ports.ask_cancel(r->ports.host, g->call);
    g->call = NULL;
}

static bool add_or_null(cJSON *json, const char *name, const char *text)
{
    return text[0] ? cJSON_AddStringToObject(json, name, text) != NULL
                   : cJSON_AddNullToObject(json, name) != NULL;
}

char *gate_body(const struct rollout *r, const struct record *next, const char *on,
                const char *name, const char *why)
{
    const struct machine *m = &next->machine;
    const struct plan *p = &next->plan;
    cJSON *json = cJSON_CreateObject();
    unsigned steps = (unsigned)plan_judged_steps(p) + 1;
    double next_bp = plan_stage_weight_bp(p, m->step < steps ? m->step : steps - 1);
    bool whole = json && cJSON_AddStringToObject(json, "on", on) &&
                 cJSON_AddStringToObject(json, "name", name) &&
                 cJSON_AddStringToObject(json, "route", next->route) &&
                 cJSON_AddStringToObject(json, "rollout_id", next->run.id) &&
                 cJSON_AddStringToObject(json, "stable", next->pair.stable.name) &&
                 cJSON_AddStringToObject(json, "canary", next->pair.canary.name) &&
                 add_or_null(json, "revision", next->pair.canary.revision) &&
                 cJSON_AddStringToObject(json, "phase", rollout_phase_name(machine_phase(m))) &&
                 cJSON_AddStringToObject(json, "state", machine_state_name(m->state)) &&
                 cJSON_AddNumberToObject(json, "step", m->step + 1) &&
                 cJSON_AddNumberToObject(json, "steps", steps) &&
                 cJSON_AddNumberToObject(json, "weight", m->weight_bp / 100.0) &&
                 cJSON_AddNumberToObject(json, "next_weight", next_bp / 100) &&
                 add_or_null(json, "why", why);
    char *text = whole ? cJSON_PrintUnformatted(json) : NULL;
    cJSON_Delete(json);
    (void)r;
    return text;
}

static void on_answer(void *arg, const struct http_answer *answer)
{
    struct ask_gate *g = arg;
    struct rollout *r = g->asks->rollout;
    const struct outside_gate *plan = &g->asks->outside.gates[g - g->asks->gates];
    g->call = NULL;
    g->is_open = answer_of_gate(answer->status, answer->error, g->why) == ANSWER_GATE_OPEN;
    g->due_ms = r->ports.monotonic_ms(r->ports.host) + ASKS_AGAIN_MS;
    log_info("gate", "route=%s on=%s open=%s why=\"%s\"", r->record.route,
             answer_moment_name(plan->on), g->is_open ? "true" : "false", g->why);
}

static void ask(struct ask_gate *g, const struct record *next, const struct outside_gate *plan)
{
    struct rollout *r = g->asks->rollout;
    const char *on = answer_moment_name(plan->on);
    char *body = gate_body(r, next, on, on, "");
    struct http_ask question = {.url = plan->url,
                                .body = body,
                                .timeout_ms = (uint32_t)plan->timeout_ms,
                                .done = on_answer,
                                .arg = g};
    g->due_ms = r->ports.monotonic_ms(r->ports.host) + ASKS_AGAIN_MS;
    g->call = r->ports.ask && body ? r->ports.ask(r->ports.host, &question) : NULL;
    if (!g->call)
        (void)snprintf(g->why, sizeof g->why, "it cannot be asked: out of memory");
    free(body);
}

bool gate_is_open(struct rollout *r, const struct record *next, enum outside_moment on)
{
    struct asks *a = r->asks;
    bool open = true;
    for (size_t i = 0; i < a->outside.n_gates; i++) {
        struct ask_gate *g = &a->gates[i];
        if (a->outside.gates[i].on != on)
            continue;
        if (g->open_for != next->machine.step + 1) { /* another step: it is asked anew */
            gate_forget(g);
            g->is_open = false;
            g->open_for = next->machine.step + 1;
            g->due_ms = 0;
        }
        if (!g->is_open && !g->call && r->ports.monotonic_ms(r->ports.host) >= g->due_ms)
            ask(g, next, &a->outside.gates[i]);
        open = open && g->is_open;
    }
    return open;
}

/* One event under way. It may outlive its run, not its rollout. */
struct tell {
    struct list link;
    struct rollout *rollout;
    struct http_call *call;
};

static void tell_free(struct tell *t)
{
    list_remove(&t->link);
    t->rollout->n_tells--;
    free(t);
}

static void on_told(void *arg, const struct http_answer *answer)
{
    struct tell *t = arg;
    if (answer->status < 200 || answer->status >= 300)
        log_warn("event_not_told", "route=%s status=%u why=\"%s\"", t->rollout->record.route,
                 answer->status, answer->error);
    tell_free(t);
}

void gate_forget_tells(struct rollout *r)
{
    while (!list_empty(&r->tells)) {
        struct tell *t = CONTAINER_OF(r->tells.next, struct tell, link);
        r->ports.ask_cancel(r->ports.host, t->call);
        tell_free(t);
    }
}

static void tell(struct rollout *r, const struct outside_gate *plan, const char *name,
                 const char *why)
{
    char *body = gate_body(r, &r->record, answer_moment_name(plan->on), name, why);
    struct tell *t = r->n_tells < ASKS_TELLS_MAX ? calloc(1, sizeof *t) : NULL;
    struct http_ask question = {.url = plan->url,
                                .body = body,
                                .timeout_ms = (uint32_t)plan->timeout_ms,
                                .done = on_told,
                                .arg = t};
    if (t && body) {
        t->rollout = r;
        list_push_back(&r->tells, &t->link);
        r->n_tells++;
        t->call = r->ports.ask(r->ports.host, &question);
    }
    if (!t || !body || !t->call) {
        log_warn("event_not_told", "route=%s event=%s why=\"%s\"", r->record.route, name,
                 t ? "out of memory" : "too many are under way");
        if (t && body)
            tell_free(t);
        else
            free(t);
    }
    free(body);
}

void gate_tell(struct rollout *r, enum outside_moment on, const char *name, const char *why)
{
    for (size_t i = 0; r->asks && r->ports.ask && i < r->asks->outside.n_gates; i++)
        if (r->asks->outside.gates[i].on == on)
            tell(r, &r->asks->outside.gates[i], name, why);
}
