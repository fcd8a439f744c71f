/* The walk of kubectl's second generation: up as far as surge allows, down as far as ready pods allow.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/client.h"
#include "rollout/kube/rolling.h"
#include "rollout/kube/clock.h"

#include <cjson/cJSON.h>
#include <string.h>

/* The record of a walk lies in the new controller, whichever way it goes. */
static enum err check_still_ours(const struct rolling *r, const struct rolling_object *object,
                                 struct why *why)
{
    if (strcmp(object->record.id, r->id) == 0)
        return OK;
    return why_set(why, ERR_CONFLICT, "another rolling-update has taken %s over; this one stops",
                   r->new.name);
}

static enum err look_at(struct rolling *r, const struct rolling_side *side, struct kube_workload *w,
                        struct why *why)
{
    struct rolling_object object;
    enum err e = rolling_read(r, side, &object, why);
    if (e)
        return e;
    if (side == &r->new)
        e = check_still_ours(r, &object, why);
    if (!e && object.w.is_deleting)
        e = why_set(why, ERR_NOT_FOUND,
                    "replicationcontrollers \"%s\" is being deleted by somebody", side->name);
    *w = object.w;
    rolling_object_fini(&object);
    return e;
}

enum err rolling_look(struct rolling *r, struct rolling_look *look, struct why *why)
{
    enum err e = look_at(r, r->from, &look->from, why);
    if (!e)
        e = look_at(r, r->to, &look->to, why);
    if (e)
        return e;
    if (look->from.replicas != r->last_from || look->to.replicas != r->last_to)
        rolling_progress(r);
    r->last_from = look->from.replicas;
    r->last_to = look->to.replicas;
    return OK;
}

enum err rolling_ready(struct rolling *r, const struct rolling_look *look, int *ready,
                       struct why *why)
{
    char path[KUBE_PATH_MAX], query[KUBE_QUERY_MAX];
    cJSON *list;
    const cJSON *one;
    kube_path(path, KUBE_POD, kube_namespace(r->kube), NULL, NULL);
    kube_query(query, path, look->to.selector);
    enum err e = rolling_get(r, query, &list, why);
    if (e)
        return e;
    int n = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(list, "items"))
    {
        struct kube_pod pod;
        if (kube_pod_read(one, &pod, NULL) == OK &&
            (!pod.owner[0] || strcmp(pod.owner, look->to.uid) == 0) &&
            kube_pod_is_available(&pod, look->to.min_ready_s, kube_wall_ms()))
            n++;
    }
    cJSON_Delete(list);
    *ready = n < look->to.replicas ? n : look->to.replicas;
    if (*ready >
        r->most_ready) { /* only more than ever: a pod that comes and goes is no progress */
        r->most_ready = *ready;
        rolling_progress(r);
    }
    return OK;
}

/* What was asked of it before has been done, so that the sum of the wanted counts is the sum of the pods. */
static bool is_settled(const struct kube_workload *w)
{
    return w->is_observed && w->seen <= w->replicas;
}

/* Wants a count, and says so before, once. *has_moved: it is so now; otherwise it is to be thought about anew, at once:
 * the object has changed meanwhile, or nobody knows. */
static enum err scale(struct rolling *r, const struct kube_workload *w, int replicas,
                      bool *has_moved, struct why *why)
{
    if (strcmp(r->said.name, w->name) != 0 || r->said.replicas != replicas)
        rolling_say("Scaling %s %s to %d", w->name, replicas > w->replicas ? "up" : "down",
                    replicas);
    memcpy(r->said.name, w->name, sizeof r->said.name);
    r->said.replicas = replicas;
    enum err e = rolling_scale(r, w, replicas, why);
    *has_moved = e == OK;
    r->is_contended = e == ERR_CONFLICT;
    if (e == OK)
        r->said.name[0] = '\0';
    return e == ERR_CONFLICT ? OK : e;
}

static enum err begin_walk(struct rolling *r, struct scale_bounds *b, struct why *why)
{
    struct rolling_look look;
    rolling_progress(r);
    r->last_from = r->last_to = -1;
    r->most_ready = 0;
    enum err e = rolling_look(r, &look, why);
    if (!e)
        e = scale_bounds_make(r->desired, look.from.replicas, r->o->max_surge,
                              r->o->max_unavailable, b, why);
    if (!e)
        rolling_say("Scaling up %s from %d to %d, scaling down %s from %d to 0 (keep %d pods "
                    "available, don't exceed %d pods)",
                    r->to->name, look.to.replicas, r->desired, r->from->name, look.from.replicas,
                    b->keep, b->most);
    return e;
}

/* Half a turn each. */
static enum err try_up(struct rolling *r, const struct scale_bounds *b,
                       const struct rolling_look *look, bool *has_moved, struct why *why)
{
    int up = scale_up(b, look->from.replicas, look->to.replicas);
    *has_moved = false;
    if (up == look->to.replicas || !is_settled(&look->from) || !is_settled(&look->to))
        return OK;
    return scale(r, &look->to, up, has_moved, why);
}

static enum err try_down(struct rolling *r, const struct scale_bounds *b,
                         const struct rolling_look *look, bool *has_moved, struct why *why)
{
    int ready = 0;
    *has_moved = false;
    if (look->from.replicas == 0 || !look->to.is_observed || !is_settled(&look->from))
        return OK;
    enum err e = rolling_ready(r, look, &ready, why);
    if (e)
        return e;
    int down = scale_down(b, look->from.replicas, look->to.replicas, ready);
    return down == look->from.replicas ? OK : scale(r, &look->from, down, has_moved, why);
}

enum err rolling_is_there(struct rolling *r, const struct rolling_look *look, bool *is_there,
                          struct why *why)
{
    int ready = 0;
    *is_there = look->from.replicas == 0 && look->to.replicas == r->desired &&
                is_settled(&look->from) && is_settled(&look->to);
    if (!*is_there || r->desired == 0)
        return OK;
    enum err e = rolling_ready(r, look, &ready, why);
    *is_there = ready == r->desired; /* until then old's template is not let go */
    return e;
}

enum err rolling_sleep(struct rolling *r, struct why *why)
{
    r->deadline_us += (int64_t)r->o->update_period_ms * 1000; /* no lack of progress */
    return rolling_pause(r, r->o->update_period_ms, why);
}

/* A turn's second half: down, as often as it takes; up where that has become possible first. */
static enum err finish_turn(struct rolling *r, const struct scale_bounds *b,
                            const struct rolling_look *look, bool *is_complete, struct why *why)
{
    bool has_moved;
    enum err e = try_down(r, b, look, &has_moved, why);
    if (!e && !has_moved && !r->is_contended)
        e = try_up(r, b, look, &has_moved, why);
    *is_complete = has_moved;
    if (!e && !has_moved && !r->is_contended)
        e = rolling_pause(r, r->o->poll_ms, why);
    return e;
}

enum err rolling_walk(struct rolling *r, struct why *why)
{
    struct scale_bounds b;
    struct rolling_look look;
    bool has_slept = false, is_there = false, has_moved, is_complete = false;
    enum err e = begin_walk(r, &b, why);
    while (!e) {
        r->is_contended = false;
        e = rolling_look(r, &look, why);
        if (!e)
            e = rolling_is_there(r, &look, &is_there, why);
        if (e || is_there)
            break;
        if (has_slept) {
            e = finish_turn(r, &b, &look, &is_complete, why);
            has_slept = !is_complete;
            continue;
        }
        e = try_up(r, &b, &look, &has_moved, why);
        if (!e && !r->is_contended) {
            e = rolling_sleep(r, why);
            has_slept = true;
        }
    }
    return e;
}
