/* Plain sentences: why a rollout moved, and why it is or is not moving.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/explain.h"

#include "rollout/asks.h"
#include "rollout/inside.h"
#include <string.h>

void explain_copy(char *to, size_t size, const char *from)
{
    size_t len = strlen(from);
    if (len >= size)
        len = size - 1;
    while (len > 0 && from[len] != '\0' && ((unsigned char)from[len] & 0xc0) == 0x80)
        len--;
    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        to[i] = c == '"' ? '\'' : (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c;
    }
    to[len] = '\0';
}

static double percent(uint32_t weight_bp)
{
    return weight_bp / 100.0;
}

static const char *name_of(const char *who)
{
    return who[0] ? who : "a person";
}

static const char *requests_of(const struct record *next)
{
    return machine_is_mirroring(&next->machine, &next->plan)
               ? "copies of requests (routes[].mirror)"
               : "requests";
}

/* The sentences of causes that the judge has nothing to do with. */
static void explain_event(const struct rollout *r, const struct record *next,
                          enum machine_cause cause, const char *who, struct why *why)
{
    const char *canary = next->pair.canary.name, *stable = next->pair.stable.name;
    switch (cause) {
    case MACHINE_CAUSE_NO_DATA:
        (void)why_set(why, OK, "%s got fewer than %u %s at %g%%: nothing to judge, so it waits",
                      canary, MACHINE_NO_DATA_REQUESTS, requests_of(next),
                      percent(next->machine.weight_bp));
        break;
    case MACHINE_CAUSE_BREAKER:
        (void)why_set(why, OK, "the breaker of %s is open: %s serves everyone until trials pass",
                      canary, stable);
        break;
    case MACHINE_CAUSE_NO_ENDPOINT:
        (void)why_set(why, OK, "no endpoint of %s is available: %s serves everyone", canary,
                      stable);
        break;
    case MACHINE_CAUSE_UNWRITABLE:
        (void)why_set(why, OK, "cannot write state: %.400s", r->write_error);
        break;
    case MACHINE_CAUSE_STEP_PAUSE:
        (void)why_set(why, OK, "step %u (%g%%) has passed and waits for `serin promote %s`",
                      next->machine.step + 1, percent(next->machine.weight_bp), next->route);
        break;
    case MACHINE_CAUSE_OPERATOR:
        (void)why_set(why, OK, "asked for by %s", name_of(who[0] ? who : next->actor));
        break;
    case MACHINE_CAUSE_CRITICAL:
        (void)why_set(why, OK, "%s failed again in its second trial after its breaker had opened",
                      canary);
        break;
    case MACHINE_CAUSE_DEADLINE:
        (void)why_set(why, OK, "%s could not serve within progress_deadline (%g s)", canary,
                      (double)next->plan.progress_deadline_ms / 1000);
        break;
    case MACHINE_CAUSE_MAX_PAUSE:
        (void)why_set(why, OK, "paused for longer than max_pause (%g s)",
                      (double)next->plan.max_pause_ms / 1000);
        break;
    case MACHINE_CAUSE_STABLE_LOST:
        (void)why_set(why, OK, "no endpoint of %s is available while %s is promoted", stable,
                      canary);
        break;
    case MACHINE_CAUSE_NEW_VERSION:
        (void)why_set(why, OK, "the file names another pair");
        break;
    case MACHINE_CAUSE_SAMPLE_RATIO:
        (void)why_set(
            why, OK,
            "the split is not as it should be: %s got %llu of %llu requests at %g%%; nothing is "
            "widened until it is",
            canary, (unsigned long long)r->share.canary, (unsigned long long)r->share.total,
            percent(next->machine.weight_bp));
        break;
    case MACHINE_CAUSE_DROPPED:
        (void)why_set(why, OK, "the file names no canary any more");
        break;
    case MACHINE_CAUSE_CLUSTER:
    case MACHINE_CAUSE_CANARY_LOST:
        (void)why_set(why, OK, "%s",
                      r->cluster.why[0] ? r->cluster.why : "the cluster cannot be moved now");
        break;
    default:
        (void)why_set(why, OK, "nothing stands in the way any more");
        break;
    }
}

void explain_cause(const struct rollout *r, const struct record *next, enum machine_cause cause,
                   const char *who, char why[RECORD_WHY_MAX])
{
    struct why text;
    if (asks_explain(r, cause, &text)) {
        explain_copy(why, RECORD_WHY_MAX, text.text);
        return;
    }
    switch (cause) {
    case MACHINE_CAUSE_VERDICT:
    case MACHINE_CAUSE_LOW_EVIDENCE:
    case MACHINE_CAUSE_SUSPICIOUS:
    case MACHINE_CAUSE_INCIDENT:
    case MACHINE_CAUSE_BRAKE:
    case MACHINE_CAUSE_FAILED:
        (void)why_set(&text, OK, "%s", r->decided ? r->decision.why : machine_cause_name(cause));
        break;
    default:
        explain_event(r, next, cause, who, &text);
        break;
    }
    explain_copy(why, RECORD_WHY_MAX, text.text);
}

/* What a state had waited for; false where the cause says more. */
static bool explain_progress(const struct record *next, const struct machine_move *move,
                             struct why *why)
{
    const char *canary = next->pair.canary.name, *stable = next->pair.stable.name;
    bool confirmed = (move->from == MACHINE_SHIFTING && move->to == MACHINE_ANALYZING) ||
                     (move->from == MACHINE_PROMOTING && move->to == MACHINE_BAKING) ||
                     (move->from == MACHINE_FINALIZING && move->to == MACHINE_COMPLETED);
    if (confirmed)
        (void)why_set(why, OK, "every worker has %g%%", percent(move->weight_to_bp));
    else if (move->from == MACHINE_PENDING && move->to == MACHINE_SCALING)
        (void)why_set(why, OK, "no gate stands before the start");
    else if (move->from == MACHINE_SCALING && move->to == MACHINE_SHIFTING)
        (void)why_set(why, OK, "%s can serve", canary);
    else if (move->from == MACHINE_ABORTING && move->to == MACHINE_ABORTING)
        (void)why_set(why, OK, "on the way back: %g%% after %g%%", percent(move->weight_to_bp),
                      percent(move->weight_from_bp));
    else if (move->from == MACHINE_ABORTING && move->to == MACHINE_RESTORING)
        (void)why_set(why, OK, "no worker sends anybody to %s any more", canary);
    else if (move->to == MACHINE_ABORTED && move->from == MACHINE_RESTORING)
        (void)why_set(why, OK, "%s serves everyone", stable);
    else if (move->to == MACHINE_STABLE && move->from == MACHINE_COMPLETED)
        (void)why_set(why, OK, "%s serves everyone", canary);
    else
        return false;
    return true;
}

void explain_begin(const struct record *record, char why[RECORD_WHY_MAX])
{
    static const char *const done[ROLLOUT_VERB_COUNT] = {
        [ROLLOUT_START] = "started", [ROLLOUT_RETRY] = "retried", [ROLLOUT_UNDO] = "undone"};
    const char *verb = done[record->run.verb];
    struct why text;
    (void)why_set(&text, OK, "%s by %s", verb ? verb : "begun", name_of(record->run.who));
    explain_copy(why, RECORD_WHY_MAX, text.text);
}

/* What a person did, or what goes on because of it; false where the cause's sentence says it. */
static bool explain_person(const struct rollout *r, const struct record *next,
                           const struct machine_move *move, struct why *why)
{
    const struct machine *m = &next->machine;
    const char *who = name_of(next->actor);
    bool promoted = m->full || m->step > r->record.machine.step || move->to == MACHINE_PROMOTING;
    if (move->cause != MACHINE_CAUSE_OPERATOR)
        return false;
    if (move->to == MACHINE_ABORTING || move->to == MACHINE_RESTORING)
        (void)why_set(why, OK, "aborted by %s", who);
    else if (move->to == MACHINE_PAUSED)
        (void)why_set(why, OK, "paused at %g%% by %s", percent(move->weight_to_bp), who);
    else if (m->direct && move->from != MACHINE_PAUSED)
        (void)why_set(why, OK, "undone by %s", name_of(next->run.who));
    else if (promoted)
        (void)why_set(why, OK, "promoted by %s", who);
    else if (move->from == MACHINE_PAUSED)
        (void)why_set(why, OK, "resumed by %s", who);
    else
        return false;
    return true;
}

static struct rollout_health health_now(const struct rollout *r, const struct record *record)
{
    const char *canary = record->pair.canary.name;
    return r->ports.health(r->ports.host, record->route, record->pair.stable.name,
                           canary[0] ? canary : NULL);
}

void explain_no_stable(const struct rollout *r, const struct record *next, struct why *why)
{
    struct rollout_health health = health_now(r, next);
    why->text[0] = '\0';
    if (health.stable_available == 0)
        (void)why_set(why, OK,
                      "no endpoint of %s is available: requests are answered %u until one is",
                      next->pair.stable.name, health.stable_endpoints ? 502u : 503u);
}

void explain_move(const struct rollout *r, const struct record *next,
                  const struct machine_move *move, const char *who, char why[RECORD_WHY_MAX])
{
    struct why text;
    if (explain_progress(next, move, &text)) {
        explain_copy(why, RECORD_WHY_MAX, text.text);
        return;
    }
    if (explain_person(r, next, move, &text))
        explain_copy(why, RECORD_WHY_MAX, text.text);
    else
        explain_cause(r, next, move->cause, who, why);
    explain_no_stable(r, next, &text);
    if (text.text[0] && move->from != move->to &&
        (move->to == MACHINE_ABORTING || move->to == MACHINE_RESTORING)) {
        struct why both;
        (void)why_set(&both, OK, "%.150s; %s", why, text.text);
        explain_copy(why, RECORD_WHY_MAX, both.text);
    }
}

static void explain_stable(const struct rollout *r, struct why *why)
{
    const struct record *record = &r->record;
    const char *stable = record->pair.stable.name, *canary = record->pair.canary.name;
    if (record->alert[0])
        (void)why_set(why, OK, "%s", record->alert);
    else if (record->promoted)
        (void)why_set(why, OK, "%s was promoted and serves everyone", stable);
    else if (canary[0] == '\0')
        (void)why_set(why, OK, "%s serves everyone; the file names no canary", stable);
    else if (record_find_quarantine(record, &record->pair.canary) >= 0)
        (void)why_set(why, OK, "%s serves everyone; %s is in quarantine until `serin retry %s`",
                      stable, canary, record->route);
    else
        (void)why_set(why, OK, "%s serves everyone; %s waits for `serin start %s`", stable, canary,
                      record->route);
}

static void explain_analyzing(const struct rollout *r, struct why *why)
{
    const struct machine *m = &r->record.machine;
    int64_t left_ms =
        m->stage < 0 ? 0 : plan_stage_hold_ms(&r->record.plan, (size_t)m->stage) - m->steady_ms;
    bool is_mirroring = machine_is_mirroring(m, &r->record.plan);
    if (r->sink.applied && m->weight_bp != m->confirmed_bp)
        (void)why_set(why, OK, "waits until every worker has %g%%", percent(m->weight_bp));
    else if (is_mirroring && left_ms > 0)
        (void)why_set(why, OK,
                      "nobody is sent to %s yet: watches copies of %s's requests there for at "
                      "least %.0f s more",
                      r->record.pair.canary.name, r->record.pair.stable.name,
                      (double)left_ms / 1000);
    else if (left_ms > 0)
        (void)why_set(why, OK, "watches %s at %g%% for at least %.0f s more",
                      r->record.pair.canary.name, percent(m->weight_bp), (double)left_ms / 1000);
    else if (r->decided)
        (void)why_set(why, OK, "%s", r->decision.why);
    else
        (void)why_set(why, OK, "watches %s at %g%%", r->record.pair.canary.name,
                      percent(m->weight_bp));
}

static void explain_paused(const struct rollout *r, char why[RECORD_WHY_MAX])
{
    const struct record *record = &r->record;
    char reason[RECORD_WHY_MAX];
    struct why text;
    explain_cause(r, record, record->machine.cause, "", reason);
    if (machine_has_failed(&record->machine))
        (void)why_set(&text, OK, "%s failed and gets nobody; waits for retry or abort: %s",
                      record->pair.canary.name, record->run.why);
    else if (record->machine.cause == MACHINE_CAUSE_OPERATOR)
        (void)why_set(&text, OK, "paused at %g%% by %s; waits for `serin resume %s`",
                      percent(record->machine.weight_bp), name_of(record->actor), record->route);
    else if (record->machine.cause == MACHINE_CAUSE_LOW_EVIDENCE)
        (void)why_set(&text, OK,
                      "too little evidence to widen; waits for promote, resume or abort");
    else
        (void)why_set(&text, OK, "%s", reason);
    explain_copy(why, RECORD_WHY_MAX, text.text);
}

static void explain_way_back(const struct rollout *r, struct why *why)
{
    const struct record *record = &r->record;
    const struct machine *m = &record->machine;
    char still[32] = "";
    if (m->weight_bp > 0 && m->gradual)
        (void)snprintf(still, sizeof still, " by steps, %g%% now", percent(m->weight_bp));
    (void)why_set(why, OK, "everyone goes back to %s%s: %s%s%s", record->pair.stable.name, still,
                  record->run.why, r->cluster.why[0] ? "; " : "", r->cluster.why);
}

static void explain_state(const struct rollout *r, char why[RECORD_WHY_MAX])
{
    const struct record *record = &r->record;
    const struct machine *m = &record->machine;
    const char *stable = record->pair.stable.name, *canary = record->pair.canary.name;
    struct why text = {""};
    switch (m->state) {
    case MACHINE_STABLE:
    case MACHINE_COMPLETED:
        explain_stable(r, &text);
        break;
    case MACHINE_PENDING:
    case MACHINE_SCALING:
        if (r->cluster.why[0])
            (void)why_set(&text, OK, "%s", r->cluster.why);
        else if (health_now(r, record).canary_available > 0)
            (void)why_set(&text, OK, "step %u begins at the next tick", m->step + 1);
        else
            (void)why_set(&text, OK, "waits for an available endpoint of %s", canary);
        break;
    case MACHINE_SHIFTING:
    case MACHINE_PROMOTING:
    case MACHINE_FINALIZING:
        if (cluster_weight_bp(r) != m->weight_bp)
            (void)why_set(&text, OK, "waits until the objects of the cluster say %g%%",
                          percent(m->weight_bp));
        else if (r->cluster.why[0])
            (void)why_set(&text, OK, "%s", r->cluster.why);
        else
            (void)why_set(&text, OK, "waits until every worker has %g%%", percent(m->weight_bp));
        break;
    case MACHINE_ANALYZING:
    case MACHINE_BAKING:
        explain_analyzing(r, &text);
        break;
    case MACHINE_HOLDING:
        explain_cause(r, record, m->cause, "", why);
        return;
    case MACHINE_PAUSED:
        explain_paused(r, why);
        return;
    case MACHINE_ABORTING:
    case MACHINE_RESTORING:
        explain_way_back(r, &text);
        break;
    case MACHINE_ABORTED:
        (void)why_set(&text, OK, "%s serves everyone, %s stays out until `serin retry %s`: %s",
                      stable, canary, record->route, record->run.why);
        break;
    case MACHINE_FAILED_PROMOTION:
        explain_cause(r, record, MACHINE_CAUSE_STABLE_LOST, "", why);
        return;
    case MACHINE_STATE_COUNT:
        break;
    }
    explain_copy(why, RECORD_WHY_MAX, text.text);
}

void explain_status(const struct rollout *r, char why[RECORD_WHY_MAX])
{
    char state[RECORD_WHY_MAX];
    struct why text, stable = {""};
    explain_state(r, state);
    if (r->has_cluster && !r->leads) {
        (void)why_set(&text, OK, "%.80s decides; here: %.200s",
                      r->cluster.leader[0] ? r->cluster.leader : "another proxy", state);
        explain_copy(state, sizeof state, text.text);
    }
    enum machine_state where = r->record.machine.state;
    if (where == MACHINE_STABLE || where == MACHINE_COMPLETED || where == MACHINE_ABORTED)
        explain_no_stable(r, &r->record, &stable);
    if (stable.text[0]) {
        (void)why_set(&text, OK, "%s; %.200s", stable.text, state);
        explain_copy(state, sizeof state, text.text);
    }
    if (r->unwritten && r->record.machine.state != MACHINE_HOLDING)
        (void)why_set(&text, OK, "%.200s; not on disk: %.200s", state, r->write_error);
    else
        (void)why_set(&text, OK, "%s", state);
    explain_copy(why, RECORD_WHY_MAX, text.text);
}
