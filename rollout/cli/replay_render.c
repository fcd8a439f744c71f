/* The two courses of a rollout, stage by stage, in words.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/replay_render.h"

#include "rollout/cli/numbers.h"
#include <cjson/cJSON.h>
#include <string.h>

#define INDENT 9 /* where the words of a stage begin */

/* From the judge's word to the next stage's first tick it takes a tick or two; what takes longer
 * waited for a person, a gate, a window, an endpoint. */
#define WAITED_MS 10000

static double seconds(int64_t ms)
{
    return (double)ms / 1000;
}

/* 0.4s where whole seconds say too little. */
static struct number_text time_of(int64_t ms)
{
    struct number_text out;
    if (ms >= 10000)
        return number_duration(seconds(ms));
    (void)snprintf(out.at, sizeof out.at, "%.3gs", seconds(ms));
    return out;
}

static struct number_text count_of(uint64_t n)
{
    return number_count((double)n);
}

static const struct judge_settings *settings_of(const struct replay *r)
{
    return &r->judge.judge.settings;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(item) ? item->valuestring : "";
}

/* --- which --- */

static void add_head(struct text *t, const struct replay *r)
{
    const char *route = text_of(r->start, "route"), *canary = text_of(r->start, "canary");
    text_add_clean(t, route[0] ? route : "a rollout");
    if (canary[0]) {
        text_add(t, ": ");
        text_add_clean(t, text_of(r->start, "stable"));
        text_add(t, " to ");
        text_add_clean(t, canary);
    }
    if (text_of(r->start, "started")[0]) {
        text_add(t, ", begun ");
        text_add_clean(t, text_of(r->start, "started"));
    }
    text_add(t, "\n%s recorded in %s ticks; canary %s requests, %s failed; stable %s, %s failed\n",
             time_of(r->t_ms).at, count_of(r->ticks).at, count_of(r->canary.requests).at,
             count_of(r->canary.failed).at, count_of(r->stable.requests).at,
             count_of(r->stable.failed).at);
}

/* --- a stage --- */

/* "  5%     " */
static void add_weight(struct text *t, const struct replay *r, unsigned stage)
{
    const char *weight = number_percent(settings_of(r)->stages[stage].weight_bp / 100.0).at;
    text_add(t, "  %-*s", INDENT - 2, weight);
}

static void add_check(struct text *t, const struct replay_moment *m)
{
    if (m->check[0])
        text_add(t, " (%s)", m->check);
}

/* "held after 12s (errors), braked after 14s (errors), " */
static void add_alarms(struct text *t, const struct replay_view *view, unsigned stage,
                       const char *would)
{
    const struct {
        const struct replay_moment *moment;
        const char *word, *infinitive;
    } alarms[] = {{&view->holds[stage], "held", "have held"},
                  {&view->brakes[stage], "braked", "have braked"}};
    for (unsigned i = 0; i < 2; i++) {
        const struct replay_moment *m = alarms[i].moment;
        if (!m->is_set)
            continue;
        text_add(t, "%s%s after %s", would, would[0] ? alarms[i].infinitive : alarms[i].word,
                 time_of(m->stage_t_ms).at);
        add_check(t, m);
        text_add(t, ", ");
    }
}

/* Whether the rollout went on from a stage to the next, or to its end. */
static bool is_left(const struct replay *r, unsigned stage)
{
    unsigned last = judge_settings_bake(settings_of(r));
    for (unsigned next = stage + 1; next <= last; next++)
        if (r->stages[next].is_seen)
            return true;
    return stage == last && strcmp(r->result, "completed") == 0;
}

static bool is_reverted_at(const struct replay_view *view, unsigned stage)
{
    return view->reverts.is_set && view->reverts.stage == stage;
}

static void add_widened(struct text *t, const char *words, const struct replay_moment *m)
{
    text_add(t, "%s after %s, %s canary requests%s\n", words, time_of(m->stage_t_ms).at,
             count_of(m->stage_requests).at,
             m->low_evidence ? " (max_hold had passed without proof)" : "");
}

static void add_reverted(struct text *t, const char *words, const struct replay_view *view)
{
    const struct replay_moment *m = &view->reverts;
    text_add(t, "%s after %s, %s into the rollout", words, time_of(m->stage_t_ms).at,
             time_of(m->t_ms).at);
    add_check(t, m);
    text_add(t, "\n");
}

static void add_stage_then(struct text *t, const struct replay *r, unsigned stage)
{
    const struct replay_stage *s = &r->stages[stage];
    const struct replay_moment *m = &r->then.widens[stage];
    add_weight(t, r, stage);
    add_alarms(t, &r->then, stage, "");
    if (is_reverted_at(&r->then, stage))
        add_reverted(t, "reverted", &r->then);
    else if (is_left(r, stage) && m->is_set && s->left_ms - m->t_ms > WAITED_MS)
        text_add(t, "widened after %s, though the judge would have after %s\n",
                 time_of(s->stage_t_ms).at, time_of(m->stage_t_ms).at);
    else if (is_left(r, stage) && m->is_set)
        add_widened(t, "widened", m);
    else
        text_add(t, "%s after %s, %s canary requests\n",
                 is_left(r, stage) ? "left without the judge's word" : "was the last,",
                 time_of(s->stage_t_ms).at, count_of(replay_stage_requests(r, stage)).at);
}

static void add_stage_now(struct text *t, const struct replay *r, unsigned stage)
{
    const struct replay_moment *m = &r->now.widens[stage], *then = &r->then.widens[stage];
    add_weight(t, r, stage);
    add_alarms(t, &r->now, stage, "would ");
    if (m->is_set && then->is_set && m->t_ms == then->t_ms && !is_reverted_at(&r->now, stage))
        text_add(t, "would have widened as then, after %s\n", time_of(m->stage_t_ms).at);
    else if (m->is_set)
        add_widened(t, "would have widened", m);
    else if (!is_reverted_at(&r->now, stage))
        text_add(t, "would not have widened within the %s that are recorded\n",
                 time_of(r->stages[stage].stage_t_ms).at);
    if (!is_reverted_at(&r->now, stage))
        return;
    if (m->is_set)
        add_weight(t, r, stage);
    add_reverted(t, "would have reverted", &r->now);
}

/* --- both courses --- */

static void add_why(struct text *t, const char *foreign)
{
    struct text clean = {0};
    text_add_clean(&clean, foreign);
    text_add(t, "%*s", INDENT, "");
    text_add_wrapped(t, text_str(&clean), INDENT, REPLAY_COLUMNS);
    text_add(t, "\n");
    t->failed |= clean.failed;
    text_fini(&clean);
}

static void add_then(struct text *t, const struct replay *r)
{
    text_add(t, "\nWhat happened then\n");
    for (unsigned stage = 0; stage < JUDGE_STAGES_MAX; stage++)
        if (r->stages[stage].is_seen)
            add_stage_then(t, r, stage);
    text_add(t, "  in the end: ");
    text_add_clean(t, r->result[0] ? r->result : "not recorded");
    text_add(t, "\n");
    if (r->why[0])
        add_why(t, r->why);
}

static void add_thresholds(struct text *t, const struct replay_told *told)
{
    struct text changes = {0};
    replay_add_changes(&changes, told->before, told->after);
    text_add(t, "\nWhat would happen now");
    if (told->config_file) {
        text_add(t, ", with ");
        text_add_clean(t, told->config_file);
        text_add(t, ", route ");
        text_add_clean(t, told->route);
    }
    text_add(t, "\n  ");
    if (changes.len == 0)
        text_add(t, "under the recorded thresholds");
    else
        text_add_wrapped(t, text_str(&changes), 2, REPLAY_COLUMNS);
    text_add(t, "\n");
    text_fini(&changes);
}

static void add_now(struct text *t, const struct replay *r)
{
    for (unsigned stage = 0; stage < JUDGE_STAGES_MAX; stage++) {
        if (!r->stages[stage].is_seen)
            continue;
        add_stage_now(t, r, stage);
        if (!is_reverted_at(&r->now, stage))
            continue;
        add_why(t, r->now.why);
        return; /* the rest of the record would not have come */
    }
}

/* How many would have failed, against how many did. */
static void add_balance(struct text *t, const struct replay *r)
{
    const struct replay_moment *now = &r->now.reverts, *then = &r->then.reverts;
    struct number_text failed = count_of(r->canary.failed), all = count_of(r->canary.requests);
    struct number_text soon = count_of(now->failed), until = count_of(now->requests);
    struct text words = {0};
    if (now->is_set && then->is_set && now->t_ms == then->t_ms)
        text_add(&words, "Reverted as then, after %s: %s of %s canary requests failed.",
                 time_of(now->t_ms).at, failed.at, all.at);
    else if (now->is_set && then->is_set)
        text_add(&words,
                 "Reverted after %s instead of %s: %s of %s canary requests failed until then, "
                 "against %s of %s in the record.",
                 time_of(now->t_ms).at, time_of(then->t_ms).at, soon.at, until.at, failed.at,
                 all.at);
    else if (now->is_set)
        text_add(
            &words,
            "Reverted after %s, where the record goes on: %s of %s canary requests failed until "
            "then, against %s of %s in the record.",
            time_of(now->t_ms).at, soon.at, until.at, failed.at, all.at);
    else if (then->is_set)
        text_add(&words,
                 "Not reverted within the record, which ends with the revert of then: %s of %s "
                 "canary requests failed in it, and more would have followed.",
                 failed.at, all.at);
    else
        text_add(&words, "Not reverted%s: %s of %s canary requests failed.",
                 strcmp(r->result, "reverted") == 0 ? ", nor was it by this judge then"
                                                    : ", as then",
                 failed.at, all.at);
    text_add(t, "\n");
    text_add_wrapped(t, text_str(&words), 0, REPLAY_COLUMNS);
    text_add(t, "\n");
    t->failed |= words.failed;
    text_fini(&words);
}

static void add_compared(struct text *t, const struct replay *r)
{
    if (r->compared == 0)
        return;
    text_add(t, "%s of %s verdicts are the same", count_of(r->same).at, count_of(r->compared).at);
    if (r->differs.is_set)
        text_add(t, "; the first other one comes %s into the rollout", time_of(r->differs.t_ms).at);
    text_add(t, ".\n");
}

static void add_caveats(struct text *t, const struct replay_told *told)
{
    struct text room = {0};
    const char *caveat;
    text_add(t, "\nWhat this cannot know\n");
    for (unsigned i = 0; (caveat = replay_caveat(told, i, &room)); i++) {
        text_add(t, "  - ");
        text_add_wrapped(t, caveat, 4, REPLAY_COLUMNS);
        text_add(t, "\n");
    }
    text_fini(&room);
}

void replay_render(struct text *t, const struct replay_told *told)
{
    const struct replay *r = told->replay;
    add_head(t, r);
    add_then(t, r);
    add_thresholds(t, told);
    add_now(t, r);
    add_balance(t, r);
    add_compared(t, r);
    add_caveats(t, told);
}
