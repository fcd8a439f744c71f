/* The walk of kubectl's first generation, line by line: one pod more, one pod less; but a new pod counts once it is
 * ready.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/kube/rolling.h"

static bool is_settled(const struct kube_workload *w)
{
    return w->is_observed && w->seen == w->replicas;
}

/* Wants a count until it is so: scaled, as many pods, and of to as many ready. *look is the last one. */
static enum err bring(struct rolling *r, const struct rolling_side *side, int replicas,
                      struct rolling_look *look, struct why *why)
{
    const struct kube_workload *w = side == r->to ? &look->to : &look->from;
    for (;;) {
        int ready = replicas;
        enum err e = rolling_look(r, look, why);
        if (e)
            return e;
        if (w->replicas != replicas) {
            e = rolling_scale(r, w, replicas, why);
            if (e && e != ERR_CONFLICT)
                return e;
            continue;
        }
        if (side == r->to && is_settled(w))
            e = rolling_ready(r, look, &ready, why);
        if (!e && is_settled(w) && ready >= replicas)
            return OK;
        if (!e)
            e = rolling_pause(r, r->o->poll_ms, why);
        if (e)
            return e;
    }
}

/* One step; what was left half done by another run is not to make a pod too many. */
static enum err step(struct rolling *r, int from, int to, struct rolling_look *look,
                     struct why *why)
{
    bool is_crowded = look->from.replicas + to > r->desired + 1;
    const struct rolling_side *first = is_crowded ? r->from : r->to;
    const struct rolling_side *second = is_crowded ? r->to : r->from;
    enum err e = is_crowded ? bring(r, r->to, look->to.replicas, look, why) : OK; /* ready first */
    if (!e)
        e = bring(r, first, is_crowded ? from : to, look, why);
    if (!e)
        e = rolling_sleep(r, why);
    return e ? e : bring(r, second, is_crowded ? to : from, look, why);
}

static enum err walk_steps(struct rolling *r, struct rolling_look *look, struct why *why)
{
    enum err e = OK;
    for (;;) {
        int from = look->from.replicas, to = look->to.replicas;
        if (e || !scale_classic(r->desired, &from, &to))
            return e;
        rolling_say("At beginning of loop: %s replicas: %d, %s replicas: %d", r->from->name, from,
                    r->to->name, to);
        rolling_say("Updating %s replicas: %d, %s replicas: %d", r->from->name, from, r->to->name,
                    to);
        e = step(r, from, to, look, why);
        if (!e)
            rolling_say("At end of loop: %s replicas: %d, %s replicas: %d", r->from->name, from,
                        r->to->name, to);
    }
}

enum err rolling_walk_classic(struct rolling *r, struct why *why)
{
    struct rolling_look look;
    rolling_progress(r);
    r->last_from = r->last_to = -1;
    r->most_ready = 0;
    enum err e = rolling_look(r, &look, why);
    if (!e)
        e = walk_steps(r, &look, why);
    if (!e && look.to.replicas != r->desired && look.from.replicas == 0) {
        rolling_say("Scaling %s replicas: %d -> %d", r->to->name, look.to.replicas, r->desired);
        e = bring(r, r->to, r->desired, &look, why);
    }
    if (!e && look.from.replicas > 0) {
        e = bring(r, r->to, r->desired, &look, why); /* ready, before the rest is stopped */
        rolling_say("Stopping %s replicas: %d -> 0", r->from->name, look.from.replicas);
        if (!e)
            e = bring(r, r->from, 0, &look, why);
    }
    return e ? e : bring(r, r->to, r->desired, &look, why);
}
