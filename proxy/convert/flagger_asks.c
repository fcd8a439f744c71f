/* The metrics and webhooks of a Canary: what serin measures by itself, whom it asks, and what it leaves.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/checks.h"
#include "proxy/convert/flagger_analysis.h"
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <string.h>

/* --- metrics --- */

/* One bound of a metric's range, as text; NULL: there is none. */
static const char *bound_of(const struct cJSON *metric, const char *key, char out[SOURCE_TEXT_MAX])
{
    const struct cJSON *bound = source_at(metric, "thresholdRange");
    bound = source_get(bound, key);
    if (!bound && strcmp(key, "max") == 0)
        bound = source_get(metric, "threshold"); /* its older name */
    return cJSON_IsNumber(bound) ? source_as_text(bound, out) : NULL;
}

/* request-success-rate: a ceiling on what serin counts itself. */
static void put_success_rate(struct draft *d, const struct cJSON *metric, struct cJSON *rollout)
{
    const struct cJSON *least = source_at(metric, "thresholdRange.min");
    if (!least)
        least = source_get(metric, "threshold");
    double bp = cJSON_IsNumber(least) ? round((100 - least->valuedouble) * 100) : -1;
    if (source_get(rollout, "checks") || !(bp >= 1 && bp <= 10000)) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "serin compares the errors of both versions by itself");
        return;
    }
    draft_note(d, NOTE_NEAR, metric, rollout,
               "a ceiling on the canary's errors, where stable keeps below it; beside it serin "
               "compares both, and reverts on less where stable does better");
    struct cJSON *checks = draft_put_object(d, rollout, "checks");
    draft_put_share(d, draft_put_object(d, checks, "errors"), "ceiling", (int64_t)bp);
}

/* Where the values of {{ name }} are. */
struct query_values {
    const struct cJSON *canary, *metric;
};

static const char *value_of(const void *arg, struct slice name)
{
    const struct query_values *v = arg;
    char key[SOURCE_TEXT_MAX];
    const char *target = source_text(source_at(v->canary, "spec.targetRef"), "name");
    const char *service = source_text(source_at(v->canary, "spec.service"), "name");
    if (slice_equal(name, SLICE("name")))
        return source_name(v->canary);
    if (slice_equal(name, SLICE("namespace")))
        return source_namespace(v->canary);
    if (slice_equal(name, SLICE("target")))
        return target;
    if (slice_equal(name, SLICE("service")))
        return service ? service : target;
    if (slice_equal(name, SLICE("ingress")))
        return source_text(source_at(v->canary, "spec.ingressRef"), "name");
    if (slice_equal(name, SLICE("interval"))) {
        const char *interval = source_text(v->metric, "interval");
        return interval ? interval : "1m";
    }
    if (!slice_starts(name, SLICE("variables.")))
        return NULL;
    (void)snprintf(key, sizeof key, "%.*s", (int)(name.len - 10), name.at + 10);
    return source_text(source_get(v->metric, "templateVariables"), key);
}

static void put_query(struct draft *d, const struct cJSON *canary, const struct cJSON *metric,
                      const char *url, const char *query, struct cJSON *rollout)
{
    char filled[CHECKS_QUERY_MAX], least[SOURCE_TEXT_MAX], most[SOURCE_TEXT_MAX];
    struct query_values values = {canary, metric};
    struct checks_item item = {.name = source_text(metric, "name"),
                               .url = url,
                               .query = filled,
                               .min = bound_of(metric, "min", least),
                               .max = bound_of(metric, "max", most),
                               .failures = flagger_analysis_threshold(flagger_analysis_of(canary))};
    (void)source_duration(source_get(metric, "interval"), &item.interval_ms);
    if (!checks_fill(query, value_of, &values, filled)) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "its query has a variable without a value in this file, or is too long");
        return;
    }
    checks_put(d, rollout, metric, &item);
}

static void put_template(struct draft *d, const struct cJSON *canary, const struct cJSON *metric,
                         struct cJSON *rollout)
{
    const struct cJSON *ref = source_get(metric, "templateRef");
    const char *name_space = source_text(ref, "namespace");
    const struct cJSON *template =
        source_find(d, "flagger.app", "MetricTemplate", source_text(ref, "name"),
                    name_space ? name_space : source_namespace(canary));
    const char *type = source_text(source_at(template, "spec.provider"), "type");
    const char *query = source_text(source_get(template, "spec"), "query");
    if (!template)
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "put its MetricTemplate into the same file to have its query in more_checks");
    else if (!type || strcmp(type, "prometheus") != 0 || !query)
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "of metrics stores serin asks Prometheus; let a webhook of more_checks ask this "
                   "one");
    else
        put_query(d, canary, metric, source_text(source_at(template, "spec.provider"), "address"),
                  query, rollout);
}

/* request-duration: an absolute bound, which serin's own check has not; serin's own histogram answers it. */
static void put_duration(struct draft *d, const struct cJSON *canary, const struct cJSON *metric,
                         struct cJSON *rollout)
{
    static const char query[] = "histogram_quantile(0.99, sum by (le) (rate("
                                "serin_request_duration_seconds_bucket{route=\"$route\", "
                                "version=\"$canary\"}[1m])))";
    char most[SOURCE_TEXT_MAX];
    const char *server = source_text(source_get(canary, "spec"), "metricsServer");
    const struct cJSON *bound = source_at(metric, "thresholdRange.max");
    if (!bound)
        bound = source_get(metric, "threshold");
    double seconds = cJSON_IsNumber(bound) ? bound->valuedouble / 1000 : -1;
    if (!(seconds > 0 && seconds < 1e6)) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "serin compares how long requests take in both versions by itself");
        return;
    }
    (void)snprintf(most, sizeof most, "%.6f", seconds);
    for (size_t len = strlen(most); most[len - 1] == '0' && most[len - 2] != '.'; len--)
        most[len - 1] = '\0';
    if (!server) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "serin compares latency with stable's. For this bound too let your Prometheus "
                   "scrape serin, and add to more_checks: prometheus: { name: p99, url: "
                   "http://..., query: '%s', max: %s }",
                   query, most);
        return;
    }
    struct checks_item item = {.name = "request-duration",
                               .url = server,
                               .query = query,
                               .max = most,
                               .near = "beside its own comparison with stable, by serin's "
                                       "histogram, which this Prometheus has to scrape",
                               .failures = flagger_analysis_threshold(flagger_analysis_of(canary))};
    checks_put(d, rollout, metric, &item);
}

void flagger_analysis_put_metrics(struct draft *d, const struct cJSON *canary,
                                  struct cJSON *rollout)
{
    const struct cJSON *metric;
    cJSON_ArrayForEach(metric, source_get(flagger_analysis_of(canary), "metrics"))
    {
        const char *name = source_text(metric, "name"), *query = source_text(metric, "query");
        if (source_get(metric, "templateRef"))
            put_template(d, canary, metric, rollout);
        else if (query)
            put_query(d, canary, metric, source_text(source_get(canary, "spec"), "metricsServer"),
                      query, rollout);
        else if (name && strcmp(name, "request-success-rate") == 0)
            put_success_rate(d, metric, rollout);
        else if (name && strcmp(name, "request-duration") == 0)
            put_duration(d, canary, metric, rollout);
        else
            draft_note(d, NOTE_LEFT, metric, rollout, "it has neither a templateRef nor a query");
    }
}

/* --- webhooks --- */

/* What a type of hook is in serin; gate NULL: a check, or, with a note, nothing. */
struct hook_type {
    const char *name, *gate, *note;
};

static const struct hook_type hook_types[] = {
    {"confirm-rollout", "before_start", NULL},
    {"pre-rollout", "before_start", "a gate that is closed waits, and aborts nothing"},
    {"confirm-traffic-increase", "before_step", NULL},
    {"confirm-promotion", "before_promote", NULL},
    {"post-rollout", "after_end", NULL},
    {"event", "event", NULL},
    {"rollout", NULL, NULL},
    {"rollback", NULL,
     "to take a canary back call `serin abort ROUTE`, or POST /api/v1/routes/ROUTE/abort"},
};

static const struct hook_type *type_of(const struct cJSON *hook)
{
    const char *type = source_text(hook, "type");
    for (size_t i = 0; i < sizeof hook_types / sizeof hook_types[0]; i++)
        if (strcmp(type && *type ? type : "rollout", hook_types[i].name) == 0)
            return &hook_types[i];
    return NULL;
}

static void put_check(struct draft *d, const struct cJSON *analysis, const struct cJSON *hook,
                      struct cJSON *rollout)
{
    struct checks_item item = {.name = source_text(hook, "name"),
                               .url = source_text(hook, "url"),
                               .failures = flagger_analysis_threshold(analysis)};
    if (!source_duration(source_get(analysis, "interval"), &item.interval_ms))
        item.interval_ms = 0;
    checks_put(d, rollout, hook, &item);
}

static void put_hook(struct draft *d, const struct cJSON *analysis, const struct cJSON *hook,
                     struct cJSON *rollout)
{
    const struct hook_type *type = type_of(hook);
    if (!type) {
        draft_note(d, NOTE_LEFT, hook, rollout, "serin has no such moment to ask at");
    } else if (!type->gate && type->note) {
        draft_note(d, NOTE_LEFT, hook, rollout, "%s", type->note);
    } else if (source_get(hook, "metadata")) {
        draft_note(d, NOTE_LEFT, hook, rollout,
                   "serin sends no `metadata`: let a program in between add it, and name that one "
                   "in %s",
                   type->gate ? "gates" : "more_checks");
    } else if (type->gate) {
        struct checks_gate gate = {type->gate, source_text(hook, "url"), 0, type->note};
        (void)source_duration(source_get(hook, "timeout"), &gate.timeout_ms);
        checks_put_gate(d, rollout, hook, &gate);
    } else {
        put_check(d, analysis, hook, rollout);
    }
}

void flagger_analysis_put_webhooks(struct draft *d, const struct cJSON *analysis,
                                   struct cJSON *rollout)
{
    const struct cJSON *hooks = source_get(analysis, "webhooks"), *hook;
    if (cJSON_GetArraySize(hooks) > 0)
        draft_note(d, NOTE_NEAR, hooks, rollout, "what serin's POST says is its own, as JSON too");
    cJSON_ArrayForEach(hook, hooks)
    {
        put_hook(d, analysis, hook, rollout);
    }
}
