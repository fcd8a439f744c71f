/* Weights that rise by the interval become steps that hold; conditions on users become an override.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/flagger_analysis.h"
#include "proxy/conf/text.h"
#include "proxy/convert/source.h"
#include "proxy/convert/steps.h"

#include <cjson/cJSON.h>
#include <string.h>
#include <strings.h>

#define INTERVAL_MS    60000 /* Flagger's default */
#define THRESHOLD_MAX  1000
#define ITERATIONS_MAX 100000
#define FIRST_BP                                                                                   \
    100 /* of a rollout whose users Flagger would have chosen by a header, or not at all */

const struct cJSON *flagger_analysis_of(const struct cJSON *canary)
{
    const struct cJSON *analysis = source_at(canary, "spec.analysis");
    return analysis ? analysis : source_at(canary, "spec.canaryAnalysis");
}

int64_t flagger_analysis_threshold(const struct cJSON *analysis)
{
    int64_t threshold = 0;
    return source_count(source_get(analysis, "threshold"), THRESHOLD_MAX, &threshold) ? threshold
                                                                                      : 0;
}

/* --- of the route --- */

/* The name of a cookie in a condition on the header cookie, such as "^(.*?;)?(canary=always)(;.*)?$" or "canary". */
static bool read_cookie(const struct cJSON *match, char name[SOURCE_TEXT_MAX])
{
    const char *text = source_text(match, "regex"), *end;
    bool is_exact = false;
    if (!text) {
        text = source_text(match, "exact");
        is_exact = true;
    }
    end = text ? strstr(text, "=always") : NULL;
    if (text && !end && is_exact)
        end = text + strlen(text);
    if (!end)
        return false;
    const char *begin = end;
    while (begin > text && text_check(TEXT_FIELD, slice_of(begin - 1, 1), NULL) == OK &&
           !strchr("^*|$", begin[-1]))
        begin--;
    if (begin == end || end - begin >= SOURCE_TEXT_MAX)
        return false;
    (void)snprintf(name, SOURCE_TEXT_MAX, "%.*s", (int)(end - begin), begin);
    return true;
}

static void put_condition(struct draft *d, const struct cJSON *match, struct cJSON **override,
                          struct cJSON *route)
{
    char cookie[SOURCE_TEXT_MAX];
    bool is_cookie = strcasecmp(match->string, "cookie") == 0;
    if (is_cookie ? !read_cookie(match, cookie)
                  : text_check(TEXT_FIELD, slice_str(match->string), NULL) != OK) {
        draft_note(d, NOTE_LEFT, match, route,
                   "serin asks for a cookie or header with the value always or never (override)");
        return;
    }
    const char *key = is_cookie ? "cookie" : "header";
    if (source_get(*override, key)) {
        draft_note(d, NOTE_LEFT, match, route, "serin asks for one %s (override)", key);
        return;
    }
    if (!is_cookie)
        draft_note(d, NOTE_LEFT, match, route,
                   "serin knows the values always and never: let those who are to see the canary "
                   "send \"%.64s: always\"",
                   match->string);
    if (!*override)
        *override = draft_put_object(d, route, "override");
    draft_put_text(d, *override, key, is_cookie ? cookie : match->string);
}

static void put_override(struct draft *d, const struct cJSON *analysis, struct cJSON *route)
{
    struct cJSON *override = NULL;
    const struct cJSON *condition, *match;
    cJSON_ArrayForEach(condition, source_get(analysis, "match"))
    {
        const struct cJSON *headers = source_get(condition, "headers");
        if (cJSON_IsObject(headers))
            cJSON_ArrayForEach(match, headers) put_condition(d, match, &override, route);
        else
            draft_note(d, NOTE_LEFT, condition, route, "serin chooses by a header or a cookie");
    }
}

static void put_sticky(struct draft *d, const struct cJSON *analysis, struct cJSON *route)
{
    const struct cJSON *affinity = source_get(analysis, "sessionAffinity");
    const char *name = source_text(affinity, "cookieName");
    if (!affinity)
        return;
    if (!name || strlen(name) > 64 || text_check(TEXT_FIELD, slice_str(name), NULL) != OK) {
        draft_note(d, NOTE_LEFT, affinity, route, "it names no cookie");
        return;
    }
    draft_note(d, NOTE_NEAR, affinity, route,
               "users of either version stay on it, with a cookie that lives for a year; after an "
               "abort all are on stable");
    struct cJSON *sticky = draft_put_object(d, route, "sticky");
    draft_put_text(d, sticky, "by", "cookie");
    draft_put_text(d, sticky, "name", name);
    draft_put_bool(d, sticky, "issue", true);
}

bool flagger_analysis_put_route(struct draft *d, const struct cJSON *analysis, struct cJSON *route)
{
    int64_t percent = 100;
    const struct cJSON *mirror = source_get(analysis, "mirror");
    const struct cJSON *weight = source_get(analysis, "mirrorWeight");
    put_override(d, analysis, route);
    put_sticky(d, analysis, route);
    if (!source_is_true(analysis, "mirror"))
        return false;
    if (weight && !source_count(weight, 100, &percent))
        draft_note(d, NOTE_NEAR, weight, route, "not a percentage: taken for 100");
    draft_note(d, NOTE_NEAR, mirror, route,
               "copies GET, HEAD and OPTIONS (mirror_methods), as long as the rollout runs");
    draft_put_share(d, route, "mirror", percent * 100);
    return percent > 0;
}

/* --- steps --- */

struct taker {
    struct draft *d;
    const struct cJSON *analysis;
    struct cJSON *rollout;
    struct steps steps;
    int64_t interval_ms;
};

static void take_step(struct taker *t, const struct cJSON *at, int64_t percent, int64_t ms)
{
    struct why why;
    if (steps_open(&t->steps, percent * 100, true, &why))
        (void)steps_wait(&t->steps, ms);
    else
        draft_note(t->d, NOTE_LEFT, at, t->rollout, "%lld%%: %s", (long long)percent, why.text);
}

/* Tests by users whom Flagger chooses, or by none: judged in serin by the smallest share there is. */
static void take_iterations(struct taker *t, bool has_mirror)
{
    int64_t n = 1;
    const struct cJSON *iterations = source_get(t->analysis, "iterations");
    if (!source_count(iterations, ITERATIONS_MAX, &n))
        draft_note(t->d, NOTE_NEAR, iterations, t->rollout, "not a number: taken for 1");
    if (!has_mirror)
        draft_note(t->d, NOTE_LEFT, iterations, t->rollout,
                   "that no other user sees the canary while it is tested: serin compares, so it "
                   "gives it 1%% of the users at least (or copies of requests: mirror, with a "
                   "first step of 0%%). To let only those of `override` in, and judge nobody, "
                   "write weight: 0%% in place of rollout");
    take_step(t, iterations, has_mirror ? 0 : 1, n * t->interval_ms);
}

static void take_weights(struct taker *t)
{
    const struct cJSON *list = source_get(t->analysis, "stepWeights"), *item;
    const struct cJSON *step = source_get(t->analysis, "stepWeight");
    const struct cJSON *most = source_get(t->analysis, "maxWeight");
    int64_t percent, rise = 0, end = 100;
    cJSON_ArrayForEach(item, list)
    {
        if (source_count(item, 100, &percent) && percent > 0)
            take_step(t, item, percent, t->interval_ms);
        else
            draft_note(t->d, NOTE_LEFT, item, t->rollout, "not a percentage");
    }
    if (list)
        return;
    if (!source_count(step, 100, &rise) || rise == 0 || (most && !source_count(most, 100, &end))) {
        draft_note(t->d, NOTE_NEAR, step ? step : t->analysis, t->rollout,
                   "it says no weights: these are serin's own steps");
        return;
    }
    if (end / rise > PLAN_STEPS_MAX - 2) {
        draft_note(t->d, NOTE_NEAR, step, t->rollout, "a rollout has at most %d steps: 2%% each",
                   PLAN_STEPS_MAX);
        rise = 2;
    }
    for (percent = rise; percent <= end; percent += rise)
        take_step(t, step, percent, t->interval_ms);
}

void flagger_analysis_put_steps(struct draft *d, const struct cJSON *analysis, bool has_mirror,
                                struct cJSON *rollout)
{
    struct taker t = {.d = d, .analysis = analysis, .rollout = rollout, .interval_ms = INTERVAL_MS};
    const struct cJSON *interval = source_get(analysis, "interval");
    const struct cJSON *threshold = source_get(analysis, "threshold");
    bool has_weights = source_get(analysis, "stepWeight") || source_get(analysis, "stepWeights");
    steps_init(&t.steps);
    if (interval && !source_duration(interval, &t.interval_ms))
        draft_note(d, NOTE_NEAR, interval, rollout, "not a duration: taken for 1m");
    if (source_get(analysis, "iterations"))
        take_iterations(&t, has_mirror);
    else if (has_mirror && has_weights)
        take_step(&t, source_get(analysis, "mirror"), 0, t.interval_ms);
    if (!source_get(analysis, "iterations"))
        take_weights(&t);
    if (t.steps.n || t.steps.is_full)
        steps_put(d, &t.steps, interval ? interval : analysis, rollout);
    if (threshold)
        draft_note(d, NOTE_NEAR, threshold, rollout,
                   "serin reverts on evidence, which a few failed requests may be, and does not "
                   "count intervals (false_abort); it is the `failures` of the checks below");
}
