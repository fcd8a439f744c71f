/* Steps that set weights and pause become steps that hold; what routes and copies becomes the route's.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/argo_steps.h"
#include "proxy/conf/text.h"
#include "proxy/convert/argo_analysis.h"
#include "proxy/convert/source.h"
#include "proxy/convert/steps.h"

#include <cjson/cJSON.h>
#include <string.h>

#define WEIGHT_MAX 1000000

/* --- of the route --- */

static void put_header_route(struct draft *d, const struct cJSON *step, struct cJSON *route)
{
    struct why why;
    const struct cJSON *match = cJSON_GetArrayItem(source_get(step, "match"), 0);
    const char *name = source_text(match, "headerName");
    if (!match)
        return; /* takes the route away again */
    if (!name || text_check(TEXT_FIELD, slice_str(name), &why) != OK) {
        draft_note(d, NOTE_LEFT, step, route, "it names no header");
        return;
    }
    draft_note(d, NOTE_LEFT, step, route,
               "serin knows the values always and never: let those who are to see the canary send "
               "\"%.64s: always\"; they are asked for as long as the rollout runs",
               name);
    if (!source_get(route, "override"))
        draft_put_text(d, draft_put_object(d, route, "override"), "header", name);
}

static bool put_mirror_route(struct draft *d, const struct cJSON *step, struct cJSON *route)
{
    int64_t percent = 100;
    const struct cJSON *share = source_get(step, "percentage");
    if (!source_get(step, "match") && !share)
        return false; /* takes the route away again */
    if (source_get(route, "mirror"))
        return true;
    if (share && !source_count(share, 100, &percent))
        draft_note(d, NOTE_NEAR, share, route, "not a percentage: taken for 100");
    draft_note(d, NOTE_NEAR, step, route,
               "copies GET, HEAD and OPTIONS of stable's users, whatever `match` says, as long as "
               "the rollout runs (mirror_methods)");
    draft_put_share(d, route, "mirror", percent * 100);
    return percent > 0;
}

bool argo_steps_put_route(struct draft *d, const struct cJSON *canary, struct cJSON *route)
{
    bool has_mirror = false;
    const struct cJSON *step;
    cJSON_ArrayForEach(step, source_get(canary, "steps"))
    {
        const struct cJSON *header = source_get(step, "setHeaderRoute");
        const struct cJSON *mirror = source_get(step, "setMirrorRoute");
        if (header)
            put_header_route(d, header, route);
        if (mirror)
            has_mirror |= put_mirror_route(d, mirror, route);
    }
    return has_mirror;
}

/* --- of the rollout --- */

struct taker {
    struct draft *d;
    struct cJSON *rollout;
    struct steps steps;
    int64_t whole; /* the weight of everybody */
    bool has_mirror;
};

static void take_weight(struct taker *t, const struct cJSON *item)
{
    struct why why;
    int64_t weight;
    if (!source_count(item, WEIGHT_MAX, &weight)) {
        draft_note(t->d, NOTE_LEFT, item, t->rollout, "not a weight");
        return;
    }
    bool is_first = t->steps.n == 0 || t->steps.at[0].bp == 0;
    int64_t bp = (weight * STEPS_FULL_BP + t->whole / 2) / t->whole;
    if (!steps_open(&t->steps, bp, t->has_mirror && is_first, &why))
        draft_note(t->d, NOTE_LEFT, item, t->rollout, "%s", why.text);
}

static void take_endless_pause(struct taker *t, const struct cJSON *pause)
{
    if (t->steps.is_full)
        draft_note(t->d, NOTE_LEFT, pause, t->rollout,
                   "at 100%% nobody is asked any more: let the step before it pause");
    else if (t->steps.n)
        t->steps.at[t->steps.n - 1].pause = true;
    else
        draft_note(t->d, NOTE_NEAR, pause, t->rollout, "`serin start` is what it waits for");
}

static void take_pause(struct taker *t, const struct cJSON *pause)
{
    const struct cJSON *duration = source_get(pause, "duration");
    int64_t ms;
    if (!duration || cJSON_IsNull(duration))
        take_endless_pause(t, pause);
    else if (!source_duration(duration, &ms))
        draft_note(t->d, NOTE_LEFT, pause, t->rollout, "its duration is none");
    else if (!steps_wait(&t->steps, ms))
        draft_note(t->d, NOTE_LEFT, pause, t->rollout,
                   "a rollout begins with its first weight, as soon as the canary is available");
}

static void take_scale(struct taker *t, const struct cJSON *scale)
{
    if (!source_is_true(scale, "matchTrafficWeight"))
        draft_note(t->d, NOTE_LEFT, scale, t->rollout,
                   "the canary has the pods that its weight needs: see replicas.mode, and headroom "
                   "of the mode capacity");
}

static void take_step(struct taker *t, const struct cJSON *step)
{
    static const struct source_field others[] = {
        {"setWeight", NULL},
        {"pause", NULL},
        {"setCanaryScale", NULL},
        {"setHeaderRoute", NULL},
        {"setMirrorRoute", NULL},
        {"analysis", NULL},
        {"experiment",
         "the canary itself is the experiment: it is compared with stable at each step"},
        {"plugin", "let a gate or a webhook of more_checks ask whoever is to be asked"},
    };
    const struct cJSON *weight = source_get(step, "setWeight"), *pause = source_get(step, "pause");
    const struct cJSON *scale = source_get(step, "setCanaryScale");
    if (weight)
        take_weight(t, weight);
    if (pause)
        take_pause(t, pause);
    if (scale)
        take_scale(t, scale);
    argo_analysis_put(t->d, source_get(step, "analysis"), t->rollout);
    source_leave(t->d, step, others, sizeof others / sizeof others[0], t->rollout);
}

/* The first step that goes on at once. */
static bool has_hasty_step(const struct steps *s)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->at[i].hold_ms < 0 && !s->at[i].pause)
            return true;
    return false;
}

void argo_steps_put(struct draft *d, const struct cJSON *canary, bool has_mirror,
                    struct cJSON *rollout)
{
    const struct cJSON *list = source_get(canary, "steps"), *step;
    struct taker t = {.d = d, .rollout = rollout, .whole = 100, .has_mirror = has_mirror};
    steps_init(&t.steps);
    if (!source_count(source_at(canary, "trafficRouting.maxTrafficWeight"), WEIGHT_MAX, &t.whole) ||
        t.whole == 0)
        t.whole = 100;
    cJSON_ArrayForEach(step, list)
    {
        take_step(&t, step);
    }
    if (!list || (t.steps.n == 0 && !t.steps.is_full)) {
        draft_note(
            d, NOTE_NEAR, list ? list : canary, rollout,
            "without steps pods are replaced one by one; serin's own steps stand in for that");
        return;
    }
    if (has_hasty_step(&t.steps))
        draft_note(d, NOTE_NEAR, list, rollout,
                   "a step without a pause goes on at once; serin watches it for `hold` (1m) at "
                   "least");
    steps_put(d, &t.steps, list, rollout);
}
