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
        return CLUSTER_REST;
    case MACHINE_FAILED_PROMOTION:
        return CLUSTER_STAY;
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

/* The weight that the replicas are to suit: the next one only while the machine is on its way there. Copies need pods as
 * the first users do. */
static uint32_t target_bp(const struct record *next)
{
    const struct machine *m = &next->machine;
    bool is_waiting = m->state == MACHINE_HOLDING &&
                      (m->cause == MACHINE_CAUSE_CLUSTER || m->cause == MACHINE_CAUSE_UNWRITABLE);
    enum machine_state where = is_waiting ? m->left : m->state; /* pods on their way stay */
    bool rises =
        where == MACHINE_SCALING || where == MACHINE_SHIFTING || where == MACHINE_PROMOTING;
    uint32_t weight_bp = rises ? plan_stage_weight_bp(&next->plan, m->step) : m->weight_bp;
    bool gets_copies = rises || machine_is_mirroring(m, &next->plan);
    return weight_bp == 0 && gets_copies ? plan_least_weight_bp(&next->plan) : weight_bp;
}

void cluster_take_file(struct rollout *r)
{
    bool needs_it = machine_is_running(&r->record.machine) && r->record.replicas > 0;
    if (r->has_cluster == r->names_cluster || (r->has_cluster && needs_it))
        return;
    r->has_cluster = r->names_cluster;
    r->leads = !r->has_cluster; /* until it is known who does */
    r->is_leader = false;
    r->raised_seq = 0;
    r->cluster = (struct cluster_seen){.is_there = false};
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
    in->cluster_away = seen->away || seen->standing != CLUSTER_LEADS;
    bool must_end = r->looked_for == CLUSTER_RESTORE || r->looked_for == CLUSTER_FINISH;
    in->unsettled = seen->unsettled || (must_end && in->cluster_away); /* what is seen may be old */
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
    if (r->has_cluster && has_run && r->cluster.is_there && r->cluster.standing == CLUSTER_LEADS &&
        cluster_counts(r, record))
        r->ports.cluster_store(r->ports.host, record->route, text, record->seq, durable);
}

void cluster_note_told(const struct rollout *r, struct record *next)
{
    const struct rollout_ports *ports = &r->ports;
    const struct record *now = &r->record;
    uint64_t seq = r->has_cluster && r->is_leader
                       ? ports->cluster_stored(ports->host, now->route, now->epoch)
                       : 0;
    bool is_told = seq > 0 || now->told_epoch == now->epoch; /* then all since stands, too */
    if (!is_told)
        return;
    next->told_epoch = now->epoch;
    next->told_seq = now->seq;
}

bool cluster_counts(const struct rollout *r, const struct record *next)
{
    return !r->has_cluster || r->is_leader || next->epoch > r->record.epoch;
}

/* Whoever decides from here on writes with a higher epoch than anybody before. */
static void take_over(struct rollout *r)
{
    struct record next = r->record;
    next.epoch = (next.epoch > r->seen_epoch ? next.epoch : r->seen_epoch) + 1;
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
    if (seen->standing == CLUSTER_STRANDED)
        r->is_leader =
            false; /* what it decides alone is stored when it leads again, as a new leader's word */
    if (seen->standing == CLUSTER_LEADS && !seen->is_stale && !r->is_leader)
        take_over(r);
    return true;
}

uint32_t cluster_weight_bp(const struct rollout *r)
{
    uint32_t weight_bp = r->record.machine.weight_bp;
    if (!r->has_cluster || !r->leads || r->raised_seq == 0)
        return weight_bp;
    uint32_t in_force_bp = r->sink.applied ? r->sink.weight_bp : r->record.machine.confirmed_bp;
    const struct rollout_ports *ports = &r->ports;
    bool is_stored =
        ports->cluster_stored(ports->host, r->record.route, r->record.epoch) >= r->raised_seq;
    return is_stored || weight_bp <= in_force_bp ? weight_bp : in_force_bp;
}

enum err cluster_begin(const struct rollout *r, struct record *next, struct why *why)
{
    const struct cluster_seen *seen = &r->cluster;
    int before = machine_has_failed(&next->machine) ? next->replicas : 0; /* not restored since */
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
    next->replicas = seen->update_of > 0 ? seen->update_of
                     : before > 0        ? before
                                         : seen->stable.wanted;
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

/* What is known here says that the canary is bad; what comes goes on with it. A bad one serves better than nobody. */
static bool contradicts(const struct rollout *r, const struct record *theirs)
{
    const struct record *ours = &r->record;
    const struct machine *m = &ours->machine;
    bool ended = m->state == MACHINE_ABORTING || m->state == MACHINE_RESTORING ||
                 m->state == MACHINE_ABORTED || machine_has_failed(m);
    if (!ended || !machine_cause_is_failure(m->cause) ||
        strcmp(ours->run.id, theirs->run.id) != 0 || theirs->machine.weight_bp == 0)
        return false;
    const char *stable = ours->pair.stable.name, *canary = ours->pair.canary.name;
    struct rollout_health health =
        r->ports.health(r->ports.host, ours->route, stable, canary[0] ? canary : NULL);
    return health.stable_available > 0;
}

/* An epoch that the objects have never borne is this process's alone: another may have counted further, or less far,
 * without a word of it. What was known before it counts. */
static bool is_newer(const struct rollout *r, const struct record *theirs)
{
    const struct record *ours = &r->record;
    bool is_alone = !r->is_leader && ours->told_epoch != ours->epoch;
    uint64_t epoch = is_alone ? ours->told_epoch : ours->epoch;
    uint64_t seq = is_alone ? ours->told_seq : ours->seq;
    return theirs->epoch > epoch || (theirs->epoch == epoch && theirs->seq > seq);
}

static enum err may_follow(const struct rollout *r, const struct record *theirs, struct why *why)
{
    const struct record *ours = &r->record;
    if (strcmp(theirs->route, ours->route) != 0)
        return why_set(why, ERR_INVALID, "route: \"%.100s\" is another route's", theirs->route);
    if (!is_newer(r, theirs))
        return why_set(why, ERR_CONFLICT, "not newer");
    if (contradicts(r, theirs))
        return why_set(why, ERR_CONFLICT, "%s was proven bad here", ours->pair.canary.name);
    return OK;
}

/* Who decides knows what serves; a file that says otherwise is told of, and waits. */
static void note_other_file(const struct rollout *r)
{
    struct why why;
    if (lifecycle_accepts(&r->record, &r->wanted, NULL, &why) != OK)
        log_warn("file_not_followed", "route=%s leader=\"%.100s\" why=\"%s\"", r->record.route,
                 r->cluster.leader, why.text);
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
    if (e != ERR_INVALID && theirs.epoch > r->seen_epoch)
        r->seen_epoch = theirs.epoch;
    if (e != OK) {
        record_fini(&theirs);
        return e;
    }
    bool was_other = strcmp(r->record.run.id, theirs.run.id) != 0;
    bool has_moved = was_other || r->record.machine.state != theirs.machine.state;
    record_fini(&r->record);
    r->record = theirs;
    r->record.told_epoch = theirs.epoch;
    r->record.told_seq = theirs.seq;
    r->leads = r->is_leader = false;
    r->decided = r->decided && !was_other;
    r->raised_seq = 0;
    struct why reason;
    if (journal_write(r->journal, text, false, &reason) != OK)
        log_debug("state_not_written", "route=%s why=\"%s\"", theirs.route, reason.text);
    if (has_moved)
        note_other_file(r);
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
