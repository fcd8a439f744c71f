/* Two workloads whose pods become ready when a test says so, for the tests of their next step.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_TESTS_KUBE_FLEET_H
#define SERIN_TESTS_KUBE_FLEET_H

#include "rollout/kube/fleet_plan.h"
#include <string.h>

/* A cluster of two workloads whose pods become ready when the test says so. */
struct fleet {
    struct plan plan;
    struct fleet_view view;
    struct cluster_want want;
    struct cluster_seen seen;
    char log[512]; /* "C1 S3 ...": canary and stable, as they were scaled */
    unsigned writes;
};

static void workload(struct fleet_side *side, const char *name, int replicas)
{
    struct kube_workload *w = &side->workload;
    side->is_known = true;
    side->exists = replicas >= 0;
    (void)snprintf(side->name, sizeof side->name, "rc/%s", name);
    (void)snprintf(w->name, sizeof w->name, "%s", name);
    (void)snprintf(w->uid, sizeof w->uid, "uid-of-%s", name);
    (void)snprintf(w->selector, sizeof w->selector, "version=%s", name);
    (void)snprintf(w->hash, sizeof w->hash, "hash-%s", name);
    (void)snprintf(side->live_hash, sizeof side->live_hash, "live-%s", name);
    w->replicas = replicas < 0 ? 0 : replicas;
    w->desired = w->original = -1;
    side->available = w->replicas;
}

/* N of stable, no canary yet, which can be made. */
static struct fleet fleet_of(int n)
{
    struct fleet f = {.view = {.autoscalers_known = true, .has_manifest = true}};
    plan_default(&f.plan);
    workload(&f.view.stable, "v1", n);
    workload(&f.view.canary, "v2", -1);
    f.want = (struct cluster_want){.stable = "v1",
                                   .canary = "v2",
                                   .run = "run",
                                   .begins = true,
                                   .replicas = n,
                                   .goal = CLUSTER_STEP};
    return f;
}

static void note(struct fleet *f, const char *what, int replicas)
{
    size_t len = strlen(f->log);
    (void)snprintf(f->log + len, sizeof f->log - len, "%s%s%d", len ? " " : "", what, replicas);
}

static void resize(struct fleet_side *side, int replicas)
{
    side->workload.replicas = side->there = replicas;
    if (side->available > replicas)
        side->available = replicas;
}

static void unmark(struct fleet_side *side)
{
    side->workload.desired = side->workload.original = -1;
    side->workload.source_id[0] = side->seen_hash[0] = '\0';
}

static void act(struct fleet *f, struct fleet_step step)
{
    struct fleet_side *stable = &f->view.stable, *canary = &f->view.canary;
    f->writes += step.action != FLEET_NOTHING;
    switch (step.action) {
    case FLEET_NOTHING:
        break;
    case FLEET_CREATE_CANARY:
        workload(canary, "v2", 0);
        break;
    case FLEET_DELETE_CANARY:
        canary->exists = false;
        f->view.canary_differs = false;
        break;
    case FLEET_MARK_CANARY:
        fleet_source(&stable->workload, canary->workload.source_id);
        canary->workload.desired = f->want.replicas;
        memcpy(canary->seen_hash, canary->live_hash, sizeof canary->seen_hash);
        break;
    case FLEET_MARK_STABLE:
        stable->workload.original = f->want.replicas;
        break;
    case FLEET_SCALE_CANARY:
        resize(canary, step.replicas);
        note(f, "C", step.replicas);
        break;
    case FLEET_SCALE_STABLE:
        resize(stable, step.replicas);
        note(f, "S", step.replicas);
        break;
    case FLEET_CLEAN_CANARY:
        unmark(canary);
        break;
    case FLEET_CLEAN_STABLE:
        unmark(stable);
        break;
    case FLEET_DELETE_STABLE:
        stable->exists = false;
        break;
    }
}

static bool look(struct fleet *f)
{
    f->view.stable.there = f->view.stable.workload.replicas;
    f->view.canary.there = f->view.canary.workload.replicas;
    f->want.plan = &f->plan; /* the fleet may have been copied */
    struct fleet_step step = fleet_plan(&f->view, &f->want, &f->seen);
    act(f, step);
    return step.action != FLEET_NOTHING;
}

static void all_ready(struct fleet *f)
{
    f->view.stable.available = f->view.stable.workload.replicas;
    f->view.canary.available = f->view.canary.workload.replicas;
}

/* To rest, with pods that are ready at once. */
static const char *settle(struct fleet *f)
{
    f->log[0] = '\0';
    for (int i = 0; i < 200 && look(f); i++)
        all_ready(f);
    assert_false(look(f));
    return f->log;
}

/* The step's pods first, then its weight, then what stable needs no more. */
static const char *widen(struct fleet *f, uint32_t weight_bp)
{
    static char text[1024];
    f->want.target_bp = weight_bp;
    (void)snprintf(text, sizeof text, "%s", settle(f));
    assert_false(f->seen.canary_short);
    f->want.low_bp = f->want.high_bp = weight_bp;
    f->want.begins = false;
    size_t len = strlen(text);
    (void)snprintf(text + len, sizeof text - len, " | %s", settle(f));
    return text;
}

#endif
