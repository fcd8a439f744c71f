/* Cells to thresholds, cells to counts, and counts to the ticks in between.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/replay_latency.h"

#include "base/check.h"
#include "rollout/decide/threshold.h"
#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

enum { STABLE, CANARY, SIDES };

/* As in production: fewer requests of stable say too little about its p99. */
#define REQUESTS_MIN 1000

/* Durations reach 2^32 us; a margin of 100 on top stays far inside. */
#define LIMIT_MAX_US 1e15

/* The plan's default, where a configuration says nothing. */
#define MARGIN_STANDARD 0.05

static const cJSON *member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static double margin_of(const cJSON *config)
{
    const cJSON *margin = member(member(config, "lat"), "margin");
    return cJSON_IsNumber(margin) ? margin->valuedouble : MARGIN_STANDARD;
}

/* Every configuration that is read has defaults for what it leaves out: so have these. */
static bool has_same_quantiles(const cJSON *a, const cJSON *b)
{
    const cJSON *x = member(member(a, "lat"), "q"), *y = member(member(b, "lat"), "q");
    return x == y || cJSON_Compare(x, y, true);
}

void replay_latency_start(struct replay_latency *l, const cJSON *recorded, const cJSON *config,
                          const struct judge_settings *settings)
{
    bool was_on = !cJSON_IsFalse(member(member(recorded, "lat"), "on"));
    *l = (struct replay_latency){.margin = margin_of(config),
                                 .recorded_margin = margin_of(recorded),
                                 .same_quantiles = has_same_quantiles(recorded, config)};
    l->by_hist = settings->latency.enabled &&
                 !(was_on && l->same_quantiles && l->margin == l->recorded_margin);
}

/* [[cell, n], ...] into cells. False: it is not that. */
static bool read_cells(const cJSON *list, uint64_t *cells, size_t n)
{
    const cJSON *pair;
    memset(cells, 0, n * sizeof *cells);
    if (!cJSON_IsArray(list))
        return false;
    cJSON_ArrayForEach(pair, list)
    {
        const cJSON *cell = pair->child, *count = cell ? cell->next : NULL;
        if (!cJSON_IsArray(pair) || !cJSON_IsNumber(cell) || !cJSON_IsNumber(count) || count->next)
            return false;
        double at = cell->valuedouble, value = count->valuedouble;
        if (!(at >= 0 && at < (double)n) || at != floor(at) ||
            !(value >= 0 && value <= (double)JUDGE_COUNT_MAX))
            return false;
        cells[(size_t)at] = (uint64_t)value;
    }
    return true;
}

/* The durations above a limit; of the cell that the limit cuts, its share. */
static uint64_t count_above(const struct replay_cells *c, const uint64_t *cells, uint64_t limit_us)
{
    double above = 0;
    for (size_t i = 0; i < c->n; i++) {
        uint64_t top = c->top_us[i], bottom = i ? c->top_us[i - 1] : 0;
        if (top <= limit_us)
            continue;
        bool is_cut = limit_us > bottom && top > bottom;
        above +=
            (double)cells[i] * (is_cut ? (double)(top - limit_us) / (double)(top - bottom) : 1);
    }
    return (uint64_t)fmin(above, (double)JUDGE_COUNT_MAX);
}

/* The thresholds that the recorded rollout compared with: they were learnt from the ten minutes
 * before, which are not recorded. They serve where only the margin is another. */
static bool read_limits(const struct replay *r, const cJSON *m, uint64_t *limits)
{
    const cJSON *list = member(m, "slow_us");
    size_t n = r->judge.judge.settings.latency.n;
    if (!r->latency.same_quantiles || (size_t)cJSON_GetArraySize(list) != n)
        return false;
    const cJSON *item = list->child;
    for (size_t q = 0; q < n; q++, item = item->next) {
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1 && item->valuedouble <= LIMIT_MAX_US))
            return false;
        limits[q] = (uint64_t)item->valuedouble;
    }
    return true;
}

/* Stable's quantiles, from what is recorded of it so far. False: too little yet. */
static bool learn_limits(const struct replay *r, const uint64_t *cells, uint64_t *limits)
{
    const struct judge_latency *latency = &r->judge.judge.settings.latency;
    double total = 0;
    for (size_t i = 0; i < r->cells.n; i++)
        total += (double)cells[i];
    if (total < REQUESTS_MIN)
        return false;
    for (size_t q = 0; q < latency->n; q++) {
        uint64_t top =
            r->cells.top_us[threshold_cell(cells, r->cells.n, latency->quantile[q], NULL)];
        limits[q] = top ? top : 1;
    }
    return true;
}

static bool find_limits(struct replay *r, const cJSON *m, const uint64_t *stable)
{
    struct replay_latency *l = &r->latency;
    uint64_t limits[JUDGE_LATENCY_MAX] = {0};
    if (!read_limits(r, m, limits) && !learn_limits(r, stable, limits))
        return false;
    for (size_t q = 0; q < JUDGE_LATENCY_MAX; q++) {
        l->limit_us[STABLE][q] = limits[q];
        l->limit_us[CANARY][q] =
            (uint64_t)fmin(ceil((double)limits[q] * (1 + l->margin)), LIMIT_MAX_US);
    }
    return true;
}

/* --- the ticks between two histograms --- */

/* What a count had reached at a tick, as far on its way as the requests were. */
static uint64_t between(uint64_t from, uint64_t to, uint64_t start, uint64_t end, uint64_t at)
{
    if (to <= from || at <= start)
        return from;
    if (at >= end)
        return to;
    return from + (uint64_t)((double)(to - from) * ((double)(at - start) / (double)(end - start)));
}

static void fill(struct replay *r, uint64_t const slow[SIDES][JUDGE_LATENCY_MAX])
{
    const struct replay_latency *l = &r->latency;
    const struct judge_input *last = &r->queue[r->queued - 1].input;
    for (size_t i = 0; i < r->queued; i++) {
        struct judge_input *input = &r->queue[i].input;
        bool is_last = i + 1 == r->queued;
        input->latency_known = true;
        for (size_t q = 0; q < JUDGE_LATENCY_MAX; q++) {
            input->stable.slow[q] =
                is_last ? slow[STABLE][q]
                        : between(l->slow[STABLE][q], slow[STABLE][q], l->at.stable.requests,
                                  last->stable.requests, input->stable.requests);
            input->canary.slow[q] =
                is_last ? slow[CANARY][q]
                        : between(l->slow[CANARY][q], slow[CANARY][q], l->at.canary.requests,
                                  last->canary.requests, input->canary.requests);
        }
    }
}

void replay_latency_pass(struct replay *r, bool is_known)
{
    bool known = is_known && r->latency.limit_us[STABLE][0];
    for (size_t i = 0; i < r->queued; i++) {
        struct judge_input *input = &r->queue[i].input;
        input->latency_known = known;
        memcpy(input->stable.slow, r->latency.slow[STABLE], sizeof input->stable.slow);
        memcpy(input->canary.slow, r->latency.slow[CANARY], sizeof input->canary.slow);
    }
}

static void note_place(struct replay *r)
{
    const struct judge_input *last = &r->queue[r->queued - 1].input;
    r->latency.at = (struct judge_seen){last->stable, last->canary};
}

/* The counts under the limits, and from them those of the queue. */
static void take_counts(struct replay *r, uint64_t cells[SIDES][REPLAY_CELLS_MAX])
{
    struct replay_latency *l = &r->latency;
    uint64_t slow[SIDES][JUDGE_LATENCY_MAX] = {{0}};
    for (unsigned side = 0; side < SIDES; side++) {
        for (size_t q = 0; q < r->judge.judge.settings.latency.n; q++) {
            uint64_t above = count_above(&r->cells, cells[side], l->limit_us[side][q]);
            uint64_t since = above > l->first[side][q] ? above - l->first[side][q] : 0;
            slow[side][q] = since > l->slow[side][q] ? since : l->slow[side][q];
        }
    }
    fill(r, slow);
    memcpy(l->slow, slow, sizeof l->slow);
}

enum err replay_latency_take(struct replay *r, const cJSON *m, bool *found, struct why *why)
{
    uint64_t cells[SIDES][REPLAY_CELLS_MAX];
    struct replay_latency *l = &r->latency;
    const cJSON *both = member(m, "hist");
    *found = both != NULL;
    if (!both)
        return OK;
    if (!read_cells(member(both, "s"), cells[STABLE], r->cells.n) ||
        !read_cells(member(both, "c"), cells[CANARY], r->cells.n))
        return why_set(why, ERR_INVALID, "hist: expected s and c, each a list of [cell, count]");
    l->histograms++;
    if (!l->by_hist)
        return OK;
    if (l->limit_us[STABLE][0]) {
        take_counts(r, cells);
    } else {
        replay_latency_pass(r, false);
        if (find_limits(r, m, cells[STABLE])) /* what came before counts for neither side */
            for (unsigned side = 0; side < SIDES; side++)
                for (size_t q = 0; q < r->judge.judge.settings.latency.n; q++)
                    l->first[side][q] = count_above(&r->cells, cells[side], l->limit_us[side][q]);
    }
    note_place(r);
    return OK;
}
