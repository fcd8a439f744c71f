/* AnalysisTemplates that ask Prometheus become checks by others; the judge's own need none.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/argo_analysis.h"
#include "proxy/convert/checks.h"
#include "proxy/convert/source.h"

#include <cjson/cJSON.h>
#include <string.h>

#define GROUP         "argoproj.io"
#define FAILURES_MAX  999
#define OWN_JUDGEMENT "serin compares errors and latency of both versions by itself"

/* Where the values of {{args.NAME}} are: those of the analysis, then the template's own. */
struct args {
    const struct cJSON *given, *own;
};

static const char *value_in(const struct cJSON *list, struct slice name)
{
    const struct cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *key = source_text(item, "name");
        if (key && slice_equal(slice_str(key), name))
            return source_text(item, "value");
    }
    return NULL;
}

static const char *value_of(const void *arg, struct slice name)
{
    const struct args *args = arg;
    if (!slice_starts(name, SLICE("args.")))
        return NULL;
    name = slice_of(name.at + 5, name.len - 5);
    const char *value = value_in(args->given, name);
    return value ? value : value_in(args->own, name);
}

/* A bound out of "result[0] >= 0.95": its number, and whether a good value is above it. */
struct bound {
    char number[SOURCE_TEXT_MAX];
    bool is_min;
};

/* False: another expression. is_good: it says what is good rather than what is bad. */
static bool read_bound(const char *condition, bool is_good, struct bound *b)
{
    struct slice s = slice_trim(slice_str(condition ? condition : ""));
    static const char *const names[] = {"result[0]", "result"};
    size_t i = 0;
    while (i < 2 && !slice_starts(s, slice_str(names[i])))
        i++;
    if (i == 2)
        return false;
    s = slice_trim(slice_of(s.at + strlen(names[i]), s.len - strlen(names[i])));
    if (s.len < 2 || (s.at[0] != '<' && s.at[0] != '>'))
        return false;
    bool is_above = s.at[0] == '>';
    size_t sign = s.at[1] == '=' ? 2 : 1;
    s = slice_trim(slice_of(s.at + sign, s.len - sign));
    if (s.len == 0 || s.len >= sizeof b->number || strspn(s.at, "0123456789.-") < s.len)
        return false;
    (void)snprintf(b->number, sizeof b->number, "%.*s", SLICE_ARG(s));
    b->is_min = is_above == is_good;
    return true;
}

static void put_metric(struct draft *d, const struct cJSON *metric, const struct args *args,
                       struct cJSON *rollout)
{
    char query[CHECKS_QUERY_MAX], url[CHECKS_QUERY_MAX];
    struct bound good, bad;
    const struct cJSON *provider = source_at(metric, "provider.prometheus");
    const char *asked = source_text(provider, "query"), *address = source_text(provider, "address");
    struct checks_item item = {.name = source_text(metric, "name"), .query = query, .url = url};
    bool has_good = read_bound(source_text(metric, "successCondition"), true, &good);
    bool has_bad = read_bound(source_text(metric, "failureCondition"), false, &bad);
    if (!provider || !asked || !address) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "of others serin asks Prometheus, at an address; or a webhook: more_checks");
        return;
    }
    if (!checks_fill(asked, value_of, args, query) || !checks_fill(address, value_of, args, url)) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "its query or address has an argument without a value in this file");
        return;
    }
    if (!has_good && !has_bad) {
        draft_note(d, NOTE_LEFT, metric, rollout,
                   "of conditions serin knows a value with a bound, such as result[0] >= 0.95: "
                   "write more_checks with min or max");
        return;
    }
    if (has_good)
        *(good.is_min ? &item.min : &item.max) = good.number;
    if (has_bad)
        *(bad.is_min ? &item.min : &item.max) = bad.number;
    (void)source_duration(source_get(metric, "interval"), &item.interval_ms);
    if (!source_count(source_get(metric, "failureLimit"), FAILURES_MAX, &item.failures))
        item.failures = 0;
    item.failures++; /* the limit is how many it may have */
    item.near = "asked as long as the rollout runs, and failures count in a row";
    checks_put(d, rollout, metric, &item);
}

static void put_template(struct draft *d, const struct cJSON *analysis, const struct cJSON *ref,
                         struct cJSON *rollout)
{
    const char *name = source_text(ref, "templateName");
    const struct cJSON *template = source_find(d, GROUP, "AnalysisTemplate", name, NULL), *metric;
    if (!template)
        template = source_find(d, GROUP, "ClusterAnalysisTemplate", name, NULL);
    if (!template) {
        draft_note(d, NOTE_LEFT, ref, rollout,
                   OWN_JUDGEMENT
                   "; put the AnalysisTemplate into the same file to have its queries "
                   "as more_checks");
        return;
    }
    struct args args = {source_get(analysis, "args"), source_at(template, "spec.args")};
    cJSON_ArrayForEach(metric, source_at(template, "spec.metrics"))
    {
        put_metric(d, metric, &args, rollout);
    }
}

void argo_analysis_put(struct draft *d, const struct cJSON *analysis, struct cJSON *rollout)
{
    const struct cJSON *ref, *templates = source_get(analysis, "templates");
    if (!analysis)
        return;
    if (!cJSON_IsArray(templates))
        draft_note(d, NOTE_LEFT, analysis, rollout, OWN_JUDGEMENT);
    cJSON_ArrayForEach(ref, templates)
    {
        put_template(d, analysis, ref, rollout);
    }
}
