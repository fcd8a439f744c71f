/* The judge's state to JSON and back: one walk over the fields serves both ways.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/decide/judge.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

/* Room for one number with 17 digits, sign, point and exponent. */
#define NUMBER_MAX 32

/* Whole numbers below it are written as such, which is what %.17g makes of them, too. */
#define WHOLE_MAX 1e15

/* Sums of logarithms stay far inside; beyond it an addition could overflow. */
#define LOG_MAX 1e300

/* Decayed and open sums; 2^53 a tick cannot bring them further. */
#define SUM_MAX 1e30

/* Where a number may lie when it is read. */
struct bounds {
    double least, most;
    bool may_be_none; /* null stands for -inf */
};

static const struct bounds logs = {-LOG_MAX, LOG_MAX, true};
static const struct bounds finite_logs = {-LOG_MAX, LOG_MAX, false};
static const struct bounds sums = {0, SUM_MAX, false};
static const struct bounds masses = {0, 1, false};

/* A walk over the state: the object at hand, and what went wrong first. */
struct walk {
    cJSON *object;
    bool writes;
    enum err error;
    struct why *why;
};

static void fail(struct walk *w, const char *name, const char *expected)
{
    if (!w->error)
        w->error = why_set(w->why, ERR_INVALID, "%s: %s", name, expected);
}

static void out_of_memory(struct walk *w)
{
    if (!w->error)
        w->error = why_set(w->why, ERR_MEMORY, "out of memory");
}

/* Owned by the parent when it could be added; otherwise freed. */
static void append(struct walk *w, cJSON *array, cJSON *item)
{
    if (item && cJSON_AddItemToArray(array, item))
        return;
    cJSON_Delete(item);
    out_of_memory(w);
}

/* cJSON prints numbers only to within a rounding; %.17g comes back exact. */
static cJSON *number_new(double value)
{
    char text[NUMBER_MAX];
    if (!isfinite(value))
        return cJSON_CreateNull();
    if (fabs(value) < WHOLE_MAX && value == floor(value) && (value != 0 || !signbit(value)))
        (void)snprintf(text, sizeof text, "%lld",
                       (long long)value); /* most are; a tenth of the time */
    else
        (void)snprintf(text, sizeof text, "%.17g", value);
    return cJSON_CreateRaw(text);
}

static void write_array(struct walk *w, const char *name, const double *values, size_t n)
{
    cJSON *array = cJSON_AddArrayToObject(w->object, name);
    if (!array) {
        out_of_memory(w);
        return;
    }
    for (size_t i = 0; i < n && !w->error; i++)
        append(w, array, number_new(values[i]));
}

static bool number_read(const cJSON *item, struct bounds bounds, double *value)
{
    if (cJSON_IsNull(item) && bounds.may_be_none) {
        *value = -INFINITY;
        return true;
    }
    if (!cJSON_IsNumber(item) && !cJSON_IsRaw(item))
        return false;
    /* Raw: a tree that was written and never printed. */
    double read = cJSON_IsRaw(item) ? strtod(item->valuestring, NULL) : item->valuedouble;
    if (!(read >= bounds.least && read <= bounds.most)) /* a NaN fails both */
        return false;
    *value = read;
    return true;
}

static void read_array(struct walk *w, const char *name, double *values, size_t n,
                       struct bounds bounds)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(w->object, name);
    if (!cJSON_IsArray(array) || cJSON_GetArraySize(array) != (int)n) {
        fail(w, name, "missing, or not an array of the expected length");
        return;
    }
    const cJSON *item = array->child;
    for (size_t i = 0; i < n; i++, item = item->next) {
        if (!number_read(item, bounds, &values[i])) {
            fail(w, name, "holds something that is not a number in its range");
            return;
        }
    }
}

static void walk_array(struct walk *w, const char *name, double *values, size_t n,
                       struct bounds bounds)
{
    if (w->error)
        return;
    if (w->writes)
        write_array(w, name, values, n);
    else
        read_array(w, name, values, n, bounds);
}

static void walk_flag(struct walk *w, const char *name, bool *flag)
{
    if (w->error)
        return;
    if (w->writes) {
        if (!cJSON_AddBoolToObject(w->object, name, *flag))
            out_of_memory(w);
        return;
    }
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(w->object, name);
    if (!cJSON_IsBool(item))
        fail(w, name, "missing, or neither true nor false");
    else
        *flag = cJSON_IsTrue(item);
}

/* Whole numbers as an array, each from 0 to most. */
static void walk_counts(struct walk *w, const char *name, uint64_t *const *counts, size_t n,
                        uint64_t most)
{
    double values[3 + JUDGE_LATENCY_MAX + 2] = {0};
    for (size_t i = 0; i < n && w->writes; i++)
        values[i] = (double)*counts[i];
    walk_array(w, name, values, n, (struct bounds){0, (double)most, false});
    if (w->writes || w->error)
        return;
    for (size_t i = 0; i < n; i++) {
        if (values[i] != floor(values[i]))
            fail(w, name, "holds a fraction where a count belongs");
        *counts[i] = (uint64_t)values[i];
    }
}

static void walk_side(struct walk *w, const char *name, struct judge_side *side)
{
    uint64_t *counts[3 + JUDGE_LATENCY_MAX + 2] = {&side->requests, &side->failed,
                                                   &side->client_errors};
    size_t n = 3;
    for (size_t i = 0; i < JUDGE_LATENCY_MAX; i++)
        counts[n++] = &side->slow[i];
    counts[n++] = &side->key_requests;
    counts[n++] = &side->key_failed;
    walk_counts(w, name, counts, n, JUDGE_COUNT_MAX);
}

/* Goes down into a member object; the caller restores w->object. */
static bool enter(struct walk *w, const char *name)
{
    if (w->error)
        return false;
    cJSON *object = w->writes ? cJSON_AddObjectToObject(w->object, name)
                              : cJSON_GetObjectItemCaseSensitive(w->object, name);
    if (w->writes && !object)
        out_of_memory(w);
    else if (!cJSON_IsObject(object))
        fail(w, name, "missing, or not an object");
    else
        w->object = object;
    return !w->error;
}

static void walk_seen(struct walk *w, const char *name, struct judge_seen *seen)
{
    cJSON *parent = w->object;
    if (enter(w, name)) {
        walk_side(w, "stable", &seen->stable);
        walk_side(w, "canary", &seen->canary);
    }
    w->object = parent;
}

static void walk_block(struct walk *w, const char *name, struct evidence_block *block)
{
    double values[] = {block->canary, block->canary_marked, block->stable, block->stable_marked};
    walk_array(w, name, values, 4, sums);
    *block = (struct evidence_block){values[0], values[1], values[2], values[3]};
}

static void walk_process(struct walk *w, const char *name, size_t n, struct evidence *e,
                         struct evidence_block *open)
{
    cJSON *parent = w->object;
    if (enter(w, name)) {
        double mass[] = {e->remaining, e->pending};
        walk_array(w, "log_r", e->log_r, n, logs);
        walk_array(w, "mass", mass, 2, masses);
        walk_block(w, "open", open);
        e->remaining = mass[0];
        e->pending = mass[1];
        /* Mass that enters comes out of the rest. */
        if (!w->writes && e->pending > e->remaining + 1e-9)
            fail(w, name, "more mass is pending than remains");
    }
    w->object = parent;
}

static void walk_processes(struct walk *w, struct judge *j)
{
    static const char *const names[JUDGE_PROCESS_COUNT] = {
        "errors", "client_errors", "ceiling", "relative", "latency0", "latency1", "latency2"};
    for (unsigned i = 0; i < JUDGE_PROCESS_LATENCY + j->settings.latency.n; i++) {
        size_t n = i >= JUDGE_PROCESS_LATENCY   ? j->settings.odds_grid.n
                   : i == JUDGE_PROCESS_CEILING ? j->settings.ceiling_grid.n
                                                : j->settings.ratio_grid.n;
        walk_process(w, names[i], n, &j->evidence[i], &j->open[i]);
    }
}

static void walk_sums(struct walk *w, struct judge *j)
{
    double rates[] = {j->fast.failed, j->fast.requests, j->slow.failed, j->slow.requests};
    double brake[] = {j->brake_left_s};
    double requests[] = {j->requests_stable};
    walk_array(w, "log_uncapped", j->log_uncapped, j->settings.ratio_grid.n, logs);
    walk_array(w, "log_safe", j->log_safe, j->settings.safe_grid.n, finite_logs);
    walk_block(w, "open_safe", &j->open_safe);
    walk_array(w, "brake_left_s", brake, 1, (struct bounds){0, 1e9, false});
    walk_array(w, "slow_stable", j->slow_stable, j->settings.latency.n, sums);
    walk_array(w, "requests_stable", requests, 1, sums);
    walk_array(w, "rates_stable", rates, 4, sums);
    j->brake_left_s = brake[0];
    j->requests_stable = requests[0];
    j->fast = (struct judge_rate){rates[0], rates[1]};
    j->slow = (struct judge_rate){rates[2], rates[3]};
}

static void walk_judge(struct walk *w, struct judge *j)
{
    uint64_t stage = j->stage;
    uint64_t *const place[] = {&stage, &j->epoch};
    walk_flag(w, "sticky", &j->sticky);
    walk_flag(w, "warm", &j->warm);
    walk_flag(w, "ceiling_on", &j->ceiling_on);
    walk_counts(w, "stage_epoch", place, 2, JUDGE_COUNT_MAX);
    if (!w->error && stage >= j->settings.n_stages)
        fail(w, "stage_epoch", "the stage is beyond the plan's");
    j->stage = (unsigned)stage;
    walk_processes(w, j);
    walk_sums(w, j);
    walk_seen(w, "last", &j->last);
    walk_seen(w, "in_stage", &j->in_stage);
    walk_seen(w, "in_rollout", &j->in_rollout);
}

enum err judge_to_json(const struct judge *j, cJSON *into)
{
    struct judge copy = *j; /* the walk is for both ways and writes into nothing here */
    struct walk w = {.object = into, .writes = true};
    walk_judge(&w, &copy);
    return w.error;
}

enum err judge_from_json(struct judge *j, const struct judge_settings *settings, const cJSON *from,
                         struct why *why)
{
    struct judge read;
    enum err e = judge_settings_check(settings, why);
    if (e)
        return e;
    if (!cJSON_IsObject(from))
        return why_set(why, ERR_INVALID, "evidence: missing, or not an object");
    judge_start(&read, settings, false, NULL);
    struct walk w = {.why = why};
    /* The walk writes to the tree only when w.writes; cJSON has no lookup that keeps const. */
    w.object = (cJSON *)(uintptr_t)from;
    walk_judge(&w, &read);
    if (!w.error)
        *j = read;
    return w.error;
}
