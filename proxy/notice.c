/* What it takes to notice: traffic that was seen, figures for every stage, a table and JSON.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/notice.h"
#include "proxy/conf/units.h"
#include "rollout/cli/numbers.h"
#include "rollout/moment.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Where nothing was seen. */
#define EXAMPLE_REQUESTS_S 100
#define EXAMPLE_ERROR_RATE 0.001

/* Stable's requests of ten minutes that the judge wants before it compares latency. */
#define LATENCY_REQUESTS_MIN 1000

#define TWICE      2.0
#define FIVE_TIMES 5.0
#define SLOWER     1.3 /* every duration of the canary, for the latency check */

#define COLUMN_WIDTH 22

/* The threshold as a rollout would set it, and what lies above it and above its margin. */
static void read_slow(struct notice *n, double margin)
{
    const struct judge_latency *latency = &n->settings.latency;
    double tops[HIST_CELLS];
    if (!latency->enabled || latency->n == 0 ||
        hist_count(&n->seen.durations) < LATENCY_REQUESTS_MIN)
        return;
    for (unsigned i = 0; i < HIST_CELLS; i++)
        tops[i] = (double)hist_cell_top_us(i);
    const uint64_t *cells = n->seen.durations.cells;
    double limit_us =
        (double)hist_quantile_us(&n->seen.durations, latency->quantile[latency->n - 1]);
    n->slow.stable = power_share_above(cells, tops, HIST_CELLS, limit_us);
    n->slow.canary = power_share_above(cells, tops, HIST_CELLS, limit_us * (1 + margin) / SLOWER);
    n->has_slow = true;
}

void notice_read(struct notice *n, const struct config *config, const struct config_route *route)
{
    struct why why;
    memset(n, 0, sizeof *n);
    if (judge_settings_from_plan(&n->settings, &route->plan, &why) != OK)
        judge_settings_default(&n->settings); /* a plan that was checked is never refused */
    enum err e = !config->state_dir ? ERR_NOT_FOUND
                                    : seen_read(config->state_dir, route->name, &n->seen, &why);
    if (e != OK && e != ERR_NOT_FOUND)
        (void)snprintf(n->why_not, sizeof n->why_not, "%s", why.text);
    n->is_seen = e == OK && n->seen.requests > 0 && n->seen.requests_s > 0;
    n->mirrored = route->mirror_bp / (double)SHARE_FULL_BP;
    n->traffic = (struct power_traffic){EXAMPLE_REQUESTS_S, EXAMPLE_ERROR_RATE};
    if (!n->is_seen)
        return;
    /* Without a failure the rate is not 0: half a one is as likely as not. */
    double failed = n->seen.failed ? (double)n->seen.failed : 0.5;
    n->traffic = (struct power_traffic){n->seen.requests_s, failed / (double)n->seen.requests};
    read_slow(n, route->plan.latency_margin);
}

static struct power_answer widen(const struct notice *n, unsigned stage, double share)
{
    struct power_stage clean = {.per_stable = share / (1 - share)};
    double requests = fmax(power_widen(&n->settings, stage, &clean),
                           (double)n->settings.stages[stage].min_requests);
    return (struct power_answer){requests, requests / (n->traffic.requests_s * share)};
}

/* Each copy stands beside the very request that it is one of: two halves of a traffic that is twice that of the mirror. */
static struct notice_stage mirror_stage(const struct notice *n, unsigned stage)
{
    struct notice pairs = *n;
    pairs.settings.stages[stage].weight_bp = SHARE_FULL_BP / 2;
    pairs.traffic.requests_s *= 2 * n->mirrored;
    return notice_stage(&pairs, stage);
}

struct notice_stage notice_stage(const struct notice *n, unsigned stage)
{
    const struct judge_settings *settings = &n->settings;
    if (settings->stages[stage].weight_bp == 0 && n->mirrored > 0)
        return mirror_stage(n, stage);
    double share = settings->stages[stage].weight_bp / (double)SHARE_FULL_BP;
    struct notice_stage s = {.is_judged = share > 0 && share < 1, .slow = {INFINITY, INFINITY}};
    if (!s.is_judged)
        return s;
    s.twice = power_errors(settings, &n->traffic, stage, TWICE);
    s.five_times = power_errors(settings, &n->traffic, stage, FIVE_TIMES);
    if (n->has_slow)
        s.slow = power_latency(settings, &n->traffic, stage, settings->latency.n - 1, &n->slow);
    s.widen = widen(n, stage, share);
    return s;
}

/* Two digits: the figures are expectations. */
static double two_digits(double x)
{
    double unit = x < 100 ? 1 : pow(10, floor(log10(x)) - 1);
    return round(x / unit) * unit;
}

static void print_cell(const struct power_answer *a, bool is_known)
{
    char text[2 * NUMBER_TEXT_MAX + 8];
    if (!is_known)
        (void)snprintf(text, sizeof text, "-");
    else if (isinf(a->canary_requests))
        (void)snprintf(text, sizeof text, "within the margin");
    else
        (void)snprintf(text, sizeof text, "%s (%s)",
                       number_count(fmax(1, two_digits(a->canary_requests))).at,
                       number_duration(fmax(1, a->seconds)).at);
    printf("%*s", COLUMN_WIDTH, text);
}

static void print_traffic(const struct notice *n)
{
    char moment[MOMENT_TEXT_MAX];
    if (!n->is_seen) {
        printf("  for example at %d requests a second and %g%% errors (of this route no traffic "
               "was seen yet%s%s)\n",
               EXAMPLE_REQUESTS_S, EXAMPLE_ERROR_RATE * 100, n->why_not[0] ? ": " : "", n->why_not);
        return;
    }
    moment_rfc3339(n->seen.wall_ms, moment);
    printf("  at the traffic last seen (%s, %s): %.3g requests a second, ", moment,
           number_duration(n->seen.seconds).at, n->traffic.requests_s);
    if (n->seen.failed)
        printf("%.2g%% errors\n", n->traffic.error_rate * 100);
    else
        printf("no errors in %s\n", number_count((double)n->seen.requests).at);
}

void notice_print(const struct notice *n)
{
    const struct judge_latency *latency = &n->settings.latency;
    char slow[32] = "slower", weight[UNITS_TEXT_MAX];
    bool has_column = latency->enabled && latency->n > 0;
    if (has_column)
        (void)snprintf(slow, sizeof slow, "p%g 30%% slower",
                       latency->quantile[latency->n - 1] * 100);
    printf("  canary requests that it takes to notice (time), and to widen without a failure,\n");
    print_traffic(n);
    printf("  %6s%*s%*s%*s%*s\n", "", COLUMN_WIDTH, "errors x2", COLUMN_WIDTH, "errors x5",
           has_column ? COLUMN_WIDTH : 0, has_column ? slow : "", COLUMN_WIDTH, "widen");
    for (unsigned i = 0; i + 1 < n->settings.n_stages; i++) {
        struct notice_stage s = notice_stage(n, i);
        printf("  %6s", units_format_share(n->settings.stages[i].weight_bp, weight));
        print_cell(&s.twice, s.is_judged);
        print_cell(&s.five_times, s.is_judged);
        if (has_column)
            print_cell(&s.slow, s.is_judged && n->has_slow);
        print_cell(&s.widen, s.is_judged);
        printf("\n");
    }
}

/* null: not known, or no number of requests is enough. */
static void add_answer(cJSON *json, const char *name, const struct power_answer *a, bool is_known)
{
    if (!is_known || isinf(a->canary_requests)) {
        cJSON_AddNullToObject(json, name);
        return;
    }
    cJSON *answer = cJSON_AddObjectToObject(json, name);
    cJSON_AddNumberToObject(answer, "canary_requests", round(a->canary_requests));
    cJSON_AddNumberToObject(answer, "seconds", round(a->seconds));
}

cJSON *notice_json(const struct notice *n)
{
    char moment[MOMENT_TEXT_MAX];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddBoolToObject(json, "seen", n->is_seen);
    if (n->is_seen) {
        moment_rfc3339(n->seen.wall_ms, moment);
        cJSON_AddStringToObject(json, "seen_at", moment);
    }
    cJSON_AddNumberToObject(json, "requests_s", n->traffic.requests_s);
    cJSON_AddNumberToObject(json, "error_rate", n->traffic.error_rate);
    cJSON_AddBoolToObject(json, "latency_known", n->has_slow);
    cJSON *stages = cJSON_AddArrayToObject(json, "stages");
    for (unsigned i = 0; i + 1 < n->settings.n_stages; i++) {
        struct notice_stage s = notice_stage(n, i);
        cJSON *stage = cJSON_CreateObject();
        cJSON_AddNumberToObject(stage, "weight_bp", n->settings.stages[i].weight_bp);
        add_answer(stage, "errors_x2", &s.twice, s.is_judged);
        add_answer(stage, "errors_x5", &s.five_times, s.is_judged);
        add_answer(stage, "slower_30", &s.slow, s.is_judged && n->has_slow);
        add_answer(stage, "widen", &s.widen, s.is_judged);
        cJSON_AddItemToArray(stages, stage);
    }
    return json;
}
