/* The course of a recorded rollout, and the judge once more beside it.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/replay.h"

#include "base/check.h"
#include "rollout/decide/replay_latency.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

#define ELAPSED_MAX_S 1e9 /* of one tick; as in the judge */

void replay_init(struct replay *r, const struct replay_cells *cells)
{
    CHECK(cells->n >= 1 && cells->n <= REPLAY_CELLS_MAX);
    memset(r, 0, sizeof *r);
    r->cells = *cells;
    r->then.reverts.check = r->now.reverts.check = "";
    judge_protocol_init(&r->judge, NULL);
}

void replay_fini(struct replay *r)
{
    cJSON_Delete(r->start);
    r->start = NULL;
}

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

/* --- a line --- */

static bool is_shallow(struct slice line)
{
    int depth = 0;
    bool in_text = false;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.at[i];
        if (in_text && c == '\\')
            i++;
        else if (c == '"')
            in_text = !in_text;
        else if (!in_text && (c == '{' || c == '[') && ++depth > REPLAY_DEPTH_MAX)
            return false;
        else if (!in_text && (c == '}' || c == ']'))
            depth--;
    }
    return true;
}

static bool is_blank(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!strchr(" \t\r", s.at[i]) || s.at[i] == '\0')
            return false;
    return true;
}

/* The caller frees *m. */
static enum err parse(struct slice line, cJSON **m, struct why *why)
{
    const char *end = NULL;
    *m = NULL;
    if (!is_shallow(line))
        return why_set(why, ERR_INVALID, "nested deeper than %d", REPLAY_DEPTH_MAX);
    cJSON *parsed = cJSON_ParseWithLengthOpts(line.at, line.len, &end, false);
    if (parsed && cJSON_IsObject(parsed) &&
        is_blank(slice_of(end, (size_t)(line.at + line.len - end)))) {
        *m = parsed;
        return OK;
    }
    cJSON_Delete(parsed);
    return why_set(why, ERR_INVALID, "not one JSON object");
}

static bool is_op(const cJSON *m, const char *name)
{
    const cJSON *op = member(m, "op");
    return cJSON_IsString(op) && strcmp(op->valuestring, name) == 0;
}

/* --- the start --- */

enum err replay_read_start(struct replay *r, struct slice line, struct why *why)
{
    cJSON *m;
    CHECK(r->state == REPLAY_NEW);
    enum err e = parse(line, &m, why);
    if (e == OK && !is_op(m, "start"))
        e = why_set(why, ERR_INVALID, "op: expected start: a recorded rollout begins with it");
    if (e == OK)
        e = judge_protocol_start(&r->judge, m, member(m, "config"), why);
    if (e != OK) {
        cJSON_Delete(m);
        return e;
    }
    r->start = m;
    r->state = REPLAY_READ;
    return OK;
}

enum err replay_begin(struct replay *r, const cJSON *config, struct why *why)
{
    CHECK(r->state == REPLAY_READ);
    const cJSON *recorded = member(r->start, "config");
    const cJSON *used = config ? config : recorded;
    enum err e = judge_protocol_start(&r->judge, r->start, used, why);
    if (e != OK)
        return e;
    replay_latency_start(&r->latency, recorded, used, &r->judge.judge.settings);
    r->state = REPLAY_RUNS;
    return OK;
}

/* --- the ticks, judged --- */

uint64_t replay_stage_requests(const struct replay *r, unsigned stage)
{
    const struct replay_stage *s = &r->stages[stage];
    return s->requests_after > s->requests_before ? s->requests_after - s->requests_before : 0;
}

static struct replay_moment moment_of(const struct replay *r, const struct judge_input *input,
                                      const char *check)
{
    uint64_t before = r->stages[input->stage].requests_before, now = input->canary.requests;
    return (struct replay_moment){.is_set = true,
                                  .t_ms = input->t_ms,
                                  .stage_t_ms = input->stage_t_ms,
                                  .stage = input->stage,
                                  .stage_requests = now > before ? now - before : 0,
                                  .requests = now,
                                  .failed = input->canary.failed,
                                  .check = check};
}

/* Keeps the first moment of each kind. */
static void note(struct replay_view *view, int verdict, const struct replay_moment *moment)
{
    struct replay_moment *kept = verdict == JUDGE_PROMOTE  ? &view->widens[moment->stage]
                                 : verdict == JUDGE_BRAKE  ? &view->brakes[moment->stage]
                                 : verdict == JUDGE_HOLD   ? &view->holds[moment->stage]
                                 : verdict == JUDGE_REVERT ? &view->reverts
                                                           : NULL;
    if (kept && !kept->is_set)
        *kept = *moment;
}

static void judge_again(struct replay *r, const struct replay_tick *tick)
{
    struct judge_decision decision;
    judge_tick(&r->judge.judge, &tick->input, &decision);
    struct replay_moment moment = moment_of(r, &tick->input, decision.check);
    moment.low_evidence = decision.low_evidence;
    note(&r->now, (int)decision.verdict, &moment);
    memcpy(r->now.why, decision.why, sizeof r->now.why);
    if (tick->verdict < 0)
        return;
    r->compared++;
    r->same += tick->verdict == (int)decision.verdict;
    if (tick->verdict != (int)decision.verdict && !r->differs.is_set)
        r->differs = moment;
}

static void enter(struct replay *r, const struct judge_input *input)
{
    struct replay_stage *stage = &r->stages[input->stage];
    if (!stage->is_seen) {
        stage->is_seen = true;
        stage->entered_ms = input->t_ms;
        stage->requests_before = r->canary.requests;
    }
    stage->left_ms = input->t_ms;
    stage->stage_t_ms = input->stage_t_ms;
    stage->requests_after = input->canary.requests;
    r->stable = input->stable;
    r->canary = input->canary;
}

/* Everything that waited is known now. Once reverted, nothing that follows would have come. */
static void judge_queue(struct replay *r)
{
    for (size_t i = 0; i < r->queued; i++) {
        const struct replay_tick *tick = &r->queue[i];
        enter(r, &tick->input);
        if (tick->verdict >= 0) {
            struct replay_moment moment = moment_of(r, &tick->input, tick->check);
            note(&r->then, tick->verdict, &moment);
        }
        if (!r->now.reverts.is_set)
            judge_again(r, tick);
    }
    r->queued = 0;
}

/* --- the ticks, read --- */

static int verdict_of(const cJSON *m)
{
    const cJSON *d = member(m, "d");
    for (int v = 0; cJSON_IsString(d) && v < JUDGE_VERDICT_COUNT; v++)
        if (strcmp(d->valuestring, judge_verdict_name((enum judge_verdict)v)) == 0)
            return v;
    return -1;
}

static const char *check_of(const cJSON *m)
{
    const cJSON *check = member(m, "check");
    for (unsigned i = 0; cJSON_IsString(check) && i < JUDGE_CHECK_COUNT; i++)
        if (strcmp(check->valuestring, judge_check_name(i)) == 0)
            return judge_check_name(i);
    return "";
}

/* What the judge was told had passed; where the line does not say, the time since the one before.
 */
static enum err read_elapsed(const struct replay *r, const cJSON *m, struct judge_input *input,
                             struct why *why)
{
    const cJSON *dt = member(m, "dt");
    input->elapsed_s = (double)(input->t_ms - r->t_ms) / 1000;
    if (input->t_ms < r->t_ms)
        return why_set(why, ERR_INVALID, "t: %.3f is earlier than the line before",
                       (double)input->t_ms / 1000);
    if (!dt)
        return OK;
    if (!cJSON_IsNumber(dt) || !(dt->valuedouble >= 0 && dt->valuedouble <= ELAPSED_MAX_S))
        return why_set(why, ERR_INVALID, "dt: expected seconds from 0 to %g", ELAPSED_MAX_S);
    input->elapsed_s = dt->valuedouble;
    return OK;
}

static enum err take_tick(struct replay *r, const cJSON *m, struct why *why)
{
    struct replay_tick tick = {.verdict = verdict_of(m), .check = check_of(m)};
    bool has_hist = false;
    enum err e = judge_protocol_tick(&r->judge, m, &tick.input, why);
    if (e == OK)
        e = read_elapsed(r, m, &tick.input, why);
    if (e != OK)
        return e;
    r->queue[r->queued++] = tick;
    e = replay_latency_take(r, m, &has_hist, why);
    if (e != OK) {
        r->queued--;
        return e;
    }
    r->t_ms = tick.input.t_ms;
    r->ticks++;
    if (!r->latency.by_hist || has_hist) {
        judge_queue(r);
    } else if (r->queued == REPLAY_QUEUE_MAX) { /* no histograms: nothing was answered */
        replay_latency_pass(r, true);
        judge_queue(r);
    }
    return OK;
}

static void copy_text(char *to, size_t size, const cJSON *from)
{
    (void)snprintf(to, size, "%s", cJSON_IsString(from) ? from->valuestring : "");
}

enum err replay_line(struct replay *r, struct slice line, struct why *why)
{
    cJSON *m;
    CHECK(r->state == REPLAY_RUNS || r->state == REPLAY_ENDED);
    if (is_blank(line))
        return OK;
    enum err e = parse(line, &m, why);
    if (e != OK)
        return e;
    if (is_op(m, "start"))
        e = why_set(why, ERR_INVALID, "op: a second rollout begins, one a file is expected");
    else if (r->state == REPLAY_ENDED)
        e = why_set(why, ERR_INVALID, "op: nothing is expected after the end");
    else if (is_op(m, "tick"))
        e = take_tick(r, m, why);
    else if (!is_op(m, "end"))
        e = why_set(why, ERR_INVALID, "op: expected tick or end");
    else {
        copy_text(r->result, sizeof r->result, member(m, "result"));
        copy_text(r->why, sizeof r->why, member(m, "why"));
        r->state = REPLAY_ENDED;
    }
    cJSON_Delete(m);
    return e;
}

void replay_finish(struct replay *r)
{
    replay_latency_pass(r, false);
    judge_queue(r);
}
