/* The next step towards the replicas that a rollout wants.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/fleet_plan.h"

#include "base/check.h"
#include "rollout/kube/scale_plan.h"
#include <math.h>
#include <string.h>

#define FULL_BP 10000u

const char *fleet_action_name(enum fleet_action action)
{
    static const char *const names[] = {
        [FLEET_NOTHING] = "nothing",
        [FLEET_CREATE_CANARY] = "create_canary",
        [FLEET_DELETE_CANARY] = "delete_canary",
        [FLEET_MARK_CANARY] = "mark_canary",
        [FLEET_MARK_STABLE] = "mark_stable",
        [FLEET_SCALE_CANARY] = "scale_canary",
        [FLEET_SCALE_STABLE] = "scale_stable",
        [FLEET_CLEAN_CANARY] = "clean_canary",
        [FLEET_CLEAN_STABLE] = "clean_stable",
        [FLEET_DELETE_STABLE] = "delete_stable",
    };
    return names[action];
}

static const struct fleet_step nothing = {FLEET_NOTHING, 0};

static void say(struct cluster_seen *seen, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void say(struct cluster_seen *seen, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(seen->why, sizeof seen->why, fmt, ap);
    va_end(ap);
}

void fleet_source(const struct kube_workload *stable, char source[FLEET_SOURCE_MAX])
{
    (void)snprintf(source, FLEET_SOURCE_MAX, "%s:%s", stable->name, stable->uid);
}

static struct scale_amount amount_of(const struct plan_amount *a)
{
    return (struct scale_amount){.is_share = a->is_share, .value = a->value};
}

/* The plan was checked: both amounts are 0 nowhere. */
static struct scale_bounds bounds_of(const struct plan *plan, int n, int old)
{
    struct scale_bounds b = {.desired = n, .keep = n, .most = n + 1, .surge = 1};
    (void)!scale_bounds_make(n, old, amount_of(&plan->surge), amount_of(&plan->unavailable), &b,
                             NULL);
    if (plan->replicas_mode == PLAN_REPLICAS_CAPACITY && b.most < 2 * n)
        b.most = 2 * n; /* stable stays whole beside the canary */
    return b;
}

/* Canary pods carry the weight's share of the traffic, with headroom; stable could carry all of it. */
static struct fleet_sizes capacity_sizes(const struct plan *plan, int n, uint32_t weight_bp)
{
    double wanted = ceil(n * (double)weight_bp / FULL_BP * plan->headroom - 1e-9);
    int canary = wanted > n ? n : (int)wanted;
    if (weight_bp > 0 && canary < 1)
        canary = 1;
    return (struct fleet_sizes){canary, n};
}

struct fleet_sizes fleet_sizes(const struct plan *plan, int n, uint32_t weight_bp)
{
    if (plan->replicas_mode == PLAN_REPLICAS_CAPACITY)
        return capacity_sizes(plan, n, weight_bp);
    struct scale_bounds b = bounds_of(plan, n, n);
    struct scale_ratio ratio = scale_ratio(n, weight_bp, b.surge > 0);
    return (struct fleet_sizes){ratio.canary, ratio.stable};
}

static int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

/* One side grows and the other shrinks, within the bounds. Pods that are not available can go at once: what takes
 * pods away takes those first. */
static struct fleet_step walk(const struct scale_bounds *b, const struct fleet_side *grows,
                              int grow_to, enum fleet_action grow, const struct fleet_side *shrinks,
                              int shrink_to, enum fleet_action shrink)
{
    int up = grows->workload.replicas, down = shrinks->exists ? shrinks->workload.replicas : 0;
    int room = b->most - grows->there - (shrinks->exists ? shrinks->there : 0);
    if (up < grow_to && room > 0)
        return (struct fleet_step){grow, clamp(up + room, up, grow_to)};
    if (up > grow_to) /* somebody else's doing, or the goal fell */
        return (struct fleet_step){grow, grow_to};
    if (down <= shrink_to || grows->are_pods_unknown || shrinks->are_pods_unknown)
        return nothing;
    int spare = shrinks->available + grows->available - b->keep;
    int gone = down - shrinks->available + (spare > 0 ? spare : 0);
    return gone > 0 ? (struct fleet_step){shrink, clamp(down - gone, shrink_to, down)} : nothing;
}

/* What is waited for where pods are short. */
static void say_short(struct cluster_seen *seen, const struct fleet_side *side, int wanted)
{
    if (side->are_pods_unknown)
        say(seen, "does not know yet the pods of %s", side->name);
    else
        say(seen, "waits for %s: %d of %d replicas available", side->name, side->available, wanted);
}

/* Replicas for a weight: the canary has what the greater of the weights needs, stable what the lower one leaves to it;
 * where both do not fit, stable makes room pod by pod. */
static struct fleet_step step_to(const struct fleet_view *view, const struct cluster_want *want,
                                 struct cluster_seen *seen)
{
    const struct fleet_side *stable = &view->stable, *canary = &view->canary;
    int n = want->replicas;
    struct scale_bounds b = bounds_of(want->plan, n, stable->workload.replicas);
    struct fleet_sizes to = fleet_sizes(want->plan, n, want->target_bp);
    int canary_to = to.canary, stable_to = to.stable;
    int high = fleet_sizes(want->plan, n, want->high_bp).canary;
    int low = fleet_sizes(want->plan, n, want->low_bp).stable;
    canary_to = high > canary_to ? high : canary_to;
    if (low > stable_to)
        stable_to =
            clamp(low, stable_to, b.most - canary_to > stable_to ? b.most - canary_to : stable_to);
    seen->canary_short = canary->available < to.canary;
    if (seen->canary_short)
        say_short(seen, canary, to.canary);
    bool narrows = canary->workload.replicas > canary_to;
    if (narrows) {
        int first = stable->workload.replicas > stable_to ? stable->workload.replicas : stable_to;
        return walk(&b, stable, first, FLEET_SCALE_STABLE, canary, canary_to, FLEET_SCALE_CANARY);
    }
    return walk(&b, canary, canary_to, FLEET_SCALE_CANARY, stable, stable_to, FLEET_SCALE_STABLE);
}

int fleet_update_of(const struct fleet_view *view)
{
    char source[FLEET_SOURCE_MAX];
    const struct kube_workload *canary = &view->canary.workload;
    fleet_source(&view->stable.workload, source);
    bool is_under_way =
        view->stable.exists && view->canary.exists && strcmp(canary->source_id, source) == 0;
    return is_under_way && canary->desired > 0 ? canary->desired : 0;
}

static bool has_marks(const struct kube_workload *w)
{
    return w->source_id[0] || w->desired >= 0 || w->original >= 0 || w->next[0];
}

/* The marks go at the end; both sides may have any of them, of older runs too. */
static struct fleet_step clean(const struct fleet_view *view, struct cluster_seen *seen)
{
    if (view->canary.exists && (has_marks(&view->canary.workload) || view->canary.seen_hash[0]))
        return (struct fleet_step){FLEET_CLEAN_CANARY, 0};
    if (view->stable.exists && (has_marks(&view->stable.workload) || view->stable.seen_hash[0]))
        return (struct fleet_step){FLEET_CLEAN_STABLE, 0};
    seen->unsettled = false;
    return nothing;
}

static struct fleet_step restore(const struct fleet_view *view, const struct cluster_want *want,
                                 struct cluster_seen *seen)
{
    const struct fleet_side *stable = &view->stable, *canary = &view->canary;
    int n = want->replicas, least = want->high_bp > 0 ? 1 : 0;
    struct scale_bounds b = bounds_of(want->plan, n, stable->workload.replicas);
    seen->unsettled = true;
    seen->stable_short = stable->available < n;
    if (seen->stable_short)
        say_short(seen, stable, n);
    struct fleet_step step = nothing;
    int grow_to = stable->workload.replicas > n ? stable->workload.replicas : n; /* a person's */
    if (stable->workload.replicas < n || (canary->exists && canary->workload.replicas > least))
        step = walk(&b, stable, grow_to, FLEET_SCALE_STABLE, canary, least, FLEET_SCALE_CANARY);
    bool is_done =
        stable->workload.replicas >= n && (!canary->exists || canary->workload.replicas == 0);
    return step.action == FLEET_NOTHING && is_done ? clean(view, seen) : step;
}

static struct fleet_step finish(const struct fleet_view *view, const struct cluster_want *want,
                                struct cluster_seen *seen)
{
    const struct fleet_side *stable = &view->stable, *canary = &view->canary;
    int n = want->replicas;
    struct scale_bounds b =
        bounds_of(want->plan, n, stable->exists ? stable->workload.replicas : 0);
    seen->unsettled = true;
    struct fleet_step step = walk(&b, canary, n, FLEET_SCALE_CANARY, stable, 0, FLEET_SCALE_STABLE);
    if (step.action != FLEET_NOTHING)
        return step;
    bool is_whole = canary->workload.replicas == n && canary->available >= n;
    if (!is_whole) {
        say_short(seen, canary, n);
        return nothing;
    }
    if (stable->exists && stable->workload.replicas > 0)
        return nothing;
    if (stable->exists && want->plan->cleanup == CLEANUP_DELETE)
        return (struct fleet_step){FLEET_DELETE_STABLE, 0};
    return clean(view, seen);
}

/* What forbids a rollout to begin. True: it may not. */
static bool is_refused(const struct fleet_view *view, const struct cluster_want *want,
                       struct cluster_seen *seen)
{
    const struct fleet_side *stable = &view->stable, *canary = &view->canary;
    char source[FLEET_SOURCE_MAX];
    fleet_source(&stable->workload, source);
    bool has_source = canary->exists && canary->workload.source_id[0];
    bool is_other = canary->exists && view->canary_differs && canary->workload.replicas > 0;
    if (view->autoscaler[0])
        say(seen, "%s", view->autoscaler);
    else if (has_source && strcmp(canary->workload.source_id, source) != 0)
        say(seen, "%.80s is being updated from %.60s, and not from %.80s", canary->name,
            canary->workload.source_id, stable->name);
    else if (is_other)
        say(seen, "%.80s runs another template than its manifest", canary->name);
    else if (canary->exists && strcmp(canary->workload.selector, stable->workload.selector) == 0)
        say(seen, "%.80s and %.80s select the same pods", stable->name, canary->name);
    else if (want->replicas > 0 &&
             !scale_ratio_is_possible(want->replicas, 1,
                                      bounds_of(want->plan, want->replicas, 0).surge) &&
             want->plan->replicas_mode != PLAN_REPLICAS_CAPACITY)
        say(seen, "%.80s has 1 replica, and replicas.max_surge is 0: there is no room for a canary",
            stable->name);
    else
        return false;
    return true;
}

/* Who else moves the workloads is asked before the first write. */
static bool is_asking(const struct fleet_view *view, struct cluster_seen *seen)
{
    if (view->autoscalers_known)
        return false;
    seen->canary_short = true;
    say(seen, "asks whether an autoscaler moves %s or %s", view->stable.name, view->canary.name);
    return true;
}

/* What must stand on the objects before the first pod of the run. NOTHING: it does. */
static struct fleet_step mark(const struct fleet_view *view, const struct cluster_want *want)
{
    const struct kube_workload *stable = &view->stable.workload, *canary = &view->canary.workload;
    char source[FLEET_SOURCE_MAX];
    fleet_source(stable, source);
    if (!view->canary.exists)
        return (struct fleet_step){FLEET_CREATE_CANARY, 0};
    if (want->begins && view->canary_differs && canary->replicas == 0)
        return (struct fleet_step){FLEET_DELETE_CANARY, 0};
    if (strcmp(canary->source_id, source) != 0 || canary->desired != want->replicas ||
        !view->canary.seen_hash[0])
        return (struct fleet_step){FLEET_MARK_CANARY, 0};
    if (stable->original != want->replicas)
        return (struct fleet_step){FLEET_MARK_STABLE, 0};
    return nothing;
}

/* Its template is another one than when the run began, or, as the mark is gone, nobody knows. */
static bool is_changed(const struct fleet_side *side, const struct cluster_want *want)
{
    if (side->seen_hash[0] == '\0')
        return !want->begins;
    return strcmp(side->seen_hash, side->live_hash) != 0;
}

static void say_gone(struct cluster_seen *seen, const struct fleet_side *side)
{
    say(seen, side->is_unnamed ? "the file names no workload of %s" : "%s is gone", side->name);
}

/* The canary's workload is not there. */
static struct fleet_step without_canary(const struct fleet_view *view,
                                        const struct cluster_want *want, struct cluster_seen *seen)
{
    seen->canary_short = true;
    if (!want->begins) {
        seen->canary_lost = true;
        say_gone(seen, &view->canary);
    } else if (view->has_manifest) {
        say(seen, "creates %s", view->canary.name);
        return (struct fleet_step){FLEET_CREATE_CANARY, 0};
    } else {
        say(seen, "waits for %s, which does not exist and has no manifest", view->canary.name);
    }
    return nothing;
}

/* Towards the replicas of a step, once nothing forbids it and the marks stand. */
static struct fleet_step step(const struct fleet_view *view, const struct cluster_want *want,
                              struct cluster_seen *seen)
{
    bool is_fresh = want->begins && mark(view, want).action != FLEET_NOTHING;
    if (is_fresh && is_asking(view, seen))
        return nothing;
    if (is_fresh && is_refused(view, want, seen)) {
        seen->away = true;
        return nothing;
    }
    if (!view->canary.exists)
        return without_canary(view, want, seen);
    if (is_changed(&view->canary, want)) {
        seen->canary_lost = true;
        say(seen,
            view->canary.seen_hash[0]
                ? "the template of %s has changed since the rollout began"
                : "%s bears the rollout's marks no more: it may have been made anew",
            view->canary.name);
        return nothing;
    }
    if (!want->begins && view->autoscaler[0]) { /* two hands on one wheel */
        seen->away = true;
        say(seen, "%s", view->autoscaler);
        return nothing;
    }
    struct fleet_step next = mark(view, want);
    if (next.action == FLEET_NOTHING)
        return step_to(view, want, seen);
    seen->canary_short = true;
    say(seen, "marks %s and %s", view->stable.name, view->canary.name);
    return next;
}

/* Stable is gone: the canary has everyone's requests, and gets the pods for them. */
static struct fleet_step stay(const struct fleet_view *view, const struct cluster_want *want)
{
    const struct fleet_side *canary = &view->canary;
    bool is_small = canary->exists && canary->workload.replicas < want->replicas;
    return is_small ? (struct fleet_step){FLEET_SCALE_CANARY, want->replicas} : nothing;
}

struct fleet_step fleet_plan(const struct fleet_view *view, const struct cluster_want *want,
                             struct cluster_seen *seen)
{
    seen->why[0] = '\0';
    seen->canary_short = seen->stable_short = seen->unsettled = seen->canary_lost =
        seen->stable_lost = false;
    seen->away = false;
    if (want->goal == CLUSTER_REST)
        return nothing;
    if (!view->stable.is_known || !view->canary.is_known) {
        seen->away = seen->canary_short = seen->unsettled = true;
        seen->stable_short = true;
        seen->stable_lost = want->goal == CLUSTER_STAY; /* as it was seen last */
        if (view->unreadable[0])
            say(seen, "%s", view->unreadable);
        else
            say(seen, "does not know yet how %s and %s are", view->stable.name, view->canary.name);
        return nothing;
    }
    if (want->goal == CLUSTER_LOOK) {
        if (is_asking(view, seen))
            return nothing;
        seen->away = !view->stable.exists || is_refused(view, want, seen);
        if (!view->stable.exists)
            say(seen,
                view->stable.is_unnamed ? "the file names no workload of %s" : "%s does not exist",
                view->stable.name);
        return nothing;
    }
    CHECK(want->replicas > 0);
    if (want->goal == CLUSTER_FINISH && view->canary.exists)
        return finish(view, want, seen);
    if (want->goal == CLUSTER_FINISH) {
        seen->unsettled = true;
        say_gone(seen, &view->canary);
        return nothing;
    }
    if (!view->stable.exists) {
        seen->stable_lost = seen->stable_short = true;
        say_gone(seen, &view->stable);
        return want->goal == CLUSTER_STAY ? stay(view, want) : nothing;
    }
    if (want->goal == CLUSTER_STAY)
        return nothing;
    return want->goal == CLUSTER_RESTORE ? restore(view, want, seen) : step(view, want, seen);
}
