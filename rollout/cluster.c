/* What a rollout wants of the cluster behind its versions, who decides, and what others decided.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cluster.h"

#include "base/log.h"
#include "rollout/asks.h"
#include "rollout/inside.h"
#include "rollout/journal.h"
#include "rollout/lifecycle.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static enum cluster_goal goal_of(const struct machine *m)
{
    switch (machine_underlying(m)) {
    case MACHINE_STABLE:
    case MACHINE_COMPLETED:
    case MACHINE_ABORTED:
    case MACHINE_FAILED_PROMOTION:
        return CLUSTER_REST;
    case MACHINE_PENDING:
        return CLUSTER_LOOK;
    case MACHINE_FINALIZING:
        return CLUSTER_FINISH;
    case MACHINE_ABORTING:
    case MACHINE_RESTORING:
        return CLUSTER_RESTORE;
    default:
        return CLUSTER_STEP;
    }
}

/* The weight that the replicas are to suit: the next one only while the machine is on its way there. */
static uint32_t target_bp(const struct record *next)
{
    const struct machine *m = &next->machine;
    bool rises = m->state == MACHINE_SCALING || m->state == MACHINE_SHIFTING ||
                 m->state == MACHINE_PROMOTING;
    return rises ? plan_stage_weight_bp(&next->plan, m->step) : m->weight_bp;
}

void cluster_look(struct rollout *r, const struct record *next, bool confirmed)
{
    const struct machine *m = &next->machine;
    if (!r->has_cluster)
        return;
    uint32_t weight_bp = m->weight_bp, before_bp = confirmed ? weight_bp : m->confirmed_bp;
    struct cluster_want want = {
        .goal = next->replicas > 0 ? goal_of(m) : CLUSTER_REST,
        .stable = next->pair.stable.name,
        .canary = next->pair.canary.name,
        .run = next->run.id,
        .begins = m->stage < 0 && m->weight_bp == 0,
        .replicas = next->replicas,
        .target_bp = target_bp(next),
        .low_bp = weight_bp < before_bp ? weight_bp : before_bp,
        .high_bp = weight_bp > before_bp ? weight_bp : before_bp,
        .plan = &next->plan,
    };
    r->looked_for = want.goal;
    r->ports.cluster(r->ports.host, next->route, &want, &r->cluster);
}

void cluster_fill(const struct rollout *r, struct machine_input *in)
{
    const struct cluster_seen *seen = &r->cluster;
    if (!r->has_cluster || !seen->is_there)
        return;
    in->canary_short = seen->canary_short;
    in->stable_short = seen->stable_short;
    in->unsettled = seen->unsettled;
    in->cluster_away = seen->away || seen->standing != CLUSTER_LEADS;
    in->canary_lost = seen->canary_lost;
    in->stable_lost = seen->stable_lost;
}

void cluster_store(const struct rollout *r, const struct record *record, const char *text,
                   bool durable)
{
    bool has_run = record->run.id[0] != '\0'; /* before the first one, nothing needs to be known */
    /* Nothing is written before it is known that the rollout may begin. */
    bool is_asking = r->looked_for != CLUSTER_LOOK || r->cluster.away || r->cluster.canary_short;
    if (machine_underlying(&record->machine) == MACHINE_PENDING && is_asking)
        return;
    if (r->has_cluster && has_run && r->cluster.is_there && r->cluster.standing == CLUSTER_LEADS)
        r->ports.cluster_store(r->ports.host, record->route, text, record->seq, durable);
}

/* Whoever decides from here on writes with a higher epoch than anybody before. */
static void take_over(struct rollout *r)
{
    struct record next = r->record;
    next.epoch++;
    if (rollout_commit(r, &next, true, true) != OK)
        log_warn("leader_not_stored", "route=%s why=\"%s\"", next.route, r->write_error);
    r->is_leader = true;
    log_info("rollout_leader", "route=%s epoch=%llu state=%s", next.route,
             (unsigned long long)r->record.epoch, machine_state_name(r->record.machine.state));
    sink_event(r, "LeaderChanged", "this proxy decides from here on");
}

/* From a follower to one that judges: what it counted meanwhile was judged by another. */
static void begin_to_lead(struct rollout *r)
{
    r->leads = true;
    r->ticked = false;
    asks_begin(r);
    source_base(&r->source, &r->ports, &r->record);
    source_base_durations(&r->source, &r->ports, &r->record);
}

bool cluster_leads(struct rollout *r)
{
    const struct cluster_seen *seen = &r->cluster;
    if (!r->has_cluster)
        return true;
    if (!seen->is_there || seen->standing == CLUSTER_FOLLOWS) {
        if (r->leads)
            log_info("rollout_follower", "route=%s leader=\"%s\"", r->record.route, seen->leader);
        r->leads = r->is_leader = false;
        return false;
    }
    if (!r->leads)
        begin_to_lead(r);
    if (seen->standing == CLUSTER_LEADS && !r->is_leader)
        take_over(r);
    return true;
}

uint32_t cluster_weight_bp(const struct rollout *r)
{
    uint32_t weight_bp = r->record.machine.weight_bp;
    if (!r->has_cluster || !r->leads || r->raised_seq == 0)
        return weight_bp;
    uint32_t in_force_bp = r->sink.applied ? r->sink.weight_bp : r->record.machine.confirmed_bp;
    bool is_stored = r->ports.cluster_stored(r->ports.host, r->record.route) >= r->raised_seq;
    return is_stored || weight_bp <= in_force_bp ? weight_bp : in_force_bp;
}

enum err cluster_begin(const struct rollout *r, struct record *next, struct why *why)
{
    const struct cluster_seen *seen = &r->cluster;
    next->replicas = 0;
    if (!r->has_cluster || !seen->is_there)
        return OK;
    if (seen->standing == CLUSTER_FOLLOWS)
        return why_set(why, ERR_CONFLICT, "another proxy decides for this route: ask %s",
                       seen->leader);
    if (seen->standing == CLUSTER_STRANDED || !seen->stable.is_known)
        return why_set(why, ERR_CONFLICT, "the cluster is not known now: %s", seen->why);
    if (next->plan.replicas_mode == PLAN_REPLICAS_NONE)
        return OK;
    next->replicas = seen->update_of > 0 ? seen->update_of : seen->stable.wanted;
    if (next->replicas <= 0)
        return why_set(why, ERR_CONFLICT, "%s has no replicas: there is nothing to compare with",
                       seen->stable.workload);
    if (next->plan.replicas_mode == PLAN_REPLICAS_COUPLED)
        plan_couple(&next->plan, next->replicas);
    return OK;
}

unsigned cluster_step(const struct rollout *r, const struct plan *plan)
{
    const struct cluster_seen *seen = &r->cluster;
    int64_t canary = seen->canary.wanted, all = canary + seen->stable.wanted;
    if (!r->has_cluster || seen->update_of <= 0 || canary <= 0 || all <= 0)
        return 0;
    return (unsigned)plan_step_below(plan, (uint32_t)(canary * 10000 / all));
}

void rollout_apply(struct rollout *r)
{
    if (r->leads)
        sink_apply(r);
}

/* What is known here says that the canary is bad; what comes goes on with it. */
static bool contradicts(const struct record *ours, const struct record *theirs)
{
    const struct machine *m = &ours->machine;
    bool ended = m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING ||
                 m->state == MACHINE_ABORTED || machine_has_failed(m);
    return ended && machine_cause_is_failure(m->cause) &&
           strcmp(ours->run.id, theirs->run.id) == 0 && theirs->machine.weight_bp > 0;
}

static enum err may_follow(const struct rollout *r, const struct record *theirs, struct why *why)
{
    const struct record *ours = &r->record;
    if (strcmp(theirs->route, ours->route) != 0)
        return why_set(why, ERR_INVALID, "route: \"%.100s\" is another route's", theirs->route);
    bool is_same = theirs->epoch == ours->epoch && theirs->seq == ours->seq;
    bool is_older = theirs->epoch == ours->epoch && theirs->seq < ours->seq && r->leads;
    if (theirs->epoch < ours->epoch || is_same || is_older)
        return why_set(why, ERR_CONFLICT, "not newer");
    if (contradicts(ours, theirs))
        return why_set(why, ERR_CONFLICT, "%s was proven bad here", ours->pair.canary.name);
    return lifecycle_accepts(theirs, &r->wanted, NULL, why);
}

enum err rollout_follow(struct rollout *r, const char *text, size_t len, struct why *why)
{
    struct record theirs;
    if (!r->journal)
        return why_set(why, ERR_CONFLICT, "the file names no canary for this route");
    enum err e = record_decode(&theirs, text, len, why);
    if (e != OK)
        return e;
    e = may_follow(r, &theirs, why);
    if (e != OK) {
        record_fini(&theirs);
        return e;
    }
    bool was_other = strcmp(r->record.run.id, theirs.run.id) != 0;
    record_fini(&r->record);
    r->record = theirs;
    r->leads = r->is_leader = false;
    r->decided = r->decided && !was_other;
    r->raised_seq = 0;
    struct why reason;
    if (journal_write(r->journal, text, false, &reason) != OK)
        log_debug("state_not_written", "route=%s why=\"%s\"", theirs.route, reason.text);
    sink_apply(r);
    return OK;
}

bool cluster_status_version(const struct cluster_version *v, cJSON *json)
{
    if (v->workload[0] == '\0')
        return true;
    cJSON *replicas = cJSON_AddStringToObject(json, "workload", v->workload) &&
                              cJSON_AddStringToObject(json, "revision", v->revision)
                          ? cJSON_AddObjectToObject(json, "replicas")
                          : NULL;
    return replicas && cJSON_AddBoolToObject(replicas, "known", v->is_known) &&
           cJSON_AddNumberToObject(replicas, "wanted", v->wanted) &&
           cJSON_AddNumberToObject(replicas, "ready", v->ready) &&
           cJSON_AddNumberToObject(replicas, "available", v->available);
}

bool cluster_status(const struct rollout *r, cJSON *json)
{
    static const char *const names[] = {
        [CLUSTER_LEADS] = "leads", [CLUSTER_FOLLOWS] = "follows", [CLUSTER_STRANDED] = "stranded"};
    const struct cluster_seen *seen = &r->cluster;
    if (!r->has_cluster || !seen->is_there)
        return true;
    cJSON *cluster = cJSON_AddObjectToObject(json, "cluster");
    return cluster && cJSON_AddStringToObject(cluster, "standing", names[seen->standing]) &&
           cJSON_AddStringToObject(cluster, "leader", seen->leader) &&
           cJSON_AddStringToObject(cluster, "why", seen->why);
}
